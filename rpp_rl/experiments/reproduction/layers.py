"""What became of the two pathways in each layer of a trained RPP: the residual's share, and what data determine."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from rpp_rl.empirical_bayes import effective_parameters, linearize
from rpp_rl.experiments.reproduction.inertia import Examples
from rpp_rl.measures import residual_shares
from rpp_rl.priors import PATHWAYS, GaussianPrior, PathwayPrior

# Training examples that a network is linearised at, one output of each.
EXAMPLES = 128


def layer_rows(
    network: nn.Module, prior: PathwayPrior, train: Examples, mse: float, generator: torch.Generator
) -> list[dict[str, Any]]:
    """One row for each layer: residual share, and effective parameters of both pathways out of so many outputs.

    What a layer does not have is None: a nonlinearity has a residual only, and no share.

    Args:
        network: a trained RPP.
        prior: the strengths that it was trained with, both positive.
        train: the training examples.
        mse: the mean squared error on them, which stands for sigma^2; the priors are s^2 = sigma^2 / (N d wd).
        generator: of the choice of examples.
    """
    stds = (math.sqrt(mse / (train.y.numel() * prior.strength(pathway))) for pathway in PATHWAYS)
    gaussian = GaussianPrior.uniform(network, *stds)
    rows = torch.randperm(len(train), generator=generator)[:EXAMPLES].to(train.x.device)
    line = linearize(network, train.x[rows], train.y[rows], generator)
    determined = effective_parameters(gaussian, line, math.sqrt(mse))
    shares = residual_shares(network)
    layers = [name for name, _ in network.named_modules() if any(name == layer for layer, _ in determined)]
    return [
        {
            "layer": layer,
            "residual_share": shares.get(layer),
            **{f"{p}_std": gaussian.stds.get((layer, p)) for p in PATHWAYS},
            **{f"{p}_effective": determined.get((layer, p)) for p in PATHWAYS},
            "outputs": len(rows),
        }
        for layer in layers
    ]
