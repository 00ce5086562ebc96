"""Torch modules that turn the coefficients of an equivariant basis into a weight, differentiably."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from rpp_rl.bases import BlockBasis, EquivariantBasis, OrbitBasis


class OrbitAssembly(nn.Module):
    """W = coefficient * beta[orbit]: one gather, whatever the group."""

    orbit: Tensor
    coefficient: Tensor

    def __init__(self, basis: OrbitBasis) -> None:
        super().__init__()
        self.shape = basis.shape
        self.rank = basis.rank
        # Buffers follow from the representations, so they are not part of what is saved.
        self.register_buffer("orbit", torch.from_numpy(basis.orbit.ravel().copy()), persistent=False)
        # Kept to come back to at a change of dtype, for a float32 copy is not exact in float64.
        self._exact = basis.coefficient
        coefficient = torch.from_numpy(basis.coefficient.copy()).to(torch.get_default_dtype())
        self.register_buffer("coefficient", coefficient, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OrbitAssembly:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.coefficient = torch.from_numpy(self._exact.copy()).to(self.coefficient)
        return self

    def forward(self, beta: Tensor) -> Tensor:
        """The weight, shape (n_out, n_in), for coefficients of shape (rank,)."""
        if not self.rank:
            return torch.zeros_like(self.coefficient)
        return self.coefficient * beta.index_select(0, self.orbit).view(self.shape)


class BlockAssembly(nn.Module):
    """W from small dense bases: one matrix product per block type, then one gather."""

    position: Tensor

    def __init__(self, basis: BlockBasis) -> None:
        super().__init__()
        self.shape = basis.shape
        self.sizes = [t.rank for t in basis.types]
        size = self.shape[0] * self.shape[1]
        # Entries that no block reaches take the zero in front of the values of all blocks.
        reached = np.concatenate([np.zeros(0, np.int64), *(t.entries.ravel() for t in basis.types)])
        position = np.zeros(size, np.int64)
        position[reached] = np.arange(1, len(reached) + 1)
        self.register_buffer("position", torch.from_numpy(position), persistent=False)
        self._exact = [t.basis for t in basis.types]
        for i, t in enumerate(basis.types):
            Q = torch.from_numpy(t.basis.copy()).to(torch.get_default_dtype())
            self.register_buffer(f"basis_{i}", Q, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> BlockAssembly:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for i, Q in enumerate(self._exact):
            setattr(self, f"basis_{i}", torch.from_numpy(Q.copy()).to(self.get_buffer(f"basis_{i}")))
        return self

    def forward(self, beta: Tensor) -> Tensor:
        """The weight, shape (n_out, n_in), for coefficients of shape (rank,)."""
        values = [beta.new_zeros(1)]
        for i, part in enumerate(torch.split(beta, self.sizes)):
            Q = self.get_buffer(f"basis_{i}")
            values.append((part.view(-1, Q.shape[1]) @ Q.T).flatten())
        return torch.cat(values).index_select(0, self.position).view(self.shape)


def assembly(basis: EquivariantBasis) -> OrbitAssembly | BlockAssembly:
    """The module for a basis."""
    return OrbitAssembly(basis) if isinstance(basis, OrbitBasis) else BlockAssembly(basis)
