"""Linear maps: `SignedPermutation` if possible, otherwise matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from rpp_rl.errors import RepresentationError
from rpp_rl.groups import Matrix, read_only
from rpp_rl.signed_permutation import SignedPermutation

Map = SignedPermutation | Matrix
Array = TypeVar("Array", NDArray[np.float64], torch.Tensor)


def map_size(image: Map) -> int:
    """Number of coordinates that a map acts on."""
    return image.size if isinstance(image, SignedPermutation) else len(image)


def as_matrix(image: Map) -> Matrix:
    """The matrix of a map."""
    return image.matrix if isinstance(image, SignedPermutation) else image


def apply_map(image: Map, x: Array) -> Array:
    """Apply a map to the last axis of a numpy array or a torch tensor, in the dtype of `x`."""
    if isinstance(x, torch.Tensor):
        if isinstance(image, SignedPermutation):
            perm = torch.from_numpy(image.perm_array.copy()).to(x.device)
            return x[..., perm] * torch.from_numpy(image.sign_array.copy()).to(x)
        return x @ torch.from_numpy(image.copy()).to(x).T
    if isinstance(image, SignedPermutation):
        return (x[..., image.perm_array] * image.sign_array).astype(x.dtype)
    return (x @ image.T).astype(x.dtype)


def as_map(image: Map | ArrayLike) -> Map:
    """Convert a matrix to a `SignedPermutation` if it is one, otherwise to a read-only matrix.

    Raises:
        RepresentationError: if the matrix is not square.
    """
    if isinstance(image, SignedPermutation):
        return image
    matrix = read_only(image)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise RepresentationError(f"the image of a generator must be a square matrix, got shape {matrix.shape}")
    return SignedPermutation.from_matrix(matrix) or matrix


def compose(first: Map, second: Map) -> Map:
    """The product `first` times `second`, which applies `second` first."""
    if isinstance(first, SignedPermutation) and isinstance(second, SignedPermutation):
        return first @ second
    product: Matrix = as_matrix(first) @ as_matrix(second)
    return product


def kron(a: Map, b: Map) -> Map:
    """The Kronecker product, on coordinates (i, j) in row-major order."""
    if isinstance(a, SignedPermutation) and isinstance(b, SignedPermutation):
        return a.kron(b)
    product: Matrix = np.kron(as_matrix(a), as_matrix(b)).astype(np.float64)
    return product


def placed(maps: Sequence[Map], places: Sequence[NDArray[np.int64]]) -> Map:
    """The block-diagonal map with each of `maps` acting on the coordinates given by its place."""
    size = sum(map(map_size, maps))
    signed = [m for m in maps if isinstance(m, SignedPermutation)]
    if len(signed) == len(maps):
        perm, sign = np.zeros(size, np.int64), np.zeros(size, np.int64)
        for block, place in zip(signed, places, strict=True):
            perm[place], sign[place] = place[block.perm_array], block.sign_array
        return SignedPermutation(tuple(perm.tolist()), tuple(sign.tolist()))
    total = np.zeros((size, size))
    for m, place in zip(maps, places, strict=True):
        total[np.ix_(place, place)] = as_matrix(m)
    return total
