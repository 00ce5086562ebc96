"""The Inertia problem: from five masses and positions to their tensor of inertia, about the origin.

Finzi, Welling and Wilson 2021, section 7.1; the modified problem is that of Finzi, Benton and Wilson 2021, section 5.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

BODIES, DIMENSION = 5, 3
SPLIT = 1000
# How strongly the modified problem breaks O(3).
STRENGTH = 0.3


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs and outputs.

    Attributes:
        x: inputs, shape (count, n_in).
        y: outputs, shape (count, n_out), or (count, steps, n_out) for trajectories.
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device) -> Examples:
        """The same on a device."""
        return Examples(self.x.to(device), self.y.to(device))


@dataclass(frozen=True, eq=False)
class Data:
    """Examples for training, for choices between priors, and for the result.

    Attributes:
        train: what is learnt from.
        validation: what hyperparameters may be chosen by.
        test: what results are measured on.
    """

    train: Examples
    validation: Examples
    test: Examples

    def to(self, device: torch.device) -> Data:
        """The same on a device."""
        return Data(*(part.to(device) for part in (self.train, self.validation, self.test)))


def draw(generator: torch.Generator, modified: bool = False, count: int = SPLIT) -> Data:
    """Draw training, validation and test examples.

    Masses are softplus(n) and positions standard normal, with n standard normal. Inputs are (masses, positions), of
    size 5 + 15.

    Args:
        generator: source of randomness.
        modified: whether outputs are those of `modified_inertia`.
        count: examples of each kind.
    """
    x = torch.randn(3 * count, BODIES * (1 + DIMENSION), generator=generator)
    x[:, :BODIES] = functional.softplus(x[:, :BODIES])
    y = modified_inertia(x) if modified else inertia(x)
    train, validation, test = (
        Examples(*part) for part in zip(torch.split(x, count), torch.split(y, count), strict=True)
    )
    return Data(train, validation, test)


def inertia(x: Tensor) -> Tensor:
    """I = sum over i of m_i (|r_i|^2 1 - r_i r_i^T), shape (..., 9); I(R x) = R I R^T for R in O(3)."""
    masses = x[..., :BODIES]
    r = x[..., BODIES:].reshape(*x.shape[:-1], BODIES, DIMENSION)
    squares = torch.einsum("...i,...ia,...ia->...", masses, r, r)
    products = torch.einsum("...i,...ia,...ib->...ab", masses, r, r)
    one = torch.eye(DIMENSION, dtype=x.dtype, device=x.device)
    return (squares[..., None, None] * one - products).flatten(-2)


def modified_inertia(x: Tensor) -> Tensor:
    """I + 0.3 v g^T with g = e_z and v = I g, shape (..., 9): only the O(2) that keeps g is left of O(3).

    So 0.3 of the last column is added to the last column.
    """
    y = inertia(x).reshape(*x.shape[:-1], DIMENSION, DIMENSION)
    factor = torch.ones(DIMENSION, dtype=x.dtype, device=x.device)
    factor[-1] += STRENGTH
    return (y * factor).flatten(-2)
