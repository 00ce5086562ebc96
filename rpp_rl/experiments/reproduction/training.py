"""Train a network on one problem by maximum a posteriori, and measure it on the way."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from rpp_rl.emlp import EMLP
from rpp_rl.experiments.reproduction.conditions import LAYERS, Decay, NetworkName
from rpp_rl.experiments.reproduction.problems import Data, Examples
from rpp_rl.measures import equivariance_error
from rpp_rl.pathway_optimizers import pathway_optimizer, step_ratios
from rpp_rl.priors import PathwayPrior
from rpp_rl.representations import Representation
from rpp_rl.residual_priors import ResidualPrior

# The equivariance error is measured with so many group elements and test examples, about so many times in a run.
ELEMENTS, EXAMPLES, MEASUREMENTS = 10, 100, 20

Predict = Callable[[Tensor], Tensor]
ResidualStep = Literal["prior"] | float


class Prior(Protocol):
    """The terms of the loss beside the mean squared error."""

    @property
    def step_ratio(self) -> float:
        """The learning rate of the residual pathway, relative to that of the rest."""

    def penalty(self, module: nn.Module) -> dict[str, Tensor]:
        """The terms, by name."""


@dataclass(frozen=True)
class TrainingSettings:
    """The settings of training.

    Attributes:
        epochs: passes over the training examples.
        learning_rate: Adam's, in the first epoch.
        batch: examples of a gradient step.
        prior: strengths of the priors, as sums of squares beside the mean squared error.
        residual_step: the residual's learning rate relative to that of the rest; ``"prior"`` means `Prior.step_ratio`.
        decay: ``"none"`` keeps the learning rate; ``"cosine"`` lowers it from epoch to epoch by half a cosine to zero.
        residual_prior: the residual's budget, held by decay apart from the loss; None for none.
    """

    epochs: int
    learning_rate: float
    batch: int = 500
    prior: Prior = field(default_factory=PathwayPrior)
    residual_step: ResidualStep = "prior"
    decay: Decay = "none"
    residual_prior: ResidualPrior | None = None

    @property
    def step_ratio(self) -> float:
        """The residual's learning rate relative to that of the rest."""
        return self.prior.step_ratio if self.residual_step == "prior" else self.residual_step

    def learning_rate_in(self, epoch: int) -> float:
        """The learning rate in an epoch; the first is number 1."""
        left = (1 + math.cos(math.pi * (epoch - 1) / self.epochs)) / 2 if self.decay == "cosine" else 1.0
        return self.learning_rate * left


@dataclass(frozen=True)
class Measurement:
    """A measurement after some epochs.

    Attributes:
        epoch: the number of epochs.
        validation_mse: mean squared error on the validation examples.
        test_mse: the same on the test examples.
        equivariance_errors: |f(g x) - g f(x)| / |f(x)| for each of some random elements g.
    """

    epoch: int
    validation_mse: float
    test_mse: float
    equivariance_errors: tuple[float, ...]


def build(
    name: NetworkName, rep_in: Representation, rep_out: Representation, width: int, steps: str = "orthonormal"
) -> nn.Module:
    """Build an EMLP, an RPP-EMLP or a plain perceptron with swish, with three hidden layers of `width` channels.

    Args:
        name: the kind of network; ``"rpp"`` has two pathways, ``"rpp-orthogonal"`` orthogonal coordinates.
        rep_in: representation on inputs.
        rep_out: representation on outputs.
        width: channels of a hidden layer.
        steps: see `rpp_rl.layers`; orthogonal coordinates have equal steps.
    """
    if name == "rpp-orthogonal":
        return EMLP(rep_in, rep_out, width, LAYERS, rpp=True, parametrization="orthogonal")
    if name != "mlp":
        return EMLP(rep_in, rep_out, width, LAYERS, rpp=name == "rpp", parametrization="pathways", steps=steps)
    sizes = [rep_in.size, *[width] * LAYERS]
    hidden = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), nn.SiLU())]
    return nn.Sequential(*hidden, nn.Linear(width, rep_out.size))


def start_as(exact: nn.Module, network: nn.Module) -> None:
    """Let the equivariant part of an RPP start as an exact network, with equal steps in both.

    Fresh networks of one seed draw different weights, and their errors differ more by these than by their kind.

    Args:
        exact: an EMLP.
        network: the RPP, of the same representations.
    """
    mine = dict(network.named_parameters())
    with torch.no_grad():
        for name, parameter in exact.named_parameters():
            mine[name].copy_(parameter)


def fit(
    network: nn.Module,
    predict: Predict,
    data: Data,
    settings: TrainingSettings,
    measure: Callable[[int], Measurement],
    generator: torch.Generator,
    on_epoch: Callable[[int], object] = lambda _: None,
) -> list[Measurement]:
    """Train a network, and measure it on the way and at the end.

    The loss is mean (y - f(x))^2 + wd_equiv |beta|^2 + wd_basic |B|^2, the mean taken over the N examples and the d
    outputs. It is 2 sigma^2 / (N d) times the negative logarithm of the posterior under noise of variance sigma^2 and
    priors of variance s^2 = sigma^2 / (N d wd). With N d = 9000 and an error of sigma = 0.5, the published strengths
    1e-3 and 100 are s_eq = 0.17, a few times the initial weights of a layer of 384 channels, and s_res = 5e-4. Divided
    by N once more they would be s_res = 0.017, too wide to matter: see docs/paper.md. Training stops early where the
    loss is NaN or infinite, after a last measurement.

    Args:
        network: the network with the parameters.
        predict: the predictor, from inputs to outputs; it uses the network.
        data: the examples.
        settings: the settings of training.
        measure: measures after the epoch of a given number.
        generator: draws the order of the examples.
        on_epoch: called after each epoch with its number.

    Returns:
        The measurements, in the order of epochs.
    """
    # The prior is in the loss, where a learned one can change. Unfused steps are those of the recorded trials.
    optimizer = pathway_optimizer(
        network,
        settings.learning_rate,
        residual_prior=settings.residual_prior,
        residual_step_ratio=settings.step_ratio,
        arguments={"fused": False},
    )
    every = max(1, settings.epochs // MEASUREMENTS)
    found: list[Measurement] = []
    for epoch in range(1, settings.epochs + 1):
        # A learned prior changes between epochs.
        ratios = step_ratios(network, settings.step_ratio)
        for group in optimizer.param_groups:
            group["lr"], group["lr_ratio"] = settings.learning_rate_in(epoch), ratios[group["pathway"]]
        loss = train_epoch(predict, data.train, settings, optimizer, generator, network)
        on_epoch(epoch)
        if epoch % every == 0 or epoch == settings.epochs or not math.isfinite(loss):
            found.append(measure(epoch))
        if not math.isfinite(loss):
            break
    return found


def train_epoch(
    predict: Predict,
    train: Examples,
    settings: TrainingSettings,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    network: nn.Module,
) -> float:
    """Pass once over the training examples; returns the loss of the last batch."""
    loss = torch.zeros(())
    for rows in torch.split(torch.randperm(len(train), generator=generator), settings.batch):
        rows = rows.to(train.x.device)
        error = (predict(train.x[rows]) - train.y[rows]).square().mean()
        penalty = sum(settings.prior.penalty(network).values(), error.new_zeros(()))
        loss = error + penalty
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return float(loss.detach())


@torch.no_grad()
def mean_squared_error(predict: Predict, examples: Examples) -> float:
    """The mean squared error over examples and outputs, in batches of 500."""
    batches = zip(torch.split(examples.x, 500), torch.split(examples.y, 500), strict=True)
    return sum(float((predict(x) - y).square().sum()) for x, y in batches) / examples.y.numel()


def measurement(
    epoch: int, predict: Predict, network: nn.Module, data: Data, reps: tuple[Representation, Representation]
) -> Measurement:
    """Measure a network; the group elements and examples are always the same."""
    x = data.test.x[:EXAMPLES]
    elements = reps[0].group.sample(np.random.default_rng(0), ELEMENTS)
    errors = equivariance_error(network, x, *reps, elements)
    return Measurement(
        epoch,
        mean_squared_error(predict, data.validation),
        mean_squared_error(predict, data.test),
        tuple(errors.tolist()),
    )
