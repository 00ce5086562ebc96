"""Modules that assemble the weight of a layer from its parameters, with gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from rpp_rl.bases import BlockBasis, EquivariantBasis, OrbitBasis
from rpp_rl.coordinates import OrthogonalCoordinates
from rpp_rl.groups import Matrix


class Assembly(nn.Module):
    """Constants of an assembly, which follow a change of dtype.

    The buffers are not saved, because the representations determine them. They are derived from float64 at every change
    of dtype: a buffer in float32 cannot become exact again.

    Args:
        shape: (n_out, n_in).
        constants: exact values of the buffers, by name.
    """

    def __init__(self, shape: tuple[int, int], constants: dict[str, Matrix]) -> None:
        super().__init__()
        self.shape = shape
        self._exact = constants
        for name, value in constants.items():
            self.register_buffer(name, _tensor(value).to(torch.get_default_dtype()), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Assembly:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, value in self._exact.items():
            setattr(self, name, _tensor(value).to(self.get_buffer(name)))
        return self


class OrbitAssembly(Assembly):
    """Assemble W = coefficient * beta[orbit] with one gather, whatever the group.

    Args:
        basis: the equivariant basis.
        scale: a factor of each coefficient, shape (rank,).

    Attributes:
        scale: the same; lengths of the orthonormal coordinates of unit coefficients.
    """

    orbit: Tensor
    coefficient: Tensor
    scale: Tensor

    def __init__(self, basis: OrbitBasis, scale: Matrix) -> None:
        coefficient = basis.coefficient * scale[basis.orbit] if basis.rank else basis.coefficient
        # The product of sqrt(n) and 1 / sqrt(n) may differ from one in the last bit.
        nearest = np.rint(coefficient)
        coefficient = np.where(np.abs(coefficient - nearest) < 1e-12, nearest, coefficient)
        super().__init__(basis.shape, {"coefficient": coefficient, "scale": scale})
        self.rank = basis.rank
        self.register_buffer("orbit", torch.from_numpy(basis.orbit.ravel().copy()), persistent=False)

    def forward(self, beta: Tensor) -> Tensor:
        """The weight, shape (n_out, n_in), for coefficients of shape (rank,)."""
        if not self.rank:
            return torch.zeros_like(self.coefficient)
        return self.coefficient * beta.index_select(0, self.orbit).view(self.shape)


class BlockAssembly(Assembly):
    """Assemble W from small dense bases: one matrix product per block type, then one gather.

    Args:
        basis: the equivariant basis.
        scale: a factor of each coefficient, shape (rank,), the same within each type.

    Attributes:
        scale: the same; lengths of the orthonormal coordinates of unit coefficients.
    """

    position: Tensor
    scale: Tensor

    def __init__(self, basis: BlockBasis, scale: Matrix) -> None:
        starts = np.cumsum([0, *(t.rank for t in basis.types)])[:-1]
        scaled = [t.basis * scale[start] for t, start in zip(basis.types, starts, strict=True)]
        bases = {f"basis_{i}": Q for i, Q in enumerate(scaled)}
        super().__init__(basis.shape, {**bases, "scale": scale})
        self.sizes = [t.rank for t in basis.types]
        # Position 0 holds the zero for the entries that no block reaches.
        reached = np.concatenate([np.zeros(0, np.int64), *(t.entries.ravel() for t in basis.types)])
        position = np.zeros(self.shape[0] * self.shape[1], np.int64)
        position[reached] = np.arange(1, len(reached) + 1)
        self.register_buffer("position", torch.from_numpy(position), persistent=False)

    def forward(self, beta: Tensor) -> Tensor:
        """The weight, shape (n_out, n_in), for coefficients of shape (rank,)."""
        values = [beta.new_zeros(1)]
        for i, part in enumerate(torch.split(beta, self.sizes)):
            Q = self.get_buffer(f"basis_{i}")
            values.append((part.view(-1, Q.shape[1]) @ Q.T).flatten())
        return torch.cat(values).index_select(0, self.position).view(self.shape)


class OrthogonalAssembly(Assembly):
    """Assemble W = E beta + R gamma: one matrix product per kind of orbit or block, then one gather.

    Args:
        coordinates: the orthogonal coordinates.

    Attributes:
        coordinates: the same.
        residual_scale: lengths of the columns of R, shape (residual rank,).
    """

    position: Tensor
    sign: Tensor
    residual_scale: Tensor

    def __init__(self, coordinates: OrthogonalCoordinates) -> None:
        blocks = coordinates.blocks
        entries = np.concatenate([np.zeros(0, np.int64), *(b.entries.ravel() for b in blocks)])
        sign, position = np.ones(len(entries)), np.empty(len(entries), np.int64)
        sign[entries] = np.concatenate([np.zeros(0), *(b.signs.ravel() for b in blocks)])
        position[entries] = np.arange(len(entries))
        transforms = {f"transform_{i}": b.transform for i, b in enumerate(blocks)}
        constants = {"sign": sign, "residual_scale": coordinates.residual_scale()}
        super().__init__(coordinates.shape, {**transforms, **constants})
        self.coordinates = coordinates
        self.register_buffer("position", torch.from_numpy(position), persistent=False)
        for i, b in enumerate(blocks):
            coefficients = torch.from_numpy(b.coefficients.copy())
            self.register_buffer(f"coefficients_{i}", coefficients, persistent=False)
        # As plain numbers, which torch.compile reads.
        self._residual_shapes = [b.residual_shape for b in blocks]
        self._sizes = [math.prod(shape) for shape in self._residual_shapes]
        # Entries without an equivariant part are their own coordinates; hidden layers need neither a gather of their
        # coefficients nor signs.
        self._is_free = [b.equiv.shape[1] == 0 for b in blocks]
        self._is_whole = [np.array_equal(b.coefficients, [np.arange(coordinates.rank)]) for b in blocks]
        self._has_signs = bool((sign < 0).any())

    def forward(self, beta: Tensor, gamma: Tensor) -> Tensor:
        """The weight, shape (n_out, n_in), for coordinates of shapes (rank,) and (residual rank,)."""
        values = []
        for i, residual in enumerate(torch.split(gamma, self._sizes)):
            if self._is_free[i]:
                values.append(residual)
                continue
            equivariant = beta[None] if self._is_whole[i] else beta[self.get_buffer(f"coefficients_{i}")]
            both = torch.cat([equivariant, residual.view(self._residual_shapes[i])])
            values.append((self.get_buffer(f"transform_{i}") @ both).flatten())
        entries = torch.cat(values).index_select(0, self.position)
        return (entries * self.sign if self._has_signs else entries).view(self.shape)


def assembly(basis: EquivariantBasis, scaled: bool) -> OrbitAssembly | BlockAssembly:
    """The module that assembles weights from coefficients in a basis.

    Args:
        basis: the basis.
        scaled: whether unit steps of the coefficients move the entries of W by one (rms); otherwise the coefficients
            are those of the orthonormal basis.
    """
    scale = basis.step_scale() if scaled else np.ones(basis.rank)
    return OrbitAssembly(basis, scale) if isinstance(basis, OrbitBasis) else BlockAssembly(basis, scale)


def _tensor(value: Matrix) -> Tensor:
    return torch.from_numpy(np.array(value))
