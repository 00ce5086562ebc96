"""Print a table of evaluation returns over the seeds of some run folders.

python docs/generate/learning.py fast bf16 slow > docs/results/learning.md
"""

import sys
from pathlib import Path

import numpy as np
from scipy.stats import trim_mean


def main(folders: list[Path]) -> None:
    """Print the interquartile mean and the number of solved seeds at each evaluation."""
    for number, folder in enumerate(folders):
        paths = sorted(folder.glob("*/*/seed*/evaluations.npz"))
        returns = np.array([np.load(path)["results"].mean(axis=1) for path in paths])
        if not number:
            steps = np.load(paths[0])["timesteps"]
            print("| | " + " | ".join(map(str, steps)) + " |")
            print("|---|" + "---|" * len(steps))
        print(f"| {folder.name}: IQM | " + " | ".join(f"{v:.0f}" for v in trim_mean(returns, 0.25)) + " |")
        solved = (returns == 1000).sum(axis=0)
        print(f"| {folder.name}: seeds at 1000 | " + " | ".join(f"{n} of {len(paths)}" for n in solved) + " |")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main([Path(name) for name in sys.argv[1:]])
