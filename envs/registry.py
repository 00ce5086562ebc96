"""Which symmetries are declared for which environment, by full environment id and name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache, partial

import gymnasium as gym
from gymnasium.envs.registration import WrapperSpec

from rpp_rl.envs.declarations import DECLARATIONS
from rpp_rl.envs.derivation import Derived
from rpp_rl.envs.entries import Entries, declare
from rpp_rl.errors import RPPError, SymmetryError, UnknownNameError
from rpp_rl.signed_permutation import SignedPermutation
from rpp_rl.symmetry import Symmetry

PREFIX = "RPP/"
Entry = int | str
Pair = tuple[Entry, Entry]


class SymmetryRegistry:
    """Named symmetries by environment id; the first of an environment is its default until another is made so.

    An id includes its version: ``Walker2d-v4`` and ``Walker2d-v5`` are different tasks.
    """

    def __init__(self) -> None:
        self._by_env: dict[str, dict[str, Callable[[], Symmetry]]] = {}
        self._recipes: dict[tuple[str, str], Derived] = {}
        self._default: dict[str, str] = {}

    def add(self, env_id: str, name: str, build: Callable[[], Symmetry] | Derived, default: bool = False) -> None:
        """Add a symmetry that is built, or derived from the model, when first asked for.

        Raises:
            SymmetryError: if the environment has one of that name.
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
        """The ids that have a symmetry, sorted."""
        return tuple(sorted(self._by_env))

    def names(self, env_id: str) -> tuple[str, ...]:
        """The names declared for an environment, the default first.

        Raises:
            UnknownNameError: if there are none; says which environment may have been meant.
        """
        named = self._named(env_id)
        default = self._default[base_id(env_id)]
        return (default, *(name for name in named if name != default))

    def get(self, env_id: str, name: str | None = None) -> Symmetry:
        """The symmetry of that name, or the default.

        Raises:
            UnknownNameError: if the environment or the name is not known; says what may have been meant.
        """
        named = self._named(env_id)
        if name is None:
            name = self._default[base_id(env_id)]
        if name not in named:
            raise UnknownNameError(f"symmetry of {base_id(env_id)}", name, named)
        return named[name]()

    def recipe(self, env_id: str, name: str | None = None) -> Derived | None:
        """How to derive the symmetry of that name, or the default, from a model; None if it is declared by hand."""
        return self._recipes.get((base_id(env_id), name or self.names(env_id)[0]))

    def _named(self, env_id: str) -> dict[str, Callable[[], Symmetry]]:
        env_id = base_id(env_id)
        if env_id not in self._by_env:
            hint = "no symmetry is declared for it, which rpp_rl.register_symmetry does"
            raise UnknownNameError("symmetric environment", env_id, self._by_env, hint)
        return self._by_env[env_id]


def _derive(env_id: str, recipe: Derived) -> Symmetry:
    env = gym.make(env_id)
    try:
        return recipe(env)
    finally:
        env.close()


def base_id(env_id: str) -> str:
    """The id without the ``RPP/`` under which gymnasium knows the wrapped environment, and without a module."""
    return env_id.rsplit(":", 1)[-1].removeprefix(PREFIX)


def import_module_of(env_id: str) -> None:
    """Import what stands before the colon of ``module:Env-v0``, which registers the environment and its symmetries.

    Raises:
        RPPError: if the module cannot be imported.
    """
    module, colon, _ = env_id.partition(":")
    if colon:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise RPPError(f"the module of {env_id!r} cannot be imported: {error}") from error


def register_wrapped(env_id: str) -> None:
    """Tell gymnasium an environment as ``RPP/<id>``, with its default symmetry attached; if it knows the id itself."""
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


def reflection(
    observation: int | Sequence[str],
    action: int | Sequence[str],
    *,
    swap: Sequence[Pair] = (),
    flip: Sequence[Entry] = (),
    action_swap: Sequence[Pair] = (),
    action_flip: Sequence[Entry] = (),
    name: str = "mirror",
    breaks: str = "",
    source: str = "declared by hand",
) -> Symmetry:
    """A reflection: pairs of entries change places, and the flipped ones change sign.

    An entry that is in a pair and flipped does both; then its partner must be flipped too.

    Args:
        observation: the names of the observation's entries, or their number.
        action: the names of the action's entries, or their number.
        swap: pairs of observation entries, by name or index.
        flip: observation entries that change sign.
        action_swap: pairs of action entries.
        action_flip: action entries that change sign.
        name: the name of the symmetry.
        breaks: what breaks it, in words.
        source: where the declaration comes from.

    Returns:
        The symmetry, of group C2 with the generator ``mirror``.

    Raises:
        SymmetryError: if an entry is paired twice or the map is no reflection.
        UnknownNameError: if an entry is not known.
    """
    return declare(
        name,
        Entries(_names(observation), (_reflected("observation", observation, swap, flip),)),
        Entries(_names(action), (_reflected("action", action, action_swap, action_flip),)),
        breaks=breaks,
        source=source,
    )


def register_symmetry(
    env_id: str, symmetry: Symmetry | None = None, *, default: bool = False, **declaration: object
) -> Symmetry:
    """Declare a symmetry for an environment id, so that `rpp_rl.make` and the scripts know it.

    Where gymnasium knows the id already, ``gym.make("RPP/<id>")`` works too from then on.

    Args:
        env_id: the full id, with its version.
        symmetry: the symmetry; or leave it out and give the arguments of `reflection`.
        default: make it the environment's default; the first one registered is.
        **declaration: the arguments of `reflection`.

    Returns:
        The symmetry registered.

    Raises:
        SymmetryError: if the declaration is no group action, or the name is taken.
        UnknownNameError: if an entry is not known.
    """
    if symmetry is None:
        symmetry = reflection(**declaration)  # type: ignore[arg-type]
    elif declaration:
        raise SymmetryError(f"give a Symmetry or its declaration, not both ({', '.join(declaration)})")
    REGISTRY.add(env_id, symmetry.name, lambda: symmetry, default)
    register_wrapped(base_id(env_id))
    return symmetry


def _names(entries: int | Sequence[str]) -> tuple[str, ...]:
    return () if isinstance(entries, int) else tuple(entries)


def _reflected(
    what: str, entries: int | Sequence[str], swap: Sequence[Pair], flip: Sequence[Entry]
) -> SignedPermutation:
    size = entries if isinstance(entries, int) else len(entries)
    names = _names(entries)
    perm, sign = list(range(size)), [1] * size
    for pair in swap:
        i, j = (_index(what, entry, size, names) for entry in pair)
        if perm[i] != i or perm[j] != j or i == j:
            raise SymmetryError(f"{what} entries {pair} cannot change places: each may be in one pair of two")
        perm[i], perm[j] = j, i
    for entry in flip:
        sign[_index(what, entry, size, names)] = -1
    return SignedPermutation(tuple(perm), tuple(sign))


def _index(what: str, entry: Entry, size: int, names: tuple[str, ...]) -> int:
    if isinstance(entry, str):
        if entry not in names:
            raise UnknownNameError(f"{what} entry", entry, names)
        return names.index(entry)
    if not 0 <= entry < size:
        raise SymmetryError(f"{what} entry {entry} does not exist; entries are 0 to {size - 1}")
    return entry


REGISTRY = _declared()
