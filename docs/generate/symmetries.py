"""Write docs/symmetries.md: an audit of every declared symmetry on the simulator.

python docs/generate/symmetries.py docs/symmetries.md
"""

import sys
from importlib.metadata import version
from pathlib import Path

import rpp_rl.envs.robots  # noqa: F401, registers the example robots
from rpp_rl.envs import REGISTRY, audit
from rpp_rl.envs.auditing.report import THRESHOLDS, GeneratorAudit, SymmetryAudit, Verdict
from rpp_rl.experiments.environments import print_simulator_warnings_once

STATES = 1000
HEAD = """# The declared symmetries, measured

`make docs-symmetries` writes this page; do not edit it by hand. `rpp_rl.envs.audit` tests each symmetry with {states}
transitions (seed 0), gymnasium {gymnasium} and mujoco {mujoco}. It mirrors full simulator states along rollouts of
random actions and steps them with mirrored actions. Errors are relative to the change in a step, with every entry in
units of its typical change.

Verdicts: {thresholds}.

| task | symmetry | generator | verdict | one step, median | 95 % | 25 steps, median | reward | symmetric starts |
|---|---|---|---|---|---|---|---|---|
"""


def row(done: SymmetryAudit, g: GeneratorAudit, default: bool) -> str:
    """Format a row of the table."""
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
    """Format two digits; write rounding errors, which differ between processors, as 0."""
    return "0" if value < 1e-9 else f"{value:.2g}"


def details(done: SymmetryAudit) -> str:
    """List what breaks a symmetry, by name."""
    lines = []
    for g in done.generators:
        lines.append(f"- {g.name}: {g.sentence}.")
        lines += [f"  - unequal {inequality}" for inequality in g.unequal]
        if g.causes:
            shares = ", ".join(f"{kind} {share:.0%}" for kind, share in g.causes.items())
            lines.append(f"  - share of the error that repairing it removes: {shares}")
        if g.reset_broken:
            lines.append(f"  - episodes start asymmetrically in {', '.join(g.reset_broken)}")
        if g.untested and g.verdict != Verdict.MIS_SPECIFIED:
            entries = f"{len(g.untested)} entries, {g.untested[0]} to {g.untested[-1]}"
            lines.append(f"  - untested, because they never moved: {entries}")
    return f"\n## {done.environment}, {done.symmetry.name}\n\n" + "\n".join(lines) + "\n"


def main(path: Path) -> None:
    """Audit every symmetry and write the page."""
    head = HEAD.format(states=STATES, gymnasium=version("gymnasium"), mujoco=version("mujoco"), thresholds=THRESHOLDS)
    rows, texts = [], []
    print_simulator_warnings_once()
    for env_id in REGISTRY.environments():
        for i, name in enumerate(REGISTRY.names(env_id)):
            done = audit(env_id, name, STATES)
            print(f"{env_id}, {name}: {done.verdict}")
            rows += [row(done, g, i == 0) for g in done.generators]
            texts.append(details(done))
    path.write_text(
        head + "".join(rows) + "\nThe default symmetry of a task is bold.\n" + "".join(texts), encoding="utf-8"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
