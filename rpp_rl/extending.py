"""Symmetries of observations that are put together: stacks of frames, and entries that do not move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rpp_rl.representations import Representation
from rpp_rl.signed_permutation import SignedPermutation
from rpp_rl.symmetry import Symmetry


def stacked(symmetry: Symmetry, frames: int) -> Symmetry:
    """The symmetry of the last `frames` observations one after the other, the oldest first.

    Entries of older frames carry their age in their names: ``height[t-2]``, ``height[t-1]``, ``height``.
    """
    ages = [f"[t-{age}]" if age else "" for age in range(frames - 1, -1, -1)]
    return replace(
        symmetry,
        observation=frames * symmetry.observation,
        observation_names=tuple(name + age for age in ages for name in symmetry.observation_names),
        center=symmetry.center * frames,
    )


def with_invariants(symmetry: Symmetry, names: Sequence[str]) -> Symmetry:
    """The symmetry of observations with further entries behind them that no group element moves."""
    still = SignedPermutation.identity(len(names))
    rep = Representation(symmetry.group, [still] * len(symmetry.group.generators), "invariants", len(names))
    return replace(
        symmetry,
        observation=symmetry.observation + rep,
        observation_names=(*symmetry.observation_names, *names),
        center=(*symmetry.center, *(0.0,) * len(names)) if symmetry.center else (),
    )
