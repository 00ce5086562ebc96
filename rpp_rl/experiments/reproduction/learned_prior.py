"""A prior whose variances are learnt while a network is trained: empirical Bayes between epochs."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from rpp_rl.empirical_bayes import learn, linearize
from rpp_rl.experiments.reproduction.inertia import Examples
from rpp_rl.priors import GaussianPrior, PathwayPrior

# Examples that the evidence is computed on, and how often it is maximised in the course of training.
EXAMPLES, UPDATES = 128, 5
# No more than this factor in one update: a strength that leaps is followed by weights, and these by the next evidence.
# With variances of each layer and without this bound, training collapsed to the mean of the outputs.
MOST = 10.0


class LearnedPrior:
    """Priors of each pathway, found anew by the evidence a few times during training.

    The loss stays mean (y - f)^2 + the sum of wd_k |theta_k|^2, with wd_k = sigma^2 / (N d s_k^2).

    Attributes:
        prior: the standard deviations s_k at present.
        noise: sigma at present.
        history: what was learnt, one row for each update, layer and pathway.

    Args:
        network: what the prior is of.
        start: the strengths to start from.
        train: the training examples.
        epochs: how long training is.
    """

    def __init__(self, network: nn.Module, start: PathwayPrior, train: Examples, epochs: int) -> None:
        self.train, self.scale = train, 1 / train.y.numel()
        # Any noise gives the strengths to start from if the variances fit it; this one is the trivial prediction's.
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
        """See `PathwayPrior.step_ratio`; the variances of a pathway are one, whatever the layer."""
        std = {pathway: std for (_, pathway), std in self.prior.stds.items()}
        finite = math.isfinite(std["equiv"]) and math.isfinite(std["basic"])
        return min(1.0, std["basic"] / std["equiv"]) if finite else 1.0

    def penalty(self, module: nn.Module) -> dict[str, Tensor]:
        """The terms of the two pathways; the bilinear layers' weights have none, as published."""
        factor = 2 * self.noise**2 * self.scale
        return {k: factor * v for k, v in self.prior.penalty(module).items() if k != "plain"}

    def after_epoch(self, network: nn.Module, epoch: int, generator: torch.Generator) -> None:
        """Learn the variances anew if it is time to."""
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
