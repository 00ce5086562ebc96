"""Assemble equivariant weights from their coefficients, and compute the coefficients' gradient, by gathers.

W = coefficient * beta[orbit], entry by entry. So the gradient of beta_r is a sum over the entries of orbit r. Where
whole rows of entries move together, as between hidden layers, rows are gathered instead of entries.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rpp_rl.assemblies import OrbitAssembly


class EntryPathway:
    """Weights that are gathered entry by entry.

    Args:
        orbit: for each entry the index of its coefficient; any index where the entry is always zero.
        coefficient: the factor of each entry; zero where the entry is always zero.
        beta: the coefficients, 1-D.
        beta_gradient: receives their gradient.
        gradient: gradient of the entries.
    """

    def __init__(
        self, orbit: Tensor, coefficient: Tensor, beta: Tensor, beta_gradient: Tensor, gradient: Tensor
    ) -> None:
        self._orbit, self._coefficient = orbit, coefficient
        self._beta, self._beta_gradient, self._gradient = beta, beta_gradient, gradient
        self._gathered = torch.zeros_like(coefficient)
        members, self._weights = _members(orbit, coefficient, len(beta))
        self._members = members.flatten()
        self._picked = torch.zeros_like(self._weights)
        self._picked_flat = self._picked.view(-1)

    def assemble(self, out: Tensor) -> None:
        """Write the entries into `out`."""
        torch.index_select(self._beta, 0, self._orbit, out=self._gathered)
        torch.mul(self._coefficient, self._gathered, out=out)

    def differentiate(self) -> None:
        """Compute the gradient of the coefficients from that of the entries."""
        torch.index_select(self._gradient, 0, self._members, out=self._picked_flat)
        torch.sum(self._picked.mul_(self._weights), dim=0, out=self._beta_gradient)


class RowPathway:
    """Weights that are gathered in runs of entries, all with one factor; the first runs are the coefficients in order.

    Args:
        assembly: the assembly of one network's weight.
        run: number of entries that move together, see `run_length`.
        beta: the coefficients, shape (networks, rank).
        beta_gradient: receives their gradient.
        gradient: gradient of the weights, shape (networks, n_out, n_in).
    """

    def __init__(
        self, assembly: OrbitAssembly, run: int, beta: Tensor, beta_gradient: Tensor, gradient: Tensor
    ) -> None:
        count, rank = beta.shape
        networks = torch.arange(count, device=beta.device)[:, None]
        firsts = assembly.orbit.view(-1, run)[:, 0] // run
        self._run, self._rows = run, (networks * (rank // run) + firsts).flatten()
        self._factor = float(assembly.coefficient.flatten()[0])
        self._beta, self._beta_gradient = beta, beta_gradient
        self._scaled = torch.zeros_like(beta)
        self._scaled_rows = self._scaled.view(-1, run)
        # Each element of the group uses every run of coefficients once, the identity in order.
        of_elements = torch.argsort(firsts, stable=True).view(rank // run, -1).t()
        self._identity, self._gradient = gradient.view(count, -1)[:, :rank], gradient.view(-1, run)
        self._others = [(networks * len(firsts) + rows).flatten() for rows in of_elements[1:]]

    def assemble(self, out: Tensor) -> None:
        """Write the weights into `out`."""
        torch.mul(self._beta, self._factor, out=self._scaled)
        torch.index_select(self._scaled_rows, 0, self._rows, out=out.view(-1, self._run))

    def differentiate(self) -> None:
        """Compute the gradient of the coefficients from that of the weights."""
        total = self._identity
        for rows in self._others:
            torch.index_select(self._gradient, 0, rows, out=self._scaled_rows)
            total = torch.add(total, self._scaled, out=self._beta_gradient)
        torch.mul(total, self._factor, out=self._beta_gradient)


def run_length(assembly: OrbitAssembly) -> int:
    """Count the entries of a weight that always move together, side by side and in order; 1 if they move one by one."""
    orbit, coefficient, rank = assembly.orbit, assembly.coefficient.flatten(), assembly.rank
    if not rank or bool((coefficient != coefficient[0]).any()):
        return 1
    equally_often = bool((torch.bincount(orbit) == orbit.numel() // rank).all())
    if not (equally_often and bool((orbit[:rank] == torch.arange(rank, device=orbit.device)).all())):
        return 1
    for run in _divisors(assembly.shape[1]):
        runs = orbit.view(-1, run)
        if rank % run == 0 and bool((runs[:, :1] % run == 0).all()):
            within = runs - runs[:, :1]
            if bool((within == torch.arange(run, device=orbit.device)).all()):
                return run
    return 1


def entry_indices(assemblies: Sequence[OrbitAssembly], starts: Sequence[int], like: Tensor) -> tuple[Tensor, Tensor]:
    """Concatenate the orbits and coefficients of weights whose coefficients begin at `starts`."""
    orbits, coefficients = [], []
    for assembly, start in zip(assemblies, starts, strict=True):
        coefficient = assembly.coefficient.flatten().to(like)
        orbits.append(torch.where(coefficient != 0, assembly.orbit + start, 0))
        coefficients.append(coefficient)
    return torch.cat(orbits), torch.cat(coefficients)


def _members(orbit: Tensor, coefficient: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return the entries of each orbit and their coefficients, shape (largest orbit, rank), padded with zeros."""
    used = torch.nonzero(coefficient).flatten()
    order = used[torch.argsort(orbit[used], stable=True)]
    counts = torch.bincount(orbit[used], minlength=rank)
    place = torch.arange(len(order), device=orbit.device) - (counts.cumsum(0) - counts)[orbit[order]]
    members = torch.zeros((max(1, int(counts.max())), rank), dtype=torch.int64, device=orbit.device)
    weights = torch.zeros(members.shape, dtype=coefficient.dtype, device=orbit.device)
    members[place, orbit[order]] = order
    weights[place, orbit[order]] = coefficient[order]
    return members, weights


def _divisors(n: int) -> list[int]:
    """Return the divisors of n that are long enough for rows, the greatest first."""
    return [d for d in range(n, 7, -1) if n % d == 0]
