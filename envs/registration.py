"""Register a symmetry of an environment of one's own."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from rpp_rl.envs.auditing import SymmetryAudit, Verdict, quick_audit
from rpp_rl.envs.derivation import Derived
from rpp_rl.envs.geometry.isometry import world_map
from rpp_rl.envs.ids import base_id, import_module_of, unknown_environment
from rpp_rl.envs.reflections import ARGUMENTS, reflection, reflection_by_joints
from rpp_rl.envs.registry import REGISTRY
from rpp_rl.envs.wrapper import SymmetryWrapper
from rpp_rl.errors import SymmetryError, UnknownNameError
from rpp_rl.symmetry import Symmetry

# The arguments of a declaration that derives the map from the model.
_DERIVED = ("reflection", "name", "breaks")


def register_symmetry(
    env_id: str,
    symmetry: Symmetry | None = None,
    *,
    default: bool = False,
    check: bool = False,
    **declaration: Any,
) -> Symmetry | Derived:
    """Declare a symmetry of an environment for `rpp_rl.make`, for agents on the id, and for the commands.

    Args:
        env_id: the id, with its version.
        symmetry: the symmetry; None to declare one with the following arguments.
        default: whether this is the default of the environment; the first registered symmetry always is.
        check: whether the environment is made at once, to check sizes and action bounds, and, where it has a
            simulator, to audit the symmetry. A warning has the verdict of a map that is not nearly exact, and names one
            that fits better.
        **declaration: one of two forms. Either `reflection`, as for `rpp_rl.envs.derive_symmetry`, derives the symmetry
            from the model when it is first used, or at once with `check`; `name` and `breaks` are optional. Or the
            arguments of `rpp_rl.envs.reflection` declare it; `observation` and `action` may be left out if gymnasium
            knows the id and the model gives the names.

    Returns:
        The registered symmetry; one that will be derived is returned as its recipe.

    Raises:
        SymmetryError: if the declaration is not a group action, the name is taken, or, with `check`, it cannot be
            derived or does not fit the environment.
        UnknownNameError: if an argument or an entry is unknown, or an environment is needed that gymnasium does not
            know.
    """
    if not isinstance(env_id, str):
        raise SymmetryError(_not_an_id(env_id))
    if symmetry is not None and declaration:
        raise SymmetryError(f"give a Symmetry or its declaration, not both ({', '.join(declaration)})")
    if "reflection" in declaration:
        return _derived(env_id, declaration, default, check)
    if symmetry is None:
        symmetry = _declared(env_id, declaration)
    if not isinstance(symmetry, Symmetry):
        raise SymmetryError(
            f"the symmetry of {env_id} must be a rpp_rl.Symmetry, got {str(symmetry)[:60]!r}; declare one with names, "
            'as swap=[("left", "right")], or with reflection="y"'
        )
    if check:
        _check(env_id, symmetry)
    found = symmetry
    if not _is_registered(env_id, symmetry.name, default) or REGISTRY.get(env_id, symmetry.name) != symmetry:
        REGISTRY.add(env_id, symmetry.name, lambda: found, default)
    return symmetry


def _derived(env_id: str, declaration: Mapping[str, Any], default: bool, check: bool) -> Derived:
    """Register a symmetry that is derived when it is first used: one robot's failure is then its own."""
    _need_known(declaration, _DERIVED)
    recipe = _recipe(declaration)
    import_module_of(env_id)
    if base_id(env_id) not in gym.registry:
        raise unknown_environment(env_id)
    if check:
        env = _made(env_id)
        try:
            symmetry = recipe(env)
        finally:
            env.close()
        _check(env_id, symmetry)
    if not _is_registered(env_id, recipe.name, default) or REGISTRY.recipe(env_id, recipe.name) != recipe:
        REGISTRY.add(env_id, recipe.name, recipe, default)
    return recipe


def _not_an_id(given: Any) -> str:
    """The sentence about a class or an environment in the place of an id."""
    wanted = "the first argument must be the id of an environment, got"
    spec = given if isinstance(given, EnvSpec) else getattr(given, "spec", None)
    if isinstance(given, gym.Env | EnvSpec) and spec is not None:
        return f"{wanted} the environment itself; write {spec.id!r}"
    if not isinstance(given, type | gym.Env):
        return f"{wanted} {str(given)[:60]!r}; write one such as 'HalfCheetah-v5'"
    name = given.__name__ if isinstance(given, type) else type(given).__name__
    what = f"the class {name}" if isinstance(given, type) else f"a {name}"
    return (
        f"{wanted} {what}; register it with gymnasium first, as "
        f'gymnasium.register("{name}-v0", {name}), and write "{name}-v0"'
    )


def _need_known(declaration: Mapping[str, Any], known: Sequence[str]) -> None:
    """Check the names of arguments.

    Raises:
        SymmetryError: if one belongs to the other form of a declaration.
        UnknownNameError: if one is unknown.
    """
    for name in declaration:
        if name in ARGUMENTS and name not in known:
            raise SymmetryError(f"a symmetry with `reflection` is derived from the model, so leave out {name}")
        if name not in known:
            raise UnknownNameError("argument of a declaration", name, {*_DERIVED, *ARGUMENTS})


def _declared(env_id: str, declaration: Mapping[str, Any]) -> Symmetry:
    _need_known(declaration, ARGUMENTS)
    if {"observation", "action"} <= declaration.keys():
        return reflection(**declaration)
    env = _made(env_id)
    try:
        return reflection_by_joints(env, **declaration)
    finally:
        env.close()


def _made(env_id: str) -> gym.Env[Any, Any]:
    import_module_of(env_id)
    if base_id(env_id) not in gym.registry:
        raise unknown_environment(env_id)
    return gym.make(base_id(env_id))


def _recipe(declaration: Mapping[str, Any]) -> Derived:
    turns = declaration["reflection"]
    if not isinstance(turns, str | list | tuple) or not all(isinstance(turn, str) for turn in turns):
        raise SymmetryError(f"reflection must be a mirror axis or a turn, as 'y', or a list of them, got {turns!r}")
    turns = turns if isinstance(turns, str) else tuple(turns)
    for turn in (turns,) if isinstance(turns, str) else turns:
        world_map(turn)
    name = declaration.get("name") or "derived_" + (turns if isinstance(turns, str) else "_".join(turns))
    return Derived(name, turns, declaration.get("breaks", ""))


def _is_registered(env_id: str, name: str, default: bool) -> bool:
    """Whether a symmetry of a name is registered, as when a cell of a notebook is run twice."""
    known = REGISTRY.default(env_id)
    return known is not None and name in REGISTRY.names(env_id) and (not default or known == name)


def _check(env_id: str, symmetry: Symmetry) -> None:
    """Check a symmetry on its environment; warn of a wrong one, and of a map that fits better."""
    env = SymmetryWrapper(_made(env_id), symmetry)
    try:
        found = quick_audit(env, symmetry, seed=0)
    finally:
        env.close()
    is_weak = found.is_wrong or (isinstance(found, SymmetryAudit) and found.verdict >= Verdict.APPROXIMATE)
    for sentence in (*([found.line] if is_weak else []), *found.warnings):
        warnings.warn(f"{env_id}: {sentence}", stacklevel=4)
