"""List the declared symmetries, and describe each as plain data or entry by entry."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import mujoco

from rpp_rl.envs.ids import import_module_of
from rpp_rl.envs.registry import REGISTRY
from rpp_rl.envs.state_map import terms
from rpp_rl.errors import RPPError
from rpp_rl.representations import as_matrix
from rpp_rl.signed_permutation import SignedPermutation
from rpp_rl.symmetry import Symmetry


def declared_symmetries(env_id: str | None = None) -> dict[str, tuple[Symmetry, ...]]:
    """The declared symmetries by environment id, the default of each environment first.

    MuJoCo's warnings about models are silenced; MuJoCo gives them again when the model is used.

    Args:
        env_id: one environment; None for all, without those whose symmetries cannot be derived, of which a warning
            tells the reason.

    Raises:
        RPPError: if the module of the id cannot be imported, or no symmetry is declared for the environment.
    """
    mujoco.set_mju_user_warning(lambda message: None)
    if env_id is not None:
        import_module_of(env_id)
    if env_id is not None:
        return {env_id: _declared(env_id)}
    found = {}
    for each in REGISTRY.environments():
        try:
            found[each] = _declared(each)
        except RPPError as error:
            warnings.warn(f"{each} is left out: {error}", stacklevel=2)
    return found


def _declared(env_id: str) -> tuple[Symmetry, ...]:
    return tuple(REGISTRY.get(env_id, name) for name in REGISTRY.names(env_id))


def described(symmetry: Symmetry, default: bool = False) -> dict[str, Any]:
    """Describe a symmetry as plain data: (g x)[i] = sign[i] * x[perm[i]] per generator, plus an offset if there is one.

    A map that is not a signed permutation is given as ``obs_matrix`` or ``act_matrix``.
    """
    generators = []
    for k, (observation, action) in enumerate(zip(symmetry.observation.images, symmetry.action.images, strict=True)):
        generator: dict[str, Any] = {"name": symmetry.group.generator_names[k]}
        for prefix, image in (("obs", observation), ("act", action)):
            if isinstance(image, SignedPermutation):
                generator |= {f"{prefix}_perm": list(image.perm), f"{prefix}_sign": list(image.sign)}
            else:
                generator[f"{prefix}_matrix"] = image.tolist()
        if symmetry.center:
            generator["obs_offset"] = symmetry.offset(symmetry.group.words.index((k,))).tolist()
        generators.append(generator)
    return {
        "name": symmetry.name,
        "default": default,
        "group": symmetry.group.name,
        "breaks": symmetry.breaks,
        "source": symmetry.source,
        "generators": generators,
    }


def moves(symmetry: Symmetry) -> Iterator[list[tuple[str, ...]]]:
    """For the observation and for the action, one row per entry: its name, and its image under each generator."""
    for names, images in (
        (symmetry.observation_names, symmetry.observation.images),
        (symmetry.action_names, symmetry.action.images),
    ):
        yield [(name, *(terms(as_matrix(image)[i], names) for image in images)) for i, name in enumerate(names)]
