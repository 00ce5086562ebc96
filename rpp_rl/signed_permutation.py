"""Signed permutations, as which reflections of jointed robots act on coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rpp_rl.errors import RepresentationError


@dataclass(frozen=True)
class SignedPermutation:
    """The linear map (g x)[i] = sign[i] * x[perm[i]].

    Its matrix has one entry of +1 or -1 in each row and column, so it is orthogonal. Products, inverses and Kronecker
    products are signed permutations too, and cost one gather.

    Attributes:
        perm: for each coordinate of the image, the coordinate that it comes from; a permutation of 0..n-1.
        sign: +1 or -1 for each coordinate of the image.

    Raises:
        RepresentationError: if `perm` is not a permutation or `sign` has a value other than +1 and -1.
    """

    perm: tuple[int, ...]
    sign: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "perm", tuple(int(p) for p in self.perm))
        object.__setattr__(self, "sign", tuple(int(s) for s in self.sign))
        if len(self.perm) != len(self.sign):
            raise RepresentationError(
                f"a signed permutation needs as many signs as entries, got {len(self.sign)} and {len(self.perm)}"
            )
        if sorted(self.perm) != list(range(len(self.perm))):
            wrong = next(p for p in range(len(self.perm)) if self.perm.count(p) != 1)
            raise RepresentationError(
                f"perm must name each of 0..{len(self.perm) - 1} exactly once, "
                f"but {wrong} occurs {self.perm.count(wrong)} times"
            )
        for i, s in enumerate(self.sign):
            if s not in (1, -1):
                raise RepresentationError(f"sign must be +1 or -1, but entry {i} is {s}")

    @classmethod
    def identity(cls, size: int) -> SignedPermutation:
        """The identity on `size` coordinates."""
        return cls(tuple(range(size)), (1,) * size)

    @classmethod
    def from_matrix(cls, matrix: NDArray[np.float64]) -> SignedPermutation | None:
        """Convert a matrix to a signed permutation; None if it is not one (to 1e-6)."""
        rounded = np.rint(matrix)
        one_per_line = (np.abs(rounded).sum(0) == 1).all() and (np.abs(rounded).sum(1) == 1).all()
        if not one_per_line or np.abs(matrix - rounded).max(initial=0.0) > 1e-6:
            return None
        perm = np.abs(rounded).argmax(1) if len(matrix) else np.zeros(0, int)
        return cls(tuple(perm.tolist()), tuple(rounded[np.arange(len(perm)), perm].astype(int).tolist()))

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.perm)

    @cached_property
    def perm_array(self) -> NDArray[np.int64]:
        """`perm` as a read-only array."""
        array = np.array(self.perm, dtype=np.int64)
        array.setflags(write=False)
        return array

    @cached_property
    def sign_array(self) -> NDArray[np.float64]:
        """`sign` as a read-only array."""
        array = np.array(self.sign, dtype=np.float64)
        array.setflags(write=False)
        return array

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The orthogonal matrix, shape (n, n)."""
        matrix = np.zeros((self.size, self.size))
        matrix[np.arange(self.size), self.perm_array] = self.sign_array
        return matrix

    @property
    def inverse(self) -> SignedPermutation:
        """The inverse map, which is the transpose."""
        inverse = np.argsort(self.perm_array)
        return SignedPermutation(tuple(inverse.tolist()), tuple(self.sign[i] for i in inverse))

    @property
    def is_unsigned(self) -> bool:
        """Whether all signs are +1."""
        return all(s == 1 for s in self.sign)

    def unsigned(self) -> SignedPermutation:
        """The same permutation with every sign +1."""
        return SignedPermutation(self.perm, (1,) * self.size)

    def __matmul__(self, other: SignedPermutation) -> SignedPermutation:
        """The product, which applies `other` first."""
        if self.size != other.size:
            raise RepresentationError(f"cannot compose maps on {self.size} and on {other.size} coordinates")
        return SignedPermutation(
            tuple(other.perm[p] for p in self.perm),
            tuple(s * other.sign[p] for s, p in zip(self.sign, self.perm, strict=True)),
        )

    def kron(self, other: SignedPermutation) -> SignedPermutation:
        """The Kronecker product, on coordinates (i, j) in row-major order."""
        return SignedPermutation(
            tuple(p * other.size + q for p in self.perm for q in other.perm),
            tuple(s * t for s in self.sign for t in other.sign),
        )


def direct_sum(maps: Sequence[SignedPermutation]) -> SignedPermutation:
    """The block-diagonal map of `maps`, in order."""
    perm: list[int] = []
    sign: list[int] = []
    for block in maps:
        perm.extend(len(sign) + p for p in block.perm)
        sign.extend(block.sign)
    return SignedPermutation(tuple(perm), tuple(sign))
