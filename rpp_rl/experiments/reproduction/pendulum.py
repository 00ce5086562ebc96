"""The double pendulum on springs, its Hamiltonian, its trajectories, and Hamiltonian networks that learn them.

Two bodies of mass 1, the first on a spring (stiffness 1, length 1) from the origin, the second on one from the first,
under gravity 1 along -z. The state is z = (q1, q2, p1, p2), four vectors of R^3. Its Hamiltonian is invariant under
O(2) about z; wind, a constant force in the horizontal plane, breaks that (Finzi, Benton and Wilson 2021, section 5.1;
the system is that of Finzi, Wang and Wilson 2020).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rpp_rl.errors import RunError
from rpp_rl.experiments.reproduction.inertia import Data, Examples
from rpp_rl.layers import merged_once

WIND = (0.08, 0.05, 0.0)
STEP, CHUNK = 0.2, 5
CHUNKS = 500
# Trajectories are this many chunks long, that is, 30 units of time; each gives one, so that chunks are independent.
_LONGEST = 30
# Tolerance of the integrator that makes the data.
_RTOL = 1e-7

Hamiltonian = Callable[[Tensor], Tensor]


def hamiltonian(z: Tensor, wind: bool = False) -> Tensor:
    """H(q, p) = |p|^2 / 2 + (|q1| - 1)^2 / 2 + (|q2 - q1| - 1)^2 / 2 + q1_z + q2_z - F . (q1 + q2), shape (...).

    Args:
        z: states, shape (..., 12).
        wind: whether there is a force F = 0.01 (8, 5, 0) on each body; zero if not.
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

    Under `torch.no_grad` the result has no graph, so that a long trajectory does not keep one.
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
    """States after each of some steps of 0.2, shape (batch, steps, 12), for first states of shape (batch, 12).

    Args:
        energy: H, from (batch, 12) to (batch,).
        start: where to begin.
        steps: how many.
        accurate: an adaptive method of order 5 with small tolerances, for data; Heun's of
            order 3 with one step for each step of the data if not, through which is differentiated.

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


def draw(generator: torch.Generator, wind: bool = False, count: int = CHUNKS) -> Data:
    """Draw chunks of trajectories: inputs are first states, outputs the four states that follow.

    Bodies start near rest below the origin, at (0, 0, -1.5) and (0, 0, -3) + 0.2 n, with momenta 0.4 n, n standard
    normal; of each trajectory one chunk is taken, at a random time.

    Args:
        generator: source of randomness.
        wind: whether there is wind.
        count: chunks for each of training, validation and test.
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

    One number for all positions commutes with every group that acts on vectors. Networks with bilinear layers are
    polynomials of high degree: on positions as they are, up to seven from the origin, many a fresh one makes a flow
    that leaves every bound within the 0.8 of time that it is integrated for.

    Args:
        network: f, from (batch, 12) to (batch, 1).
        states: what to take s_q and s_p from, shape (count, 12).
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
    """Trajectories under a learnt Hamiltonian: from first states (batch, 12) to the next four, (batch, 4, 12).

    Args:
        energy: a network from (batch, 12) to (batch, 1).
    """

    def __init__(self, energy: nn.Module) -> None:
        super().__init__()
        self.energy = energy

    def forward(self, start: Tensor) -> Tensor:
        """The states that follow."""
        with merged_once(self.energy):
            return rollout(lambda z: self.energy(z).squeeze(-1), start, CHUNK - 1)
