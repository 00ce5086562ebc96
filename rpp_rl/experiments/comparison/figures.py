"""The figures of a comparison as PNG and SVG, by matplotlib."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rpp_rl.experiments.comparison.analysis import GroupResult, TaskResult
from rpp_rl.experiments.comparison.over_environments import Aggregate
from rpp_rl.experiments.comparison.style import SCORE, STEPS, colors
from rpp_rl.experiments.comparison.symmetry_curves import SymmetryFound
from rpp_rl.experiments.comparison.symmetry_figure import symmetry_figure
from rpp_rl.experiments.plots import new_figure

_ACROSS, _MOST_INSIDE, _WIDEST = 3, 4, 56
_RESOLUTION = 110


def figures(results: Sequence[TaskResult], found: Aggregate | None, symmetry: SymmetryFound) -> dict[str, bytes]:
    """PNG and SVG files by name: learning curves, best so far as in the paper, performance profiles, symmetry.

    Args:
        results: of every environment.
        found: over environments; None leaves the profiles out.
        symmetry: what the runs have logged of it; where that is nothing there is no such figure.
    """
    from matplotlib import rc_context

    palette = colors(results)
    drawn: dict[str, bytes] = {}
    # Names may be any text, not formulas; a fixed salt gives the same file again.
    with rc_context({"svg.hashsalt": "rpp-rl", "text.parse_math": False, "svg.fonttype": "none"}):
        for name, draw in (("curves", _curves), ("best_so_far", _best_so_far)):
            drawn |= _files(name, _panels(results, palette, draw))
        if found is not None:
            drawn |= _files("profiles", _profiles(found, palette))
        if symmetry.groups:
            rows = {f"{env}, {label}": curves for (env, label), curves in symmetry.groups.items()}
            drawn |= _files("symmetry", symmetry_figure(rows))
    return drawn


def _panels(
    results: Sequence[TaskResult],
    palette: Mapping[str, str],
    draw: Callable[[Any, GroupResult, str], None],
) -> Any:
    across = min(_ACROSS, len(results))
    down = math.ceil(len(results) / across)
    most = max(len(result.groups) for result in results)
    # Many names would cover the curves; they stand below them.
    below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.17)} if most > _MOST_INSIDE else {}
    height = 3.6 + (0.18 * most if below else 0.0)
    figure = new_figure(max(6.0, 4.6 * across), height * down)
    for i, result in enumerate(results):
        axes = figure.add_subplot(down, across, i + 1)
        for group in result.groups:
            draw(axes, group, palette[group.label])
        axes.axvline(result.task.step, color="0.8", lw=0.8, zorder=0)
        axes.set(xlabel=STEPS, ylabel=SCORE, title=result.task.name)
        axes.legend(frameon=False, fontsize=8, **below)
    return figure


def _legend(name: str) -> str:
    """A name in lines that are no wider than a panel."""
    return textwrap.fill(name, _WIDEST)


def _curves(axes: Any, group: GroupResult, color: str) -> None:
    """Every seed thin, the IQM bold with its interval."""
    curve = group.curve
    # All seeds as one line with gaps: hundreds of lines are slow to draw.
    scores = group.group.curves.scores
    there = [np.flatnonzero(np.isfinite(row)) for row in scores]
    x = np.concatenate([np.append(curve.steps[own].astype(float), np.nan) for own in there])
    y = np.concatenate([np.append(row[own], np.nan) for row, own in zip(scores, there, strict=True)])
    axes.plot(x, y, color=color, lw=0.5, alpha=0.3)
    axes.fill_between(curve.steps, curve.low, curve.high, color=color, alpha=0.2, lw=0)
    axes.plot(curve.steps, curve.value, color=color, lw=2, label=_legend(f"{group.label} (IQM, n = {group.n})"))


def _best_so_far(axes: Any, group: GroupResult, color: str) -> None:
    """The paper's Figure 5: best so far, mean and one standard deviation."""
    mean, deviation = group.best, group.best_deviation
    axes.fill_between(group.curve.steps, mean - deviation, mean + deviation, color=color, alpha=0.2, lw=0)
    axes.plot(
        group.curve.steps, mean, color=color, lw=2, label=_legend(f"{group.label} (best so far, mean, n = {group.n})")
    )


def _profiles(found: Aggregate, palette: Mapping[str, str]) -> Any:
    figure = new_figure(6, 4)
    axes = figure.add_subplot()
    for a in found.algorithms:
        profile, color = a.profile, palette[a.label]
        if profile.low is not None and profile.high is not None:
            axes.fill_between(profile.thresholds, profile.low, profile.high, color=color, alpha=0.2, lw=0)
        axes.plot(profile.thresholds, profile.share, color=color, lw=2, label=f"{a.label} (n at least {a.iqm.n})")
    title = f"performance profile, {len(found.environments)} environments"
    axes.set(xlabel="normalised score τ", ylabel="share of runs above τ", title=title, ylim=(-0.02, 1.02))
    axes.legend(frameon=False, fontsize=8)
    return figure


def _files(name: str, figure: Any) -> dict[str, bytes]:
    files = {}
    for kind, settings in (("png", {"dpi": _RESOLUTION}), ("svg", {"metadata": {"Date": None}})):
        content = io.BytesIO()
        figure.savefig(content, format=kind, **settings)
        files[f"{name}.{kind}"] = content.getvalue()
        # What has been laid out once stays where it is, and needs no drawing before the drawing.
        figure.set_layout_engine(None)
    return files
