"""Figures by matplotlib: learning curves, performance profiles, and how symmetric the networks were."""

from __future__ import annotations

import io
import math
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rpp_rl.errors import RunError
from rpp_rl.experiments.comparison.analysis import GroupResult, TaskResult
from rpp_rl.experiments.comparison.over_environments import Aggregate
from rpp_rl.experiments.comparison.symmetry_curves import (
    SymmetryCurve,
    SymmetryCurves,
    SymmetryOfGroups,
    logged_symmetry,
    symmetry_curves,
)
from rpp_rl.experiments.event_files import show_in_tensorboard
from rpp_rl.experiments.finding import record_of, run_of
from rpp_rl.experiments.plots import new_figure, save_figure

STEPS = "environment steps"
SCORE = "eval/mean_reward"
# Errors are drawn on a logarithmic axis, where zero has no place.
LEAST_ERROR = 1e-9
# Okabe and Ito's colors, which people with color-blindness tell apart.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
_STYLES = {"actor": "-", "critic": "--"}

_ACROSS, _WIDEST = 3, 56
# Inches: of a line of a legend, and of an axis' numbers and name.
_LINE, _AXIS = 0.18, 0.5
_RESOLUTION = 110
# Names beside each other below a panel, and the characters of a row of them.
_COLUMNS, _ROW = 3, 84


def colors(results: Iterable[TaskResult]) -> dict[str, str]:
    """A color for every label, the same on every environment; beyond eight they repeat."""
    labels = sorted({group.label for result in results for group in result.groups})
    return {label: _COLORS[i % len(_COLORS)] for i, label in enumerate(labels)}


def layer_color(k: int) -> str:
    """The color of the k-th layer of a network; beyond eight they repeat."""
    return _COLORS[k % len(_COLORS)]


def figures(results: Sequence[TaskResult], found: Aggregate | None, symmetry: SymmetryOfGroups) -> dict[str, bytes]:
    """PNG and SVG files by name: learning curves, best so far as in the paper, performance profiles, symmetry.

    Args:
        results: of every environment.
        found: over environments; None leaves the profiles out.
        symmetry: curves of the networks; empty leaves their figure out.
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
        if symmetry:
            rows = {f"{env}, {label}": curves for (env, label), curves in symmetry.items()}
            drawn |= _files("symmetry", symmetry_figure(rows))
    return drawn


def _panels(
    results: Sequence[TaskResult],
    palette: Mapping[str, str],
    draw: Callable[[Any, GroupResult, str], None],
) -> Any:
    across = min(_ACROSS, len(results))
    down = math.ceil(len(results) / across)
    names = [[_legend(f"{g.label} (best so far, mean, n = {g.n})") for g in result.groups] for result in results]
    most = max("\n".join(of_panel).count("\n") + 1 for of_panel in names)
    figure = new_figure(max(6.0, 4.6 * across), (3.6 + _LINE * most) * down)
    for i, result in enumerate(results):
        axes = figure.add_subplot(down, across, i + 1)
        for group in result.groups:
            draw(axes, group, palette[group.label])
        axes.axvline(result.task.step, color="0.8", lw=0.8, zorder=0)
        axes.set(xlabel=STEPS, ylabel=SCORE, title=result.task.name)
        _legend_below(axes)
    return figure


def _legend_below(axes: Any, columns: int = 1, size: int = 8) -> None:
    """Names below the axes, where they cover neither a curve nor the name of the axis."""
    from matplotlib.transforms import ScaledTranslation

    # The axes shrink when the figure is laid out; the room for their numbers and name does not.
    below = axes.transAxes + ScaledTranslation(0, -_AXIS, axes.figure.dpi_scale_trans)
    place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": below, "borderpad": 0}
    axes.legend(frameon=False, fontsize=size, ncols=columns, **place)


def _legend(name: str) -> str:
    """A name in lines that are no wider than a panel."""
    return textwrap.fill(name, _WIDEST)


def _curves(axes: Any, group: GroupResult, color: str) -> None:
    """Every seed thin, the IQM bold with its interval."""
    curve = group.curve
    # All seeds as one line with gaps: hundreds of lines are slow to draw.
    x = np.concatenate([np.append(steps.astype(float), np.nan) for steps, _ in group.group.curves.evaluations])
    y = np.concatenate([np.append(scores, np.nan) for _, scores in group.group.curves.evaluations])
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
    figure = new_figure(6, 4 + _LINE * len(found.algorithms))
    axes = figure.add_subplot()
    for a in found.algorithms:
        profile, color = a.profile, palette[a.label]
        if profile.low is not None and profile.high is not None:
            axes.fill_between(profile.thresholds, profile.low, profile.high, color=color, alpha=0.2, lw=0)
        axes.plot(
            profile.thresholds, profile.share, color=color, lw=2, label=_legend(f"{a.label} (n at least {a.iqm.n})")
        )
    title = f"performance profile, {len(found.environments)} environments"
    axes.set(xlabel="normalised score τ", ylabel="share of runs above τ", title=title, ylim=(-0.02, 1.02))
    _legend_below(axes)
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


def symmetry_figure(rows: Mapping[str, SymmetryCurves]) -> Any:
    """A row for each kind of run: to the left each layer's residual share, to the right the errors of the networks.

    All errors share one axis. Thin lines are single runs, bold ones their median. Layers of the actor are solid, those
    of critics dashed.

    Args:
        rows: by title, at least one.
    """
    most = max(max(math.ceil(len(c.shares) / _columns(c)), len(c.errors)) for c in rows.values())
    figure = new_figure(11.0, (3.4 + _LINE * most) * len(rows))
    first: Any = None
    for i, (name, curves) in enumerate(rows.items()):
        title = textwrap.fill(name, _WIDEST)  # one that is long would lie over its neighbour's
        left = figure.add_subplot(len(rows), 2, 2 * i + 1)
        for k, (layer, curve) in enumerate(curves.shares.items()):
            network, _, rest = layer.partition("/")
            _line(left, curve, layer_color(k), _STYLES.get(network, "-"), f"{network} {rest}".strip())
        left.set(xlabel=STEPS, ylabel="residual share |B| / (|A| + |B|)", title=title, ylim=(0, 1))
        if curves.shares:
            _legend_below(left, _columns(curves), 7)
        else:
            left.text(0.5, 0.5, "no residual layers", ha="center", va="center", color="0.5", transform=left.transAxes)
        right = figure.add_subplot(len(rows), 2, 2 * i + 2, sharey=first)
        first = first or right
        for k, (network, curve) in enumerate(curves.errors.items()):
            kind = "equivariance" if network == "actor" else "invariance"
            label = f"{network}, {kind} (n = {curve.n})"
            _line(right, curve, layer_color(k), _STYLES[network], label, LEAST_ERROR)
        right.set(xlabel=STEPS, ylabel="largest relative error over the group", title=title, yscale="log")
        # By itself matplotlib writes powers as formulas, which are not text.
        right.yaxis.set_major_formatter("{x:g}")
        right.yaxis.set_minor_formatter("")
        if curves.errors:
            _legend_below(right)
    return figure


def _columns(curves: SymmetryCurves) -> int:
    """How many names of layers fit beside each other."""
    return max(1, min(_COLUMNS, _ROW // (max(map(len, curves.shares), default=0) + 7)))


def _line(axes: Any, curve: SymmetryCurve, color: str, style: str, label: str, least: float = -math.inf) -> None:
    """The runs thin and their median bold; values below the least are drawn there."""
    for steps, values in curve.aligned.evaluations if curve.n > 1 else ():
        axes.plot(steps, np.maximum(values, least), color=color, ls=style, lw=0.5, alpha=0.3)
    # A single evaluation is a point.
    marker = "o" if len(curve.steps) == 1 else None
    median = np.maximum(curve.median, least)
    axes.plot(curve.steps, median, color=color, ls=style, lw=1.8, marker=marker, label=label)


def plot_training(model: Path, path: Path) -> None:
    """Draw residual shares and equivariance errors over the training of a run, and show them in TensorBoard too.

    Args:
        model: the run's model file.
        path: of the picture.

    Raises:
        RunError: if the model is in no run folder, the run has logged nothing of the kind, or the picture cannot be
            written.
    """
    from matplotlib import rc_context

    run = run_of(model)
    curves = symmetry_curves([logged_symmetry(run.path)]) if run is not None else None
    if run is None or curves is None:
        raise RunError(
            f"--plot draws the logged symmetry of a run, and {model} has none beside it; rpp-rl train logs "
            "them in the run's event files at every evaluation"
        )
    config = record_of(model)
    title = f"{config.get('env', 'run')}, {config.get('algo', '')}, seed {config.get('seed', '')}"
    content = io.BytesIO()
    with rc_context({"text.parse_math": False}):
        figure = symmetry_figure({title: curves})
        save_figure(figure, path)
        figure.savefig(content, format="png")
    last = max(int(c.steps[-1]) for c in (*curves.shares.values(), *curves.errors.values()))
    problem = show_in_tensorboard(run.path, "figures/symmetry", content.getvalue(), last)
    if problem:
        print(f"note: {problem}", file=sys.stderr)
