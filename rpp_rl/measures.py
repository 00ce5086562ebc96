"""Measure how symmetric a function is; tests, callbacks and audits use the same functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from rpp_rl.groups import Matrix
from rpp_rl.representations import Representation, apply_map
from rpp_rl.representations.maps import as_map


@torch.no_grad()
def equivariance_error(
    f: Callable[[Tensor], Tensor],
    x: Tensor,
    rep_in: Representation,
    rep_out: Representation,
    elements: Matrix | None = None,
) -> Tensor:
    """|f(g x) - g f(x)| / |f(x)| for each group element, norms taken over the whole batch.

    Args:
        f: the function, from (batch, n_in) to (batch, n_out).
        x: inputs, shape (batch, n_in).
        rep_in: representation on inputs.
        rep_out: representation on outputs; trivial for an invariant function.
        elements: matrices of the elements to measure with, shape (count, d, d), for example from `Group.sample`.
            None takes all elements of a finite group and the same 16 samples of a continuous group.

    Returns:
        One error per element, in the order of `elements`, or in that of `Group.words`, where the identity comes first
        and has error zero.
    """
    if elements is None and rep_in.group.is_continuous:
        elements = rep_in.group.sample(np.random.default_rng(0), 16)
    if elements is not None:
        pairs = [(as_map(rep_in.rho(g)), as_map(rep_out.rho(g))) for g in elements]
        return transformation_error(f, x, [(partial(apply_map, a), partial(apply_map, b)) for a, b in pairs])
    return transformation_error(f, x, [(rep_in.act_on(i), rep_out.act_on(i)) for i in range(rep_in.group.order)])


@torch.no_grad()
def transformation_error(
    f: Callable[[Tensor], Tensor],
    x: Tensor,
    transformations: Sequence[tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]],
) -> Tensor:
    """|f(g x) - g f(x)| / |f(x)| for pairs of functions (g on inputs, g on outputs)."""
    y = f(x)
    norm = torch.linalg.vector_norm(y).clamp_min(torch.finfo(y.dtype).tiny)
    return torch.stack([torch.linalg.vector_norm(f(g_in(x)) - g_out(y)) / norm for g_in, g_out in transformations])


@torch.no_grad()
def residual_share(layer: nn.Module) -> float:
    """|B|_F / (|A|_F + |B|_F): 0 for an equivariant layer, 1 for one without an equivariant pathway."""
    weights = layer.pathway_weights()  # type: ignore[operator]
    equivariant, residual = (torch.linalg.vector_norm(weights[name]) for name in ("equiv", "basic"))
    return float(residual / (equivariant + residual).clamp_min(torch.finfo(residual.dtype).tiny))


def residual_shares(module: nn.Module) -> dict[str, float]:
    """The residual share of every layer of a network that has both pathways, by the name of the layer."""
    layers = {name: layer for name, layer in module.named_modules() if hasattr(layer, "pathway_weights")}
    return {name: residual_share(layer) for name, layer in layers.items() if "basic" in layer.pathways()}
