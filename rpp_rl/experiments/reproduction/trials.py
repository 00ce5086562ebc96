"""Trials: one network, trained once. Each is described by a value and kept in a file, so that a rerun skips it."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from rpp_rl.errors import RunError
from rpp_rl.experiments.reproduction import problems
from rpp_rl.experiments.reproduction.conditions import (
    ONE_SETTING,
    WIDTHS,
    Decay,
    NetworkName,
    ProblemName,
    Start,
    condition,
)
from rpp_rl.experiments.reproduction.layer_priors import LearnedPrior, layer_rows
from rpp_rl.experiments.reproduction.problems import Data
from rpp_rl.experiments.reproduction.training import (
    Measurement,
    Predict,
    ResidualStep,
    TrainingSettings,
    build,
    fit,
    mean_squared_error,
    measurement,
    start_as,
)
from rpp_rl.files import replace_file
from rpp_rl.priors import PathwayPrior
from rpp_rl.representations import Representation
from rpp_rl.residual_priors import ResidualPrior

# Settings that recorded trials do not have: at these values they are not part of a trial's name.
ADDED = {"learning_rate": None, "steps": "orthonormal", "residual_budget": None, "asymmetry": None, "start": "own"}


@dataclass(frozen=True)
class Trial:
    """A trial: everything that its result depends on.

    Attributes:
        problem: the problem of the data.
        condition: the name of a condition of the problem.
        network: the kind of network.
        seed: of the data, the initialisation and the order of examples; networks of one seed see the same data.
        epochs: passes over the training examples.
        width: channels of a hidden layer.
        equiv_wd: strength of the prior on the equivariant pathway; only an RPP uses it.
        basic_wd: the same for the residual pathway.
        prior: whether these strengths are fixed, or are the start of learned ones.
        residual_step: see `TrainingSettings`; only an RPP uses it.
        decay: see `TrainingSettings`.
        learning_rate: Adam's; None for the condition's.
        steps: scale of the parameters, see `rpp_rl.layers`.
        residual_budget: of the residual, held by decay apart from the loss; None for none.
        asymmetry: factor of v g^T in the modified tensor of inertia; None for the published one.
        start: whether an RPP draws its own equivariant part, or starts as the exact network of its seed.
    """

    problem: ProblemName
    condition: str
    network: NetworkName
    seed: int
    epochs: int
    width: int
    equiv_wd: float
    basic_wd: float
    prior: Literal["fixed", "learned"] = "fixed"
    residual_step: ResidualStep = "prior"
    decay: Decay = "none"
    learning_rate: float | None = None
    steps: str = "orthonormal"
    residual_budget: float | None = None
    asymmetry: float | None = None
    start: Start = "own"

    @classmethod
    def published(cls, problem: ProblemName, condition_name: str, network: NetworkName, seed: int) -> Trial:
        """A trial with the hyperparameters of its condition."""
        c = condition(problem, condition_name)
        # Only an RPP has priors; without them here, other networks' trials do not depend on them.
        prior = c.prior if network == "rpp" else PathwayPrior()
        return cls(problem, c.name, network, seed, c.epochs, WIDTHS[problem], prior.equiv_wd, prior.basic_wd)

    @classmethod
    def one_setting(cls, problem: ProblemName, condition_name: str, network: NetworkName, seed: int) -> Trial:
        """A trial with the hyperparameters that all conditions of a problem share, and equal steps."""
        s = ONE_SETTING[problem]
        prior = s.prior if network == "rpp" else PathwayPrior()
        trial = cls(problem, condition_name, network, seed, s.epochs, WIDTHS[problem], prior.equiv_wd, prior.basic_wd)
        trial = replace(trial, decay="cosine", learning_rate=s.learning_rate, steps="equal")
        if network in ("rpp", "rpp-orthogonal"):
            trial = replace(trial, start="exact")
        if network != "rpp-orthogonal":
            return trial
        return replace(trial, residual_budget=s.residual_budget, residual_step=s.residual_step)

    @property
    def name(self) -> str:
        """The name of the trial's file: its main settings, and a digest of all."""
        settings = {k: v for k, v in asdict(self).items() if k not in ADDED or v != ADDED[k]}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
        return f"{self.problem}-{self.condition}-{self.network}-seed{self.seed}-{digest}"


@dataclass(frozen=True)
class Result:
    """The result of a trial.

    Attributes:
        trial: the trial.
        seconds: wall time of its training.
        measurements: the measurements in the order of epochs; the last is the result.
        priors: the learned priors, see `LearnedPrior.history`.
        layers: the pathways of each layer of an RPP, for Inertia with fixed priors, see `layer_rows`.
    """

    trial: Trial
    seconds: float
    measurements: tuple[Measurement, ...]
    priors: tuple[dict[str, Any], ...] = ()
    layers: tuple[dict[str, Any], ...] = ()

    @property
    def final(self) -> Measurement:
        """The measurement at the end of training."""
        return self.measurements[-1]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A trial that is ready for training: network, predictor, data, and declared representations."""

    network: nn.Module
    predict: Predict
    data: Data
    reps: tuple[Representation, Representation]


def prepare(trial: Trial, generator: torch.Generator, device: torch.device) -> Prepared:
    """Draw the data of a trial, and build its network with torch's global generator."""
    c = condition(trial.problem, trial.condition)
    reps = c.representations()
    exact = build("emlp", *reps, trial.width, trial.steps) if trial.start == "exact" else None
    network = build(trial.network, *reps, trial.width, trial.steps)
    if exact is not None:
        start_as(exact, network)
    network = network.to(device)
    if trial.problem == "pendulum":
        data = problems.draw_pendulum(generator, c.modified).to(device)
        energy = problems.Rescaled(network, data.train.x)
        return Prepared(energy, problems.HamiltonianNetwork(energy), data, reps)
    asymmetry = problems.INERTIA_ASYMMETRY if trial.asymmetry is None else trial.asymmetry
    modified = c.modified or trial.asymmetry is not None
    data = problems.draw_inertia(generator, modified, asymmetry=asymmetry).to(device)
    return Prepared(network, network, data, reps)


def run(trial: Trial, device: str = "cpu", on_epoch: Callable[[], object] = lambda: None) -> Result:
    """Run a trial. The state of torch's global generator does not change.

    Args:
        trial: the trial.
        device: the device of the network and the data.
        on_epoch: called after each epoch.
    """
    generator = torch.Generator().manual_seed(trial.seed)
    with torch.random.fork_rng():
        torch.manual_seed(trial.seed)
        p = prepare(trial, generator, torch.device(device))
        prior = PathwayPrior(trial.equiv_wd, trial.basic_wd)
        rate = trial.learning_rate or condition(trial.problem, trial.condition).learning_rate
        budget = None if trial.residual_budget is None else ResidualPrior("decay", trial.residual_budget)
        started = time.perf_counter()
        learned = LearnedPrior(p.network, prior, p.data.train, trial.epochs) if trial.prior == "learned" else None
        settings = TrainingSettings(
            trial.epochs,
            rate,
            prior=learned or prior,
            residual_step=trial.residual_step,
            decay=trial.decay,
            residual_prior=budget,
        )

        def after_epoch(epoch: int) -> None:
            if learned is not None:
                learned.after_epoch(p.network, epoch, generator)
            on_epoch()

        def measure(epoch: int) -> Measurement:
            return measurement(epoch, p.predict, p.network, p.data, p.reps)

        found = fit(p.network, p.predict, p.data, settings, measure, generator, after_epoch)
        seconds = time.perf_counter() - started
        layers = _layers(trial, p, prior, generator) if learned is None else []
    history = () if learned is None else tuple(learned.history)
    return Result(trial, seconds, tuple(found), history, tuple(layers))


def _layers(trial: Trial, p: Prepared, prior: PathwayPrior, generator: torch.Generator) -> list[dict[str, Any]]:
    mse = mean_squared_error(p.predict, p.data.train)
    has_scale = prior.equiv_wd > 0 and prior.basic_wd > 0 and 0 < mse < math.inf
    if trial.network != "rpp" or trial.problem != "inertia" or not has_scale:
        return []
    return layer_rows(p.network, prior, p.data.train, mse, generator)


def run_all(
    trials: Sequence[Trial], folder: Path, device: str = "cpu", on_epoch: Callable[[Trial], object] = lambda _: None
) -> list[Result]:
    """Run the trials that a folder has no results of; each result is written when its trial is done.

    Args:
        trials: the trials.
        folder: the folder of the results.
        device: the device of networks and data.
        on_epoch: called with the trial after each epoch.

    Returns:
        The results of all trials, in their order.

    Raises:
        RunError: if a result cannot be read.
    """
    results = []
    for trial in trials:
        path = folder / f"{trial.name}.json"
        if path.exists():
            results.append(read(path))
            continue
        result = run(trial, device, lambda trial=trial: on_epoch(trial))  # type: ignore[misc]
        replace_file(path, (json.dumps(asdict(result), indent=1) + "\n").encode())
        results.append(result)
    return results


def missing(trials: Sequence[Trial], folder: Path) -> list[Trial]:
    """The trials that a folder has no results of."""
    return [t for t in trials if not (folder / f"{t.name}.json").exists()]


def read(path: Path) -> Result:
    """Read the result of a trial.

    Raises:
        RunError: if the file does not hold a result.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        measurements = tuple(
            Measurement(**{**m, "equivariance_errors": tuple(m["equivariance_errors"])})
            for m in content["measurements"]
        )
        return Result(
            Trial(**content["trial"]),
            float(content["seconds"]),
            measurements,
            tuple(content.get("priors", ())),
            tuple(content.get("layers", ())),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"cannot read the result of a trial in {path} ({error}); delete it to run the trial again"
        ) from error


def with_settings(trial: Trial, **settings: Any) -> Trial:
    """The same trial with other settings; None keeps a setting."""
    return replace(trial, **{k: v for k, v in settings.items() if v is not None})
