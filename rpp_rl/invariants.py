"""Invariant tensors: the w in a tensor product of representations with rho(g) w = w for every g.

An equivariant map from A to B is an invariant tensor of B * A.T; for example, a map from T(2) to T(1) is a tensor in
T(3). So the tensors of one set of factors are computed once, whichever factors belong to the input and the output.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache, reduce
from typing import Any

import numpy as np
import scipy.sparse as sp

from rpp_rl.groups import Group, Matrix
from rpp_rl.lie_algebra import bracket
from rpp_rl.null_space import canonical, null_space
from rpp_rl.representations import Representation, as_matrix
from rpp_rl.signed_permutation import SignedPermutation

Factors = tuple[Representation, ...]


def invariant_tensors(factors: Factors) -> Matrix:
    """An orthonormal basis of the invariant tensors of a product of representations of one group.

    Args:
        factors: the factors, none of them a direct sum.

    Returns:
        Shape (product of the sizes, rank); tensors are flattened with the first factor the slowest. The basis depends
        on the space alone, so it is the same in every process.

    Raises:
        RepresentationError: if a null space is too large or has no clear gap; see `rpp_rl.null_space`.
    """
    factors = tuple(f for f in factors if not f.is_scalar) or factors[:1]
    order = sorted(range(len(factors)), key=lambda i: _sort_key(factors[i]))
    N = _solved(tuple(factors[i] for i in order))
    tensors = N.reshape(*(factors[i].size for i in order), N.shape[1])
    axes = [order.index(i) for i in range(len(factors))]
    return canonical(tensors.transpose(*axes, len(factors)).reshape(N.shape))


@lru_cache(maxsize=1024)
def _solved(factors: Factors) -> Matrix:
    size = int(np.prod([f.size for f in factors]))
    N = null_space(_constraints(factors), size, f"the invariant tensors of {' * '.join(f.name for f in factors)}")
    N.setflags(write=False)
    return N


def _sort_key(factor: Representation) -> tuple[int, bytes]:
    return factor.size, digest(factor)


@lru_cache(maxsize=1024)
def digest(factor: Representation) -> bytes:
    """A hash of the content of a representation that is the same in every process."""
    return hashlib.sha256(repr(factor.content).encode()).digest()


def _constraints(factors: Factors) -> Iterator[Any]:
    """Sparse constraints of each generator, the cheapest first: signed permutations, Lie algebra, other matrices."""
    group = factors[0].group
    dense = []
    for k in range(len(group.generators)):
        images = [f.images[k] for f in factors]
        if all(isinstance(m, SignedPermutation) for m in images):
            matrix = _kron([sp.csr_matrix(as_matrix(m)) for m in images])
            yield matrix - sp.identity(matrix.shape[0], format="csr")
        else:
            dense.append([as_matrix(m) for m in images])
    for k in _commuting_first(group):
        # Scaled to norm one, so that the scale of a generator does not matter.
        scale = float(np.linalg.norm(group.lie_generators[k], 2))
        yield _derivation([f.lie_images[k] / scale for f in factors])
    for matrices in dense:
        yield _balanced(matrices)


def _kron(matrices: Sequence[Any]) -> Any:
    return reduce(lambda a, b: sp.kron(a, b, format="csr"), matrices, sp.identity(1, format="csr"))


def _derivation(matrices: Sequence[Matrix]) -> Any:
    """The sum over factors of 1 * ... A ... * 1."""
    sizes = [len(A) for A in matrices]
    total = sp.csr_matrix((int(np.prod(sizes)),) * 2)
    for k, A in enumerate(matrices):
        before, after = int(np.prod(sizes[:k])), int(np.prod(sizes[k + 1 :]))
        term = sp.kron(sp.identity(before), sp.csr_matrix(A), format="csr")
        total = total + sp.kron(term, sp.identity(after), format="csr")
    return total


def _balanced(matrices: Sequence[Matrix]) -> Any:
    """L * 1 - 1 * R^-1 for two halves L and R: the same null space as L * R - 1, with far fewer entries."""
    half = len(matrices) // 2
    left = _kron([sp.csr_matrix(M) for M in matrices[:half]])
    right = _kron([sp.csr_matrix(np.linalg.inv(M)) for M in matrices[half:]])
    one_left, one_right = sp.identity(left.shape[0]), sp.identity(right.shape[0])
    return sp.kron(left, one_right, format="csr") - sp.kron(one_left, right, format="csr")


def _commuting_first(group: Group) -> list[int]:
    """Indices of the Lie generators: from the sparsest on those that commute with all before, then the others.

    Commuting constraints leave only the few tensors of weight zero under a torus, before other constraints couple them.
    """
    algebra = group.lie_generators
    off_diagonal = [int(np.count_nonzero(A - np.diag(np.diag(A)))) for A in algebra]
    waiting = sorted(range(len(algebra)), key=off_diagonal.__getitem__)
    chosen: list[int] = []
    for k in waiting:
        if all(np.abs(bracket(algebra[k], algebra[c])).max() < 1e-9 for c in chosen):
            chosen.append(k)
    return chosen + [k for k in waiting if k not in chosen]
