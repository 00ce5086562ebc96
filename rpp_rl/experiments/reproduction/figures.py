"""The paper's figures: box plots, densities and heat maps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import gaussian_kde

from rpp_rl.experiments.plots import new_figure, save_figure
from rpp_rl.experiments.reproduction.results import LABELS, Errors, median

COLORS = {"emlp": "tab:blue", "rpp": "tab:green", "rpp-orthogonal": "tab:purple", "mlp": "tab:orange"}
TITLES = {"perfect": "symmetry holds", "approximate": "symmetry is approximate", "misspecified": "mis-specified"}


def box_plots(errors: Errors, path: Path) -> None:
    """Draw test errors over trials on a logarithmic scale: a panel for each condition, a box for each network."""
    conditions = list(dict.fromkeys(condition for condition, _ in errors))
    figure = new_figure(3.4 * len(conditions), 3.4)
    panels = np.atleast_1d(np.array(figure.subplots(1, len(conditions), sharey=True)))
    for condition, panel in zip(conditions, panels, strict=True):
        networks = [n for c, n in errors if c == condition]
        values = [[v for v in errors[condition, n].values() if math.isfinite(v)] for n in networks]
        boxes = panel.boxplot(values, widths=0.6, patch_artist=True, medianprops={"color": "black"})
        for box, network, points, place in zip(boxes["boxes"], networks, values, itertools.count(1), strict=False):
            box.set(facecolor=COLORS[network], alpha=0.5)
            panel.plot([place] * len(points), points, ".", color=COLORS[network])
        trials = max(map(len, values))
        panel.set_xticks(range(1, len(networks) + 1), [LABELS[n].replace(", ", "\n") for n in networks])
        panel.set(yscale="log", title=f"{TITLES[condition]} (n = {trials})")
    panels[0].set_ylabel("test MSE")
    save_figure(figure, path)


def asymmetry_lines(errors: Mapping[str, Mapping[float, Sequence[float]]], path: Path) -> None:
    """Draw the median test error over the planted asymmetry, with the range from the least to the greatest.

    Args:
        errors: errors over seeds by network, then by asymmetry.
        path: the figure's file.
    """
    amounts = sorted({a for by_amount in errors.values() for a in by_amount})
    # The amounts grow by about the same factor, and zero has no logarithm.
    place = {a: i for i, a in enumerate(amounts)}
    figure = new_figure(5.2, 3.6)
    panel = figure.subplots()
    for network, by_amount in errors.items():
        x, values = [place[a] for a in sorted(by_amount)], [by_amount[a] for a in sorted(by_amount)]
        color = COLORS[network]
        panel.plot(x, [median(v) for v in values], "o-", color=color, label=LABELS[network])
        panel.fill_between(x, [min(v) for v in values], [max(v) for v in values], color=color, alpha=0.15)
    trials = max(len(values) for by_amount in errors.values() for values in by_amount.values())
    panel.set_xticks(range(len(amounts)), [f"{a:g}" for a in amounts])
    panel.set(yscale="log", xlabel="planted asymmetry", ylabel="test MSE", title=f"median and range (n = {trials})")
    panel.legend()
    save_figure(figure, path)


def densities(errors: Mapping[str, Mapping[int, Sequence[float]]], path: Path, shown: int = 6) -> None:
    """Draw densities of log10 of the equivariance error over elements and trials, at some epochs.

    Args:
        errors: errors by condition and epoch.
        path: the figure's file.
        shown: the number of epochs to show.
    """
    from matplotlib import colormaps

    figure = new_figure(4.2 * len(errors), 3.4)
    panels = np.atleast_1d(np.array(figure.subplots(1, len(errors), sharex=True)))
    colors = colormaps["viridis"]
    for (condition, by_epoch), panel in zip(errors.items(), panels, strict=True):
        epochs = sorted(by_epoch)
        chosen = sorted({epochs[round(i)] for i in np.linspace(0, len(epochs) - 1, shown)})
        for i, epoch in enumerate(chosen):
            logs = np.log10([e for e in by_epoch[epoch] if 0 < e < math.inf])
            _draw_density(panel, logs, f"epoch {epoch}", colors(i / max(1, len(chosen) - 1)))
        panel.set(xlabel="log10 of the equivariance error", title=TITLES[condition], yticks=[])
        panel.legend(fontsize="small")
    panels[0].set_ylabel("density")
    save_figure(figure, path)


def _draw_density(panel: Any, values: np.ndarray[Any, Any], label: str, color: Any) -> None:
    """Draw a kernel density estimate, or a line where all values are equal."""
    if len(values) < 2 or np.ptp(values) < 1e-9:
        for value in values[:1]:
            panel.axvline(value, label=label, color=color)
        return
    x = np.linspace(values.min() - 0.5, values.max() + 0.5, 200)
    panel.fill_between(x, gaussian_kde(values)(x), label=label, color=color, alpha=0.35)


def heat_maps(errors: Mapping[str, Mapping[tuple[float, float], float]], path: Path) -> None:
    """Draw the test error over the strengths of the two priors: a map for each condition.

    Args:
        errors: errors by condition, then by (equiv_wd, basic_wd).
        path: the figure's file.
    """
    rows, columns = (sorted({key[i] for grid in errors.values() for key in grid}) for i in (0, 1))
    figure = new_figure((1.1 * len(columns) + 1) * len(errors) + 1, 0.7 * len(rows) + 1.6)
    panels = np.atleast_1d(np.array(figure.subplots(1, len(errors), sharey=True)))
    for (condition, cells), panel in zip(errors.items(), panels, strict=True):
        grid = np.array([[cells.get((a, b), math.nan) for b in columns] for a in rows])
        image = panel.imshow(np.log10(grid), cmap="viridis_r", origin="lower", aspect="auto")
        for (i, j), value in np.ndenumerate(grid):
            box = {"facecolor": "white", "alpha": 0.6, "edgecolor": "none", "pad": 1.5}
            panel.text(j, i, f"{value:.2g}", ha="center", va="center", fontsize="small", bbox=box)
        panel.set_xticks(range(len(columns)), [f"{b:g}" for b in columns])
        panel.set(xlabel="weight decay of the residual pathway", title=TITLES[condition])
        figure.colorbar(image, label="log10 of the test MSE")
    panels[0].set_yticks(range(len(rows)), [f"{a:g}" for a in rows])
    panels[0].set_ylabel("of the equivariant pathway")
    save_figure(figure, path)
