"""Null spaces of sparse constraints, one constraint after the other.

A sparse orthonormal basis N spans the null space of all constraints so far. The next constraint C couples only some
columns of C N. The connected components are solved one by one, so a diagonal constraint costs nothing and that of a
rotation in a plane costs little. No dense matrix is larger than a component.

Each singular value must be zero or clearly not zero; a value in between is an error. On the null space of the earlier
constraints, the singular values of C are at least those of all constraints stacked, so the sequential decision is at
least as clear.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse import csgraph

from rpp_rl.errors import RepresentationError
from rpp_rl.groups import Matrix

# Zero shows as 1e-16 for exact generators and as 1e-7 for those in single precision; a true constraint is of order one.
ZERO, NONZERO = 1e-5, 1e-3
MAX_COMPONENT = 4096
_NEGLIGIBLE = 1e-14


def null_space(constraints: Iterable[Any], size: int, what: str) -> Matrix:
    """An orthonormal basis, shape (size, rank), of the vectors w with C w = 0 for every constraint C.

    Args:
        constraints: sparse matrices of shape (any, size), of norm about one; the cheapest first.
        size: number of unknowns.
        what: a name of the unknowns for messages.

    Raises:
        RepresentationError: if a singular value is neither zero nor clearly nonzero, or if a component has more than
            4096 unknowns.
    """
    N = sp.identity(size, format="csc")
    for C in constraints:
        if not N.shape[1]:
            break
        N = _pruned(N @ _kept(_pruned(C @ N), what))
    basis: Matrix = N.toarray()
    return basis


def canonical(N: Matrix) -> Matrix:
    """A basis of the same space that depends on the space alone, not on the algorithm that found N.

    Gram-Schmidt on the columns of the projector N N^T takes the column with the largest remaining norm first, and the
    first of several equal ones. So the coefficients of a saved network have the same meaning on every machine.
    """
    rank = N.shape[1]
    rest, Q = N.copy(), np.zeros(N.shape)
    for k in range(rank):
        norms = np.einsum("ij,ij->i", rest, rest)
        pivot = int(np.argmax(norms > norms.max() * (1 - 1e-6)))
        direction = rest[pivot] / np.sqrt(norms[pivot])
        Q[:, k] = N @ direction
        rest -= np.outer(rest @ direction, direction)
    Q[np.abs(Q) < _NEGLIGIBLE] = 0.0
    return Q


def _kept(M: Any, what: str) -> Any:
    """A sparse orthonormal basis of the null space of M, computed for each component of coupled columns."""
    _, coupled = csgraph.connected_components(sp.bmat([[None, M], [M.T, None]]), directed=False)
    largest = int(np.bincount(coupled[M.shape[0] :]).max(initial=0))
    if largest > MAX_COMPONENT:
        raise RepresentationError(
            f"{what} couple {largest} unknowns, more than the {MAX_COMPONENT} for which a null space is computed; "
            "write the representations as direct sums of smaller ones"
        )
    M, gram = M.tocsr(), _pruned(M.T @ M)
    count, label = csgraph.connected_components(gram, directed=False)
    order = np.argsort(label, kind="stable")
    ends = np.cumsum(np.bincount(label, minlength=count))
    lengths = np.diff(ends, prepend=0)
    diagonal = np.sqrt(np.maximum(gram.diagonal(), 0.0))
    single = order[(ends - 1)[lengths == 1]]
    _check_gap(diagonal[single], what)
    free = single[diagonal[single] < ZERO]
    rows, cols, values = [free], [np.arange(len(free))], [np.ones(len(free))]
    found = len(free)
    # Sorted by component, the Gram matrix is block diagonal.
    blocks = gram.tocsr()[order][:, order]
    known: dict[bytes, Matrix] = {}
    for start, end in zip((ends - lengths)[lengths > 1].tolist(), ends[lengths > 1].tolist(), strict=True):
        members = order[start:end]
        block = _dense_block(blocks, start, end)
        # Components repeat, for example for each value of an index that the constraint does not act on.
        key = (block.round(12) + 0.0).tobytes()
        if key not in known:
            known[key] = _dense_null_space(block, M[:, members], what)
        i, j = np.nonzero(known[key])
        rows.append(members[i])
        cols.append(found + j)
        values.append(known[key][i, j])
        found += known[key].shape[1]
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(cols))
    return sp.csc_matrix(entries, shape=(M.shape[1], found))


def _dense_block(blocks: Any, start: int, end: int) -> Matrix:
    """The square block from `start` to `end` of a block-diagonal sparse matrix in row format."""
    first, last = blocks.indptr[start], blocks.indptr[end]
    block = np.zeros((end - start, end - start))
    row = np.repeat(np.arange(end - start), np.diff(blocks.indptr[start : end + 1]))
    block[row, blocks.indices[first:last] - start] = blocks.data[first:last]
    return block


def _dense_null_space(gram: Matrix, M: Any, what: str) -> Matrix:
    """The null space from eigenvectors of M^T M; a correction with M restores the digits that squaring loses."""
    values, vectors = np.linalg.eigh(gram)
    singular = np.sqrt(np.maximum(values, 0.0))
    _check_gap(singular, what)
    null, rest = vectors[:, singular < ZERO], vectors[:, singular >= NONZERO]
    null = null - rest @ ((rest.T @ (M.T @ (M @ null))) / values[singular >= NONZERO, None])
    orthonormal, _ = np.linalg.qr(null) if null.shape[1] else (null, None)
    return np.where(np.abs(orthonormal) < _NEGLIGIBLE, 0.0, orthonormal)


def _check_gap(singular: NDArray[np.float64], what: str) -> None:
    unclear = singular[~((singular < ZERO) | (singular >= NONZERO))]
    if len(unclear):
        raise RepresentationError(
            f"{what} cannot be determined: a singular value of {unclear[0]:.1e} is neither zero nor clearly nonzero; "
            "give the generators to more digits"
        )


def _pruned(M: Any) -> Any:
    M = M.tocsc()
    M.data[np.abs(M.data) < _NEGLIGIBLE] = 0.0
    M.eliminate_zeros()
    return M
