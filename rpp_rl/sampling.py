"""Random elements of matrix groups; `Group.sample` says which distribution each group has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rpp_rl import lie_algebra
from rpp_rl.lie_algebra import Matrix

if TYPE_CHECKING:
    from rpp_rl.groups import Group

_COMPACT_STEPS, _OTHER_STEPS = 24, 2


def uniform_element(group: Group, rng: np.random.Generator) -> Matrix:
    """Uniform over the elements of a finite group."""
    element: Matrix = group.element_matrices[rng.integers(group.order)]
    return element


def permutation(group: Group, rng: np.random.Generator) -> Matrix:
    """Uniform on S_n without its n! elements."""
    return np.eye(group.dimension)[rng.permutation(group.dimension)]


def random_walk(group: Group, rng: np.random.Generator) -> Matrix:
    """The end of a random walk: Haar for an orthogonal group once mixed, near the identity for another."""
    element = np.eye(group.dimension)
    steps, scale = (_COMPACT_STEPS, 2.0) if group.is_orthogonal else (_OTHER_STEPS, 0.5)
    for _ in range(steps):
        coefficients = scale * rng.standard_normal(len(group.algebra))
        A = lie_algebra.combination(coefficients, group.algebra, group.dimension)
        element = lie_algebra.exponential(A) @ element
        for g in group.generators:
            element = (g if rng.integers(2) else np.eye(group.dimension)) @ element
    return element


def independent_pair(_: Group, rng: np.random.Generator, *, left: Group, right: Group) -> Matrix:
    """An element of a direct product from independent elements of its factors."""
    return lie_algebra.diagonal_blocks(left.sample(rng, 1)[0], right.sample(rng, 1)[0])


def orthogonal(group: Group, rng: np.random.Generator, *, special: bool = False) -> Matrix:
    """Haar on O(n) or SO(n): the QR factor of a normal matrix, its signs fixed by R (Mezzadri 2007)."""
    Q, R = np.linalg.qr(rng.standard_normal((group.dimension, group.dimension)))
    Q = Q * np.sign(np.diag(R))
    if special and np.linalg.det(Q) < 0:
        Q[:, 0] *= -1.0
    return Q


def unitary(group: Group, rng: np.random.Generator) -> Matrix:
    """Haar on U(n), in the same way, as real matrices on (real parts, imaginary parts)."""
    n = group.dimension // 2
    Q, R = np.linalg.qr(rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n)))
    phases = np.diag(R) / np.abs(np.diag(R))
    Q = Q * phases
    return np.block([[Q.real, -Q.imag], [Q.imag, Q.real]])


def about_axis(_: Group, rng: np.random.Generator, *, turn: Matrix, reflection: tuple[float, ...] = ()) -> Matrix:
    """Haar on the rotations exp(t turn), and on these times a diagonal reflection if one is given."""
    angle = rng.uniform(0.0, 2 * np.pi)
    element: Matrix = np.eye(3) + np.sin(angle) * turn + (1 - np.cos(angle)) * turn @ turn
    if reflection and rng.integers(2):
        element = element * np.array(reflection)
    return element
