"""Orthogonal coordinates of a weight: one set in the equivariant matrices, one in their orthogonal complement.

W = E beta + R gamma, where the columns of E span the equivariant matrices and those of R their complement. With
independent normal coordinates W has the covariance of a Residual Pathway Prior,
(s_eq^2 + s_res^2) Q Q^T + s_res^2 P P^T (Finzi, Benton and Wilson 2021, section 4), with one parameter for each degree
of freedom, where the two pathways A + B describe the equivariant matrices twice.

The columns are orthogonal but not of length one. They are scaled so that coordinates that each move by one move the
entries of W that they reach by one in root mean square. So Adam, which moves every coordinate by its learning rate,
moves W as it moves the weight of a plain layer. For a reflection, an entry w and its image +-w' have the coordinates s
and r with w = s + r and w' = +-(s - r).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from rpp_rl.bases import BlockBasis, EquivariantBasis, OrbitBasis, step_scale
from rpp_rl.groups import Matrix


@dataclass(frozen=True, eq=False)
class CoordinateBlocks:
    """Parts of a weight with the same coordinates: orbits of one length, or blocks between two given summands.

    Part k is W[entries[:, k]] = signs[:, k] * (equiv @ beta[coefficients[:, k]] + residual @ gamma_k).

    Attributes:
        entries: flat positions in W, shape (m, parts).
        signs: +-1, shape (m, parts).
        equiv: the part of E, shape (m, r).
        residual: the part of R, shape (m, m - r).
        coefficients: places of the equivariant coordinates in beta, shape (r, parts).
    """

    entries: NDArray[np.int64]
    signs: Matrix
    equiv: Matrix
    residual: Matrix
    coefficients: NDArray[np.int64]

    @property
    def transform(self) -> Matrix:
        """Both parts side by side, shape (m, m)."""
        return np.hstack([self.equiv, self.residual])

    @property
    def residual_shape(self) -> tuple[int, int]:
        """(m - r, parts), the shape of the residual coordinates."""
        return self.residual.shape[1], self.entries.shape[1]


@dataclass(frozen=True, eq=False)
class OrthogonalCoordinates:
    """The coordinates of all weights of a shape.

    Attributes:
        shape: (n_out, n_in).
        rank: number of equivariant coordinates.
        blocks: the parts of the weight; every entry is in one of them. The residual coordinates are those of the first
            blocks, then of the second, and so on, each of `CoordinateBlocks.residual_shape` in row-major order.
    """

    shape: tuple[int, int]
    rank: int
    blocks: tuple[CoordinateBlocks, ...]

    @property
    def residual_rank(self) -> int:
        """Number of residual coordinates."""
        return self.shape[0] * self.shape[1] - self.rank

    def weight(self, beta: Matrix, gamma: Matrix) -> Matrix:
        """W for equivariant coordinates of shape (rank,) and residual ones of shape (residual_rank,)."""
        W, start = np.zeros(self.shape[0] * self.shape[1]), 0
        for b in self.blocks:
            stop = start + math.prod(b.residual_shape)
            residual = gamma[start:stop].reshape(b.residual_shape)
            W[b.entries] = b.signs * (b.equiv @ beta[b.coefficients] + b.residual @ residual)
            start = stop
        return W.reshape(self.shape)

    def of(self, weight: Matrix) -> tuple[Matrix, Matrix]:
        """The equivariant and the residual coordinates of a weight of shape (n_out, n_in)."""
        beta, gamma = np.zeros(self.rank), []
        for b in self.blocks:
            # The columns are orthogonal, so each coordinate is a projection.
            values = b.signs * np.asarray(weight, np.float64).ravel()[b.entries]
            beta[b.coefficients] = (b.equiv.T @ values) / np.square(b.equiv).sum(0)[:, None]
            gamma.append(((b.residual.T @ values) / np.square(b.residual).sum(0)[:, None]).ravel())
        return beta, np.concatenate([np.zeros(0), *gamma])

    def residual_scale(self) -> Matrix:
        """The length of the column of R of each residual coordinate, shape (residual_rank,)."""
        lengths = [np.repeat(np.linalg.norm(b.residual, axis=0), b.entries.shape[1]) for b in self.blocks]
        return np.concatenate([np.zeros(0), *lengths])


@lru_cache(maxsize=256)
def orthogonal_coordinates(basis: EquivariantBasis) -> OrthogonalCoordinates:
    """The coordinates that belong to an equivariant basis; the equivariant ones are in its order."""
    blocks = _orbit_blocks(basis) if isinstance(basis, OrbitBasis) else _summand_blocks(basis)
    return OrthogonalCoordinates(basis.shape, basis.rank, tuple(blocks))


def orbit_transform(length: int) -> Matrix:
    """An orthogonal matrix whose first column is constant and whose entries are as even as possible.

    For powers of two it is Hadamard's matrix, with entries +-1 / sqrt(length); otherwise that of the discrete Hartley
    transform.
    """
    if length & (length - 1) == 0:
        return np.asarray(scipy.linalg.hadamard(length) / math.sqrt(length), np.float64)
    angles = 2 * np.pi * np.outer(np.arange(length), np.arange(length)) / length
    return np.asarray((np.cos(angles) + np.sin(angles)) / math.sqrt(length), np.float64)


def _orbit_blocks(basis: OrbitBasis) -> list[CoordinateBlocks]:
    coefficient, orbit = basis.coefficient.ravel(), basis.orbit.ravel()
    used = np.flatnonzero(coefficient)
    # Entry by entry within each orbit, in the order of their positions.
    order = used[np.argsort(orbit[used], kind="stable")]
    lengths = np.bincount(orbit[used], minlength=basis.rank)
    starts = np.cumsum(lengths) - lengths
    blocks = []
    for m in np.unique(lengths):
        coefficients = np.flatnonzero(lengths == m)
        entries = order[starts[coefficients] + np.arange(m)[:, None]]
        U = orbit_transform(int(m))
        equiv, residual = (_scaled(part) for part in (U[:, :1], U[:, 1:]))
        blocks.append(CoordinateBlocks(entries, np.sign(coefficient[entries]), equiv, residual, coefficients[None]))
    return [*blocks, *_without_equivariant(np.flatnonzero(coefficient == 0))]


def _summand_blocks(basis: BlockBasis) -> list[CoordinateBlocks]:
    blocks, start = [], 0
    reached = np.zeros(basis.shape[0] * basis.shape[1], bool)
    for t in basis.types:
        count, (m, r) = len(t.entries), t.basis.shape
        coefficients = start + np.arange(count * r).reshape(count, r).T
        complement: Matrix = np.asarray(scipy.linalg.qr(t.basis)[0][:, r:], np.float64)
        # Rounding in entries that the equivariant part alone determines.
        complement[np.abs(complement) < 1e-12] = 0.0
        signs = np.ones((m, count))
        blocks.append(CoordinateBlocks(t.entries.T, signs, _scaled(t.basis), _scaled(complement), coefficients))
        reached[t.entries] = True
        start += t.rank
    return [*blocks, *_without_equivariant(np.flatnonzero(~reached))]


def _without_equivariant(entries: NDArray[np.int64]) -> list[CoordinateBlocks]:
    """Entries that are zero in every equivariant matrix: each is a residual coordinate."""
    if not len(entries):
        return []
    one, none = np.ones((1, 1)), np.zeros((1, 0))
    no_coefficients = np.zeros((0, len(entries)), np.int64)
    return [CoordinateBlocks(entries[None], np.ones((1, len(entries))), none, one, no_coefficients)]


def _scaled(columns: Matrix) -> Matrix:
    """Orthonormal columns times the factor by which they move the entries that they reach by one."""
    return columns * step_scale(columns)
