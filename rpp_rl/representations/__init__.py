"""Representations of matrix groups, composed with operators.

>>> group = cyclic_group(2)
>>> one, sign, regular = (f(group) for f in (trivial_representation, sign_representation, regular_representation))
>>> observation = 2 * one + 3 * sign
>>> hidden = 128 * regular
"""

from rpp_rl.representations.maps import Array, Map, apply_map, as_matrix, map_size
from rpp_rl.representations.representation import Representation
from rpp_rl.representations.standard import (
    defining_representation,
    determinant_representation,
    gated,
    hidden_representation,
    regular_representation,
    sign_representation,
    tensor_representation,
    trivial_representation,
    uniform_rep,
)

__all__ = [
    "Array",
    "Map",
    "Representation",
    "apply_map",
    "as_matrix",
    "defining_representation",
    "determinant_representation",
    "gated",
    "hidden_representation",
    "map_size",
    "regular_representation",
    "sign_representation",
    "tensor_representation",
    "trivial_representation",
    "uniform_rep",
]
