"""Derive the symmetries of a task under reflections and rotations of the world from its compiled model."""

from rpp_rl.envs.derivation.derive import (
    Derived,
    DerivedMap,
    derive_maps,
    derive_symmetries,
    derive_symmetry,
    try_reflections,
)

__all__ = ["Derived", "DerivedMap", "derive_maps", "derive_symmetries", "derive_symmetry", "try_reflections"]
