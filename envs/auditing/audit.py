"""Compare declared symmetries with the simulator, and say by name what breaks them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from rpp_rl.envs.auditing.measurement import QUICK, THOROUGH, Thoroughness, Track, audit_symmetry
from rpp_rl.envs.auditing.report import SymmetryAudit
from rpp_rl.envs.auditing.rollouts import Policy
from rpp_rl.envs.simulator import Simulator
from rpp_rl.envs.wrapper import make_plain, resolve
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
) -> SymmetryAudit:
    """Compare a symmetry with the simulator.

    States s along rollouts of several kinds of actions a are set, mirrored as full states (solver warm start
    included), and stepped: the step from g s under g a should be the mirror image of the step from s under a.

    Args:
        env: a MuJoCo environment, which is reset and stepped, or the id of one.
        symmetry: a symmetry, the name of a declared one, the path of a YAML file, or None for the one that the
            environment carries or that is its default.
        states: number of transitions.
        seed: of states and actions.
        policy: from observation to action; if given, a fourth of the rollouts follow it.
        thoroughness: which of the costlier parts are done.
        track: wraps the samples to show progress.

    Raises:
        SymmetryError: if the symmetry does not fit the environment, or its state cannot be set or moved.
        UnknownNameError: if the environment or the name is not known.
    """
    made = make_plain(env) if isinstance(env, str) else env
    try:
        simulator = Simulator(made)
        if symmetry is None and made.has_wrapper_attr("symmetry"):
            symmetry = made.get_wrapper_attr("symmetry")
        return audit_symmetry(
            simulator,
            resolve(symmetry, made),
            states,
            seed=seed,
            policy=policy,
            thoroughness=thoroughness,
            track=track,
        )
    finally:
        if isinstance(env, str):
            made.close()


def quick_audit(env: gym.Env[Any, Any], symmetry: Symmetry, seed: int) -> SymmetryAudit:
    """Audit a symmetry on 100 transitions, in about a second; for use before training.

    Args:
        env: a MuJoCo environment, which is reset and stepped.
        symmetry: the symmetry.
        seed: of states and actions.

    Raises:
        SymmetryError: if the environment cannot be audited; the message says why, and training can start all the same.
    """
    return audit_symmetry(Simulator(env), symmetry, _QUICK_STATES, seed=seed, thoroughness=QUICK)
