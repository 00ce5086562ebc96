"""`rpp-rl audit`: do declared symmetries hold on the simulator, and what breaks them?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from rpp_rl.errors import RunError, SymmetryError, listed
from rpp_rl.experiments.options import key_values
from rpp_rl.experiments.plots import check_plot, new_figure, save_figure

if TYPE_CHECKING:
    from rpp_rl.envs.auditing.report import GeneratorAudit, SymmetryAudit
    from rpp_rl.experiments.evaluation import LoadedAgent

_QUICK_STATES = 100


@dataclass(frozen=True)
class AuditArguments:
    """Check the declared symmetries of a MuJoCo environment on the simulator."""

    env: Positional[str]
    """Environment id, with its version."""
    symmetry: str | None = None
    """Name of one symmetry, or a YAML file; all that are declared if left out."""
    states: int = 2000
    """Transitions that are mirrored."""
    seed: int = 0
    """Seed of states and actions."""
    policy: Path | None = None
    """A run folder or model whose agent acts on a fourth kind of rollouts."""
    trust: bool = False
    """Unpickle what the model of --policy holds besides plain data; only for files you trust."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value."""
    json: bool = False
    """Print JSON."""
    plot: Path | None = None
    """Draw the error of each entry into this picture."""


def audit(arguments: Annotated[AuditArguments, arg(name="")]) -> None:
    """Check the declared symmetries of a MuJoCo environment on the simulator."""
    from tqdm import tqdm

    from rpp_rl.envs import REGISTRY
    from rpp_rl.envs.auditing import audit as audit_symmetry
    from rpp_rl.envs.auditing.report import THRESHOLDS
    from rpp_rl.envs.registry import base_id
    from rpp_rl.envs.wrapper import make_plain
    from rpp_rl.experiments.environments import make_checked

    if arguments.states < 1:
        raise RunError(f"--states must be at least 1, got {arguments.states}")
    check_plot(arguments.plot)
    actor = _actor(arguments)
    env = make_checked(make_plain, arguments.env, key_values(arguments.env_kwargs, "--env-kwargs"))
    try:
        names = REGISTRY.names(arguments.env) if arguments.symmetry is None else (arguments.symmetry,)
        done = [
            audit_symmetry(
                env,
                name,
                arguments.states,
                seed=arguments.seed,
                policy=None if actor is None else actor.act,
                track=lambda drawn: tqdm(drawn, desc="transitions", disable=None, leave=False),
            )
            for name in names
        ]
    finally:
        env.close()
        if actor is not None:
            actor.env.close()
    if arguments.plot is not None:
        plot(done, arguments.plot)
    default = REGISTRY.names(arguments.env)[0] if base_id(arguments.env) in REGISTRY.environments() else None
    if arguments.json:
        found = [{**a.to_dict(), "default": a.symmetry.name == default} for a in done]
        print(json.dumps({"environment": arguments.env, "symmetries": found}))
        return
    for a in done:
        show(a, a.symmetry.name == default)
    print(THRESHOLDS)


def quick_audit(
    env_id: str, symmetry: Mapping[str, Any], env_kwargs: Mapping[str, Any], seed: int
) -> SymmetryAudit | None:
    """An audit of a second or so, before training; None where the environment cannot be audited."""
    from rpp_rl.envs.auditing import QUICK
    from rpp_rl.envs.auditing import audit as audit_symmetry
    from rpp_rl.experiments.environments import make_env
    from rpp_rl.symmetry import Symmetry

    env = make_env(env_id, None, env_kwargs)
    try:
        return audit_symmetry(env, Symmetry.from_dict(symmetry), _QUICK_STATES, seed=seed, thoroughness=QUICK)
    except SymmetryError as error:
        print(f"note: the symmetry is not audited: {error}")
        return None
    finally:
        env.close()


def _actor(arguments: AuditArguments) -> LoadedAgent | None:
    from rpp_rl.experiments.evaluation import load

    if arguments.policy is None:
        return None
    task = arguments.env, key_values(arguments.env_kwargs, "--env-kwargs")
    return load(arguments.policy, *task, device="cpu", trust=arguments.trust)


def show(done: SymmetryAudit, default: bool) -> None:
    """Print an audit as a table."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    symmetry = done.symmetry
    title = (
        f"{done.environment}, {symmetry.name}{' (default)' if default else ''}, {symmetry.group.name}: {done.verdict}"
    )
    table = Table("", *(g.name for g in done.generators), title=title)
    rows: dict[str, Callable[[GeneratorAudit], str]] = {
        "observation map, largest error": lambda g: f"{g.observation_error:.2g} ({g.observation_worst})",
        "one step, median relative error": lambda g: f"{g.dynamics_median:.2g}",
        "one step, 95th percentile": lambda g: f"{g.dynamics_p95:.2g}",
        "  without contact, median": lambda g: _number(g.contact_free_median),
        "  in contact, median": lambda g: _number(g.contact_median),
        "transitions exact to 1e-6": lambda g: f"{g.exact_share:.1%}",
        "25 steps, median relative error": lambda g: f"{g.rollout25_median:.2g}",
        "reward, mean difference / deviation": lambda g: f"{g.reward_error:.2g}",
        "termination, mismatch": lambda g: f"{g.termination_mismatch:.1%}",
        "starts symmetrically": lambda g: "yes" if g.reset_invariant else "no: " + listed(g.reset_broken),
        "verdict": lambda g: f"{g.verdict}",
    }
    for label, cell in rows.items():
        table.add_row(label, *(cell(g) for g in done.generators))
    console.print(table)
    for g in done.generators:
        for line in findings(g):
            console.print(f"{g.name}: {line}", highlight=False, markup=False, soft_wrap=True)


def findings(g: GeneratorAudit) -> list[str]:
    """What an audit found about a generator, in sentences."""
    lines = [g.sentence]
    lines += [f"unequal {inequality}" for inequality in g.unequal]
    lines += [f"repairing {kind} takes away {share:.0%} of the error" for kind, share in g.causes.items()]
    if g.untested:
        lines.append(f"untested, a wrong map would not have been noticed: {listed(g.untested)}")
    worst = sorted(g.entry_errors.items(), key=lambda item: -item[1])[:5]
    if worst and worst[0][1] > 1e-6:
        lines.append("entries with the largest errors: " + ", ".join(f"{name} {error:.2g}" for name, error in worst))
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def plot(done: list[SymmetryAudit], path: Path) -> None:
    """One bar per entry and generator: the root mean square error of a step over that of its change.

    Raises:
        RunError: if it cannot be written.
    """
    bars = [(a, g) for a in done for g in a.generators]
    figure = new_figure(max(6, 0.16 * max(len(g.entry_errors) for _, g in bars)), 3 * len(bars))
    for i, (a, g) in enumerate(bars):
        axes = figure.add_subplot(len(bars), 1, i + 1)
        axes.bar(list(g.entry_errors), [max(e, 1e-17) for e in g.entry_errors.values()])
        axes.set(yscale="log", ylabel="error / change", title=f"{a.symmetry.name}, {g.name}: {g.verdict}")
        axes.tick_params(axis="x", labelrotation=90, labelsize=7)
    save_figure(figure, path)


if __name__ == "__main__":
    from rpp_rl.scripts.main import main

    sys.exit(main(["audit", *sys.argv[1:]]))
