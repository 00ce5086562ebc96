"""Train every row of rates.yml at every learning rate, all seeds in one stack, and compare the areas of the curves.

python docs/evidence/rates.py --jobs 2 --runs runs/rates --out docs/results/evidence/rates

What is finished is skipped, so the same command continues after an interruption. Evaluation returns are averaged over
the run; P is the probability that a seed of one row beats a seed of another, with its interval of 95 %.

The wrong map is the worst there is: the action changes its sign and the observation does not.
"""

import argparse
import csv
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from rpp_rl import trivial_representation
from rpp_rl.envs import REGISTRY, register_symmetry
from rpp_rl.experiments import RunConfig, train_seeds
from rpp_rl.experiments.markdown import markdown_table
from rpp_rl.experiments.plots import need_matplotlib, new_figure, save_figure
from rpp_rl.statistics import area_under_curve, probability_of_improvement
from rpp_rl.strict_yaml import load_yaml

PLAN = load_yaml(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))
# The pairs of rows that the study is about.
PAIRS = (
    *(("rpp", "plain"), ("exact", "plain"), ("coordinates", "plain"), ("mirrored minibatches", "plain")),
    *(("rpp", "coordinates"), ("rpp", "rpp, wrong map"), ("rpp, wrong map", "plain"), ("rpp", "rpp, trivial group")),
)

_true = REGISTRY.get(PLAN["env"])
_still = _true.observation.size * trivial_representation(_true.group)
register_symmetry(
    PLAN["env"],
    replace(_true, name="wrong", observation=_still, breaks="wrong on purpose", source="a control"),
)


def folder_of(runs: Path, row: str, rate: float) -> Path:
    """The folder of the runs of a row at a learning rate."""
    return runs / row.replace(", ", "-").replace(" ", "-") / f"{rate:g}"


def train(runs: Path, row: str, rate: float) -> None:
    """Train all seeds of a row at a learning rate."""
    given: Mapping[str, Any] = PLAN["rows"][row]
    hyperparams = {**PLAN["hyperparams"], **given.get("hyperparams", {}), "learning_rate": rate}
    config = RunConfig(
        env=PLAN["env"],
        algo=given["algo"],
        symmetry=given.get("symmetry"),
        hyperparams=hyperparams,
        audit=False,
        log_folder=folder_of(runs, row, rate),
        **{name: PLAN[name] for name in ("n_timesteps", "eval_freq", "eval_episodes")},
    )
    train_seeds(config, range(PLAN["seeds"]))


def areas(folder: Path) -> list[float]:
    """The mean evaluation return over the run of each seed; empty where the runs are not finished."""
    found = []
    for seed in range(PLAN["seeds"]):
        files = list(folder.glob(f"*/*/seed{seed}/evaluations.npz"))
        if len(files) != 1:
            return []
        with np.load(files[0]) as data:
            steps, returns = data["timesteps"], data["results"].mean(axis=1)
        if steps[-1] != PLAN["n_timesteps"]:
            return []
        found.append(float(area_under_curve(steps, returns)[0]))
    return found


def report(runs: Path, out: Path) -> None:
    """Write all areas, their tables and figure."""
    kept = recorded(out / "areas.csv")
    cells = [(row, rate) for row in PLAN["rows"] for rate in PLAN["learning_rates"]]
    found = {cell: areas(folder_of(runs, *cell)) or kept.get(cell, []) for cell in cells}
    out.mkdir(parents=True, exist_ok=True)
    with (out / "areas.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "learning_rate", "seed", "area"])
        for (row, rate), values in found.items():
            writer.writerows([row, f"{rate:g}", seed, f"{value:.2f}"] for seed, value in enumerate(values))
    head = ["learning rate", *(f"{rate:g}" for rate in PLAN["learning_rates"])]
    medians = [
        [row, *(f"{np.median(found[row, rate]):.0f}" if found[row, rate] else "" for rate in PLAN["learning_rates"])]
        for row in PLAN["rows"]
    ]
    chances = [
        [f"{x} over {y}", *(chance(found[x, rate], found[y, rate]) for rate in PLAN["learning_rates"])]
        for x, y in PAIRS
    ]
    (out / "tables.md").write_text(f"{markdown_table(head, medians)}\n\n{markdown_table(head, chances)}\n")
    draw(found, out / "areas.png")


def recorded(path: Path) -> dict[tuple[str, float], list[float]]:
    """The areas that an earlier report has written, by row and learning rate; its runs may be gone."""
    found: dict[tuple[str, float], list[float]] = {}
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            for line in csv.DictReader(file):
                found.setdefault((line["row"], float(line["learning_rate"])), []).append(float(line["area"]))
    return found


def draw(found: Mapping[tuple[str, float], list[float]], path: Path) -> None:
    """Draw the median area of each row over the learning rates, with its quartiles."""
    figure = new_figure(7.0, 4.2)
    panel = figure.subplots()
    for number, row in enumerate(PLAN["rows"]):
        values = {rate: found[row, rate] for rate in PLAN["learning_rates"] if found[row, rate]}
        if not values:
            continue
        low, middle, high = np.transpose([np.quantile(v, (0.25, 0.5, 0.75)) for v in values.values()])
        # Rows are moved aside a little, so that their bars do not hide each other.
        places = np.array(list(values)) * 1.04 ** (number - len(PLAN["rows"]) / 2)
        panel.errorbar(places, middle, (middle - low, high - middle), fmt="o-", ms=4, lw=1.2, capsize=2, label=row)
    panel.set_xscale("log", base=2)
    panel.set_xticks(PLAN["learning_rates"], [f"{rate:g}" for rate in PLAN["learning_rates"]])
    panel.set(xlabel="learning rate", ylabel="mean evaluation return over the run")
    panel.set_title(f"median and quartiles of {PLAN['seeds']} seeds")
    panel.legend(fontsize="small")
    save_figure(figure, path)


def chance(x: list[float], y: list[float]) -> str:
    """P(X > Y) with its interval."""
    if not (x and y):
        return ""
    found = probability_of_improvement(x, y)
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def main() -> int:
    """Train what is missing, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="stacks that are trained at the same time")
    parser.add_argument("--runs", type=Path, default=Path("runs/rates"), help="folder of the runs")
    parser.add_argument("--out", type=Path, default=Path("docs/results/evidence/rates"), help="folder of the report")
    parser.add_argument("--rates", type=float, nargs="*", default=PLAN["learning_rates"], help="only these rates")
    given = parser.parse_args()
    need_matplotlib("the figure needs")
    jobs = [(row, rate) for rate in given.rates for row in PLAN["rows"]]
    kept = recorded(given.out / "areas.csv")
    left = [job for job in jobs if not (areas(folder_of(given.runs, *job)) or job in kept)]
    # Two stacks on two cores are faster with one thread each; the workers read this when they start.
    os.environ["OMP_NUM_THREADS"] = "1"
    failed = 0
    with ProcessPoolExecutor(given.jobs, get_context("spawn"), max_tasks_per_child=1) as pool:
        started = {job: pool.submit(train, given.runs, *job) for job in left}
        for (row, rate), run in started.items():
            failed += run.exception() is not None
            print(f"{row} at {rate:g}:", run.exception() or "done", flush=True)
    report(given.runs, given.out)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
