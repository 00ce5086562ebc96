"""The symmetry that an environment carries, as an agent sees it through the wrappers around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import NormalizeObservation
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper, VecFrameStack

from rpp_rl.declared import declared_symmetry
from rpp_rl.errors import SymmetryError
from rpp_rl.symmetry import Symmetry

_STATEFUL = "gymnasium.wrappers.stateful_observation"
# stable-baselines3's, which changes nothing that a symmetry acts on.
_MONITOR = "stable_baselines3.common.monitor:Monitor"


def symmetry_of(env: VecEnv) -> Symmetry | None:
    """The symmetry that the environments carry, or else the default that is declared for their id.

    Raises:
        SymmetryError: if they disagree, or a wrapper between them and the agent changes what the symmetry acts on.
    """
    carried = carried_symmetry(env)
    if carried is not None:
        return carried
    return _same(_declared(env.unwrapped), env)


def id_of(env: VecEnv) -> str | None:
    """The id of the environments; None where they have none."""
    spec = env.get_attr("spec")[0] if env.has_attr("spec") else None
    return None if spec is None else str(spec.id)


def carried_symmetry(env: VecEnv) -> Symmetry | None:
    """The attribute `symmetry` of the environments, carried through `VecFrameStack`; None if they have none.

    Raises:
        SymmetryError: if they disagree, or a wrapper between them and the agent changes what the symmetry acts on.
    """
    if not env.has_attr("symmetry"):
        return None
    _, inner = _wrappers(env)
    if isinstance(inner, DummyVecEnv):
        for single in inner.envs:
            _refuse_changes_outside(single)
    return _same([as_symmetry(declared) for declared in env.get_attr("symmetry")], env)


def _wrappers(env: VecEnv) -> tuple[list[VecEnvWrapper], VecEnv]:
    """The wrappers, the outermost first, and what they stand around.

    A wrapper that carries a symmetry, as `SymmetricVecNormalize`, answers for all inside of it.
    """
    around: list[VecEnvWrapper] = []
    while isinstance(env, VecEnvWrapper) and "symmetry" not in vars(env):
        around.append(env)
        env = env.venv
    return around, env


def _same(found: list[Symmetry | None], env: VecEnv) -> Symmetry | None:
    """The one symmetry of all environments, carried through the wrappers around them."""
    if any(other != found[0] for other in found):
        raise SymmetryError("the parallel environments have different symmetries; make them alike")
    symmetry = found[0]
    for wrapper in reversed(_wrappers(env)[0]):
        if isinstance(wrapper, VecFrameStack) and symmetry is not None:
            symmetry = symmetry.stacked(wrapper.stacked_obs.n_stack)
    return symmetry


def _declared(env: VecEnv) -> list[Symmetry | None]:
    """The symmetries that are declared for parallel environments, one for each kind among them."""
    if isinstance(env, DummyVecEnv):
        kinds = {str(single.spec) if single.spec else str(i): single for i, single in enumerate(env.envs)}
        return [declared_symmetry(single) for single in kinds.values()]
    # Those of other processes are made again.
    return [_declared_for(spec) for spec in {str(spec): spec for spec in env.get_attr("spec")}.values()]


def _declared_for(spec: EnvSpec | None) -> Symmetry | None:
    if spec is None:
        return None
    recording = [wrapper for wrapper in spec.additional_wrappers if wrapper.entry_point != _MONITOR]
    for wrapper in recording:
        if wrapper.kwargs is None:
            raise SymmetryError(
                f"{wrapper.name} around {spec.id} does not record its arguments, so that its effect on the declared "
                "symmetry is unknown; make the environments with rpp_rl.make, or give symmetry=..."
            )
    env = gym.make(replace(spec, additional_wrappers=tuple(recording)))
    try:
        return declared_symmetry(env)
    finally:
        env.close()


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
