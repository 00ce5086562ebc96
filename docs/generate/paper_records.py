"""Read recorded trials for docs/paper.md."""

import json
from collections import defaultdict
from pathlib import Path

from rpp_rl.experiments.reproduction.results import read_csv
from rpp_rl.experiments.reproduction.trials import Result, Trial, read


def errors(rows: list[dict[str, str]]) -> dict[tuple[str, str], dict[int, float]]:
    """Group the test errors by (condition, network), then by seed."""
    found: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for row in rows:
        found[row["condition"], row["network"]][int(row["seed"])] = float(row["test_mse"])
    return dict(found)


def early_errors(trials: list[Result]) -> dict[tuple[str, str], dict[int, float]]:
    """Group the test errors at the smallest validation error by (condition, network), then by seed."""
    found: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for result in trials:
        best = min(result.measurements, key=lambda m: m.validation_mse)
        found[result.trial.condition, result.trial.network][result.trial.seed] = best.test_mse
    return dict(found)


def trials(folder: Path, name: str) -> list[Result]:
    """Read the trials of an experiment."""
    record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return [read(folder / "trials" / f"{Trial(**trial).name}.json") for trial in record["trials"]]


def command(folder: Path, name: str) -> str:
    """Read the command that recorded an experiment."""
    arguments = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["command"]
    return " ".join(arguments)


def last_errors(folder: Path) -> dict[str, list[float]]:
    """Group the equivariance errors of RPP at the end of training by condition."""
    rows = read_csv(folder / "equivariance_errors.csv")
    last = {row["condition"]: max(int(r["epoch"]) for r in rows if r["condition"] == row["condition"]) for row in rows}
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if int(row["epoch"]) == last[row["condition"]]:
            found[row["condition"]].append(float(row["equivariance_error"]))
    return found
