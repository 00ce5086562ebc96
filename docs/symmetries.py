"""Write the table of all declared symmetries, as the audit finds them on the simulator.

python docs/symmetries.py docs/symmetries.md
"""

import sys
from importlib.metadata import version
from pathlib import Path

import rpp_rl.envs.robots  # noqa: F401, registers the example robots
from rpp_rl.envs import REGISTRY, audit
from rpp_rl.envs.auditing.report import THRESHOLDS, GeneratorAudit, SymmetryAudit, Verdict
from rpp_rl.experiments.environments import say_simulator_warnings_once

STATES = 1000
HEAD = """# The declared symmetries, measured

Written by `make docs-symmetries`, never by hand: `rpp_rl.envs.audit` with {states} transitions each (seed 0), gymnasium
{gymnasium}, mujoco {mujoco}. States along rollouts of random actions are mirrored as full simulator states and stepped
under mirrored actions. Errors are relative to the change in a step, every entry in units of its typical change.

Verdicts: {thresholds}.

| task | symmetry | generator | verdict | one step, median | 95 % | 25 steps, median | reward | starts alike |
|---|---|---|---|---|---|---|---|---|
"""


def row(done: SymmetryAudit, g: GeneratorAudit, default: bool) -> str:
    """One line of the table."""
    name = f"**{done.symmetry.name}**" if default else done.symmetry.name
    numbers = (g.dynamics_median, g.dynamics_p95, g.rollout25_median, g.reward_error)
    cells = (
        done.environment,
        name,
        g.name,
        str(g.verdict),
        *map(number, numbers),
        "yes" if g.reset_invariant else "no",
    )
    return "| " + " | ".join(cells) + " |\n"


def number(value: float) -> str:
    """Two digits; what is rounding only differs from one processor to the next and is written as 0."""
    return "0" if value < 1e-9 else f"{value:.2g}"


def details(done: SymmetryAudit) -> str:
    """What breaks a symmetry, by name."""
    lines = []
    for g in done.generators:
        lines.append(f"- {g.name}: {g.sentence}.")
        lines += [f"  - unequal {inequality}" for inequality in g.unequal]
        if g.causes:
            shares = ", ".join(f"{kind} {share:.0%}" for kind, share in g.causes.items())
            lines.append(f"  - share of the error that its repair takes away: {shares}")
        if g.reset_broken:
            lines.append(f"  - episodes start asymmetrically in {', '.join(g.reset_broken)}")
        if g.untested and g.verdict != Verdict.MIS_SPECIFIED:
            lines.append(
                f"  - untested, since they never moved: {len(g.untested)} entries, {g.untested[0]} to {g.untested[-1]}"
            )
    return f"\n## {done.environment}, {done.symmetry.name}\n\n" + "\n".join(lines) + "\n"


def main(path: Path) -> None:
    """Audit everything and write."""
    head = HEAD.format(states=STATES, gymnasium=version("gymnasium"), mujoco=version("mujoco"), thresholds=THRESHOLDS)
    rows, texts = [], []
    say_simulator_warnings_once()
    for env_id in REGISTRY.environments():
        for i, name in enumerate(REGISTRY.names(env_id)):
            done = audit(env_id, name, STATES)
            print(f"{env_id}, {name}: {done.verdict}")
            rows += [row(done, g, i == 0) for g in done.generators]
            texts.append(details(done))
    path.write_text(head + "".join(rows) + "\nBold: the default.\n" + "".join(texts), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
