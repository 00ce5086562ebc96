"""The registry of declared symmetries, by environment id and name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.metadata import entry_points
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import WrapperSpec

from rpp_rl.envs.declarations import DECLARATIONS
from rpp_rl.envs.derivation import Derived
from rpp_rl.envs.reflections import reflection, reflection_by_joints
from rpp_rl.errors import RPPError, SymmetryError, UnknownNameError
from rpp_rl.symmetry import Symmetry
from rpp_rl.user_modules import import_user_module

PREFIX = "RPP/"


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
            UnknownNameError: if no symmetry is declared; the message suggests an environment.
        """
        named = self._named(env_id)
        default = self._default[base_id(env_id)]
        return (default, *(name for name in named if name != default))

    def get(self, env_id: str, name: str | None = None) -> Symmetry:
        """The symmetry of a name, or the default.

        Raises:
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
        env_id = base_id(env_id)
        if env_id not in self._by_env:
            hint = "no symmetry is declared for it; declare one with rpp_rl.register_symmetry"
            raise UnknownNameError("symmetric environment", env_id, self._by_env, hint)
        return self._by_env[env_id]


def _derive(env_id: str, recipe: Derived) -> Symmetry:
    env = gym.make(env_id)
    try:
        return recipe(env)
    finally:
        env.close()


def base_id(env_id: str) -> str:
    """The id without the prefix ``RPP/`` of wrapped environments and without the module before a colon."""
    return env_id.rsplit(":", 1)[-1].removeprefix(PREFIX)


def import_module_of(env_id: str) -> None:
    """Import the module in ``module:Env-v0``, which registers the environment and its symmetries.

    Raises:
        RPPError: if the module cannot be imported.
    """
    module, colon, _ = env_id.partition(":")
    if colon:
        try:
            import_user_module(module)
        except Exception as error:  # whatever the user's module raises
            detail = " ".join(str(error).split())
            raise RPPError(f"the module of {env_id!r} cannot be imported: {type(error).__name__}: {detail}") from error


def register_wrapped(env_id: str) -> None:
    """Register ``RPP/<id>``, which has the default symmetry attached, if gymnasium knows ``<id>``."""
    if PREFIX + env_id in gym.registry or env_id not in gym.registry:
        return
    spec = gym.spec(env_id)
    wrapper = WrapperSpec("SymmetryWrapper", "rpp_rl.envs.wrapper:SymmetryWrapper", {"symmetry": None})
    gym.register(
        PREFIX + env_id,
        entry_point=spec.entry_point,
        reward_threshold=spec.reward_threshold,
        nondeterministic=spec.nondeterministic,
        max_episode_steps=spec.max_episode_steps,
        kwargs=dict(spec.kwargs),
        additional_wrappers=(*spec.additional_wrappers, wrapper),
    )


def _declared() -> SymmetryRegistry:
    registry = SymmetryRegistry()
    for env_id, builders in DECLARATIONS.items():
        for name, build in builders.items():
            registry.add(env_id, name, build)
    return registry


def register_symmetry(
    env_id: str, symmetry: Symmetry | None = None, *, default: bool = False, **declaration: Any
) -> Symmetry:
    """Declare a symmetry of an environment for `rpp_rl.make` and the commands.

    If gymnasium knows the id, ``gym.make("RPP/<id>")`` works too.

    Args:
        env_id: the id, with its version.
        symmetry: the symmetry; None to declare one with the following arguments.
        default: whether this is the default of the environment; the first registered symmetry always is.
        **declaration: one of two forms. Either `reflection`, as for `rpp_rl.envs.derive_symmetry`, derives the symmetry
            from the model; `name` and `breaks` are optional. Or the arguments of `rpp_rl.envs.reflection` declare it;
            `observation` and `action` may be left out if gymnasium knows the id and the model gives the names.

    Returns:
        The registered symmetry.

    Raises:
        SymmetryError: if the declaration is not a group action or cannot be derived, or the name is taken.
        UnknownNameError: if an entry is unknown, or the model is needed and gymnasium does not know the id.
    """
    if symmetry is not None and declaration:
        raise SymmetryError(f"give a Symmetry or its declaration, not both ({', '.join(declaration)})")
    if symmetry is None:
        symmetry = _of_model(env_id, declaration) if _needs_model(declaration) else reflection(**declaration)
    # Allow the same registration again, for example when a cell of a notebook is run twice.
    if _is_registered(env_id, symmetry, default):
        return symmetry
    found = symmetry
    recipe = _recipe(declaration, symmetry.name) if "reflection" in declaration else lambda: found
    REGISTRY.add(env_id, symmetry.name, recipe, default)
    register_wrapped(base_id(env_id))
    return symmetry


def _is_registered(env_id: str, symmetry: Symmetry, default: bool) -> bool:
    known = REGISTRY.default(env_id)
    if known is None or symmetry.name not in REGISTRY.names(env_id) or (default and known != symmetry.name):
        return False
    return REGISTRY.get(env_id, symmetry.name) == symmetry


def _needs_model(declaration: Mapping[str, Any]) -> bool:
    return "reflection" in declaration or not {"observation", "action"} <= declaration.keys()


def _recipe(declaration: Mapping[str, Any], name: str) -> Derived:
    unknown = declaration.keys() - {"reflection", "name", "breaks"}
    if unknown:
        raise SymmetryError(
            f"a symmetry with `reflection` is derived from the model, so leave out {', '.join(sorted(unknown))}"
        )
    turns = declaration["reflection"]
    return Derived(name, turns if isinstance(turns, str) else tuple(turns), declaration.get("breaks", ""))


def _of_model(env_id: str, declaration: Mapping[str, Any]) -> Symmetry:
    if base_id(env_id) not in gym.registry:
        raise UnknownNameError("environment", env_id, gym.registry, "register it with gymnasium first")
    env = gym.make(base_id(env_id))
    try:
        if "reflection" in declaration:
            return _recipe(declaration, declaration.get("name", ""))(env)
        return reflection_by_joints(env, **declaration)
    finally:
        env.close()


REGISTRY = _declared()


GROUP = "rpp_rl.symmetries"


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
