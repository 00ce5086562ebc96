"""The symmetry that an environment carries, as an agent sees it through the wrappers around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from gymnasium.wrappers import NormalizeObservation
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper, VecFrameStack

from rpp_rl.errors import SymmetryError
from rpp_rl.symmetry import Symmetry

_STATEFUL = "gymnasium.wrappers.stateful_observation"


def symmetry_of(env: VecEnv) -> Symmetry | None:
    """The attribute `symmetry` of the environments, carried through `VecFrameStack`; None if they have none.

    Raises:
        SymmetryError: if they disagree, or a wrapper between them and the agent changes what the symmetry acts on.
    """
    if not env.has_attr("symmetry"):
        return None
    found = [as_symmetry(declared) for declared in env.get_attr("symmetry")]
    if any(other != found[0] for other in found):
        raise SymmetryError("the parallel environments carry different symmetries; make them alike")
    symmetry, around = found[0], []
    # A wrapper that carries one of its own, as `SymmetricVecNormalize`, answers for all that it stands around.
    while isinstance(env, VecEnvWrapper) and "symmetry" not in vars(env):
        around.append(env)
        env = env.venv
    if isinstance(env, DummyVecEnv):
        for single in env.envs:
            _refuse_changes_outside(single)
    for wrapper in reversed(around):
        if isinstance(wrapper, VecFrameStack) and symmetry is not None:
            symmetry = symmetry.stacked(wrapper.stacked_obs.n_stack)
    return symmetry


def _refuse_changes_outside(env: gym.Env[Any, Any]) -> None:
    """Wrappers outside the one that carries the symmetry must leave observations and actions alone."""
    while isinstance(env, gym.Wrapper) and "symmetry" not in vars(env):
        changes = (
            isinstance(env, gym.ObservationWrapper | gym.ActionWrapper)
            or type(env).__module__ == _STATEFUL
            or env.observation_space != env.env.observation_space
            or env.action_space != env.env.action_space
        )
        # Its statistics break the symmetry a little, of which RPPSAC warns.
        if changes and not isinstance(env, NormalizeObservation):
            raise SymmetryError(
                f"{type(env).__name__} stands around the SymmetryWrapper and changes what its symmetry acts on; put "
                "SymmetryWrapper around it instead, which carries the symmetry through"
            )
        env = env.env


def as_symmetry(symmetry: Symmetry | Mapping[str, Any] | None) -> Symmetry | None:
    """A symmetry from the forms in which one may be given.

    Raises:
        SymmetryError: for anything else, a name for example.
    """
    if symmetry is None or isinstance(symmetry, Symmetry):
        return symmetry
    if isinstance(symmetry, Mapping):
        return Symmetry.from_dict(symmetry)
    raise SymmetryError(
        f"symmetry={symmetry!r} is neither a Symmetry nor its dictionary; a name is for "
        f"rpp_rl.make(env_id, symmetry={symmetry!r})"
    )
