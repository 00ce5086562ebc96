"""Orthonormal bases of the equivariant linear maps, W rho_in(g) = rho_out(g) W for every g.

vec(W) = Q beta with W flattened row by row and orthonormal Q (Finzi, Welling and Wilson 2021, section 3). Q is
computed in one of two ways:

- Signed permutations: W[i, j] moves to W[pi_out(i), pi_in(j)] with a sign, so the entries form orbits. Each orbit
  with consistent signs gives one column of Q in closed form. Time and memory are O(generators rows columns).
- Any other matrices: Q is the float64 null space of the constraints of the generators (`rpp_rl.invariants`), computed
  once for each distinct pair of summands.

Bases are immutable; `equivariant_basis` caches them by the content of the two representations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse import csgraph

from rpp_rl.errors import RepresentationError
from rpp_rl.groups import Matrix
from rpp_rl.invariants import invariant_tensors
from rpp_rl.representations import Representation
from rpp_rl.signed_permutation import SignedPermutation

Number = TypeVar("Number", np.int64, np.float64)


@dataclass(frozen=True, eq=False)
class OrbitBasis:
    """Closed-form basis for signed permutations: W[i, j] = coefficient[i, j] * beta[orbit[i, j]].

    Attributes:
        orbit: index of the coefficient of each entry, shape (n_out, n_in); 0 where the entry is always zero.
        coefficient: +-1 / sqrt(orbit length); 0 where the signs within the orbit contradict each other.
        rank: number of coefficients.
    """

    orbit: NDArray[np.int64]
    coefficient: Matrix
    rank: int

    @property
    def shape(self) -> tuple[int, int]:
        """(n_out, n_in)."""
        rows, columns = self.orbit.shape
        return rows, columns

    def dense(self) -> Matrix:
        """Q, shape (n_out * n_in, rank)."""
        Q = np.zeros((self.orbit.size, self.rank))
        used = np.flatnonzero(self.coefficient)
        Q[used, self.orbit.ravel()[used]] = self.coefficient.ravel()[used]
        return Q

    def weight(self, beta: Matrix) -> Matrix:
        """W for coefficients beta of shape (rank,)."""
        return self.coefficient * beta[self.orbit] if self.rank else np.zeros(self.shape)

    def coordinates(self, weight: Matrix) -> Matrix:
        """Beta = Q^T vec(W): the coefficients of the orthogonal projection of W."""
        beta = np.bincount(self.orbit.ravel(), (self.coefficient * weight).ravel(), self.rank)
        return beta[: self.rank].astype(np.float64)

    def init_scale(self) -> Matrix:
        """Scale of each coefficient at which W has the row variances of a dense matrix with entries of scale 1.

        An entry is beta / sqrt(orbit length), so the scale contains sqrt(orbit length). In rows where some entries
        are always zero the others are larger, so that the variance of the row is that of a dense row.
        """
        filled = (self.coefficient != 0).sum(axis=1, keepdims=True)
        per_entry = np.sqrt(self.shape[1] / np.maximum(filled, 1))
        scale = np.zeros(self.rank)
        used = self.coefficient != 0
        scale[self.orbit[used]] = (per_entry / np.abs(np.where(used, self.coefficient, 1.0)))[used]
        return scale

    def step_scale(self) -> Matrix:
        """The factor of each coefficient by which unit steps move the entries of W by one: sqrt(orbit length)."""
        lengths = np.bincount(self.orbit[self.coefficient != 0], minlength=self.rank)
        return np.sqrt(lengths.astype(np.float64))

    def row_moments(self, second_moment: Matrix) -> Matrix:
        """E[(W x)_i^2] for coefficients drawn at `init_scale` and E[x x^T] = `second_moment`; shape (n_out,)."""
        scaled = self.coefficient * self.init_scale()[self.orbit] if self.rank else np.zeros(self.shape)
        moments = np.zeros(self.shape[0])
        for i, (orbit, row) in enumerate(zip(self.orbit, scaled, strict=True)):
            # Entries of one row in one orbit share a coefficient, so their inputs add up before they are squared.
            used = np.flatnonzero(row)
            together = orbit[used, None] == orbit[used]
            moments[i] = np.sum(together * np.outer(row[used], row[used]) * second_moment[np.ix_(used, used)])
        return moments

    def per_coefficient(self, row_values: Matrix) -> Matrix:
        """The mean, for each coefficient, of a value of the rows that it reaches; shape (rank,)."""
        used = self.coefficient != 0
        values = np.broadcast_to(row_values[:, None], self.shape)[used]
        return np.bincount(self.orbit[used], values, self.rank) / np.bincount(self.orbit[used], minlength=self.rank)


@dataclass(frozen=True, eq=False)
class BlockType:
    """All blocks of W that map between two given summands: they share one small basis.

    Attributes:
        basis: Q of one block, shape (d_out * d_in, r).
        entries: flat positions in W of each block's entries, shape (number of blocks, d_out * d_in).
        init_scale: scale of the coefficients of each block, shape (number of blocks,).
    """

    basis: Matrix
    entries: NDArray[np.int64]
    init_scale: Matrix

    @property
    def rank(self) -> int:
        """Coefficients of all blocks together."""
        return len(self.entries) * int(self.basis.shape[1])


@dataclass(frozen=True, eq=False)
class BlockBasis:
    """Basis for arbitrary matrices, one block for each pair of summands.

    Coefficients are ordered by block type, then by block, then within the block's basis.

    Attributes:
        shape: (n_out, n_in).
        types: the distinct pairs of summands that have equivariant maps between them.
    """

    shape: tuple[int, int]
    types: tuple[BlockType, ...]

    @property
    def rank(self) -> int:
        """Number of coefficients."""
        return sum(t.rank for t in self.types)

    def dense(self) -> Matrix:
        """Q, shape (n_out * n_in, rank)."""
        Q = np.zeros((self.shape[0] * self.shape[1], self.rank))
        column = 0
        for t in self.types:
            for entries in t.entries:
                Q[entries, column : column + t.basis.shape[1]] = t.basis
                column += t.basis.shape[1]
        return Q

    def weight(self, beta: Matrix) -> Matrix:
        """W for coefficients beta of shape (rank,)."""
        W = np.zeros(self.shape[0] * self.shape[1])
        start = 0
        for t in self.types:
            W[t.entries] = beta[start : start + t.rank].reshape(len(t.entries), -1) @ t.basis.T
            start += t.rank
        return W.reshape(self.shape)

    def coordinates(self, weight: Matrix) -> Matrix:
        """Beta = Q^T vec(W): the coefficients of the orthogonal projection of W."""
        parts = [(weight.ravel()[t.entries] @ t.basis).ravel() for t in self.types]
        return np.concatenate([np.zeros(0), *parts])

    def init_scale(self) -> Matrix:
        """Scale of each coefficient at which W has the row variances of a dense matrix with entries of scale 1."""
        parts = [np.repeat(t.init_scale, t.basis.shape[1]) for t in self.types]
        return np.concatenate([np.zeros(0), *parts])

    def step_scale(self) -> Matrix:
        """The factor of each coefficient by which unit steps move the entries of W that they reach by one (rms)."""
        return np.concatenate([np.zeros(0), *(np.full(t.rank, step_scale(t.basis)) for t in self.types)])

    def row_moments(self, second_moment: Matrix) -> Matrix:
        """E[(W x)_i^2] for coefficients drawn at `init_scale` and E[x x^T] = `second_moment`; shape (n_out,)."""
        moments = np.zeros(self.shape[0])
        for t in self.types:
            for entries, scale in zip(t.entries, t.init_scale, strict=True):
                rows, columns = np.divmod(entries, self.shape[1])
                inputs = columns[rows == rows[0]]
                Q = t.basis.reshape(-1, len(inputs), t.basis.shape[1])
                moment = second_moment[np.ix_(inputs, inputs)]
                moments[np.unique(rows)] += scale**2 * np.einsum("ijr,jk,ikr->i", Q, moment, Q)
        return moments

    def per_coefficient(self, row_values: Matrix) -> Matrix:
        """The mean, for each coefficient, of a value of the rows that it reaches; shape (rank,)."""
        parts = [np.repeat(row_values[t.entries // self.shape[1]].mean(1), t.basis.shape[1]) for t in self.types]
        return np.concatenate([np.zeros(0), *parts])


EquivariantBasis = OrbitBasis | BlockBasis


def step_scale(columns: Matrix) -> float:
    """The factor of orthonormal columns by which unit steps along all of them move entries by one (rms).

    Steps of +-c along r orthonormal columns move a vector by c sqrt(r) in length. Over the n entries that the columns
    reach, the root mean square is one for c = sqrt(n / r).
    """
    reached = int((np.abs(columns) > 1e-9).any(axis=1).sum())
    return float(np.sqrt(reached / columns.shape[1])) if columns.shape[1] else 1.0


@lru_cache(maxsize=256)
def equivariant_basis(rep_in: Representation, rep_out: Representation) -> EquivariantBasis:
    """The basis of all W of shape (rep_out.size, rep_in.size) with W rho_in(g) = rho_out(g) W.

    Raises:
        RepresentationError: if the groups differ, if a generator couples more than 4096 unknowns, or if the singular
            values of the constraints have no clear gap.
    """
    if rep_in.group != rep_out.group:
        raise RepresentationError(
            f"inputs have group {rep_in.group.name} and outputs have group {rep_out.group.name}; an equivariant "
            "map needs one group for both"
        )
    if rep_in.is_signed_permutation and rep_out.is_signed_permutation:
        return orbit_basis(rep_in, rep_out)
    return null_space_basis(rep_in, rep_out)


def orbit_basis(rep_in: Representation, rep_out: Representation) -> OrbitBasis:
    """The basis in closed form; both representations must be signed permutations.

    The orbits of signed entries are the connected components of the graph on (entry, +) and (entry, -) with an edge
    for each generator. An entry is always zero if both of its signs are in one component.
    """
    shape = (rep_out.size, rep_in.size)
    size = rep_out.size * rep_in.size
    entries, edges = np.arange(size), [np.zeros((2, 0), np.int64)]
    for rows, columns in zip(rep_out.images, rep_in.images, strict=True):
        if not (isinstance(rows, SignedPermutation) and isinstance(columns, SignedPermutation)):
            raise RepresentationError("orbit_basis needs signed permutations; use null_space_basis for other matrices")
        image = (rows.perm_array[:, None] * shape[1] + columns.perm_array).ravel()
        flips = (rows.sign_array[:, None] * columns.sign_array).ravel() < 0
        edges.append(np.stack([entries, image + size * flips]))
        edges.append(np.stack([entries + size, image + size * ~flips]))
    start, end = np.concatenate(edges, axis=1)
    graph = sp.coo_matrix((np.ones(len(start), np.int8), (start, end)), shape=(2 * size, 2 * size))
    _, label = csgraph.connected_components(graph, directed=False)
    plus, minus = label[:size], label[size:]
    _, first, inverse, counts = np.unique(
        np.minimum(plus, minus), return_index=True, return_inverse=True, return_counts=True
    )
    # Coefficients are numbered in the order of the first entries of their orbits, which have the sign +.
    order = np.argsort(first)
    kept = (plus != minus)[first[order]]
    number = np.empty(len(order), np.int64)
    number[order] = np.where(kept, np.cumsum(kept) - 1, 0)
    sign = np.where(plus == plus[first[inverse]], 1.0, -1.0)
    coefficient = np.where(plus != minus, sign / np.sqrt(counts[inverse]), 0.0)
    return OrbitBasis(_frozen(number[inverse].reshape(shape)), _frozen(coefficient.reshape(shape)), int(kept.sum()))


def null_space_basis(rep_in: Representation, rep_out: Representation) -> BlockBasis:
    """The basis from null spaces of the constraints, one for each distinct pair of summands."""
    columns, rows = _spans(rep_in), _spans(rep_out)
    blocks: dict[tuple[Representation, Representation], list[NDArray[np.int64]]] = {}
    for atom_out, i in rows:
        for atom_in, j in columns:
            blocks.setdefault((atom_in, atom_out), []).append((i[:, None] * rep_in.size + j).ravel())
    bases = {pair: _atom_basis(*pair) for pair in blocks}
    types = []
    for (atom_in, atom_out), entries in blocks.items():
        Q = bases[atom_in, atom_out]
        if Q.shape[1]:
            reached = sum(a.size for a, _ in columns if bases[a, atom_out].shape[1])
            scale = np.sqrt(len(Q) / Q.shape[1] * rep_in.size / reached)
            types.append(BlockType(Q, _frozen(np.array(entries)), np.full(len(entries), scale)))
    return BlockBasis((rep_out.size, rep_in.size), tuple(types))


@lru_cache(maxsize=4096)
def _atom_basis(rep_in: Representation, rep_out: Representation) -> Matrix:
    if rep_in.is_signed_permutation and rep_out.is_signed_permutation:
        return _frozen(orbit_basis(rep_in, rep_out).dense())
    try:
        return _frozen(invariant_tensors(rep_out.factors + rep_in.T.factors))
    except RepresentationError as error:
        raise RepresentationError(f"maps from {rep_in.name} to {rep_out.name}: {error}") from error


def _spans(rep: Representation) -> list[tuple[Representation, NDArray[np.int64]]]:
    return list(zip(rep.atoms, rep.places, strict=True))


def _frozen(array: NDArray[Number]) -> NDArray[Number]:
    array.setflags(write=False)
    return array
