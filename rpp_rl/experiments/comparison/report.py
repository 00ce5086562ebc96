"""The report of a comparison: one page that works offline, with the verdicts and the curves first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from rpp_rl.experiments.comparison import tables
from rpp_rl.experiments.comparison.analysis import TaskResult
from rpp_rl.experiments.comparison.figures import colors
from rpp_rl.experiments.comparison.grouping import settings_table
from rpp_rl.experiments.comparison.over_environments import Aggregate
from rpp_rl.experiments.comparison.page import (
    figure,
    html_page,
    html_table,
    mark,
    note_list,
    table,
    verdict_list,
)
from rpp_rl.experiments.comparison.plotly_figures import (
    best_so_far_figure,
    curves_figure,
    errors_figure,
    profiles_figure,
    shares_figure,
)
from rpp_rl.experiments.comparison.symmetry_curves import SymmetryCurves, SymmetryOfGroups
from rpp_rl.experiments.comparison.verdicts import aggregate_verdicts, verdicts, warnings_of

if TYPE_CHECKING:
    from rpp_rl.experiments.comparison.compare import Comparison

Figures = dict[str, Mapping[str, Any]]
# More names than these are counted in the title.
_MOST_NAMES, _LONGEST_NAMES = 4, 64
_METHOD = """
<p><b>Curves.</b> Thin lines are single seeds, bold ones their interquartile mean (IQM), bands its pointwise 95 %
bootstrap interval. All seeds of an algorithm count at every step of its curve. Where they were evaluated at different
steps, the score of a run is interpolated linearly between its own evaluations, and the curve covers the steps that all
its runs share; nothing is extrapolated. Final scores and areas under curves are of these lines too. The best so far is
the largest of a run's own evaluations until then, so that it never falls. Steps to a threshold are those of a run's own
evaluations.</p>
<p><b>Intervals.</b> Numbers in brackets are 95 % intervals: stratified bootstrap over seeds for IQM, mean, median, area
and difference, Newcombe's for P(X &gt; Y), widened to 1/2 where Mann and Whitney's test tells nothing, Kaplan and
Meier's for steps to a threshold, where runs that never reach it count as censored. The seed is the unit, never the
episode. Areas under curves are mean heights. Bootstrap intervals of few seeds are too narrow: one that says 95 % covers
about nine times in ten with five seeds, and three times in four with three.</p>
<p><b>Verdicts.</b> An algorithm is better or worse only where the intervals of both the probability of improvement and
the difference of IQMs exclude no difference; else the two are not distinguishable. Seeds are too few where even runs
that are all better than those of the baseline would not be distinguishable from them.</p>"""


def report_page(comparison: Comparison, symmetry: SymmetryOfGroups) -> str:
    """The page as HTML.

    Args:
        comparison: the comparison.
        symmetry: curves of the networks, by environment and algorithm.

    Raises:
        RunError: if plotly is not installed.
    """
    results, found = comparison.results, comparison.aggregate
    palette, figures = colors(results), Figures()
    contents, body = {}, []
    if len(results) > 1:
        contents["overview"] = "Overview"
        body.append(_section("overview", "Overview", [_overview(comparison)]))
    for i, result in enumerate(results):
        curves = {label: each for (task, label), each in symmetry.items() if task == result.task.name}
        contents[f"environment{i}"] = result.task.name
        parts = _environment(result, figures, palette, curves)
        body.append(_section(f"environment{i}", result.task.name, parts))
    if found is not None:
        contents["all"] = f"Over {_n(len(found.environments), 'environment')}"
        body.append(_section("all", contents["all"], _aggregate(found, comparison.normalization, figures, palette)))
    if comparison.notes:
        contents["notes"] = "Notes"
        body.append(_section("notes", "Notes on the whole comparison", [note_list(comparison.notes)]))
    contents |= {"method": "Method", "origin": "Origin"}
    body.append(_section("method", "Method", [f'<div class="text">{_METHOD}</div>']))
    body.append(_section("origin", "Origin of the runs", _origin(comparison)))
    return html_page(title_of(results), _lead(comparison), contents, body, figures)


def title_of(results: Sequence[TaskResult]) -> str:
    """What was compared, on what, and with how many seeds."""
    baselines = {result.baseline for result in results}
    labels = {g.label for result in results for g in result.groups}
    names = sorted(labels, key=lambda label: (label in baselines, label))
    seeds = sorted({g.n for result in results for g in result.groups})
    counted = f"{_n(seeds[0], 'seed')} each" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    environments = _names([result.task.name for result in results], "environment")
    return f"{_names(names, 'algorithm')} on {environments}: {counted}"


def _names(names: Sequence[str], what: str) -> str:
    """Names in a sentence, or how many there are."""
    if len(names) > 1 and (len(names) > _MOST_NAMES or sum(map(len, names)) > _LONGEST_NAMES):
        return _n(len(names), what)
    return " and ".join([part for part in (", ".join(names[:-1]), names[-1]) if part])


def _lead(comparison: Comparison) -> str:
    """What a reader must know of all verdicts, as HTML."""
    baselines = sorted({result.baseline for result in comparison.results})
    against = f"Verdicts are against {escape(baselines[0])}. " if len(baselines) == 1 else ""
    notes = len(comparison.notes) + sum(len(warnings_of(result)) for result in comparison.results)
    noted = ""
    if notes:
        noted = f"{_n(notes, 'note')} below {'says' if notes == 1 else 'say'} what limits them. "
    return f'Scores are mean returns of evaluations. {against}{noted}<a href="#method">Method</a>'


def _section(name: str, title: str, parts: Iterable[str]) -> str:
    return f'<section id="{name}">\n<h2>{escape(title)}</h2>\n' + "\n".join(parts) + "\n</section>"


def _overview(comparison: Comparison) -> str:
    """A row for each algorithm with its marks on all environments, and over them."""
    results, found = comparison.results, comparison.aggregate
    marks = {(v.environment, v.algorithm): v.mark for v in comparison.verdicts}
    heads = [f'<a href="#environment{i}">{escape(result.task.name)}</a>' for i, result in enumerate(results)]
    columns = [result.task.name for result in results]
    if found is not None:
        heads.append(f'<a href="#all">over {_n(len(found.environments), "environment")}</a>')
        columns.append("")
        marks |= {("", verdict.algorithm): verdict.mark for verdict in aggregate_verdicts(found)}
    baselines = [result.baseline for result in results] + ([found.baseline] if found is not None else [])
    rows = []
    for label in sorted({g.label for result in results for g in result.groups}):
        cells = [
            mark(marks[column, label]) if (column, label) in marks else ("baseline" if label == base else "–")
            for column, base in zip(columns, baselines, strict=True)
        ]
        rows.append([("", escape(label)), *(("", cell) for cell in cells)])
    return html_table(["algorithm", *heads], rows, "Verdicts on all environments")


def _environment(
    result: TaskResult, figures: Figures, palette: Mapping[str, str], symmetry: Mapping[str, SymmetryCurves]
) -> list[str]:
    name = result.task.name
    given = [(v.mark, v.headline, _sentence(v.detail)) for v in verdicts(result)]
    scored = "Every seed thin, the IQM bold with its 95 % interval."
    marked = f"The dotted line is step {result.task.step}, where scores are compared."
    body = [
        f'<p class="step">Compared at step {result.task.step}.</p>',
        verdict_list(given),
        _add(figures, curves_figure(result, palette), f"{scored} {marked}"),
        note_list(warnings_of(result)),
        "<h3>Scores</h3>",
        table(*tables.summary_cells(result), f"Scores on {name}"),
    ]
    if result.pairs:
        body += ["<h3>Pairs of algorithms</h3>", table(*tables.pair_cells(result), f"Pairs of algorithms on {name}")]
    best = "As in the paper's Figure 5: the mean over seeds and one standard deviation. It favours noise."
    body += ["<h3>Best so far</h3>", _add(figures, best_so_far_figure(result, palette), best)]
    return [*body, *_symmetry(symmetry, figures, palette), *_settings(result), *_audits(result), *_runs(result)]


def _add(figures: Figures, content: Mapping[str, Any], caption: str) -> str:
    """Number a figure; its caption is HTML."""
    name = f"plot{len(figures)}"
    figures[name] = content
    return figure(name, content, caption)


def _sentence(text: str) -> str:
    plain = text.lstrip(", ")
    return plain[:1].upper() + plain[1:]


def _symmetry(groups: Mapping[str, SymmetryCurves], figures: Figures, palette: Mapping[str, str]) -> list[str]:
    """How symmetric the networks were over training, where the runs have logged it."""
    body = []
    if any(curves.errors for curves in groups.values()):
        errors = "Median over runs: the actor's equivariance error, and the critics' invariance error dashed."
        body += ["<h3>Symmetry of the networks</h3>", _add(figures, errors_figure(groups, palette), errors)]
    for label, curves in groups.items():
        if curves.shares:
            shares = f"Residual share of each layer of {escape(label)}, median over runs; critics dashed."
            body += [f"<h3>Residual layers of {escape(label)}</h3>", _add(figures, shares_figure(curves), shares)]
    return body


def _settings(result: TaskResult) -> list[str]:
    differing = settings_table(result.task.groups)
    if not differing:
        return ["<h3>Settings</h3><p>All settings are the same.</p>"]
    header = ("setting", *(group.label for group in result.task.groups))
    return [
        "<h3>Settings that differ between the algorithms</h3>",
        table(header, [[key, *values] for key, values in differing.items()], f"Settings on {result.task.name}"),
    ]


def _audits(result: TaskResult) -> list[str]:
    """Each finding once: runs of one environment are audited alike, with states of their own."""
    found: dict[tuple[str, str, str, str], list[float | None]] = {}
    for group in result.task.groups:
        for run in group.runs:
            for line in run.audit:
                key = (line.symmetry, line.generator, line.verdict, line.sentence)
                found.setdefault(key, []).append(line.dynamics_error)
    title = "<h3>Audit of the symmetry</h3>"
    if not found:
        return [title, "<p>No run has an audit of its symmetry.</p>"]
    rows = [[*key, _range(errors), str(len(errors))] for key, errors in found.items()]
    header = ("symmetry", "generator", "verdict", "found", "one step, median relative error", "runs")
    return [title, table(header, rows, f"Audit of the symmetry on {result.task.name}")]


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
    shown = table(header, rows, f"Runs on {result.task.name}")
    return [f"<details><summary>{_n(len(rows), 'run')} and their commands</summary>", shown, "</details>"]


def _aggregate(found: Aggregate, source: str, figures: Figures, palette: Mapping[str, str]) -> list[str]:
    scores = [[name, f"{scale.random:g}", f"{scale.reference:g}"] for name, scale in found.normalization.items()]
    return [
        verdict_list((v.mark, v.headline, _sentence(v.detail)) for v in aggregate_verdicts(found)),
        _add(figures, profiles_figure(found, palette), "The share of runs above each normalised score."),
        note_list(f"Left out: {line}." for line in found.left_out),
        table(*tables.aggregate_cells(found), "Scores over environments"),
        f"<h3>Normalisation</h3><p>Scores are normalised: random = 0, reference = 1, by {escape(source)}.</p>",
        table(("environment", "random", "reference"), scores, "Scores of random actions and of the reference"),
    ]


def _origin(comparison: Comparison) -> list[str]:
    runs = [run for result in comparison.results for group in result.task.groups for run in group.runs]
    packages = sorted({name for run in runs for name in run.versions})
    rows = [[name, ", ".join(sorted({run.versions.get(name, "unknown") for run in runs}))] for name in packages]
    return [
        f"<p>Made by <code>{escape(comparison.command)}</code></p>",
        table(("package", "versions of the runs"), rows, "Versions of packages"),
    ]


def _n(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
