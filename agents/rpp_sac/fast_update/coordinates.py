"""Assemble weights from orthogonal coordinates, W = E beta + R gamma, and compute the coordinates' gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rpp_rl.assemblies import OrthogonalAssembly

# Smaller weights are assembled together with others, since a call costs more than their entries.
_LARGE = 4096


class Combination:
    """A sparse linear map whose rows have few entries: target[i] = sum over t of factor[t, i] * source[index[t, i]].

    Args:
        rows: row of each entry of the map.
        columns: column of each entry.
        values: values of the entries.
        source: what the map is applied to, 1-D.
        target: receives the result, 1-D.
    """

    def __init__(self, rows: Tensor, columns: Tensor, values: Tensor, source: Tensor, target: Tensor) -> None:
        order = torch.argsort(rows, stable=True)
        rows, columns, values = rows[order], columns[order], values[order]
        counts = torch.bincount(rows, minlength=len(target))
        place = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
        terms = max(1, int(counts.max())) if len(counts) else 1
        # Half as wide as usual, since it is read from memory at every step.
        index = torch.zeros((terms, len(target)), dtype=torch.int32, device=rows.device)
        self._factors = torch.zeros(index.shape, dtype=source.dtype, device=rows.device)
        index[place, rows], self._factors[place, rows] = columns.int(), values.to(source.dtype)
        self._index, self._source, self._target = index.flatten(), source, target
        self._picked = torch.zeros_like(self._factors)
        self._picked_flat = self._picked.view(-1)

    def apply(self) -> None:
        """Write the result into the target."""
        torch.index_select(self._source, 0, self._index, out=self._picked_flat)
        torch.sum(self._picked.mul_(self._factors), dim=0, out=self._target)


class EntryCoordinates:
    """Weights that are assembled entry by entry.

    Args:
        rows: number of the weight, for each entry of the map from coordinates to weights that is not zero.
        columns: number of the coordinate.
        factors: values of the entries.
        values: the coordinates, 1-D.
        gradient: receives their gradient.
        weights: receives the weights, 1-D.
        weight_gradient: gradient of the weights.
    """

    def __init__(
        self,
        rows: Tensor,
        columns: Tensor,
        factors: Tensor,
        values: Tensor,
        gradient: Tensor,
        weights: Tensor,
        weight_gradient: Tensor,
    ) -> None:
        self._forward = Combination(rows, columns, factors, values, weights)
        self._backward = Combination(columns, rows, factors, weight_gradient, gradient)

    def assemble(self) -> None:
        """Write the weights."""
        self._forward.apply()

    def differentiate(self) -> None:
        """Compute the gradients of the coordinates from those of the weights."""
        self._backward.apply()


class RowCoordinates:
    """Weights whose orbits have one length m and lie in runs of entries side by side, as between hidden layers.

    Args:
        assembly: that of one network's weight.
        run: number of entries that move together, see `run_length`.
        coordinates: equivariant ones, shape (networks, rank), and residual ones, shape (networks, (m - 1) * rank).
        slopes: receive their gradients.
        weights: a tensor that receives the weights, shape (networks, n_out, n_in), and their gradient.
    """

    def __init__(
        self,
        assembly: OrthogonalAssembly,
        run: int,
        coordinates: tuple[Tensor, Tensor],
        slopes: tuple[Tensor, Tensor],
        weights: tuple[Tensor, Tensor],
    ) -> None:
        (block,) = assembly.coordinates.blocks
        (beta, gamma), (beta_gradient, gamma_gradient), (weight, gradient) = coordinates, slopes, weights
        count, rank = beta.shape
        m = block.entries.shape[0]
        # Run by run: the place in W of each run of each element of an orbit.
        places = torch.from_numpy(block.entries[:, ::run].copy()) // run
        views = _pair_views(places, run, (beta, gamma, weight)) if m == 2 else None
        slope_views = _pair_views(places, run, (beta_gradient, gamma_gradient, gradient)) if m == 2 else None
        self._pairs, self._slope_pairs = views, slope_views
        networks, size = torch.arange(count)[:, None], m * rank // run
        runs = torch.empty(1, size, dtype=torch.int64)
        runs[0, places.flatten()] = torch.arange(size)
        self._runs = (networks * size + runs).flatten().to(beta.device)
        self._places = (networks * size + places.flatten()).flatten().to(beta.device)
        self._beta, self._gamma = beta.view(count, 1, rank), gamma.view(count, m - 1, rank)
        self._beta_gradient, self._gamma_gradient = beta_gradient, gamma_gradient.view(count, m - 1, rank)
        self._weight, self._gradient = weight.view(-1, run), gradient.view(-1, run)
        self._firsts = weight.view(count, 1, -1)[..., :rank]
        self._combined = beta.new_zeros(0 if views else count, m, rank)
        self._combined_rows = self._combined.view(-1, run)
        self._residual = torch.from_numpy(block.residual.copy()).to(beta)

    def assemble(self) -> None:
        """Write the weights."""
        if self._pairs is not None:
            # The first entries of all orbits lie side by side in the order of the coordinates.
            torch.add(self._beta, self._gamma, out=self._firsts)
            for s, r, _, image in self._pairs:
                torch.sub(s, r, out=image)
            return
        torch.matmul(self._residual, self._gamma, out=self._combined).add_(self._beta)
        torch.index_select(self._combined_rows, 0, self._runs, out=self._weight)

    def differentiate(self) -> None:
        """Compute the gradients of the coordinates from those of the weights."""
        if self._slope_pairs is not None:
            for s, r, first, image in self._slope_pairs:
                torch.add(first, image, out=s)
                torch.sub(first, image, out=r)
            return
        torch.index_select(self._gradient, 0, self._places, out=self._combined_rows)
        torch.sum(self._combined, dim=1, out=self._beta_gradient)
        torch.matmul(self._residual.t(), self._combined, out=self._gamma_gradient)


def _pair_views(
    places: Tensor, run: int, tensors: tuple[Tensor, Tensor, Tensor]
) -> list[tuple[Tensor, Tensor, Tensor, Tensor]] | None:
    """Views of s, r, their first entries and the images of these; None where the images are not in regular places.

    The runs of a row move together with those of all other rows, in as many views as there are runs in a row.

    Args:
        places: places of the runs of both elements of an orbit, shape (2, runs).
        run: entries of a run.
        tensors: s and r, shape (networks, rank), and weights, shape (networks, n_out, n_in).
    """
    s, r, weight = tensors
    columns = weight.shape[2] // run
    rows, left = divmod(places.shape[1], columns)
    if left:
        return None
    blocks = weight.view(len(weight), -1, columns, run)
    s, r = (x.view(len(x), rows, columns, run) for x in (s, r))
    views = []
    for j in range(columns):
        parts = []
        for own in places[:, j::columns]:
            row, column = divmod(int(own[0]), columns)
            if not torch.equal(own, own[0] + columns * torch.arange(rows)):
                return None
            parts.append(blocks[:, row : row + rows, column])
        views.append((s[:, :, j], r[:, :, j], parts[0], parts[1]))
    return views


def has_rows(assembly: OrthogonalAssembly, run: int) -> bool:
    """Whether `RowCoordinates` serves a weight whose entries move in runs: one kind of orbit, all with sign +."""
    blocks = assembly.coordinates.blocks
    if run == 1 or assembly.sign.numel() < _LARGE or len(blocks) != 1 or not bool((blocks[0].signs > 0).all()):
        return False
    entries, parts = blocks[0].entries, blocks[0].coefficients
    in_order = parts.shape[0] == 1 and bool((parts[0] == range(parts.shape[1])).all())
    within = entries.reshape(len(entries), -1, run) - entries[:, ::run, None]
    first = bool((entries[0] == range(entries.shape[1])).all())
    return in_order and first and bool((within == range(run)).all())


def sparse_entries(
    assemblies: Sequence[OrthogonalAssembly], betas: Sequence[int], gammas: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """The maps from coordinates to weights one below the other, as rows, columns and values of their entries.

    Args:
        assemblies: of the weights.
        betas: where the equivariant coordinates of each begin.
        gammas: where the residual coordinates of each begin.
    """
    rows, columns, values, first = [], [], [], 0
    for assembly, beta, start in zip(assemblies, betas, gammas, strict=True):
        gamma = start
        for block in assembly.coordinates.blocks:
            (m, parts), (residuals, _) = block.entries.shape, block.residual_shape
            own = gamma + torch.arange(residuals * parts).view(residuals, parts)
            coordinates = torch.cat([beta + torch.from_numpy(block.coefficients.copy()), own])
            transform = torch.from_numpy(block.transform)[:, :, None] * torch.from_numpy(block.signs.copy())[:, None]
            entries = first + torch.from_numpy(block.entries.copy())
            rows.append(entries[:, None].expand(m, m, parts).flatten())
            columns.append(coordinates[None].expand(m, m, parts).flatten())
            values.append(transform.flatten())
            gamma += residuals * parts
        first += assembly.shape[0] * assembly.shape[1]
    used = torch.cat(values) != 0
    return torch.cat(rows)[used], torch.cat(columns)[used], torch.cat(values)[used]
