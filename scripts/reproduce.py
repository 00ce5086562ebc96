"""`rpp-rl reproduce`: the paper's supervised experiments, as tables and in the form of its figures."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from rpp_rl.errors import RunError

if TYPE_CHECKING:
    from rpp_rl.experiments.reproduction.conditions import NetworkName
    from rpp_rl.experiments.reproduction.trials import Result, Trial

ConditionName = Literal["perfect", "approximate", "misspecified"]
DEFAULTS: dict[str, tuple[tuple[ConditionName, ...], tuple[NetworkName, ...]]] = {
    "inertia": (("perfect", "approximate", "misspecified"), ("emlp", "rpp", "mlp")),
    "pendulum": (("perfect", "approximate", "misspecified"), ("emlp", "rpp", "mlp")),
    "equivariance": (("perfect", "approximate"), ("rpp",)),
    "prior-sweep": (("perfect",), ("rpp",)),
}

# A learnt prior starts without knowing whether the symmetry holds: both pathways alike.
LEARNING_STARTS_AT = {"equiv_wd": 1e-3, "basic_wd": 1e-3}


@dataclass(frozen=True)
class ReproduceArguments:
    """Run trials of one of the paper's experiments; those that the folder has already are not run again."""

    experiment: Positional[Literal["inertia", "pendulum", "equivariance", "prior-sweep"]]
    """inertia and pendulum: Figure 2; equivariance and prior-sweep: Figure 3."""
    trials: Annotated[int, arg(aliases=["-n"])] = 10
    """Seeds of each condition and network."""
    first_seed: int = 0
    """The first of these seeds."""
    epochs: int | None = None
    """Passes over the training examples; as published if left out."""
    conditions: tuple[ConditionName, ...] = ()
    """Whether the declared symmetry holds; those of the paper's figure if left out."""
    networks: tuple[Literal["emlp", "rpp", "mlp"], ...] = ()
    """Which networks; those of the paper's figure if left out."""
    width: int | None = None
    """Channels of a hidden layer; as published if left out."""
    equiv_wd: float | None = None
    """Strength of RPP's prior on the equivariant pathway; the condition's if left out."""
    basic_wd: float | None = None
    """Strength of RPP's prior on the residual pathway; the condition's if left out."""
    prior: Literal["fixed", "learned"] = "fixed"
    """Keep the strengths of RPP's priors, or learn them by empirical Bayes, from the same weak ones everywhere."""
    residual_step: Literal["prior"] | float = "prior"
    """Learning rate of RPP's residual beside that of the rest: in proportion to the width of its prior, or a number."""
    decay: Literal["none", "cosine"] = "none"
    """Whether the learning rate stays, as published, or follows half a cosine to zero."""
    equiv_grid: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2)
    """Strengths of the prior on the equivariant pathway that prior-sweep tries."""
    basic_grid: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
    """Strengths of the prior on the residual pathway that prior-sweep tries."""
    device: str = "cpu"
    """auto, cpu, cuda, cuda:1, ..."""
    out: Path = Path("runs/reproduce")
    """Folder of the results: CSV, PNG, Markdown, and a file for each trial."""
    plot: bool = True
    """Draw the figure, which needs the extra rpp-rl[plot]."""
    progress: bool = True
    """Show a progress bar."""


def reproduce(arguments: Annotated[ReproduceArguments, arg(name="")]) -> None:
    """Repeat the paper's supervised experiments: inertia, pendulum, equivariance error, sweep of the priors."""
    print(run_experiment(arguments))


def run_experiment(arguments: ReproduceArguments) -> str:
    """Run the trials that are missing, and write results, figure and table.

    Returns:
        The table, in Markdown.

    Raises:
        RPPError: for arguments that cannot be met, or results that cannot be read.
    """
    from rpp_rl.experiments.provenance import provenance
    from rpp_rl.experiments.reproduction import trials as files
    from rpp_rl.files import replace_file

    check(arguments)
    trials = planned(arguments)
    results = run_missing(arguments, trials)
    out, name = arguments.out, arguments.experiment
    tables = {
        "": files.result_rows(results),
        "_errors": files.error_rows(results) if name == "equivariance" else [],
        "_priors": files.prior_rows(results),
        "_layers": files.layer_table(results) if name == "inertia" else [],
    }
    for suffix, rows in tables.items():
        if rows:
            files.write_csv(out / f"{name}{suffix}.csv", rows)
    text = summary(arguments, results)
    replace_file(out / f"{name}.md", (text + "\n").encode())
    record = {**provenance(), "trials": [asdict(t) for t in trials]}
    replace_file(out / f"{name}.json", (json.dumps(record, indent=1) + "\n").encode())
    if arguments.plot:
        picture(name, results, out / f"{name}.png")
    return text


def check(arguments: ReproduceArguments) -> None:
    """Check what can be checked before anything is run.

    Raises:
        RunError: if an argument cannot be met.
    """
    from rpp_rl.experiments.devices import check_device
    from rpp_rl.experiments.plots import need_matplotlib
    from rpp_rl.priors import PathwayPrior

    for flag in ("trials", "epochs", "width"):
        value = getattr(arguments, flag)
        if value is not None and value < 1:
            raise RunError(f"--{flag} must be at least 1, got {value}")
    if not 0 <= arguments.first_seed < 2**32:
        raise RunError(f"--first-seed must be a number from 0 to {2**32 - 1}, got {arguments.first_seed}")
    if arguments.residual_step != "prior" and not 0 <= arguments.residual_step < float("inf"):
        raise RunError(f"--residual-step must be 'prior' or a number >= 0, got {arguments.residual_step}")
    if not (arguments.equiv_grid and arguments.basic_grid):
        raise RunError("--equiv-grid and --basic-grid need at least one strength each")
    for equiv in (*arguments.equiv_grid, arguments.equiv_wd or 0.0):
        PathwayPrior(equiv_wd=equiv)
    for basic in (*arguments.basic_grid, arguments.basic_wd or 0.0):
        PathwayPrior(basic_wd=basic)
    check_device(arguments.device)
    if any(p.is_file() for p in (arguments.out, *arguments.out.parents)):
        raise RunError(f"--out {arguments.out} is a file, or lies in one; choose a folder")
    if arguments.plot:
        need_matplotlib("figures need", "pip install 'rpp-rl[plot]', or add --no-plot")


def planned(arguments: ReproduceArguments) -> list[Trial]:
    """The trials of an experiment; seed by seed, so that an interrupted one has whole seeds."""
    from rpp_rl.experiments.reproduction.trials import Trial, with_settings

    conditions, networks = DEFAULTS[arguments.experiment]
    problem: Literal["inertia", "pendulum"] = "pendulum" if arguments.experiment == "pendulum" else "inertia"
    sweep = arguments.experiment == "prior-sweep"
    grid = [(e, b) for e in arguments.equiv_grid for b in arguments.basic_grid]
    priors: Sequence[tuple[float | None, float | None]] = grid if sweep else [(arguments.equiv_wd, arguments.basic_wd)]
    trials = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.trials):
        for condition in arguments.conditions or conditions:
            for network in arguments.networks or networks:
                trial = Trial.published(problem, condition, network, seed)
                trial = with_settings(trial, epochs=arguments.epochs, width=arguments.width, decay=arguments.decay)
                if network == "rpp":
                    trial = with_settings(trial, residual_step=arguments.residual_step)
                if arguments.prior == "learned" and network == "rpp":
                    trial = with_settings(trial, prior="learned", **LEARNING_STARTS_AT)
                for equiv, basic in priors if network == "rpp" else [(None, None)]:
                    trials.append(with_settings(trial, equiv_wd=equiv, basic_wd=basic))
    return trials


def run_missing(arguments: ReproduceArguments, trials: Sequence[Trial]) -> list[Result]:
    """Run what is not there yet, under a progress bar over the epochs of all of it."""
    import torch
    from tqdm import tqdm

    from rpp_rl.experiments.reproduction.trials import missing, run_all

    folder = arguments.out / "trials"
    cuda = arguments.device == "auto" and torch.cuda.is_available()
    device = "cuda" if cuda else "cpu" if arguments.device == "auto" else arguments.device
    left = sum(t.epochs for t in missing(trials, folder))
    with tqdm(total=left, unit="epoch", disable=not arguments.progress) as bar:

        def on_epoch(trial: Trial) -> None:
            bar.set_description(f"{trial.condition} {trial.network} seed {trial.seed}", refresh=False)
            bar.update()

        return run_all(trials, folder, device, on_epoch)


def errors_by_seed(results: Sequence[Result]) -> dict[tuple[str, str], dict[int, float]]:
    """The final test error by (condition, network), then by seed."""
    errors: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for r in results:
        errors[r.trial.condition, r.trial.network][r.trial.seed] = r.final.test_mse
    return dict(errors)


def cells(results: Sequence[Result]) -> dict[str, dict[tuple[float, float], tuple[float, float]]]:
    """The median validation and test errors by condition, then by (equiv_wd, basic_wd)."""
    from rpp_rl.experiments.reproduction.verdicts import median

    found: dict[str, dict[tuple[float, float], list[Result]]] = defaultdict(lambda: defaultdict(list))
    for r in results:
        found[r.trial.condition][r.trial.equiv_wd, r.trial.basic_wd].append(r)
    return {
        condition: {
            cell: (median([r.final.validation_mse for r in rs]), median([r.final.test_mse for r in rs]))
            for cell, rs in by_cell.items()
        }
        for condition, by_cell in found.items()
    }


def by_epoch(results: Sequence[Result]) -> dict[str, dict[int, list[float]]]:
    """RPP's equivariance errors by condition and epoch, over trials and elements."""
    found: dict[str, dict[int, list[float]]] = {}
    for r in results:
        for m in r.measurements:
            found.setdefault(r.trial.condition, {}).setdefault(m.epoch, []).extend(m.equivariance_errors)
    return found


def summary(arguments: ReproduceArguments, results: Sequence[Result]) -> str:
    """The table of an experiment, in Markdown."""
    from rpp_rl.experiments.markdown import markdown_table
    from rpp_rl.experiments.reproduction.verdicts import median, table

    if arguments.experiment == "prior-sweep":
        header: tuple[str, ...] = ("condition", "equiv", "basic", "median validation MSE", "median test MSE")
        rows = [
            (condition, *(f"{value:.3g}" for value in (*cell, *medians)))
            for condition, grid in cells(results).items()
            for cell, medians in grid.items()
        ]
        return markdown_table(header, rows)
    if arguments.experiment == "equivariance":
        header = ("condition", "epoch", "median equivariance error")
        rows = [
            (condition, str(epoch), f"{median(values):.2e}")
            for condition, epochs in by_epoch(results).items()
            for epoch, values in epochs.items()
        ]
        return markdown_table(header, rows)
    return table(errors_by_seed(results))


def picture(name: str, results: Sequence[Result], path: Path) -> None:
    """Draw the figure of an experiment."""
    from rpp_rl.experiments.reproduction import figures

    if name == "equivariance":
        figures.densities(by_epoch(results), path)
    elif name == "prior-sweep":
        figures.heat_maps({c: {k: test for k, (_, test) in grid.items()} for c, grid in cells(results).items()}, path)
    else:
        figures.box_plots(errors_by_seed(results), path)


if __name__ == "__main__":
    from rpp_rl.scripts.main import main

    sys.exit(main(["reproduce", *sys.argv[1:]]))
