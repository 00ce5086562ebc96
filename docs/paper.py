"""Write docs/paper.md and its figures from recorded trials; the commands stand in the page itself.

python docs/paper.py docs/results/reproduce docs/paper.md
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

from rpp_rl.scripts.reproducing import figures
from rpp_rl.scripts.reproducing.trials import read_csv
from rpp_rl.scripts.reproducing.verdicts import median, table

TEXT = """# The paper's supervised experiments, repeated

Written by `make docs-paper`, never by hand, from the recorded trials in `docs/results/reproduce`. Experiments,
hyperparameters and claims are those of Finzi, Benton and Wilson, *Residual Pathway Priors for Soft Equivariance
Constraints* (NeurIPS 2021). Every command goes on where it was stopped: with a
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

# Experiments in a folder of their own: one thing is other than in the rest.
SAME_STEP, LEARNED, LAYERS = "same-step", "learned", "layers"


def main(folder: Path, path: Path) -> None:
    """Write the page and its figures."""
    images = path.parent / "images"
    record = json.loads((folder / "inertia.json").read_text(encoding="utf-8"))
    rows = read_csv(folder / "inertia.csv")
    figures.box_plots(errors(rows), images / "inertia.png")
    sections = (same_step(folder), pendulum(folder, images), equivariance(folder, images), sweep(folder, images))
    text = TEXT.format(
        cpu=record["cpu"],
        torch=record["versions"]["torch"],
        recorded="\n".join(recorded(folder)),
        inertia_command=command(folder, "inertia"),
        inertia=table(errors(rows)),
        rest="\n\n".join(part for part in (*sections, layers(folder), learned(folder)) if part),
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


def same_step(folder: Path) -> str:
    """The section on how far Adam steps in the residual pathway."""
    own = folder / SAME_STEP
    rows = {"in proportion to its prior": folder, "as all other parameters": own}
    lines = [
        "| the residual steps | median test MSE | least to greatest | median equivariance error at the end | trials |"
    ]
    lines.append("|---|---|---|---|---|")
    for name, where in rows.items():
        found = list(errors(read_csv(where / "inertia.csv"))["perfect", "rpp"].values())
        spread, last = f"{min(found):.3g} to {max(found):.3g}", median(last_errors(where)["perfect"])
        lines.append(f"| {name} | {median(found):.3g} | {spread} | {last:.2g} | {len(found)} |")
    return f"""## How far Adam steps in the residual pathway

    {command(own, "inertia")}

Perfect symmetry, RPP. Adam moves every parameter by about its learning rate, whatever the gradient. Under the
published strengths the residual's prior has the standard deviation 5e-4 (see below), so a step of 3e-3 is six of them:
the residual never settles, and the equivariant pathway learns under its noise. Everywhere else on this page the
residual's learning rate is smaller, in the proportion of the two standard deviations, sqrt(wd_equiv / wd_basic), unless
that is more than 1; see `PathwayPrior.step_ratio`.

""" + "\n".join(lines)


def last_errors(folder: Path) -> dict[str, list[float]]:
    """The equivariance errors of RPP at the end of training, by condition."""
    rows = read_csv(folder / "equivariance_errors.csv")
    last = {row["condition"]: max(int(r["epoch"]) for r in rows if r["condition"] == row["condition"]) for row in rows}
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if int(row["epoch"]) == last[row["condition"]]:
            found[row["condition"]].append(float(row["equivariance_error"]))
    return found


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
    cells: dict[str, dict[tuple[float, float], list[float]]] = defaultdict(lambda: defaultdict(list))
    rows = read_csv(folder / "prior-sweep.csv")
    for row in rows:
        cells[row["condition"]][float(row["equiv_wd"]), float(row["basic_wd"])].append(float(row["test_mse"]))
    figures.heat_maps(
        {name: {cell: median(values) for cell, values in grid.items()} for name, grid in cells.items()},
        images / "prior-sweep.png",
    )
    seeds = len({row["seed"] for row in rows})
    return (
        f"## Sweep of the priors\n\n    {command(folder, 'prior-sweep')}\n\n"
        f"RPP on Inertia, median test error after {rows[0]['epochs']} epochs over {seeds} seeds.\n\n"
        "![Test error over the strengths of the two priors](images/prior-sweep.png)"
    )


def learned(folder: Path) -> str:
    """The section on strengths that are learnt, if it was recorded."""
    own = folder / LEARNED
    if not (own / "inertia.csv").exists():
        return ""
    found = errors(read_csv(own / "inertia.csv"))
    priors = read_csv(own / "inertia_priors.csv")
    lines = [
        "| condition | s_eq | s_res | sigma | median test MSE | least to greatest | trials |",
        "|---|---|---|---|---|---|---|",
    ]
    for (condition, _), by_seed in found.items():
        mine = [row for row in priors if row["condition"] == condition]
        last = [row for row in mine if row["epoch"] == mine[-1]["epoch"]]
        stds = [median([float(r["std"]) for r in last if r["pathway"] == p]) for p in ("equiv", "basic")]
        noise = median([float(r["noise"]) for r in last])
        values = list(by_seed.values())
        lines.append(
            f"| {condition} | {stds[0]:.2g} | {stds[1]:.2g} | {noise:.2g} | {median(values):.3g} | "
            f"{min(values):.3g} to {max(values):.3g} | {len(values)} |"
        )
    return f"## Learning the strengths\n\n    {command(own, 'inertia')}\n\n" + "\n".join(lines)


def layers(folder: Path) -> str:
    """The section on what became of the pathways in each layer, if it was recorded."""
    own = folder / LAYERS
    if not (own / "inertia_layers.csv").exists():
        return ""
    found: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in read_csv(own / "inertia_layers.csv"):
        if row["residual_share"]:
            found[row["condition"], row["layer"]].append(row)
    lines = [
        "| condition | layer | residual share | effective, equivariant | effective, residual |",
        "|---|---|---|---|---|",
    ]
    for (condition, layer), rows in found.items():
        middle = {
            key: median([float(row[key]) for row in rows])
            for key in ("residual_share", "equiv_effective", "basic_effective")
        }
        lines.append(
            f"| {condition} | `{layer}` | {middle['residual_share']:.2g} | {middle['equiv_effective']:.3g} | "
            f"{middle['basic_effective']:.2g} |"
        )
    return (
        f"## Is it only two weight decays?\n\n    {command(own, 'inertia')}\n\n"
        "What a trained RPP tells of each layer: |B| / (|A| + |B|), and how many parameters of each pathway the data\n"
        f"determine (`rpp_rl.evidence.effective_parameters`), of {rows[0]['outputs']} outputs; medians over "
        f"{len({row['seed'] for row in rows})} seeds.\n\n" + "\n".join(lines)
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
