"""The picture of residual shares and equivariance errors over training, by matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from rpp_rl.experiments.comparison.style import LEAST_ERROR, STEPS, layer_color
from rpp_rl.experiments.comparison.symmetry_curves import SymmetryCurve, SymmetryCurves
from rpp_rl.experiments.plots import new_figure

_STYLES = {"actor": "-", "critic": "--"}
_WIDEST = 60


def symmetry_figure(rows: Mapping[str, SymmetryCurves]) -> Any:
    """A row for each kind of run: to the left each layer's residual share, to the right the errors of the networks.

    All errors share one axis. Thin lines are single runs, bold ones their median. Layers of the actor are solid, those
    of critics dashed.

    Args:
        rows: by title, at least one.
    """
    figure = new_figure(11.0, 3.4 * len(rows))
    first: Any = None
    for i, (name, curves) in enumerate(rows.items()):
        title = textwrap.fill(name, _WIDEST)  # one that is long would lie over its neighbour's
        left = figure.add_subplot(len(rows), 2, 2 * i + 1)
        for k, (layer, curve) in enumerate(curves.shares.items()):
            network, _, rest = layer.partition("/")
            _line(left, curve, layer_color(k), _STYLES.get(network, "-"), f"{network} {rest}".strip())
        left.set(xlabel=STEPS, ylabel="residual share |B| / (|A| + |B|)", title=title, ylim=(0, 1))
        if curves.shares:
            left.legend(frameon=False, fontsize=6, ncols=2)
        else:
            left.text(0.5, 0.5, "no residual layers", ha="center", va="center", color="0.5", transform=left.transAxes)
        right = figure.add_subplot(len(rows), 2, 2 * i + 2, sharey=first)
        first = first or right
        for k, (network, curve) in enumerate(curves.errors.items()):
            floored = SymmetryCurve(curve.steps, np.maximum(curve.values, LEAST_ERROR))
            kind = "equivariance" if network == "actor" else "invariance"
            _line(right, floored, layer_color(k), _STYLES[network], f"{network}, {kind} (n = {curve.n})")
        right.set(xlabel=STEPS, ylabel="largest relative error over the group", title=title, yscale="log")
        # By itself matplotlib writes powers as formulas, which are not text.
        right.yaxis.set_major_formatter("{x:g}")
        right.yaxis.set_minor_formatter("")
        if curves.errors:
            right.legend(frameon=False, fontsize=8)
    return figure


def _line(axes: Any, curve: SymmetryCurve, color: str, style: str, label: str) -> None:
    for values in curve.values if curve.n > 1 else ():
        there = np.isfinite(values)
        axes.plot(curve.steps[there], values[there], color=color, ls=style, lw=0.5, alpha=0.3)
    # A single evaluation is a point.
    marker = "o" if len(curve.steps) == 1 else None
    axes.plot(curve.steps, curve.median, color=color, ls=style, lw=1.8, marker=marker, label=label)
