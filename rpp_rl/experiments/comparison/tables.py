"""Tables of a comparison, as CSV for programs and Markdown for papers."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

from rpp_rl.experiments.comparison.analysis import GroupResult, TaskResult
from rpp_rl.experiments.comparison.over_environments import Aggregate
from rpp_rl.experiments.comparison.symmetry_curves import SymmetryOfGroups
from rpp_rl.experiments.comparison.verdicts import number, shown
from rpp_rl.statistics import Estimate, StepsToThreshold

Row = Sequence[object]
SUMMARY = (
    *("environment", "algorithm", "n", "final_iqm", "low", "high", "mean", "area_under_curve", "step"),
    *("mean_low", "mean_high", "median", "median_low", "median_high", "area_low", "area_high"),
    *("threshold", "steps_to_threshold", "steps_low", "steps_high", "never_reached", "wall_time_s"),
)
CURVES = (
    *("environment", "algorithm", "step", "n", "iqm", "low", "high"),
    *("best_so_far_mean", "best_so_far_deviation", "interpolated"),
)
SYMMETRY = ("environment", "algorithm", "quantity", "step", "n", "median", "interpolated")
SCORES = ("environment", "algorithm", "seed", "step", "score")
PAIRS = (
    *("environment", "first", "second", "n_first", "n_second", "probability_of_improvement", "probability_low"),
    *("probability_high", "iqm_difference", "difference_low", "difference_high", "paired"),
    *("area_difference", "area_difference_low", "area_difference_high"),
)


def csv_text(header: Sequence[str], rows: Iterable[Row]) -> str:
    """A CSV file. Numbers are whole to the last bit; what does not exist is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    # A spreadsheet would run a name that begins like a formula.
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@"):
        return "'" + value
    return value


def summary_rows(results: Iterable[TaskResult]) -> list[Row]:
    """One row per environment and algorithm, as `SUMMARY` names."""
    return [_summary_row(result, g) for result in results for g in result.groups]


def _summary_row(result: TaskResult, g: GroupResult) -> Row:
    t = g.threshold
    steps: Row = (None,) * 5 if t is None else (t.threshold, t.median, t.low, t.high, t.never)
    return (
        *(result.task.name, g.label, g.n, g.iqm.value, g.iqm.low, g.iqm.high, g.mean.value, g.area.value),
        *(result.task.step, g.mean.low, g.mean.high, g.median.value, g.median.low, g.median.high),
        *(g.area.low, g.area.high, *steps, g.wall_time),
    )


def curve_rows(results: Iterable[TaskResult]) -> list[Row]:
    """One row per environment, algorithm and step, as `CURVES` names.

    ``interpolated`` is the number of the n runs that were not evaluated at the step; each has the score on the line
    between its evaluations before and after.
    """
    return [
        (result.task.name, g.label, int(step), g.curve.n, *map(_plain, values))
        for result in results
        for g in result.groups
        for step, *values in zip(
            *(g.curve.steps, g.curve.value, g.curve.low, g.curve.high, g.best, g.best_deviation),
            g.group.curves.interpolated,
            strict=True,
        )
    ]


def score_rows(results: Iterable[TaskResult]) -> list[Row]:
    """One row per run and evaluation, as `SCORES` names: what all else is computed from."""
    return [
        (result.task.name, g.label, run.seed, int(step), float(score))
        for result in results
        for g in result.groups
        for run in g.group.runs
        for step, score in zip(run.steps, run.scores, strict=True)
    ]


def symmetry_rows(found: SymmetryOfGroups) -> list[Row]:
    """One row per environment, algorithm, quantity and step, as `SYMMETRY` names: what the picture's bold lines are."""
    return [
        (environment, label, quantity, int(step), curve.n, float(value), int(between))
        for (environment, label), curves in found.items()
        for kind, of_kind in (("error", curves.errors), ("residual_share", curves.shares))
        for quantity, curve in ((f"{kind}/{name}", curve) for name, curve in of_kind.items())
        for step, value, between in zip(curve.steps, curve.median, curve.interpolated, strict=True)
    ]


def _plain(value: object) -> object:
    return value.item() if hasattr(value, "item") else value


def pair_rows(results: Iterable[TaskResult]) -> list[Row]:
    """One row per environment and pair of algorithms, as `PAIRS` names."""
    rows: list[Row] = []
    for result in results:
        for p in result.pairs:
            probability, difference, area = p.probability, p.difference, p.area_difference
            rows.append(
                (
                    *(result.task.name, p.first, p.second, *p.n),
                    *(probability.value, probability.low, probability.high),
                    *(difference.value, difference.low, difference.high, p.paired),
                    *(area.value, area.low, area.high),
                )
            )
    return rows


Cells = tuple[Sequence[str], list[list[str]]]


def summary_cells(result: TaskResult) -> Cells:
    """The table of an environment for readers: header and rows."""
    header = ("algorithm", "n", "final IQM", "mean", "median", "area under curve", "steps to threshold", "wall time")
    rows = [
        [
            *(g.label, str(g.n), shown(g.iqm), shown(g.mean), shown(g.median), shown(g.area)),
            *(steps_shown(g.threshold), duration(g.wall_time)),
        ]
        for g in result.groups
    ]
    return header, rows


def pair_cells(result: TaskResult) -> Cells:
    """The pairs of an environment for readers."""
    rows = [
        [
            *(p.first, p.second, shown(p.probability), shown(p.difference), shown(p.area_difference)),
            "in pairs" if p.paired else "apart",
        ]
        for p in result.pairs
    ]
    return ("X", "Y", "P(X > Y)", "final IQM of X minus Y's", "area of X minus Y's", "seeds drawn"), rows


def aggregate_cells(found: Aggregate) -> Cells:
    """Algorithms over environments for readers."""
    rows = [
        [a.label, str(a.iqm.n), shown(a.iqm), shown(a.mean), shown(a.median), _or_dash(a.probability)]
        for a in found.algorithms
    ]
    return ("algorithm", "n at least", "IQM", "mean", "median", "P(improvement on the baseline)"), rows


def _or_dash(estimate: Estimate | None) -> str:
    return "-" if estimate is None else shown(estimate)


def steps_shown(found: StepsToThreshold | None) -> str:
    """The median steps to a threshold, and how many runs never got there."""
    if found is None:
        return "-"
    median = "not reached by half" if found.median is None else str(found.median)
    never = f"; {found.never} of {found.n} never" if found.never else ""
    ends = ""
    if found.median is not None and found.low is not None:
        ends = f" [{found.low}, {'beyond' if found.high is None else found.high}]"
    return f"{median}{ends} (to {number(found.threshold)}{never})"


def duration(seconds: float | None) -> str:
    """A time for readers."""
    if seconds is None:
        return "-"
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 3600
        else f"{seconds / 60:.1f} min"
        if seconds >= 60
        else f"{seconds:.0f} s"
    )
