"""Audit a symmetry: compare it with the simulator, and name what breaks it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import gymnasium as gym

from rpp_rl.envs.auditing.map_comparison import better_maps
from rpp_rl.envs.auditing.measurement import QUICK, THOROUGH, Thoroughness, Track, audit_symmetry
from rpp_rl.envs.auditing.plain_audit import PlainAudit, plain_audit
from rpp_rl.envs.auditing.report import SymmetryAudit
from rpp_rl.envs.auditing.rollouts import Policy
from rpp_rl.envs.registry import REGISTRY
from rpp_rl.envs.simulator import Simulator, has_simulator
from rpp_rl.envs.wrapper import make_plain, name_of, resolve
from rpp_rl.errors import RPPError
from rpp_rl.symmetry import Symmetry

_QUICK_STATES = 100


def audit(
    env: gym.Env[Any, Any] | str,
    symmetry: Symmetry | str | None = None,
    states: int = 500,
    *,
    seed: int = 0,
    policy: Policy | None = None,
    thoroughness: Thoroughness = THOROUGH,
    track: Track = iter,
) -> SymmetryAudit | PlainAudit:
    """Compare a symmetry with the simulator, or, without MuJoCo, check what can be checked.

    The audit takes states s and actions a from rollouts of several kinds, and mirrors the full states, including the
    solver's warm start. The step from g s with g a should be the mirror image of the step from s with a. Maps that fit
    better than the given one are named, see `rpp_rl.envs.auditing.better_maps`.

    Args:
        env: an environment, which is reset and stepped, or the id of one. Without MuJoCo see
            `rpp_rl.envs.auditing.plain_audit`; of the other arguments only `symmetry`, `states` and `seed` then count.
        symmetry: a symmetry, the name of a declared one, or the path of a YAML file. None takes the symmetry that the
            environment carries, or else its default.
        states: number of transitions.
        seed: seed of states and actions.
        policy: maps observations to actions; if given, a fourth of the rollouts follow it.
        thoroughness: the expensive parts to run.
        track: wraps the samples to show progress.

    Raises:
        SymmetryError: if the symmetry does not fit the environment, or its state cannot be set or moved.
        UnknownNameError: if the environment or the name is unknown.
    """
    made = make_plain(env) if isinstance(env, str) else env
    try:
        if symmetry is None and made.has_wrapper_attr("symmetry"):
            symmetry = made.get_wrapper_attr("symmetry")
        found = resolve(symmetry, made)
        if not has_simulator(made):
            return plain_audit(made, found, name_of(made), states, seed)
        simulator = Simulator(made)
        done = audit_symmetry(
            simulator, found, states, seed=seed, policy=policy, thoroughness=thoroughness, track=track
        )
        return _with_better_maps(done, made, seed)
    finally:
        if isinstance(env, str):
            made.close()


def quick_audit(env: gym.Env[Any, Any], symmetry: Symmetry, seed: int) -> SymmetryAudit | PlainAudit:
    """Audit a symmetry with 100 transitions, in about a second; for use before training.

    Args:
        env: an environment, which is reset and stepped.
        symmetry: the symmetry.
        seed: seed of states and actions.

    Raises:
        SymmetryError: if the environment cannot be audited; training is possible nevertheless.
    """
    if not has_simulator(env):
        return plain_audit(env, symmetry, name_of(env), _QUICK_STATES, seed)
    done = audit_symmetry(Simulator(env), symmetry, _QUICK_STATES, seed=seed, thoroughness=QUICK)
    return _with_better_maps(done, env, seed)


def _with_better_maps(done: SymmetryAudit, env: gym.Env[Any, Any], seed: int) -> SymmetryAudit:
    """The audit with the maps that fit better, derived from the model or declared of the environment."""
    return replace(done, better=better_maps(env, done.symmetry, _declared(env), seed=seed))


def _declared(env: gym.Env[Any, Any]) -> Iterator[Symmetry]:
    """The declared symmetries of an environment that can be carried through its wrappers."""
    if env.spec is None or REGISTRY.default(env.spec.id) is None:
        return
    for name in REGISTRY.names(env.spec.id):
        with suppress(RPPError):
            yield resolve(name, env)
