"""Carry a symmetry through wrappers that change observations and actions, or refuse them by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import wrappers

from rpp_rl.envs.residual_policy import ResidualPolicy
from rpp_rl.envs.simulator import Floats, wrappers_of
from rpp_rl.errors import SymmetryError
from rpp_rl.representations import as_matrix
from rpp_rl.symmetry import Symmetry

_STATEFUL = "gymnasium.wrappers.stateful_observation"
_Wrapper = gym.Wrapper[Any, Any, Any, Any]


def changing_wrappers(env: gym.Env[Any, Any]) -> list[_Wrapper]:
    """The wrappers of an environment that change its observations or actions, the innermost first.

    Wrappers that gymnasium puts around every environment of the id are left out, because they belong to the id.
    """
    changing = [wrapper for wrapper in reversed(list(wrappers_of(env))) if _changes(wrapper)]
    own = gym.registry[env.spec.id].additional_wrappers if env.spec and env.spec.id in gym.registry else ()
    for spec in own:
        if changing and type(changing[0]).__name__ == spec.entry_point.rsplit(":", 1)[-1]:
            changing.pop(0)
    return changing


def carried(symmetry: Symmetry, through: Sequence[_Wrapper]) -> Symmetry:
    """Carry the symmetry of an environment through wrappers.

    Args:
        symmetry: symmetry of the environment inside.
        through: the wrappers, the innermost first.

    Returns:
        The symmetry of the wrapped environment.

    Raises:
        SymmetryError: if a wrapper is unknown or breaks the symmetry; the message names it.
    """
    for wrapper in through:
        law = LAWS.get(type(wrapper))
        if law is None:
            hint = ", or normalize with rpp_rl.agents.SymmetricVecNormalize" if "Normalize" in str(wrapper) else ""
            raise SymmetryError(
                f"symmetry {symmetry.name!r} cannot be carried through the wrapper {type(wrapper).__name__}, for which "
                f"no rule is known; leave the wrapper out{hint}, or give SymmetryWrapper a Symmetry of the wrapped "
                "environment"
            )
        symmetry = law(wrapper, symmetry)
    return symmetry


def _changes(wrapper: _Wrapper) -> bool:
    return (
        isinstance(wrapper, gym.ObservationWrapper | gym.ActionWrapper | ResidualPolicy)
        or type(wrapper).__module__ == _STATEFUL
        or wrapper.observation_space != wrapper.env.observation_space
        or wrapper.action_space != wrapper.env.action_space
    )


def _unchanged(wrapper: _Wrapper, symmetry: Symmetry) -> Symmetry:
    return symmetry


def _frames(wrapper: Any, symmetry: Symmetry) -> Symmetry:
    return symmetry.stacked(int(wrapper.stack_size))


def _time(wrapper: _Wrapper, symmetry: Symmetry) -> Symmetry:
    return symmetry.with_invariants(["time"])


def _rescaled_observation(wrapper: Any, symmetry: Symmetry) -> Symmetry:
    shift, scale = _affine(wrapper.observation, symmetry.observation.size)
    for image in symmetry.observation.images:
        _need_commuting(wrapper, symmetry, as_matrix(image), scale)
    center = np.array(symmetry.center) if symmetry.center else np.zeros(len(scale))
    return replace(symmetry, center=tuple((scale * center + shift).tolist()))


def _rescaled_action(wrapper: Any, symmetry: Symmetry) -> Symmetry:
    shift, scale = _affine(wrapper.action, symmetry.action.size)
    for image in symmetry.action.images:
        sigma = as_matrix(image)
        _need_commuting(wrapper, symmetry, sigma, scale)
        if not np.allclose(sigma @ shift, shift, atol=1e-6):
            raise _broken(wrapper, symmetry)
    return symmetry


def _affine(function: Callable[[Any], Any], size: int) -> tuple[Floats, Floats]:
    """The vectors b and a of the elementwise map x -> a x + b."""
    b, c = (np.asarray(function(np.full(size, x, dtype=np.float32)), dtype=np.float64) for x in (0.0, 0.5))
    return b, 2 * (c - b)


def _need_commuting(wrapper: _Wrapper, symmetry: Symmetry, rho: Floats, scale: Floats) -> None:
    if not np.allclose(rho * scale, scale[:, None] * rho, rtol=1e-5, atol=1e-6):
        raise _broken(wrapper, symmetry)


def _broken(wrapper: _Wrapper, symmetry: Symmetry) -> SymmetryError:
    return SymmetryError(
        f"{type(wrapper).__name__} breaks symmetry {symmetry.name!r}: it scales or shifts entries differently that the "
        "symmetry exchanges; give them the same bounds"
    )


LAWS: MappingProxyType[type[Any], Callable[[Any, Symmetry], Symmetry]] = MappingProxyType(
    {
        wrappers.FlattenObservation: _unchanged,
        wrappers.DtypeObservation: _unchanged,
        wrappers.DelayObservation: _unchanged,
        wrappers.FrameStackObservation: _frames,
        wrappers.TimeAwareObservation: _time,
        wrappers.RescaleObservation: _rescaled_observation,
        wrappers.RescaleAction: _rescaled_action,
        wrappers.ClipAction: _unchanged,
        wrappers.StickyAction: _unchanged,
        # Since gymnasium 1.3.
        **({wrappers.RepeatAction: _unchanged} if hasattr(wrappers, "RepeatAction") else {}),
        ResidualPolicy: _unchanged,
    }
)
"""The rule for each wrapper. That of `ResidualPolicy` assumes that its base policy is equivariant."""
