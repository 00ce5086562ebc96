"""Write docs/paper.md and its figures from recorded trials; the commands stand in the page itself.

python docs/paper.py docs/results/reproduce docs/paper.md
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

from rpp_rl.scripts.reproducing import figures
from rpp_rl.scripts.reproducing.trials import read_csv
from rpp_rl.scripts.reproducing.verdicts import table

TEXT = """# The paper's supervised experiments, repeated

Written by `python docs/paper.py docs/results/reproduce docs/paper.md`, never by hand, from the recorded trials in
`docs/results/reproduce`. Experiments, hyperparameters and claims are those of Finzi, Benton and Wilson, *Residual
Pathway Priors for Soft Equivariance Constraints* (NeurIPS 2021). Every command goes on where it was stopped: with a
larger `--trials` it runs what is missing. Trained on {cpu}, torch {torch}, one thread.

## Can I use it?

    pip install 'rpp-rl[reproduce]'
    rpp-rl reproduce inertia --trials 10 --out runs/reproduce

| experiment | figure of the paper | recorded here |
|---|---|---|
{recorded}

## Inertia: the symmetry holds, holds approximately, is mis-specified

    {inertia_command}

Five masses and positions to their tensor of inertia, O(3); approximate: 0.3 v g^T is added; mis-specified: SL(3) is
declared. 1000 examples to train, 1000 to test, batches of 500, Adam at 3e-3, three hidden layers of 384 channels, 300
epochs (approximate: 500). Errors are those at the end of training.

![Test errors](images/inertia.png)

{inertia}

"As good as" allows a median of one and a half times the other's; "seeds that agree" compares networks on the same data.

{rest}

{notes}
"""


def main(folder: Path, path: Path) -> None:
    """Write the page and its figures."""
    images = path.parent / "images"
    record = json.loads((folder / "inertia.json").read_text(encoding="utf-8"))
    rows = read_csv(folder / "inertia.csv")
    figures.box_plots(errors(rows), images / "inertia.png")
    text = TEXT.format(
        cpu=record["cpu"],
        torch=record["versions"]["torch"],
        recorded="\n".join(recorded(folder)),
        inertia_command=command(folder, "inertia"),
        inertia=table(errors(rows)),
        rest="\n\n".join(part for part in (pendulum(folder, images), equivariance(folder, images)) if part)
        + sweep(folder, images),
        notes=(folder / "notes.md").read_text(encoding="utf-8").strip(),
    )
    path.write_text(text, encoding="utf-8")


def errors(rows: list[dict[str, str]]) -> dict[tuple[str, str], dict[int, float]]:
    """Test errors by (condition, network), then by seed."""
    found: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for row in rows:
        found[row["condition"], row["network"]][int(row["seed"])] = float(row["test_mse"])
    return dict(found)


def command(folder: Path, name: str) -> str:
    """The command that an experiment was recorded with."""
    words = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["command"]
    return " ".join(words)


def recorded(folder: Path) -> list[str]:
    """A line for each experiment: how many trials were recorded."""
    lines = []
    for name, figure in (("inertia", 2), ("pendulum", 2), ("equivariance", 3), ("prior-sweep", 3)):
        path = folder / f"{name}.csv"
        found = read_csv(path) if path.exists() else []
        seeds = len({row["seed"] for row in found})
        lines.append(f"| {name} | {figure} | {f'{len(found)} trials, seeds: {seeds}' if found else 'not yet'} |")
    return lines


def pendulum(folder: Path, images: Path) -> str:
    """The section on the double pendulum, if it was recorded."""
    if not (folder / "pendulum.csv").exists():
        return ""
    found = errors(read_csv(folder / "pendulum.csv"))
    figures.box_plots(found, images / "pendulum.png")
    return (
        f"## Double pendulum\n\n    {command(folder, 'pendulum')}\n\n"
        f"![Test errors](images/pendulum.png)\n\n{table(found)}"
    )


def equivariance(folder: Path, images: Path) -> str:
    """The section on the equivariance error over epochs, if it was recorded."""
    if not (folder / "equivariance_errors.csv").exists():
        return ""
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in read_csv(folder / "equivariance_errors.csv"):
        found[row["condition"]][int(row["epoch"])].append(float(row["equivariance_error"]))
    medians = "; ".join(
        f"{name} {median(by_epoch[min(by_epoch)]):.2g} and {median(by_epoch[max(by_epoch)]):.2g}"
        for name, by_epoch in found.items()
    )
    figures.densities(found, images / "equivariance.png")
    return (
        f"## Equivariance error over training\n\n    {command(folder, 'equivariance')}\n\n"
        "The error |f(g x) - g f(x)| / |f(x)| of RPP for ten random elements of O(3), over trials; medians at the "
        f"first\nand the last measurement are {medians}.\n\n"
        "![Densities of the equivariance error](images/equivariance.png)"
    )


def sweep(folder: Path, images: Path) -> str:
    """The section on the sweep of the priors, if it was recorded."""
    if not (folder / "prior-sweep.csv").exists():
        return ""
    cells: dict[str, dict[tuple[float, float], float]] = defaultdict(dict)
    rows = read_csv(folder / "prior-sweep.csv")
    for row in rows:
        cells[row["condition"]][float(row["equiv_wd"]), float(row["basic_wd"])] = float(row["test_mse"])
    figures.heat_maps(cells, images / "prior-sweep.png")
    return (
        f"\n\n## Sweep of the priors\n\n    {command(folder, 'prior-sweep')}\n\n"
        f"RPP on Inertia, test error after {rows[0]['epochs']} epochs, one seed.\n\n"
        "![Test error over the strengths of the two priors](images/prior-sweep.png)"
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
