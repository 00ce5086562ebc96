"""The report of a comparison: one page that works offline, with curves that can be moved and zoomed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from rpp_rl.errors import RunError
from rpp_rl.experiments.comparison import tables
from rpp_rl.experiments.comparison.analysis import TaskResult
from rpp_rl.experiments.comparison.figures import colors
from rpp_rl.experiments.comparison.grouping import settings_table
from rpp_rl.experiments.comparison.over_environments import Aggregate
from rpp_rl.experiments.comparison.plotly_figures import (
    best_so_far_figure,
    curves_figure,
    errors_figure,
    profiles_figure,
    shares_figure,
)
from rpp_rl.experiments.comparison.symmetry_curves import SymmetryCurves, SymmetryOfGroups
from rpp_rl.experiments.comparison.verdicts import aggregate_sentences, verdicts, warnings_of

if TYPE_CHECKING:
    from rpp_rl.experiments.comparison.compare import Comparison

# Nothing may be loaded from anywhere: what the page shows is in it.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1, h2 { line-height: 1.2; } h2 { border-top: 1px solid #ddd; padding-top: 1.5rem; }
.verdict { font-weight: 600; margin: .3rem 0; } .note { color: #8a4b00; margin: .2rem 0; }
.wide { overflow-x: auto; } .plot { height: 27rem; }
table { border-collapse: collapse; font-size: .85rem; margin: .6rem 0; }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top; }
code { font-size: .8rem; overflow-wrap: anywhere; } summary { cursor: pointer; margin: .4rem 0; }
"""
_HOW_TO_READ = """Thin lines are single seeds, bold ones their interquartile mean (IQM), bands its pointwise 95 %
bootstrap interval. Numbers in brackets are 95 % intervals: stratified bootstrap over seeds for IQM, mean, median, area
and difference, Newcombe's for P(X &gt; Y), widened to 1/2 where Mann and Whitney's test tells nothing, Kaplan and
Meier's for steps to a threshold, where runs that never reach it count as censored. The seed is the unit, never the
episode. A difference is reported only where the intervals of both the probability of improvement and the difference of
IQMs exclude no difference. Areas under curves are mean heights. Bootstrap intervals of few seeds are too narrow: one
that says 95 % covers about nine times in ten with five seeds, and three times in four with three."""


def report_page(comparison: Comparison, symmetry: SymmetryOfGroups) -> str:
    """The page as HTML.

    Args:
        comparison: the comparison.
        symmetry: curves of the networks, by environment and algorithm.

    Raises:
        RunError: if plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise RunError("the report needs plotly: pip install 'rpp-rl[compare]', or add --no-report") from error
    figures: list[tuple[str, dict[str, Any]]] = []
    body = [f"<h1>{_n(len(comparison.results), 'environment')} compared</h1>", f"<p>{_HOW_TO_READ}</p>"]
    body += [f'<p class="note">{escape(note)}</p>' for note in comparison.notes]
    palette = colors(comparison.results)
    for result in comparison.results:
        curves = {label: found for (task, label), found in symmetry.items() if task == result.task.name}
        body += _section(result, figures, palette, curves)
    if comparison.aggregate is not None:
        figures.append((f"plot{len(figures)}", profiles_figure(comparison.aggregate, palette)))
        body += _aggregate(comparison.aggregate, comparison.normalization, figures[-1][0])
    body += _origin(comparison)
    drawing = "".join(
        f"Plotly.newPlot({json.dumps(name)}, {_script_json(figure['data'])}, {_script_json(figure['layout'])}, "
        "{responsive: true, displaylogo: false});\n"
        for name, figure in figures
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>rpp-rl compare</title>\n<style>{_STYLE}</style>\n<script>{get_plotlyjs()}</script>\n</head>\n<body>\n"
        + "\n".join(body)
        + f"\n<script>\n{drawing}</script>\n</body>\n</html>\n"
    )


def _script_json(value: Any) -> str:
    """JSON inside a script, which no name may end."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _section(
    result: TaskResult,
    figures: list[tuple[str, dict[str, Any]]],
    palette: dict[str, str],
    symmetry: Mapping[str, SymmetryCurves],
) -> list[str]:
    curve, best = f"plot{len(figures)}", f"plot{len(figures) + 1}"
    figures += [(curve, curves_figure(result, palette)), (best, best_so_far_figure(result, palette))]
    body = [f"<h2>{escape(result.task.name)}</h2>", f"<p>Compared at step {result.task.step}.</p>"]
    body += [f'<p class="verdict">{escape(verdict.sentence)}</p>' for verdict in verdicts(result)]
    body += [f'<p class="note">Note: {escape(note)}</p>' for note in warnings_of(result)]
    body += [f'<div id="{curve}" class="plot"></div>', _table(tables.summary_cells(result))]
    if result.pairs:
        body.append(_table(tables.pair_cells(result)))
    body.append("<p>As in the paper's Figure 5: best so far, mean and one standard deviation. It favours noise.</p>")
    body.append(f'<div id="{best}" class="plot"></div>')
    return [*body, *_symmetry(symmetry, figures, palette), *_settings(result), *_audits(result), *_runs(result)]


def _symmetry(
    groups: Mapping[str, SymmetryCurves], figures: list[tuple[str, dict[str, Any]]], palette: dict[str, str]
) -> list[str]:
    """How symmetric the networks were over training, where the runs have logged it."""
    body: list[str] = []
    if any(curves.errors for curves in groups.values()):
        plot = f"plot{len(figures)}"
        figures.append((plot, errors_figure(groups, palette)))
        body.append(
            "<p>How far the networks are from symmetric, median over runs: the actor's equivariance error, "
            f'and the critics\' invariance error dashed.</p><div id="{plot}" class="plot"></div>'
        )
    for label, curves in groups.items():
        if curves.shares:
            plot = f"plot{len(figures)}"
            figures.append((plot, shares_figure(curves)))
            body.append(
                f"<p>Residual share of each layer of {escape(label)}, median over runs; critics dashed.</p>"
                f'<div id="{plot}" class="plot"></div>'
            )
    return body


def _settings(result: TaskResult) -> list[str]:
    differing = settings_table(result.task.groups)
    if not differing:
        return ["<p>All settings are the same.</p>"]
    header = ("setting", *(group.label for group in result.task.groups))
    rows = [[key, *values] for key, values in differing.items()]
    return [
        "<details open><summary>Settings that differ between the algorithms</summary>",
        _table((header, rows)),
        "</details>",
    ]


def _audits(result: TaskResult) -> list[str]:
    """Each finding once: runs of one environment are audited alike, with states of their own."""
    found: dict[tuple[str, str, str, str], list[float | None]] = {}
    for group in result.task.groups:
        for run in group.runs:
            for line in run.audit:
                key = (line.symmetry, line.generator, line.verdict, line.sentence)
                found.setdefault(key, []).append(line.dynamics_error)
    if not found:
        return ["<p>No run has an audit of its symmetry.</p>"]
    rows = [[*key, _range(errors), str(len(errors))] for key, errors in found.items()]
    header = ("symmetry", "generator", "verdict", "found", "one step, median relative error", "runs")
    return ["<details open><summary>Audit of the symmetry</summary>", _table((header, rows)), "</details>"]


def _range(errors: Iterable[float | None]) -> str:
    known = [error for error in errors if error is not None]
    return f"{min(known):.2g} to {max(known):.2g}" if known else "-"


def _runs(result: TaskResult) -> list[str]:
    header = ("run", "seed", "last step", "evaluations", "episodes each", "wall time", "machine", "command")
    rows = [
        [
            *(str(run.path), str(run.seed), str(run.steps[-1]), str(len(run.steps)), str(run.episodes)),
            *(tables.duration(run.wall_time), run.machine, run.command),
        ]
        for group in result.task.groups
        for run in group.runs
    ]
    return [
        f"<details><summary>{_n(len(rows), 'run')} and their commands</summary>",
        _table((header, rows)),
        "</details>",
    ]


def _aggregate(found: Aggregate, source: str, plot: str) -> list[str]:
    scores = [[name, f"{scale.random:g}", f"{scale.reference:g}"] for name, scale in found.normalization.items()]
    return [
        f"<h2>Over {_n(len(found.environments), 'environment')}</h2>",
        *(f'<p class="verdict">{escape(line)}</p>' for line in aggregate_sentences(found)),
        *(f'<p class="note">Left out: {escape(line)}.</p>' for line in found.left_out),
        f"<p>Scores are normalised: random = 0, reference = 1, by {escape(source)}.</p>",
        _table(tables.aggregate_cells(found)),
        f'<div id="{plot}" class="plot"></div>',
        _table((("environment", "random", "reference"), scores)),
    ]


def _origin(comparison: Comparison) -> list[str]:
    runs = [run for result in comparison.results for group in result.task.groups for run in group.runs]
    packages = sorted({name for run in runs for name in run.versions})
    rows = [[name, ", ".join(sorted({run.versions.get(name, "unknown") for run in runs}))] for name in packages]
    return [
        "<h2>Where this is from</h2>",
        f"<p>Made by <code>{escape(comparison.command)}</code></p>",
        _table((("package", "versions of the runs"), rows)),
    ]


def _table(cells: tuple[Sequence[str], list[list[str]]]) -> str:
    header, rows = cells
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{lines}</tbody></table></div>'


def _n(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
