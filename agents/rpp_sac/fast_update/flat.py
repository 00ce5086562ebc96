"""Tensors of like networks in one vector each, so that one operation serves them all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# Pieces start at multiples of 16 numbers, where vector instructions like them.
_ALIGNMENT = 16


class Flat:
    """Several shapes, `count` tensors of each, in one vector: shape after shape, network after network within each.

    Attributes:
        vector: all of it; the padding between pieces is zero and stays so.
        count: number of networks.

    Args:
        shapes: of the pieces.
        count: number of networks.
        like: whose dtype and device the vector gets.
    """

    def __init__(self, shapes: Sequence[Sequence[int]], count: int, like: Tensor) -> None:
        self.count = count
        self._shapes = [tuple(shape) for shape in shapes]
        self._starts = [0]
        for shape in self._shapes:
            size = count * math.prod(shape)
            self._starts.append(self._starts[-1] + -(-size // _ALIGNMENT) * _ALIGNMENT)
        self.vector = like.new_zeros(self._starts[-1])

    def start(self, piece: int) -> int:
        """Where a piece begins; that of the one after the last is the length of the vector."""
        return self._starts[piece]

    def stacked(self, piece: int) -> Tensor:
        """A piece of all networks, shape (count, *shape)."""
        shape = self._shapes[piece]
        begin = self._starts[piece]
        return self.vector[begin : begin + self.count * math.prod(shape)].view(self.count, *shape)

    def like(self, dtype: torch.dtype | None = None) -> Flat:
        """Another of the same form, of zeros."""
        return Flat(self._shapes, self.count, self.vector.new_zeros((), dtype=dtype or self.vector.dtype))
