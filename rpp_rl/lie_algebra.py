"""Linear algebra of matrix Lie algebras: closures under brackets, coordinates, and logarithms of group elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

# Generators may have single precision.
_INDEPENDENT = 1e-5
_ROUNDING = 1e-10


def bracket(A: Matrix, B: Matrix) -> Matrix:
    """The commutator [A, B] = A B - B A."""
    product: Matrix = A @ B - B @ A
    return product


def closure(
    generators: Sequence[Matrix], conjugators: Sequence[Matrix] = (), largest: int | None = None
) -> tuple[Matrix, ...]:
    """A basis of the smallest space of matrices that contains the generators, their brackets and their conjugates.

    Args:
        generators: matrices of shape (n, n); the independent ones come first in the basis, each scaled to length 1.
        conjugators: invertible matrices h of shape (n, n); the space is closed under A -> h A h^-1.
        largest: stop as soon as the basis has more members than this; the result is then not closed.

    Returns:
        The basis, linearly independent.
    """
    pairs = [(h, np.linalg.inv(h)) for h in conjugators]
    basis: list[Matrix] = []
    frame = np.zeros((0, generators[0].size if len(generators) else 0))
    # Generators may have any scale. Short brackets and conjugates of members of length 1 are rounding errors.
    lengths = [float(np.linalg.norm(A)) for A in generators]
    waiting = [
        np.asarray(A, dtype=np.float64) / length for A, length in zip(generators, lengths, strict=True) if length
    ]
    while waiting and (largest is None or len(basis) <= largest):
        A = waiting.pop(0)
        length = float(np.linalg.norm(A))
        if length < _INDEPENDENT:
            continue
        A = A / length
        rest = A.ravel() - frame.T @ (frame @ A.ravel())
        if np.linalg.norm(rest) < _INDEPENDENT:
            continue
        # Twice is enough: the second pass removes what rounding left in the first.
        rest -= frame.T @ (frame @ rest)
        frame = np.vstack([frame, rest / np.linalg.norm(rest)])
        waiting += [bracket(A, B) for B in basis] + [h @ A @ inverse for h, inverse in pairs]
        basis.append(A)
    return tuple(basis)


def coordinates(basis: Sequence[Matrix], A: Matrix) -> Matrix | None:
    """Coefficients c with A = sum of c_k basis_k; None if A is not in the span (to 1e-5, relative)."""
    if not len(basis):
        return np.zeros(0) if np.abs(A).max(initial=0.0) < _ROUNDING else None
    columns = np.stack([B.ravel() for B in basis], axis=1)
    solution: Matrix = np.linalg.lstsq(columns, A.ravel(), rcond=None)[0].astype(np.float64)
    distance = np.linalg.norm(columns @ solution - A.ravel())
    return solution if distance < _INDEPENDENT * float(np.linalg.norm(A)) + _ROUNDING else None


def combination(coefficients: Matrix, matrices: Sequence[Matrix], size: int) -> Matrix:
    """The sum of c_k M_k, shape (size, size)."""
    total = np.zeros((size, size))
    for c, M in zip(coefficients, matrices, strict=True):
        total += c * M
    return total


def exponential(A: Matrix) -> Matrix:
    """The matrix exponential."""
    result: Matrix = scipy.linalg.expm(A)
    return result


def logarithms(g: Matrix, algebra: Sequence[Matrix]) -> tuple[Matrix, ...] | None:
    """Matrices A_1, ... in a Lie algebra with g = exp(A_1) exp(A_2) ...; None if none are found.

    The function tries the principal logarithm, then the polar decomposition g = exp(K) exp(P) with antisymmetric K and
    symmetric P, which reaches every element of the connected groups in `rpp_rl.named_groups`.
    """
    candidates: list[tuple[Matrix, ...]] = []
    if g.any() and not _has_negative_eigenvalue(g):
        candidates.append((np.real(scipy.linalg.logm(g)),))
    orthogonal, positive = scipy.linalg.polar(g)
    K = _orthogonal_logarithm(orthogonal)
    if K is not None:
        values, vectors = np.linalg.eigh(positive)
        candidates.append((K, (vectors * np.log(values)) @ vectors.T))
    return next((c for c in candidates if all(coordinates(algebra, A) is not None for A in c)), None)


def _has_negative_eigenvalue(g: Matrix) -> bool:
    """Whether a real eigenvalue is not positive; then there is no principal logarithm."""
    values = np.linalg.eigvals(g)
    return bool(((np.abs(values.imag) < 1e-9) & (values.real < 1e-9)).any())


def _orthogonal_logarithm(u: Matrix) -> Matrix | None:
    """The logarithm from the blocks of the real Schur form; half turns are paired in order. None if det u < 0."""
    if np.linalg.det(u) < 0:
        return None
    form, vectors = _real_schur(u)
    n = len(u)
    log = np.zeros((n, n))
    flips: list[int] = []
    i = 0
    while i < n:
        if i + 1 < n and abs(form[i + 1, i]) > 1e-9:
            angle = np.arctan2(form[i + 1, i], form[i, i])
            log[i + 1, i], log[i, i + 1] = angle, -angle
            i += 2
            continue
        if form[i, i] < 0:
            flips.append(i)
        i += 1
    for a, b in zip(flips[::2], flips[1::2], strict=True):
        log[b, a], log[a, b] = np.pi, -np.pi
    result: Matrix = vectors @ log @ vectors.T
    return result


def _real_schur(u: Matrix) -> tuple[Any, Any]:
    form, vectors = scipy.linalg.schur(u, output="real")
    return form, vectors


def diagonal_blocks(a: Matrix, b: Matrix) -> Matrix:
    """The block-diagonal matrix with blocks a and b."""
    n, m = len(a), len(b)
    return np.block([[a, np.zeros((n, m))], [np.zeros((m, n)), b]])
