"""The wrapper that attaches a symmetry to an environment, and functions that make wrapped environments."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils import RecordConstructorArgs

from rpp_rl.envs.environment_state import environment_state, restore_environment
from rpp_rl.envs.ids import base_id, import_module_of, unknown_environment
from rpp_rl.envs.registry import REGISTRY
from rpp_rl.envs.symmetry_files import SUFFIXES, read_symmetry
from rpp_rl.envs.wrapper_rules import carried, changing_wrappers
from rpp_rl.errors import EnvironmentFailureError, SymmetryError
from rpp_rl.symmetry import Symmetry
from rpp_rl.user_modules import working_folder_importable

TRIVIAL = "trivial"
Declared = Symmetry | Mapping[str, Any] | str | None


class ResumableWrapper(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Save and restore the whole state of an environment and of the wrappers inside.

    The wrapper checks shape and type of observations and rewards, because stable-baselines3 would silently broadcast
    an observation of another shape.

    Args:
        env: the environment.

    Raises:
        EnvironmentFailureError: by `reset` and `step`, if an observation does not fit its space, or a reward is not a
            number.
    """

    is_resumable: ClassVar[bool] = True

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment, and check the observation."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._check(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment, and check observation and reward."""
        outcome = self.env.step(action)
        self._check(outcome[0])
        reward: Any = outcome[1]
        if not isinstance(reward, float | int | np.floating | np.integer) and np.ndim(reward) != 0:
            raise EnvironmentFailureError(f"{name_of(self)} returned a reward that is not a number: {str(reward)[:80]}")
        return outcome

    def _check(self, observation: Any) -> None:
        array = observation if isinstance(observation, np.ndarray) else np.asarray(observation)
        expected = self.observation_space.shape
        if array.shape != expected or array.dtype.kind not in "fiub":
            raise EnvironmentFailureError(
                f"{name_of(self)} returned an observation of shape {array.shape} and type {array.dtype}, but its space "
                f"has numbers of shape {expected}"
            )

    def save_state(self) -> dict[str, Any]:
        """The state as plain data, see `environment_state`."""
        return environment_state(self)

    def restore_state(self, state: dict[str, Any]) -> None:
        """Restore a state of an environment that was made in the same way.

        Raises:
            PlainDataError: if the environment was made in another way.
        """
        restore_environment(self, state)


class SymmetryWrapper(ResumableWrapper):
    """Declare a symmetry on an environment; observations, actions and rewards pass through unchanged.

    Args:
        env: the environment; its spaces must be boxes of one axis.
        symmetry: the name of a registered symmetry, None for the default, ``"trivial"`` for the trivial group, the path
            of a YAML file (see `rpp_rl.envs.symmetry_files`), or a `Symmetry` (the object or the dictionary of
            `Symmetry.to_dict`).

    Attributes:
        symmetry: the `Symmetry`.

    Raises:
        SymmetryError: if the spaces are not boxes, sizes differ, or the action bounds are not preserved.
        UnknownNameError: if the environment or the name is unknown.
    """

    def __init__(self, env: gym.Env[Any, Any], symmetry: Declared = None) -> None:
        plain = symmetry.to_dict() if isinstance(symmetry, Symmetry) else symmetry
        RecordConstructorArgs.__init__(self, symmetry=plain)
        gym.Wrapper.__init__(self, env)
        where = name_of(env)
        observation, action = box_sizes(env.observation_space, env.action_space, where)
        self.symmetry = resolve(symmetry, env)
        self.symmetry.check_sizes(observation, action, where)
        bounds = env.action_space
        if isinstance(bounds, spaces.Box):
            self.symmetry.check_action_bounds(bounds.low, bounds.high, where)


def resolve(symmetry: Declared, env: gym.Env[Any, Any]) -> Symmetry:
    """Find the symmetry of an environment; `symmetry` is as for `SymmetryWrapper`.

    A symmetry declared for an id is carried through the wrappers around the environment.

    Raises:
        SymmetryError: if it cannot be carried through a wrapper, or a file cannot be read.
        UnknownNameError: if the environment or the name is unknown.
    """
    if isinstance(symmetry, Symmetry):
        return symmetry
    if isinstance(symmetry, Mapping):
        return Symmetry.from_dict(symmetry)
    if symmetry == TRIVIAL:
        return Symmetry.trivial(*box_sizes(env.observation_space, env.action_space, name_of(env)))
    if isinstance(symmetry, str) and symmetry.endswith(SUFFIXES):
        return read_symmetry(symmetry, env)
    if env.spec is None:
        raise SymmetryError(
            f"{name_of(env)} has no id for which a symmetry can be declared: make it with gymnasium.make, or give "
            "SymmetryWrapper a Symmetry"
        )
    env_id, recipe = env.spec.id, REGISTRY.recipe(env.spec.id, symmetry)
    if recipe is None or _is_as_registered(env):
        return carried(REGISTRY.get(env_id, symmetry), changing_wrappers(env))
    # Other arguments can change the model or the observation, so the map is derived for these arguments.
    plain = gym.make(base_id(env_id), **_kwargs(env.spec))
    try:
        return carried(recipe(plain), changing_wrappers(env))
    finally:
        plain.close()


def default_symmetry(env: gym.Env[Any, Any]) -> Symmetry | None:
    """The default symmetry that is declared for an environment's id, carried through its wrappers; None if none is.

    Raises:
        SymmetryError: if it cannot be carried through a wrapper.
    """
    return None if env.spec is None or REGISTRY.default(env.spec.id) is None else resolve(None, env)


def name_of(env: gym.Env[Any, Any]) -> str:
    """The environment's id; the name of its class if it has no id."""
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


def _is_as_registered(env: gym.Env[Any, Any]) -> bool:
    if env.spec is None or base_id(env.spec.id) not in gym.registry:
        return True
    return _kwargs(env.spec) == _kwargs(gym.spec(base_id(env.spec.id)))


def _kwargs(spec: EnvSpec | None) -> dict[str, Any]:
    """The arguments of an environment on which its task depends."""
    looks = ("render_mode", "width", "height", "camera_id", "camera_name", "default_camera_config", "max_geom")
    return {} if spec is None else {key: value for key, value in spec.kwargs.items() if key not in looks}


def box_sizes(observation: gym.Space[Any], action: gym.Space[Any], where: str) -> tuple[int, int]:
    """The lengths of an observation and an action.

    Raises:
        SymmetryError: if one of the spaces is not a box of one axis.
    """
    sizes = []
    remedies = {
        "observation": "wrap the environment in gymnasium.wrappers.FlattenObservation",
        "action": "SAC and symmetries need continuous actions",
    }
    for what, space in (("observation", observation), ("action", action)):
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise SymmetryError(
                f"the {what} space of {where} is {space}, but a symmetry acts on boxes of one axis; {remedies[what]}"
            )
        sizes.append(int(np.prod(space.shape)))
    return sizes[0], sizes[1]


def make(env_id: str, symmetry: Declared = None, **kwargs: Any) -> SymmetryWrapper:
    """Make an environment as `gymnasium.make` does, and attach a symmetry.

    Args:
        env_id: an id of gymnasium, with or without ``module:`` before it and its version after it.
        symmetry: as for `SymmetryWrapper`; None for the default.
        **kwargs: as for `gymnasium.make`.

    Raises:
        SymmetryError: if the symmetry does not fit the environment.
        UnknownNameError: if the environment or the name of the symmetry is unknown.
    """
    return SymmetryWrapper(make_plain(env_id, **kwargs), symmetry)


def make_plain(env_id: str, **kwargs: Any) -> gym.Env[Any, Any]:
    """Make an environment as `gymnasium.make` does, without a symmetry.

    Raises:
        UnknownNameError: if gymnasium does not know the id; the message suggests one.
    """
    import_module_of(env_id)
    # The module may register a class of another module, which gymnasium imports when it makes one.
    importable = working_folder_importable() if ":" in env_id else nullcontext()
    try:
        with importable:
            return gym.make(base_id(env_id), **kwargs)
    except (gym.error.UnregisteredEnv, gym.error.DeprecatedEnv) as error:
        raise unknown_environment(env_id) from error
