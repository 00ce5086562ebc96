"""Derivation how a reflection or rotation of the world moves a task, from its compiled model."""

from rpp_rl.envs.derivation.derive import Derived, derive_symmetries, derive_symmetry

__all__ = ["Derived", "derive_symmetries", "derive_symmetry"]
