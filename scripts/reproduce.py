"""`rpp-rl reproduce`: repeat the paper's supervised experiments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from rpp_rl.experiments.reproduction.experiment import Experiment, ExperimentName, run_experiment


@dataclass(frozen=True)
class ReproduceArguments(Experiment):
    """Run the trials of one of the paper's experiments; trials that the folder has already are skipped."""

    experiment: Positional[ExperimentName]
    """inertia and pendulum: Figure 2; equivariance and prior-sweep: Figure 3; one-setting: one setting for all
    conditions; setting-sweep: how it is chosen; asymmetry: error against the amount of planted asymmetry."""
    trials: Annotated[int, arg(aliases=["-n"])] = 10
    """Seeds of each condition and network."""


def reproduce(arguments: Annotated[ReproduceArguments, arg(name="")]) -> None:
    """Repeat the paper's supervised experiments, also with one setting for all, and with more or less asymmetry."""
    print(run_experiment(arguments))
