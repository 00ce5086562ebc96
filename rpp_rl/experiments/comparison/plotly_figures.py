"""The report's figures in the form that plotly draws: traces and a layout, as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpp_rl.experiments.comparison.analysis import GroupResult, TaskResult
from rpp_rl.experiments.comparison.figures import LEAST_ERROR, SCORE, STEPS, layer_color
from rpp_rl.experiments.comparison.over_environments import Aggregate
from rpp_rl.experiments.comparison.symmetry_curves import SymmetryCurves

Trace = dict[str, Any]


def curves_figure(result: TaskResult, palette: Mapping[str, str]) -> dict[str, Any]:
    """Every seed thin, the IQM bold with its interval."""
    behind: list[Trace] = []
    bold: list[Trace] = []
    for g in result.groups:
        color = palette[g.label]
        behind += [_seeds(g, color), *_band(g.curve.steps, g.curve.low, g.curve.high, color, g.label)]
        bold.append(_bold(g.curve.steps, g.curve.value, color, f"{g.label} (IQM, n = {g.n})", g.label))
    return {"data": [*behind, *bold], "layout": _layout(STEPS, SCORE, result.task.step)}


def best_so_far_figure(result: TaskResult, palette: Mapping[str, str]) -> dict[str, Any]:
    """The paper's Figure 5: best so far, mean and one standard deviation."""
    behind: list[Trace] = []
    bold: list[Trace] = []
    for g in result.groups:
        color, steps = palette[g.label], g.curve.steps
        behind += _band(steps, g.best - g.best_deviation, g.best + g.best_deviation, color, g.label)
        bold.append(_bold(steps, g.best, color, f"{g.label} (mean, n = {g.n})", g.label))
    return {"data": [*behind, *bold], "layout": _layout(STEPS, "best eval/mean_reward so far", result.task.step)}


def profiles_figure(found: Aggregate, palette: Mapping[str, str]) -> dict[str, Any]:
    """Share of runs above every normalised score."""
    behind: list[Trace] = []
    bold: list[Trace] = []
    for a in found.algorithms:
        color, profile = palette[a.label], a.profile
        if profile.low is not None and profile.high is not None:
            behind += _band(profile.thresholds, profile.low, profile.high, color, a.label)
        bold.append(_bold(profile.thresholds, profile.share, color, f"{a.label} (n at least {a.iqm.n})", a.label))
    return {"data": [*behind, *bold], "layout": _layout("normalised score τ", "share of runs above τ", None)}


def shares_figure(curves: SymmetryCurves) -> dict[str, Any]:
    """The residual share of each layer, the median over runs; layers of critics are dashed."""
    traces = [
        _bold(c.steps, c.median, layer_color(k), f"{layer} (n = {c.n})", layer, dashed=not layer.startswith("actor/"))
        for k, (layer, c) in enumerate(curves.shares.items())
    ]
    layout = _layout(STEPS, "residual share |B| / (|A| + |B|)", None)
    layout["yaxis"]["range"] = [0, 1]
    return {"data": traces, "layout": layout}


def errors_figure(groups: Mapping[str, SymmetryCurves], palette: Mapping[str, str]) -> dict[str, Any]:
    """The largest relative error over the group, the median over runs: actors solid, critics dashed."""
    traces = [
        _bold(c.steps, np.maximum(c.median, LEAST_ERROR), palette[label], f"{label}, {what} (n = {c.n})", label, dashed)
        for label, curves in groups.items()
        for what, dashed in (("actor", False), ("critic", True))
        if (c := curves.errors.get(what)) is not None
    ]
    layout = _layout(STEPS, "largest relative error", None)
    layout["yaxis"] |= {"type": "log", "exponentformat": "power"}
    return {"data": traces, "layout": layout}


def _numbers(values: NDArray[Any]) -> list[float | None]:
    """Six digits are more than a screen shows; what is missing is a gap."""
    return [None if math.isnan(v) else float(f"{v:.6g}") for v in np.asarray(values, dtype=np.float64).tolist()]


def _seeds(g: GroupResult, color: str) -> Trace:
    """All seeds as one line with gaps, since a page of hundreds of lines is slow."""
    x: list[float | None] = []
    y: list[float | None] = []
    for steps, scores in g.group.curves.evaluations:
        x += [*steps.tolist(), None]
        y += [*_numbers(scores), None]
    line = {"color": color, "width": 0.7}
    quiet = {"showlegend": False, "hoverinfo": "skip", "opacity": 0.45}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line, "legendgroup": g.label, **quiet}


def _band(x: NDArray[Any], low: NDArray[Any], high: NDArray[Any], color: str, group: str) -> list[Trace]:
    there = np.isfinite(low) & np.isfinite(high)
    common = {"type": "scatter", "mode": "lines", "x": x[there].tolist(), "line": {"width": 0}, "legendgroup": group}
    quiet = {"showlegend": False, "hoverinfo": "skip"}
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    fill = {"fill": "tonexty", "fillcolor": f"rgba({red},{green},{blue},0.18)"}
    return [
        {**common, **quiet, "y": _numbers(low[there])},
        {**common, **quiet, **fill, "y": _numbers(high[there])},
    ]


def _bold(x: NDArray[Any], y: NDArray[Any], color: str, name: str, group: str, dashed: bool = False) -> Trace:
    # plotly reads names as a small part of HTML.
    line = {"color": color, "width": 2.5} | ({"dash": "dash"} if dashed else {})
    values = {"x": x.tolist(), "y": _numbers(y), "name": escape(name), "legendgroup": group}
    return {"type": "scatter", "mode": "lines", "line": line, **values}


def _layout(across: str, up: str, step: int | None) -> dict[str, Any]:
    """Axes, a line at a step, and the legend below them; the page adds its colors."""
    marks: Sequence[dict[str, Any]] = ()
    if step is not None:
        marks = [{"type": "line", "x0": step, "x1": step, "yref": "paper", "y0": 0, "y1": 1}]
    place = {"xref": "container", "yref": "container", "x": 0, "y": 0, "yanchor": "bottom"}
    return {
        "xaxis": {"title": {"text": across, "font": {"size": 13}}},
        "yaxis": {"title": {"text": up, "font": {"size": 13}}},
        "shapes": list(marks),
        "margin": {"l": 60, "r": 16, "t": 16, "b": 56},
        "legend": {"orientation": "h", "maxheight": 1, **place},
        "hovermode": "x unified",
    }
