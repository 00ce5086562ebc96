"""Trials: one network trained once, described by a value and kept as one file, so that a rerun skips it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from rpp_rl.errors import RunError
from rpp_rl.experiments.reproduction import inertia, pendulum
from rpp_rl.experiments.reproduction.conditions import WIDTHS, Decay, NetworkName, ProblemName, condition
from rpp_rl.experiments.reproduction.inertia import Data
from rpp_rl.experiments.reproduction.layers import layer_rows
from rpp_rl.experiments.reproduction.learned_prior import LearnedPrior
from rpp_rl.experiments.reproduction.training import (
    Measurement,
    Predict,
    ResidualStep,
    TrainingSettings,
    build,
    fit,
    mean_squared_error,
    measurement,
)
from rpp_rl.files import replace_file
from rpp_rl.priors import PathwayPrior
from rpp_rl.representations import Representation


@dataclass(frozen=True)
class Trial:
    """All that a trial's result depends on.

    Attributes:
        problem: where the data come from.
        condition: which of the problem's conditions.
        network: the kind of network.
        seed: of the data, the initialisation and the order of examples; networks of one seed see the same data.
        epochs: passes over the training examples.
        width: channels of a hidden layer.
        equiv_wd: strength of the prior on the equivariant pathway; without effect if the network is no RPP.
        basic_wd: the same for the residual pathway.
        prior: whether these strengths are kept, or are what learning them starts from.
        residual_step: see `TrainingSettings`; without effect if the network is no RPP.
        decay: of the learning rate, see `TrainingSettings`.
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

    @classmethod
    def published(cls, problem: ProblemName, condition_name: str, network: NetworkName, seed: int) -> Trial:
        """With the hyperparameters of the condition."""
        c = condition(problem, condition_name)
        # Priors are of RPP alone, so that a plain network's trial is the same whatever they are.
        prior = c.prior if network == "rpp" else PathwayPrior()
        return cls(problem, c.name, network, seed, c.epochs, WIDTHS[problem], prior.equiv_wd, prior.basic_wd)

    @property
    def name(self) -> str:
        """A file name: what a reader looks for, and a digest of everything."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:8]
        return f"{self.problem}-{self.condition}-{self.network}-seed{self.seed}-{digest}"


@dataclass(frozen=True)
class Result:
    """What came of a trial.

    Attributes:
        trial: which.
        seconds: wall time of its training.
        measurements: in the order of epochs; the last is the result.
        priors: what was learnt of the priors, see `LearnedPrior.history`.
        layers: what became of the pathways of an RPP on Inertia with fixed priors, see `layer_rows`.
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
    """A trial ready to be trained: network, its use as a predictor, data, and declared representations."""

    network: nn.Module
    predict: Predict
    data: Data
    reps: tuple[Representation, Representation]


def prepare(trial: Trial, generator: torch.Generator, device: torch.device) -> Prepared:
    """Draw the data and build the network of a trial; the network from torch's global generator."""
    c = condition(trial.problem, trial.condition)
    reps = c.representations()
    network = build(trial.network, *reps, trial.width).to(device)
    if trial.problem == "pendulum":
        data = pendulum.draw(generator, c.modified).to(device)
        energy = pendulum.Rescaled(network, data.train.x)
        return Prepared(energy, pendulum.HamiltonianNetwork(energy), data, reps)
    return Prepared(network, network, inertia.draw(generator, c.modified).to(device), reps)


def run(trial: Trial, device: str = "cpu", on_epoch: Callable[[], object] = lambda: None) -> Result:
    """Run a trial; torch's global generator is left as it was.

    Args:
        trial: what to run.
        device: where.
        on_epoch: called after each epoch.
    """
    generator = torch.Generator().manual_seed(trial.seed)
    with torch.random.fork_rng():
        torch.manual_seed(trial.seed)
        p = prepare(trial, generator, torch.device(device))
        prior = PathwayPrior(trial.equiv_wd, trial.basic_wd)
        rate = condition(trial.problem, trial.condition).learning_rate
        started = time.perf_counter()
        learned = LearnedPrior(p.network, prior, p.data.train, trial.epochs) if trial.prior == "learned" else None
        settings = TrainingSettings(
            trial.epochs, rate, prior=learned or prior, residual_step=trial.residual_step, decay=trial.decay
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
    """Run the trials whose results are not in a folder yet; each is kept as soon as it is done.

    Args:
        trials: what to run.
        folder: of the trials' files.
        device: where.
        on_epoch: called with the trial after each epoch.

    Returns:
        The results of all, in the order of `trials`.

    Raises:
        RunError: if a file in the folder is no result.
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
    """The trials whose results are not in a folder."""
    return [t for t in trials if not (folder / f"{t.name}.json").exists()]


def read(path: Path) -> Result:
    """Read the result of a trial.

    Raises:
        RunError: if the file is no result.
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
        raise RunError(f"{path} is no result of a trial ({error}); delete it to run the trial again") from error


def with_settings(trial: Trial, **settings: Any) -> Trial:
    """The same trial with other settings; None leaves one as it is."""
    return replace(trial, **{k: v for k, v in settings.items() if v is not None})


def result_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row for each trial: its settings and its last measurement."""
    return [
        {
            **asdict(r.trial),
            "validation_mse": r.final.validation_mse,
            "test_mse": r.final.test_mse,
            "seconds": round(r.seconds, 1),
        }
        for r in results
    ]


def error_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row for each equivariance error: trial, epoch, number of the element."""
    return [
        {
            **{k: getattr(r.trial, k) for k in ("problem", "condition", "network", "seed")},
            "epoch": m.epoch,
            "element": i,
            "equivariance_error": float(f"{error:.4g}"),
        }
        for r in results
        for m in r.measurements
        for i, error in enumerate(m.equivariance_errors)
    ]


def prior_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row for each standard deviation that was learnt: trial, epoch, layer, pathway."""
    return [{"condition": r.trial.condition, "seed": r.trial.seed, **row} for r in results for row in r.priors]


def layer_table(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row for each layer of each RPP."""
    return [{"condition": r.trial.condition, "seed": r.trial.seed, **row} for r in results for row in r.layers]


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows with the same keys, at least one, as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace_file(path, text.getvalue().encode())


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read what `write_csv` wrote; values are text."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
