"""Repeat one of the paper's experiments: run its trials, and write results, figure and table."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

import torch
from tqdm import tqdm

from rpp_rl.agents.common.devices import check_device
from rpp_rl.errors import RunError
from rpp_rl.experiments.markdown import markdown_table
from rpp_rl.experiments.plots import need_matplotlib
from rpp_rl.experiments.provenance import provenance
from rpp_rl.experiments.reproduction import figures, results
from rpp_rl.experiments.reproduction.conditions import Decay, NetworkName, ProblemName, Start
from rpp_rl.experiments.reproduction.training import ResidualStep
from rpp_rl.experiments.reproduction.trials import Result, Trial, missing, run_all, with_settings
from rpp_rl.files import replace_file
from rpp_rl.priors import PathwayPrior
from rpp_rl.residual_priors import ResidualPrior

ExperimentName = Literal[
    "inertia", "pendulum", "equivariance", "prior-sweep", "one-setting", "setting-sweep", "asymmetry"
]
ConditionName = Literal["perfect", "approximate", "misspecified"]
# Conditions and networks of each experiment; the first four are figures in the paper.
DEFAULTS: dict[ExperimentName, tuple[tuple[ConditionName, ...], tuple[NetworkName, ...]]] = {
    "inertia": (("perfect", "approximate", "misspecified"), ("emlp", "rpp", "mlp")),
    "pendulum": (("perfect", "approximate", "misspecified"), ("emlp", "rpp", "mlp")),
    "equivariance": (("perfect", "approximate"), ("rpp",)),
    "prior-sweep": (("perfect",), ("rpp",)),
    "one-setting": (("perfect", "approximate", "misspecified"), ("emlp", "rpp", "rpp-orthogonal", "mlp")),
    "setting-sweep": (("perfect", "approximate", "misspecified"), ("emlp", "rpp", "rpp-orthogonal", "mlp")),
    "asymmetry": (("approximate",), ("emlp", "rpp-orthogonal", "mlp")),
}
ONE_SETTING_FOR_ALL = ("one-setting", "setting-sweep", "asymmetry")
# Learned priors start with equal strengths for both pathways, whether or not the symmetry holds.
LEARNING_STARTS_AT = {"equiv_wd": 1e-3, "basic_wd": 1e-3}


@dataclass(frozen=True)
class Experiment:
    """The settings of an experiment. None and empty tuples stand for the experiment's own."""

    experiment: ExperimentName
    """inertia and pendulum: Figure 2; equivariance and prior-sweep: Figure 3; one-setting: one setting for all
    conditions; setting-sweep: how it is chosen; asymmetry: error against the amount of planted asymmetry."""
    problem: ProblemName = "inertia"
    """The problem of one-setting and setting-sweep."""
    trials: int = 10
    """Seeds of each condition and network."""
    first_seed: int = 0
    """The first of these seeds."""
    epochs: int | None = None
    """Passes over the training examples; None for the experiment's number."""
    conditions: tuple[ConditionName, ...] = ()
    """Whether the declared symmetry holds; empty for those of the experiment."""
    networks: tuple[NetworkName, ...] = ()
    """The networks; empty for those of the experiment."""
    width: int | None = None
    """Channels of a hidden layer; None for the published number."""
    equiv_wd: float | None = None
    """Strength of RPP's prior on the equivariant pathway; None for the condition's."""
    basic_wd: float | None = None
    """Strength of RPP's prior on the residual pathway; None for the condition's."""
    prior: Literal["fixed", "learned"] = "fixed"
    """Keep the strengths of RPP's priors, or learn them by empirical Bayes, from weak ones."""
    residual_step: ResidualStep = "prior"
    """Learning rate of RPP's residual relative to the rest: in proportion to the width of its prior, or a number."""
    decay: Decay | None = None
    """Keep the learning rate, as published, or lower it by half a cosine to zero; None for the experiment's."""
    learning_rate: float | None = None
    """Adam's, at the start; None for the experiment's."""
    residual_budget: float | None = None
    """Budget of rpp-orthogonal's residual; None for the experiment's."""
    start: Start | None = None
    """Draw an equivariant part for each RPP, or start it as the exact network; None for the experiment's."""
    equiv_grid: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2)
    """Strengths of the prior on the equivariant pathway that prior-sweep tries."""
    basic_grid: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
    """Strengths of the prior on the residual pathway that prior-sweep and setting-sweep try."""
    rate_grid: tuple[float, ...] = (1e-3, 3e-3)
    """Learning rates that setting-sweep tries."""
    budget_grid: tuple[float, ...] = (0.03, 0.1, 0.3)
    """Budgets of rpp-orthogonal's residual that setting-sweep tries."""
    step_grid: tuple[float, ...] = (0.1,)
    """Learning rates of rpp-orthogonal's residual relative to the rest that setting-sweep tries."""
    asymmetry_grid: tuple[float, ...] = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
    """Factors of v g^T in the tensor of inertia that asymmetry tries."""
    device: str = "cpu"
    """auto, cpu, cuda, cuda:1, ..."""
    out: Path = Path("runs/reproduce")
    """Folder of the results: CSV, PNG, Markdown, and a file for each trial."""
    plot: bool = True
    """Draw the figure, which needs the extra rpp-rl[plot]."""
    progress: bool = True
    """Show a progress bar."""

    @property
    def stem(self) -> str:
        """The name of the experiment's files."""
        on_pendulum = self.problem == "pendulum" and self.experiment in ("one-setting", "setting-sweep")
        return f"{self.experiment}-pendulum" if on_pendulum else self.experiment

    def command(self) -> list[str]:
        """The command line that repeats the experiment."""
        words = ["rpp-rl", "reproduce", self.experiment]
        for option in fields(self):
            value, flag = getattr(self, option.name), option.name.replace("_", "-")
            if option.name == "experiment" or value == option.default:
                continue
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no-{flag}")
            else:
                words += [f"--{flag}", *(map(str, value) if isinstance(value, tuple) else [str(value)])]
        return words


def run_experiment(experiment: Experiment) -> str:
    """Run the missing trials of an experiment, and write results, figure and table.

    Returns:
        The table, in Markdown.

    Raises:
        RPPError: if a setting is out of bounds, or a result cannot be read.
    """
    check(experiment)
    trials = planned_trials(experiment)
    found = _run(experiment, trials)
    out, name, stem = experiment.out, experiment.experiment, experiment.stem
    tables = {
        "": results.result_rows(found),
        "_errors": results.error_rows(found) if name == "equivariance" else [],
        "_priors": results.prior_rows(found),
        "_layers": results.layer_rows(found) if name == "inertia" else [],
    }
    for suffix, rows in tables.items():
        if rows:
            results.write_csv(out / f"{stem}{suffix}.csv", rows)
    text = summary(name, found)
    replace_file(out / f"{stem}.md", (text + "\n").encode())
    record = {"command": experiment.command(), **provenance(), "trials": [asdict(t) for t in trials]}
    replace_file(out / f"{stem}.json", (json.dumps(record, indent=1) + "\n").encode())
    if experiment.plot:
        draw(name, found, out / f"{stem}.png")
    return text


def check(experiment: Experiment) -> None:
    """Check the settings before anything is run.

    Raises:
        RPPError: if one is out of bounds.
    """
    e = experiment
    for flag in ("trials", "epochs", "width"):
        value = getattr(e, flag)
        if value is not None and value < 1:
            raise RunError(f"--{flag} must be at least 1, got {value}")
    if not 0 <= e.first_seed < 2**32:
        raise RunError(f"--first-seed must be a number from 0 to {2**32 - 1}, got {e.first_seed}")
    if e.residual_step != "prior" and not 0 <= e.residual_step < float("inf"):
        raise RunError(f"--residual-step must be 'prior' or a number >= 0, got {e.residual_step}")
    _check_grids(e)
    check_device(e.device)
    if any(p.is_file() for p in (e.out, *e.out.parents)):
        raise RunError(f"--out {e.out} is a file, or lies in one; choose a folder")
    if e.plot:
        need_matplotlib("figures need", "pip install 'rpp-rl[plot]', or add --no-plot")


def _check_grids(e: Experiment) -> None:
    """Check single values and grids of strengths, learning rates, budgets, steps and asymmetries."""
    for name in ("equiv", "basic", "rate", "budget", "step", "asymmetry"):
        if not getattr(e, f"{name}_grid"):
            raise RunError(f"--{name}-grid needs at least one number")
    for flag, rates in (("learning-rate", (e.learning_rate or 1.0,)), ("rate-grid", e.rate_grid)):
        if not all(0 < rate < float("inf") for rate in rates):
            raise RunError(f"--{flag} must be positive, got {' '.join(map(str, rates))}")
    for flag, numbers in (("step-grid", e.step_grid), ("asymmetry-grid", e.asymmetry_grid)):
        if not all(0 <= number < float("inf") for number in numbers):
            raise RunError(f"--{flag} must have numbers >= 0, got {' '.join(map(str, numbers))}")
    for budget in (*e.budget_grid, *([] if e.residual_budget is None else [e.residual_budget])):
        ResidualPrior(budget=budget)
    for equiv in (*e.equiv_grid, e.equiv_wd or 0.0):
        PathwayPrior(equiv_wd=equiv)
    for basic in (*e.basic_grid, e.basic_wd or 0.0):
        PathwayPrior(basic_wd=basic)


def planned_trials(experiment: Experiment) -> list[Trial]:
    """The trials of an experiment, seed by seed: an interrupted one has complete seeds."""
    e = experiment
    conditions, networks = DEFAULTS[e.experiment]
    return [
        varied
        for seed in range(e.first_seed, e.first_seed + e.trials)
        for condition in e.conditions or conditions
        for network in e.networks or networks
        for varied in _varied(e, _base(e, condition, network, seed))
    ]


def _base(e: Experiment, condition: str, network: NetworkName, seed: int) -> Trial:
    """The trial of a condition, network and seed, before the experiment varies a setting."""
    shared = e.experiment in ONE_SETTING_FOR_ALL
    problem: ProblemName = "pendulum" if e.stem.endswith("pendulum") else "inertia"
    trial = (Trial.one_setting if shared else Trial.published)(problem, condition, network, seed)
    trial = with_settings(trial, epochs=e.epochs, width=e.width, decay=e.decay, learning_rate=e.learning_rate)
    if network in ("rpp", "rpp-orthogonal"):
        trial = with_settings(trial, start=e.start)
    if network == "rpp-orthogonal":
        step = None if e.residual_step == "prior" else e.residual_step
        return with_settings(trial, residual_step=step, residual_budget=e.residual_budget)
    if network != "rpp":
        return trial
    trial = with_settings(trial, residual_step=e.residual_step)
    if e.prior == "learned":
        trial = with_settings(trial, prior="learned", **LEARNING_STARTS_AT)
    return with_settings(trial, equiv_wd=e.equiv_wd, basic_wd=e.basic_wd)


def _varied(e: Experiment, trial: Trial) -> list[Trial]:
    """The trials that differ from one in what the experiment varies."""
    grids: dict[str, tuple[float, ...]] = {}
    if e.experiment == "prior-sweep" and trial.network == "rpp":
        grids = {"equiv_wd": e.equiv_grid, "basic_wd": e.basic_grid}
    elif e.experiment == "asymmetry":
        grids = {"asymmetry": e.asymmetry_grid}
    elif e.experiment == "setting-sweep":
        own = {
            "rpp": {"basic_wd": e.basic_grid},
            "rpp-orthogonal": {"residual_budget": e.budget_grid, "residual_step": e.step_grid},
        }
        grids = {"learning_rate": e.rate_grid, **own.get(trial.network, {})}
    return [
        with_settings(trial, **dict(zip(grids, values, strict=True))) for values in itertools.product(*grids.values())
    ]


def _run(experiment: Experiment, trials: Sequence[Trial]) -> list[Result]:
    """Run the missing trials, with a progress bar over their epochs."""
    folder, device = experiment.out / "trials", experiment.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    epochs = sum(t.epochs for t in missing(trials, folder))
    with tqdm(total=epochs, unit="epoch", disable=not experiment.progress) as bar:

        def on_epoch(trial: Trial) -> None:
            bar.set_description(f"{trial.condition} {trial.network} seed {trial.seed}", refresh=False)
            bar.update()

        return run_all(trials, folder, device, on_epoch)


def summary(name: ExperimentName, found: Sequence[Result]) -> str:
    """The table of an experiment, in Markdown."""
    if name == "prior-sweep":
        header: tuple[str, ...] = ("condition", "equiv", "basic", "median validation MSE", "median test MSE")
        rows = [
            (condition, *(f"{value:.3g}" for value in (*strengths, *medians)))
            for condition, grid in results.median_errors(found).items()
            for strengths, medians in grid.items()
        ]
        return markdown_table(header, rows)
    if name == "equivariance":
        header = ("condition", "epoch", "median equivariance error")
        rows = [
            (condition, str(epoch), f"{results.median(values):.2e}")
            for condition, epochs in results.equivariance_errors(found).items()
            for epoch, values in epochs.items()
        ]
        return markdown_table(header, rows)
    if name == "setting-sweep":
        return results.sweep_table(results.sweep_errors(found))
    if name == "asymmetry":
        return results.asymmetry_table(results.errors_by_asymmetry(found))
    errors = results.errors_by_seed(found)
    if name == "one-setting":
        return f"{results.table(errors, results.HOPES)}\n\n{results.ratio_table(errors, results.HOPES)}"
    return results.table(errors)


def draw(name: ExperimentName, found: Sequence[Result], path: Path) -> None:
    """Draw the figure of an experiment."""
    if name == "equivariance":
        figures.densities(results.equivariance_errors(found), path)
    elif name == "prior-sweep":
        medians = results.median_errors(found)
        figures.heat_maps({c: {wds: test for wds, (_, test) in grid.items()} for c, grid in medians.items()}, path)
    elif name == "asymmetry":
        figures.asymmetry_lines(results.errors_by_asymmetry(found), path)
    elif name != "setting-sweep":
        figures.box_plots(results.errors_by_seed(found), path)
