"""Draw the reward curves of runs: every seed thin, the interquartile mean bold, n in the legend.

    python docs/curves.py TITLE PICTURE.png TABLE.csv LABEL=FOLDER [LABEL=FOLDER ...]

Each FOLDER is one that `rpp-rl train` fills with runs, such as runs/Reacher-v5/rpp_sac. The table holds every
evaluation, one row each.
"""

import csv
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Mean along the first axis without the lowest and the highest quarter (rounded down), as scipy's trim_mean."""
    cut = len(values) // 4
    return np.sort(values, axis=0)[cut : len(values) - cut].mean(axis=0)


def main(title: str, picture: Path, table: Path, folders: dict[str, Path]) -> None:
    """Read ``FOLDER/seed*/evaluations.npz`` of each label and draw."""
    rows = []
    figure, axes = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    for i, (label, folder) in enumerate(folders.items()):
        curves = []
        for path in sorted(folder.glob("seed*/evaluations.npz")):
            data = np.load(path)
            steps, returns = data["timesteps"], data["results"].mean(axis=1)
            curves.append(returns)
            axes.plot(steps, returns, color=f"C{i}", lw=0.7, alpha=0.5)
            rows += [(label, path.parent.name, int(s), round(float(r), 3)) for s, r in zip(steps, returns, strict=True)]
        middle = interquartile_mean(np.array(curves))
        axes.plot(steps, middle, color=f"C{i}", lw=2.5, label=f"{label} (IQM, n = {len(curves)} seeds)")
        last = ", ".join(f"{curve[-1]:.0f}" for curve in curves)
        print(f"{label:28s} n={len(curves)}  IQM at {steps[-1]} steps {middle[-1]:.0f}  (seeds: {last})")
    axes.set(xlabel="environment steps", ylabel="eval/mean_reward", title=title)
    axes.legend(frameon=False)
    figure.savefig(picture, dpi=110)
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("label", "run", "steps", "mean_reward"))
        writer.writerows(rows)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    named = dict(argument.split("=", 1) for argument in sys.argv[4:])
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), {k: Path(v) for k, v in named.items()})
