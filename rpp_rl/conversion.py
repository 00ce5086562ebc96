"""Convert perceptrons between kinds of layers, and sort the hidden units of a plain one by the symmetry."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rpp_rl.errors import NetworkError
from rpp_rl.groups import Matrix
from rpp_rl.layers import EquivariantLinear
from rpp_rl.networks import MLP, Shift, network_class
from rpp_rl.orthogonal_layers import OrthogonalLinear
from rpp_rl.representations import Representation

# Weight and bias of a plain layer.
Layer = tuple[Tensor, Tensor]


def converted(network: MLP, kind: str, **options: Any) -> MLP:
    """Make a network of another kind or parametrization with the same merged weights.

    Args:
        network: the network.
        kind: ``"rpp"``, ``"equivariant"`` or ``"plain"``.
        **options: `parametrization`, `steps` and `residual_init_scale` of the new network.

    Raises:
        NetworkError: if an equivariant network is asked for, and the weights are not equivariant.
    """
    layers = [m for m in network if hasattr(m, "in_features")]
    activations = [type(m) for m in network if not hasattr(m, "in_features") and not isinstance(m, Shift)]
    center = next((m.center.tolist() for m in network if isinstance(m, Shift)), ())
    ends = len(layers) > len(activations)
    widths = [m.out_features for m in (layers[:-1] if ends else layers)]
    cls, activation = network_class(kind), activations[0] if activations else nn.ReLU
    rep_out = network.rep_out if ends else None
    made = cls(network.rep_in, rep_out, widths, activation, center=center, **options)  # type: ignore[arg-type]
    made.to(next(network.parameters()))
    targets = [m for m in made if hasattr(m, "in_features")]
    for i, (source, target) in enumerate(zip(layers, targets, strict=True)):
        weight, bias = merged_of(source)
        take(target, weight, bias)
        if kind == "equivariant":
            _need_equivariant(i, target, weight, bias)
    return made.train(network.training)


@torch.no_grad()
def merged_of(layer: nn.Module) -> tuple[Tensor, Tensor | None]:
    """The merged weight and bias of a linear layer of any kind."""
    return layer.merged() if isinstance(layer, EquivariantLinear) else (layer.weight, layer.bias)  # type: ignore[return-value]


@torch.no_grad()
def take(layer: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
    """Give a linear layer of any kind this merged weight and bias, or the nearest ones that it can have."""
    if isinstance(layer, EquivariantLinear):
        layer.take(weight, bias)
        return
    layer.weight.copy_(weight)  # type: ignore[operator]
    layer.bias.copy_(0.0 if bias is None else bias)  # type: ignore[operator, arg-type]


@torch.no_grad()
def _need_equivariant(index: int, layer: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
    pairs = zip(merged_of(layer), (weight, bias), strict=True)
    lost = sum(float((a - b).square().sum()) for a, b in pairs if a is not None and b is not None)
    size = float(weight.square().sum()) or 1.0
    if lost > 1e-8 * size:
        raise NetworkError(
            f"linear layer {index + 1} is not equivariant: {np.sqrt(lost / size):.2g} of it would be lost; convert to "
            "'rpp', which keeps it as a residual"
        )


@dataclass(frozen=True)
class LayerSymmetry:
    """How symmetric the weight of a layer is.

    Attributes:
        residual: |R| / |W|, the length of the part that breaks the symmetry relative to the whole.
        random: what it is in the mean for a weight of independent normal entries.
    """

    residual: float
    random: float


@torch.no_grad()
def layer_symmetry(network: nn.Module) -> dict[str, LayerSymmetry]:
    """How symmetric each layer in orthogonal coordinates is, by its name."""
    found = {}
    for name, layer in network.named_modules():
        if isinstance(layer, OrthogonalLinear):
            parts = layer.pathway_weights()
            size = torch.linalg.vector_norm(parts["equiv"] + parts["basic"]).clamp_min(1e-30)
            coordinates = layer.compose_weight.coordinates
            share = coordinates.residual_rank / (coordinates.shape[0] * coordinates.shape[1])
            residual = float(torch.linalg.vector_norm(parts["basic"]) / size)
            found[name] = LayerSymmetry(residual, float(np.sqrt(share)))
    return found


def sorted_units(weight: Matrix, bias: Matrix, rep_in: Representation, rep_out: Representation) -> NDArray[np.int64]:
    """An order of hidden units in which the group's elements exchange them as nearly as a greedy search finds.

    The function of a network does not depend on the order of its hidden units, but how symmetric its weights look does.
    Unit w has the image rho_in(g) w under g; each unit that is not yet placed is followed by those that are nearest to
    its images.

    Args:
        weight: incoming weights of each unit, shape (n, n_in).
        bias: shape (n,).
        rep_in: representation on inputs.
        rep_out: representation on the units, copies of the regular one.

    Returns:
        The unit at each place, shape (n,).
    """
    n, order = len(weight), rep_in.group.order
    places = np.array([np.argmax(rep_out.act(g, np.eye(n)), axis=1) for g in range(order)])
    firsts = [c for c in range(n) if c == places[:, c].min()]
    rows = np.column_stack([weight, bias])
    images = [np.column_stack([rep_in.act(g, weight), bias]) for g in range(order)]
    distances = np.array([_distances(image, rows) for image in images])
    distances[1:, np.arange(n), np.arange(n)] = np.inf
    chosen = np.empty(n, np.int64)
    free = np.ones(n, bool)
    for first in firsts:
        open_ = np.flatnonzero(free)
        nearest = distances[1:, open_[:, None], open_].min(axis=2).sum(axis=0) if order > 1 else 0 * open_
        unit = int(open_[np.argmin(nearest)])
        chosen[first], free[unit] = unit, False
        for g in range(1, order):
            rest = np.flatnonzero(free)
            following = int(rest[np.argmin(distances[g, unit, rest])])
            chosen[places[g, first]], free[following] = following, False
    return chosen


def _distances(a: Matrix, b: Matrix) -> Matrix:
    squares: Matrix = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
    return squares


def unit_orders(layers: Sequence[Layer], reps: Sequence[Representation]) -> list[NDArray[np.int64]]:
    """The order by `sorted_units` of the units of each hidden layer of a plain perceptron, given those before it.

    Args:
        layers: weight and bias of each layer.
        reps: representation on the inputs and on each hidden layer.
    """
    orders: list[NDArray[np.int64]] = []
    for i, (rep_in, rep_out) in enumerate(itertools.pairwise(reps)):
        weight, bias = (x.detach().double().cpu().numpy() for x in layers[i])
        orders.append(sorted_units(weight[:, orders[-1]] if orders else weight, bias, rep_in, rep_out))
    return orders


def reordered(layers: Sequence[Layer], orders: Sequence[NDArray[np.int64]]) -> list[Layer]:
    """The layers of the same function with the units of the hidden layers in these orders."""
    found = []
    for i, (weight, bias) in enumerate(layers):
        if i > 0:
            weight = weight[:, torch.from_numpy(orders[i - 1]).to(weight.device)]
        if i < len(orders):
            order = torch.from_numpy(orders[i]).to(weight.device)
            weight, bias = weight[order], bias[order]
        found.append((weight, bias))
    return found
