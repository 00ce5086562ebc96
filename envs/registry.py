"""The registry of declared symmetries, by environment id and name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import entry_points

import gymnasium as gym

from rpp_rl.envs.declarations import DECLARATIONS
from rpp_rl.envs.derivation import Derived
from rpp_rl.envs.ids import base_id, unknown_environment
from rpp_rl.errors import SymmetryError, UnknownNameError
from rpp_rl.symmetry import Symmetry

# Installed packages declare symmetries through entry points of this group.
GROUP = "rpp_rl.symmetries"


class SymmetryRegistry:
    """Named symmetries by environment id; the first of an environment is its default unless another is declared so.

    An id includes the version: ``Walker2d-v4`` and ``Walker2d-v5`` are different tasks.
    """

    def __init__(self) -> None:
        self._by_env: dict[str, dict[str, Callable[[], Symmetry]]] = {}
        self._recipes: dict[tuple[str, str], Derived] = {}
        self._default: dict[str, str] = {}

    def add(self, env_id: str, name: str, build: Callable[[], Symmetry] | Derived, default: bool = False) -> None:
        """Add a symmetry, which is built or derived from the model when it is first used.

        Raises:
            SymmetryError: if the environment already has a symmetry of that name.
        """
        env_id = base_id(env_id)
        named = self._by_env.setdefault(env_id, {})
        if name in named:
            raise SymmetryError(f"{env_id} already has a symmetry named {name!r}; register it under another name")
        if isinstance(build, Derived):
            self._recipes[env_id, name] = build
            build = partial(_derive, env_id, build)
        named[name] = cache(build)
        if default or len(named) == 1:
            self._default[env_id] = name

    def environments(self) -> tuple[str, ...]:
        """The ids of environments with a declared symmetry, sorted."""
        return tuple(sorted(self._by_env))

    def names(self, env_id: str) -> tuple[str, ...]:
        """The names declared for an environment, the default first.

        Raises:
            SymmetryError: if no symmetry is declared; the message says how to declare one.
            UnknownNameError: if gymnasium does not know the environment.
        """
        named = self._named(env_id)
        default = self._default[base_id(env_id)]
        return (default, *(name for name in named if name != default))

    def get(self, env_id: str, name: str | None = None) -> Symmetry:
        """The symmetry of a name, or the default.

        Raises:
            SymmetryError: if no symmetry is declared; the message says how to declare one.
            UnknownNameError: if the environment or the name is unknown; the message suggests one.
        """
        named = self._named(env_id)
        if name is None:
            name = self._default[base_id(env_id)]
        if name not in named:
            raise UnknownNameError(f"symmetry of {base_id(env_id)}", name, named)
        return named[name]()

    def default(self, env_id: str) -> str | None:
        """The name of an environment's default symmetry; None if no symmetry is declared for it."""
        return self._default.get(base_id(env_id))

    def recipe(self, env_id: str, name: str | None = None) -> Derived | None:
        """How to derive the symmetry of a name, or the default, from a model; None if it is declared by hand."""
        return self._recipes.get((base_id(env_id), name or self.names(env_id)[0]))

    def _named(self, env_id: str) -> dict[str, Callable[[], Symmetry]]:
        name = base_id(env_id)
        if name in self._by_env:
            return self._by_env[name]
        if name not in gym.registry:
            raise unknown_environment(env_id)
        others = [other for other in self._by_env if other.rpartition("-v")[0] == name.rpartition("-v")[0]]
        raise SymmetryError(
            f"no symmetry is declared for {name}{', only for ' + ', '.join(others) if others else ''}: declare one "
            f"(rpp-rl new-symmetry {env_id} writes a draft), pass one (--symmetry FILE), or train without (--algo sac)"
        )


def _derive(env_id: str, recipe: Derived) -> Symmetry:
    env = gym.make(env_id)
    try:
        return recipe(env)
    finally:
        env.close()


def _declared() -> SymmetryRegistry:
    registry = SymmetryRegistry()
    for env_id, builders in DECLARATIONS.items():
        for name, build in builders.items():
            registry.add(env_id, name, build)
    return registry


REGISTRY = _declared()


def load_plugins() -> None:
    """Call the entry points of installed packages that declare symmetries; warn of those that fail."""
    for entry_point in entry_points(group=GROUP):
        try:
            entry_point.load()()
        except Exception as error:
            warnings.warn(
                f"the symmetries of {entry_point.value} could not be registered: {error!r}; "
                "repair or uninstall that package",
                stacklevel=2,
            )
