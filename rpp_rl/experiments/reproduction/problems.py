"""The data of the paper's two supervised problems: tensors of inertia, and trajectories of a double pendulum.

Inertia maps five masses and positions to their tensor of inertia about the origin (Finzi, Welling and Wilson 2021,
section 7.1); the modified problem is that of Finzi, Benton and Wilson 2021, section 5.1.

The double pendulum has two bodies of mass 1, the first on a spring (stiffness 1, length 1) from the origin, the second
on one from the first, under gravity 1 along -z (Finzi, Wang and Wilson 2020). The state is z = (q1, q2, p1, p2), four
vectors of R^3. Its Hamiltonian is invariant under O(2) about z; wind, a constant horizontal force, breaks that (Finzi,
Benton and Wilson 2021, section 5.1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from rpp_rl.errors import RunError
from rpp_rl.layers import merged_once

BODIES, DIMENSION = 5, 3
INERTIA_EXAMPLES = 1000
# How strongly the modified problem breaks O(3).
INERTIA_ASYMMETRY = 0.3

WIND = (0.08, 0.05, 0.0)
STEP, CHUNK = 0.2, 5
PENDULUM_EXAMPLES = 500
# The chunks of a trajectory: 30 units of time.
_LONGEST = 30
# Tolerance of the integrator that makes the data.
_RTOL = 1e-7

Hamiltonian = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs and outputs of examples.

    Attributes:
        x: inputs, shape (count, n_in).
        y: outputs, shape (count, n_out), or (count, steps, n_out) for trajectories.
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device) -> Examples:
        """The same values on a device."""
        return Examples(self.x.to(device), self.y.to(device))


@dataclass(frozen=True, eq=False)
class Data:
    """Examples for training, for choosing hyperparameters, and for the result.

    Attributes:
        train: the examples of gradient steps.
        validation: the examples that hyperparameters are chosen by.
        test: the examples that results are measured on.
    """

    train: Examples
    validation: Examples
    test: Examples

    def to(self, device: torch.device) -> Data:
        """The same values on a device."""
        return Data(*(part.to(device) for part in (self.train, self.validation, self.test)))


def draw_inertia(
    generator: torch.Generator,
    modified: bool = False,
    count: int = INERTIA_EXAMPLES,
    asymmetry: float = INERTIA_ASYMMETRY,
) -> Data:
    """Draw training, validation and test examples of Inertia.

    Masses are softplus(n) and positions standard normal, with n standard normal. Inputs are (masses, positions), of
    size 5 + 15.

    Args:
        generator: the generator of random numbers.
        modified: whether outputs are those of `modified_inertia`.
        count: examples in each of the three sets.
        asymmetry: how strongly they break the symmetry, if they do.
    """
    x = torch.randn(3 * count, BODIES * (1 + DIMENSION), generator=generator)
    x[:, :BODIES] = functional.softplus(x[:, :BODIES])
    y = modified_inertia(x, asymmetry) if modified else inertia(x)
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


def modified_inertia(x: Tensor, asymmetry: float = INERTIA_ASYMMETRY) -> Tensor:
    """I + a v g^T with g = e_z and v = I g, shape (..., 9): the last column times 1 + a, with a = 0.3 as published.

    Of O(3), only the O(2) that keeps g remains a symmetry.
    """
    y = inertia(x).reshape(*x.shape[:-1], DIMENSION, DIMENSION)
    factor = torch.ones(DIMENSION, dtype=x.dtype, device=x.device)
    factor[-1] += asymmetry
    return (y * factor).flatten(-2)


def hamiltonian(z: Tensor, wind: bool = False) -> Tensor:
    """H(q, p) = |p|^2 / 2 + (|q1| - 1)^2 / 2 + (|q2 - q1| - 1)^2 / 2 + q1_z + q2_z - F . (q1 + q2), shape (...).

    Args:
        z: states, shape (..., 12).
        wind: whether a force F = 0.01 (8, 5, 0) acts on each body.
    """
    q1, q2, p = z[..., 0:3], z[..., 3:6], z[..., 6:12]
    kinetic = p.square().sum(-1) / 2
    springs = ((q1.norm(dim=-1) - 1).square() + ((q2 - q1).norm(dim=-1) - 1).square()) / 2
    energy: Tensor = kinetic + springs + q1[..., 2] + q2[..., 2]
    if wind:
        energy = energy - (q1 + q2) @ torch.tensor(WIND, dtype=z.dtype, device=z.device)
    return energy


def flow(energy: Hamiltonian) -> Callable[[Tensor, Tensor], Tensor]:
    """Hamilton's equations, dq/dt = dH/dp and dp/dt = -dH/dq, as a function of (t, z).

    Under `torch.no_grad` the result has no graph.
    """

    def derivative(_: Tensor, z: Tensor) -> Tensor:
        differentiable = torch.is_grad_enabled()
        with torch.enable_grad():
            z = z if differentiable and z.requires_grad else z.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(energy(z).sum(), z, create_graph=differentiable)
        half = z.shape[-1] // 2
        return torch.cat([gradient[..., half:], -gradient[..., :half]], dim=-1)

    return derivative


def rollout(energy: Hamiltonian, start: Tensor, steps: int, accurate: bool = False) -> Tensor:
    """Integrate: the states after each step of 0.2, shape (batch, steps, 12).

    Args:
        energy: H, from (batch, 12) to (batch,).
        start: the first states, shape (batch, 12).
        steps: the number of steps.
        accurate: whether to use an adaptive method of order 5 with small tolerances, as for data; else Heun's method
            of order 3 with one step for each step of 0.2, to differentiate through.

    Raises:
        RunError: if torchdiffeq is not installed.
    """
    try:
        from torchdiffeq import odeint
    except ImportError as error:
        raise RunError("the pendulum needs torchdiffeq: pip install 'rpp-rl[reproduce]'") from error
    times = STEP * torch.arange(steps + 1, dtype=start.dtype, device=start.device)
    options = {"method": "dopri5", "rtol": _RTOL, "atol": _RTOL} if accurate else {"method": "heun3"}
    states: Tensor = odeint(flow(energy), start, times, **options)
    return states[1:].transpose(0, 1)


def draw_pendulum(generator: torch.Generator, wind: bool = False, count: int = PENDULUM_EXAMPLES) -> Data:
    """Draw chunks of trajectories: inputs are first states, outputs the four states that follow.

    Bodies start near rest below the origin, at (0, 0, -1.5) and (0, 0, -3) + 0.2 n, with momenta 0.4 n, n standard
    normal. Each trajectory gives one chunk, at a random time, so that chunks are independent.

    Args:
        generator: the generator of random numbers.
        wind: whether there is wind.
        count: chunks in each of the three sets.
    """
    n = torch.randn(3 * count, 12, generator=generator, dtype=torch.float64)
    scale = torch.tensor([0.2] * 6 + [0.4] * 6, dtype=torch.float64)
    rest = torch.zeros(12, dtype=torch.float64)
    rest[2], rest[5] = -1.5, -3.0
    length = _LONGEST * CHUNK
    with torch.no_grad():
        path = rollout(lambda z: hamiltonian(z, wind), rest + scale * n, length, accurate=True).float()
    first = torch.randint(length - CHUNK + 1, (3 * count,), generator=generator)
    chunks = path[torch.arange(3 * count)[:, None], first[:, None] + torch.arange(CHUNK)]
    parts = (Examples(c[:, 0], c[:, 1:]) for c in torch.split(chunks, count))
    return Data(*parts)


class Rescaled(nn.Module):
    """z -> f(q / s_q, p / s_p) with s_q and s_p the root mean squares of positions and of momenta in some states.

    Without the scales, a fresh network with bilinear layers, a polynomial of high degree, often makes a flow that
    diverges within the 0.8 of time that is integrated. One number for all positions commutes with every group that
    acts on vectors.

    Args:
        network: f, from (batch, 12) to (batch, 1).
        states: the states that s_q and s_p are computed from, shape (count, 12).
    """

    scale: Tensor

    def __init__(self, network: nn.Module, states: Tensor) -> None:
        super().__init__()
        self.network = network
        squares = states.square().reshape(-1, 2, 6).mean(dim=(0, 2))
        self.register_buffer("scale", squares.sqrt().repeat_interleave(6))

    def forward(self, z: Tensor) -> Tensor:
        """Outputs of shape (batch, 1)."""
        y: Tensor = self.network(z / self.scale)
        return y


class HamiltonianNetwork(nn.Module):
    """Predict trajectories by a learned Hamiltonian: from first states (batch, 12) to the next four, (batch, 4, 12).

    Args:
        energy: the network H, from (batch, 12) to (batch, 1).
    """

    def __init__(self, energy: nn.Module) -> None:
        super().__init__()
        self.energy = energy

    def forward(self, start: Tensor) -> Tensor:
        """The next states."""
        with merged_once(self.energy):
            return rollout(lambda z: self.energy(z).squeeze(-1), start, CHUNK - 1)
