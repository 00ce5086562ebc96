"""Audit the declared symmetries of an environment; tables and a picture of symmetries and audits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.table import Table

from rpp_rl.envs.auditing import Check, PlainAudit, SymmetryAudit, audit, quick_audit
from rpp_rl.envs.auditing.measurement import Track
from rpp_rl.envs.auditing.recorded import recorded_check
from rpp_rl.envs.auditing.report import MEASURED
from rpp_rl.envs.listing import moves
from rpp_rl.envs.registry import REGISTRY
from rpp_rl.envs.simulator import has_simulator
from rpp_rl.envs.wrapper import make_plain
from rpp_rl.errors import RunError, SymmetryError
from rpp_rl.experiments.environments import Env, make_checked
from rpp_rl.experiments.evaluation import load
from rpp_rl.experiments.plots import new_figure, save_figure
from rpp_rl.experiments.recorded_transitions import recorded_transitions
from rpp_rl.symmetry import Symmetry


def audit_declared(
    env_id: str,
    symmetry: str | None = None,
    states: int = 2000,
    seed: int = 0,
    env_kwargs: Mapping[str, Any] | None = None,
    policy: Path | None = None,
    trust: bool = False,
    track: Track = iter,
    buffer: Path | None = None,
) -> list[SymmetryAudit | PlainAudit]:
    """Audit every declared symmetry of an environment, the default first.

    Args:
        env_id: environment id.
        symmetry: the name of one symmetry, or a YAML file; None for all.
        states: number of transitions.
        seed: seed of states and actions.
        env_kwargs: arguments of the environment.
        policy: a run folder or model file whose agent acts in a fourth of the rollouts; for MuJoCo only.
        trust: whether to unpickle what the model of `policy` holds besides plain data.
        track: wraps the samples to show progress.
        buffer: a file of `save_replay_buffer`, whose transitions are compared with their mirror images; only for an
            environment without MuJoCo, where there is nothing better.

    Raises:
        RPPError: if the environment or the agent cannot be made, or the environment cannot be audited.
    """
    kwargs = dict(env_kwargs or {})
    actor = None if policy is None else load(policy, env_id, kwargs, device="cpu", trust=trust)
    try:
        env = make_checked(make_plain, env_id, kwargs)
        try:
            names = REGISTRY.names(env_id) if symmetry is None else (symmetry,)
            act = None if actor is None else actor.act
            if buffer is not None and has_simulator(env):
                raise RunError(f"{env_id} has a simulator, which shows more than recorded transitions; omit --buffer")
            audits = [audit(env, name, states, seed=seed, policy=act, track=track) for name in names]
            return [done if isinstance(done, SymmetryAudit) else _with_recorded(done, buffer) for done in audits]
        finally:
            env.close()
    finally:
        if actor is not None:
            actor.env.close()


def _with_recorded(done: PlainAudit, buffer: Path | None) -> PlainAudit:
    """The audit with the check of recorded transitions."""
    symmetry = done.symmetry
    if buffer is None:
        check = Check("recorded transitions", None, "a replay buffer can be given with --buffer")
    else:
        sizes = symmetry.observation.size, symmetry.action.size
        check = recorded_check(symmetry, recorded_transitions(buffer, *sizes))
    return replace(done, checks=(*done.checks, check))


def audit_lines(env_id: str, symmetries: Sequence[Symmetry]) -> list[str]:
    """The verdict of a quick audit of each symmetry, in one line; or why there is none."""
    env = make_checked(make_plain, env_id, {})
    try:
        return [_audit_line(env, symmetry) for symmetry in symmetries]
    finally:
        env.close()


def _audit_line(env: Env, symmetry: Symmetry) -> str:
    try:
        return quick_audit(env, symmetry, 0).line
    except SymmetryError as error:
        return f"symmetry {symmetry.name}: not audited: {error}"


def overview_table(declared: Mapping[str, Sequence[Symmetry]]) -> Table:
    """A table of the symmetries of environments, the default of each first."""
    table = Table("environment", "symmetry", "group", "what breaks it")
    for env_id, symmetries in declared.items():
        for i, symmetry in enumerate(symmetries):
            name = _marked(symmetry, i == 0)
            table.add_row(env_id if i == 0 else "", name, symmetry.group.name, symmetry.breaks)
    return table


def moves_table(symmetry: Symmetry, default: bool = False) -> Table:
    """A table of the entries of observation and action, and the image of each under each generator."""
    title = f"{_marked(symmetry, default)}: {symmetry.group.name}, {symmetry.source}"
    table = Table("entry", *symmetry.group.generator_names, title=title, caption=symmetry.breaks or None)
    for rows in moves(symmetry):
        for row in rows:
            table.add_row(*row)
        table.add_section()
    return table


def audit_table(done: SymmetryAudit | PlainAudit, default: bool = False) -> Table:
    """A table of what was measured, with a column per generator; of the checks, without MuJoCo."""
    title = f"{done.environment}, {_marked(done.symmetry, default)}, {done.symmetry.group.name}: {done.verdict}"
    if isinstance(done, PlainAudit):
        table = Table("check", "result", title=title)
        for check in done.checks:
            table.add_row(*str(check).split(": ", 1))
        return table
    table = Table("", *(g.name for g in done.generators), title=title)
    for label, cell in MEASURED.items():
        table.add_row(label, *(cell(g) for g in done.generators))
    return table


def _marked(symmetry: Symmetry, default: bool) -> str:
    return f"{symmetry.name} (default)" if default else symmetry.name


def plot_audits(audits: Sequence[SymmetryAudit], path: Path) -> None:
    """Draw one bar per entry and generator: the root mean square error of a step over that of its change.

    Raises:
        RunError: if the picture cannot be written.
    """
    bars = [(done, g) for done in audits for g in done.generators]
    figure = new_figure(max(6, 0.16 * max(len(g.entry_errors) for _, g in bars)), 3 * len(bars))
    for i, (done, g) in enumerate(bars):
        axes = figure.add_subplot(len(bars), 1, i + 1)
        axes.bar(list(g.entry_errors), [max(e, 1e-17) for e in g.entry_errors.values()])
        axes.set(yscale="log", ylabel="error / change", title=f"{done.symmetry.name}, {g.name}: {g.verdict}")
        axes.tick_params(axis="x", labelrotation=90, labelsize=7)
    save_figure(figure, path)
