"""Residual Pathway Priors for reinforcement learning: symmetries, equivariant and residual networks.

The core imports numpy, scipy and torch only. Environments are in `rpp_rl.envs`, agents in `rpp_rl.agents`. Names and
packages are imported when they are first used, since torch and the simulator take seconds.
"""

import importlib
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rpp_rl import agents as agents
    from rpp_rl import envs as envs
    from rpp_rl import experiments as experiments
    from rpp_rl import statistics as statistics
    from rpp_rl.bases import equivariant_basis
    from rpp_rl.emlp import EMLP
    from rpp_rl.envs import make, register_symmetry
    from rpp_rl.errors import RPPError
    from rpp_rl.groups import Group
    from rpp_rl.layers import EquivariantLinear, RPPLinear
    from rpp_rl.measures import equivariance_error, residual_share, residual_shares
    from rpp_rl.named_groups import (
        cyclic_group,
        dihedral_group,
        lie_group,
        lorentz_group,
        matrix_group,
        orthogonal_group,
        rotations_about_axis,
        rotations_and_reflections_about_axis,
        special_linear_group,
        special_orthogonal_group,
        symmetric_group,
        symplectic_group,
        trivial_group,
        unitary_group,
    )
    from rpp_rl.networks import MLP, RPPMLP, EquivariantMLP
    from rpp_rl.orthogonal_layers import OrthogonalLinear
    from rpp_rl.pathway_optimizers import pathway_optimizer
    from rpp_rl.priors import GaussianPrior, PathwayPrior
    from rpp_rl.representations import (
        Representation,
        defining_representation,
        determinant_representation,
        regular_representation,
        sign_representation,
        tensor_representation,
        trivial_representation,
        uniform_rep,
    )
    from rpp_rl.residual_priors import ResidualPrior
    from rpp_rl.signed_permutation import SignedPermutation
    from rpp_rl.symmetry import Symmetry

# With `python -m rpp_rl.scripts.main` the working folder comes first, and any file in it could take the place of an
# optional dependency. The console command does not have this fault.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and any(word.startswith("rpp_rl.") for word in sys.orig_argv):
    del sys.path[0]

try:
    __version__ = version("rpp-rl")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = [
    "EMLP",
    "MLP",
    "RPPMLP",
    "EquivariantLinear",
    "EquivariantMLP",
    "GaussianPrior",
    "Group",
    "OrthogonalLinear",
    "PathwayPrior",
    "RPPError",
    "RPPLinear",
    "Representation",
    "ResidualPrior",
    "SignedPermutation",
    "Symmetry",
    "cyclic_group",
    "defining_representation",
    "determinant_representation",
    "dihedral_group",
    "equivariance_error",
    "equivariant_basis",
    "lie_group",
    "lorentz_group",
    "make",
    "matrix_group",
    "orthogonal_group",
    "pathway_optimizer",
    "register_symmetry",
    "regular_representation",
    "residual_share",
    "residual_shares",
    "rotations_about_axis",
    "rotations_and_reflections_about_axis",
    "sign_representation",
    "special_linear_group",
    "special_orthogonal_group",
    "symmetric_group",
    "symplectic_group",
    "tensor_representation",
    "trivial_group",
    "trivial_representation",
    "uniform_rep",
    "unitary_group",
]

# The names that each module gives to the package.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "bases": ("equivariant_basis",),
    "emlp": ("EMLP",),
    "envs": (
        "make",
        "register_symmetry",
    ),
    "errors": ("RPPError",),
    "groups": ("Group",),
    "layers": (
        "EquivariantLinear",
        "RPPLinear",
    ),
    "measures": (
        "equivariance_error",
        "residual_share",
        "residual_shares",
    ),
    "named_groups": (
        "cyclic_group",
        "dihedral_group",
        "lie_group",
        "lorentz_group",
        "matrix_group",
        "orthogonal_group",
        "rotations_about_axis",
        "rotations_and_reflections_about_axis",
        "special_linear_group",
        "special_orthogonal_group",
        "symmetric_group",
        "symplectic_group",
        "trivial_group",
        "unitary_group",
    ),
    "networks": (
        "MLP",
        "RPPMLP",
        "EquivariantMLP",
    ),
    "orthogonal_layers": ("OrthogonalLinear",),
    "pathway_optimizers": ("pathway_optimizer",),
    "priors": (
        "GaussianPrior",
        "PathwayPrior",
    ),
    "representations": (
        "Representation",
        "defining_representation",
        "determinant_representation",
        "regular_representation",
        "sign_representation",
        "tensor_representation",
        "trivial_representation",
        "uniform_rep",
    ),
    "residual_priors": ("ResidualPrior",),
    "signed_permutation": ("SignedPermutation",),
    "symmetry": ("Symmetry",),
}
_PLACES = {name: module for module, names in _NAMES.items() for name in names}
_PACKAGES = ("agents", "envs", "experiments", "statistics")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        value = getattr(importlib.import_module(f"rpp_rl.{_PLACES[name]}"), name)
    elif name in _PACKAGES:
        value = importlib.import_module(f"rpp_rl.{name}")
    else:
        raise AttributeError(f"module 'rpp_rl' has no attribute {name!r}")
    globals()[name] = value
    return value
