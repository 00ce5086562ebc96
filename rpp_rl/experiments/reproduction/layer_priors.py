"""The priors of single layers: learned between epochs, and compared with the data after training.

Both linearize a network on some training examples.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from rpp_rl.empirical_bayes import effective_parameters, learn, linearize
from rpp_rl.experiments.reproduction.problems import Examples
from rpp_rl.measures import residual_shares
from rpp_rl.priors import PATHWAYS, GaussianPrior, PathwayPrior

# Training examples that a network is linearized at, and updates of the prior during training.
EXAMPLES, UPDATES = 128, 5
# The greatest factor of one update. Without it, and with variances of each layer, training collapsed to the mean of
# the outputs: weights follow a strength that leaps, and the next evidence follows the weights.
MOST = 10.0


class LearnedPrior:
    """A prior whose variances are learned by empirical Bayes, a few times during training.

    The loss stays mean (y - f)^2 + the sum of wd_k |theta_k|^2, with wd_k = sigma^2 / (N d s_k^2).

    Attributes:
        prior: the current standard deviations s_k.
        noise: the current sigma.
        history: the learned values, one row for each update, layer and pathway.

    Args:
        network: the network.
        start: the first strengths.
        train: the training examples.
        epochs: the epochs of training.
    """

    def __init__(self, network: nn.Module, start: PathwayPrior, train: Examples, epochs: int) -> None:
        self.train, self.scale = train, 1 / train.y.numel()
        # With the right variances any noise gives the first strengths; this is the trivial prediction's.
        self.noise = float(train.y.std())
        stds = (self._std(start.equiv_wd), self._std(start.basic_wd))
        self.prior = GaussianPrior.uniform(network, *stds)
        self.history: list[dict[str, Any]] = []
        self._every = max(1, epochs // (UPDATES + 1))
        self._last = self._every * UPDATES

    def _std(self, wd: float) -> float:
        return math.sqrt(self.scale / wd) * self.noise if wd > 0 else math.inf

    @property
    def step_ratio(self) -> float:
        """See `PathwayPrior.step_ratio`; all layers of a pathway share one variance."""
        std = {pathway: std for (_, pathway), std in self.prior.stds.items()}
        finite = math.isfinite(std["equiv"]) and math.isfinite(std["basic"])
        return min(1.0, std["basic"] / std["equiv"]) if finite else 1.0

    def penalty(self, module: nn.Module) -> dict[str, Tensor]:
        """The terms of the two pathways; bilinear layers' weights have none, as published."""
        factor = 2 * self.noise**2 * self.scale
        return {k: factor * v for k, v in self.prior.penalty(module).items() if k != "plain"}

    def after_epoch(self, network: nn.Module, epoch: int, generator: torch.Generator) -> None:
        """Update the variances where an update is due."""
        if epoch % self._every or epoch > self._last:
            return
        rows = torch.randperm(len(self.train), generator=generator)[:EXAMPLES].to(self.train.x.device)
        line = linearize(network, self.train.x[rows], self.train.y[rows], generator)
        learned = learn(self.prior, line, self.noise, pooled=True)
        stds = {k: _bounded(std, self.prior.stds[k]) for k, std in learned.prior.stds.items()}
        self.prior, self.noise = GaussianPrior(stds), _bounded(learned.noise, self.noise)
        for (layer, pathway), std in self.prior.stds.items():
            if pathway != "plain":
                self.history.append(
                    {"epoch": epoch, "layer": layer, "pathway": pathway, "std": std, "noise": self.noise}
                )


def _bounded(new: float, old: float) -> float:
    return min(max(new, old / MOST), old * MOST)


def layer_rows(
    network: nn.Module, prior: PathwayPrior, train: Examples, mse: float, generator: torch.Generator
) -> list[dict[str, Any]]:
    """Measure each layer: its residual share, and the effective parameters of both pathways.

    A value is None where a layer does not have it: a nonlinearity has a residual only, and no share.

    Args:
        network: a trained RPP.
        prior: the strengths of its training, both positive.
        train: the training examples.
        mse: the mean squared error on them, the estimate of sigma^2; the priors are s^2 = sigma^2 / (N d wd).
        generator: chooses the examples.

    Returns:
        One row for each layer, as plain data.
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
