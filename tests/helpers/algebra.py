"""Groups and representations to test with: a small parser for their names, and random ones for hypothesis."""

import copy
import json
import re
from functools import reduce
from operator import add, mul
from pathlib import Path

import numpy as np
import torch
from hypothesis import strategies as st

from rpp_rl import (
    Group,
    Representation,
    cyclic_group,
    defining_representation,
    determinant_representation,
    dihedral_group,
    lie_group,
    lorentz_group,
    matrix_group,
    orthogonal_group,
    regular_representation,
    rotations_about_axis,
    rotations_and_reflections_about_axis,
    sign_representation,
    special_linear_group,
    special_orthogonal_group,
    symmetric_group,
    symplectic_group,
    trivial_group,
    trivial_representation,
    unitary_group,
)

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name):
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


def parse(text, group):
    """Read the golden file's notation: ``3*V+2*Scalar``, ``P*V**2``, ``T(3)``."""
    return reduce(add, (_product(term, group) for term in text.split("+")))


def _product(term, group):
    factors = re.findall(r"T\(\d+\)|V\*\*\d+|V\.T|V|P|Scalar|\d+", term)
    copies = int(factors.pop(0)) if factors[0].isdigit() else 1
    return copies * reduce(mul, (_atom(f, group) for f in factors))


def _atom(name, group):
    if name == "Scalar":
        return trivial_representation(group)
    if name == "P":
        return sign_representation(group)
    if name == "V.T":
        return defining_representation(group).T
    power = int(re.sub(r"\D", "", name) or 1)
    return defining_representation(group) ** power


def rotation(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


SMALL_GROUPS = {
    "trivial": trivial_group(2),
    "C2": cyclic_group(2),
    "C3": cyclic_group(3),
    "C2xC2": cyclic_group(2) * cyclic_group(2),
    "D3": dihedral_group(3),
    "D4": dihedral_group(4),
    "S3": symmetric_group(3),
    "C5 turned": matrix_group("C5", [rotation(2 * np.pi / 5)]),
    "C2xD3": cyclic_group(2) * dihedral_group(3),
    "quaternions": matrix_group(
        "Q8",
        [
            [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]],
            [[0, 0, -1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, -1, 0, 0]],
        ],
    ),
}

HEISENBERG = [
    [[0, 1, 0], [0, 0, 0], [0, 0, 0]],
    [[0, 0, 0], [0, 0, 1], [0, 0, 0]],
]
CONTINUOUS_GROUPS = {
    "SO(2)": special_orthogonal_group(2),
    "SO(3)": special_orthogonal_group(3),
    "O(3)": orthogonal_group(3),
    "O(4)": orthogonal_group(4),
    "SO(2) about y": rotations_about_axis("y"),
    "O(2) about z": rotations_and_reflections_about_axis("z"),
    "SL(2)": special_linear_group(2),
    "SL(3)": special_linear_group(3),
    "SO+(1,3)": lorentz_group(),
    "SO(1,2)": lorentz_group(1, 2, "proper"),
    "O(1,2)": lorentz_group(1, 2, "full"),
    "Sp(1)": symplectic_group(1),
    "Sp(2)": symplectic_group(2),
    "U(1)": unitary_group(1),
    "U(2)": unitary_group(2),
    "C2 x SO(2)": cyclic_group(2) * special_orthogonal_group(2),
    "SO(2) and a quarter turn": lie_group("own", [[[0, -1], [1, 0]]], [[[0, -1], [1, 0]]]),
    # Neither compact nor reductive: invariant subspaces have no invariant complements.
    "Heisenberg": lie_group("Heisenberg", HEISENBERG),
    "scaled": lie_group("scaled", [[[0, -1e-4], [1e-4, 0]]]),
}

continuous_groups = st.sampled_from(sorted(CONTINUOUS_GROUPS)).map(CONTINUOUS_GROUPS.__getitem__)

groups = st.sampled_from(sorted(SMALL_GROUPS)).map(SMALL_GROUPS.__getitem__)


@st.composite
def representations(draw, group: Group) -> Representation:
    """Sums and products of the elementary representations of a group, of size up to about 30."""
    elementary = [
        trivial_representation(group),
        sign_representation(group),
        defining_representation(group),
        determinant_representation(group) if group.is_continuous else regular_representation(group),
    ]
    if group.is_continuous:
        elementary.append(defining_representation(group).T)
    terms = []
    for _ in range(draw(st.integers(1, 3))):
        term = draw(st.sampled_from(elementary))
        factor = draw(st.sampled_from(elementary))
        if term.size * factor.size <= 16 and draw(st.booleans()):
            term = term * factor
        terms.append(draw(st.integers(1, 2)) * term)
    return reduce(add, terms)


def dense_bilinear(layer):
    """The tensor K with B(x, x)_o = sum K[o, i, p, j] w_p x_i x_j, symmetrised in i and j, by probing the layer."""
    n, weights = layer.in_features, layer.weight.numel()
    layer = copy.deepcopy(layer).double()
    one = torch.eye(n, dtype=torch.float64)
    pairs = (one[:, None] + one[None, :]).reshape(-1, n)
    K = torch.zeros(weights, n * n, layer.out_features, dtype=torch.float64)
    with torch.no_grad():
        for p in range(weights):
            layer.weight.zero_()
            layer.weight[p] = 1.0
            squares = layer(one)
            K[p] = layer(pairs) - (squares[:, None] + squares[None, :]).reshape(n * n, -1)
    return K.numpy()


def assert_equivariant(f, rep_in, rep_out, tolerance=1e-9, scale=0.3):
    """Relative to the sizes of the images, for elements of a group that is not compact."""
    group = rep_in.group
    x = scale * torch.randn(16, rep_in.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for g in group.sample(np.random.default_rng(0), 6):
        A, B = torch.from_numpy(rep_in.rho(g).copy()), torch.from_numpy(rep_out.rho(g).copy())
        left, right = f(x @ A.T), f(x) @ B.T
        torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance * float(1 + left.detach().abs().max()))
