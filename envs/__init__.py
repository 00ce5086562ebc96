"""Symmetries of environments: declarations, registry, derivation from models, wrapper and audit."""

from rpp_rl.declared import add_finder
from rpp_rl.envs.auditing import Thoroughness, Verdict, audit, quick_audit
from rpp_rl.envs.derivation import DerivedMap, derive_maps, derive_symmetries, derive_symmetry, try_reflections
from rpp_rl.envs.listing import declared_symmetries
from rpp_rl.envs.reflections import reflection
from rpp_rl.envs.registration import register_symmetry
from rpp_rl.envs.registry import REGISTRY, SymmetryRegistry, load_plugins
from rpp_rl.envs.residual_policy import ResidualPolicy
from rpp_rl.envs.symmetry_drafts import draft_symmetry, write_draft
from rpp_rl.envs.symmetry_files import read_symmetry
from rpp_rl.envs.wrapper import ResumableWrapper, SymmetryWrapper, default_symmetry, make

load_plugins()
add_finder(default_symmetry)

__all__ = [
    "REGISTRY",
    "DerivedMap",
    "ResidualPolicy",
    "ResumableWrapper",
    "SymmetryRegistry",
    "SymmetryWrapper",
    "Thoroughness",
    "Verdict",
    "audit",
    "declared_symmetries",
    "derive_maps",
    "derive_symmetries",
    "derive_symmetry",
    "draft_symmetry",
    "make",
    "quick_audit",
    "read_symmetry",
    "reflection",
    "register_symmetry",
    "try_reflections",
    "write_draft",
]
