"""A comparison in TensorBoard: curves with intervals beside the single runs, and a table of all runs."""

from __future__ import annotations

import math
import re
import shlex
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.summary import custom_scalars, hparams, scalar

from rpp_rl.experiments.comparison.analysis import GroupResult, TaskResult
from rpp_rl.experiments.comparison.grouping import has_ended
from rpp_rl.experiments.comparison.runs import SYMMETRY_DIGEST, ComparedRun
from rpp_rl.experiments.event_files import event_file, image_summary
from rpp_rl.statistics import FEWEST_FOR_INTERVAL

# TensorBoard reads files with tfevents in their names; one name is replaced by the next comparison.
EVENTS = "events.out.tfevents.0.compare"
# TensorBoard ticks no run where there are more than 40; a filter that leaves fewer ticks those: the runs with curves
# and intervals, neither single runs nor rows of the table. Smoothing would draw a curve that leaves its own interval.
_CHARTS = "#custom_scalars&regexInput={}&_smoothingWeight=0"
_BESIDE = "compare"
_LONGEST_NAME = 100
_NAMES = ("environment", "algorithm", "seed")
_INTERVALS = "IQM of eval/mean_reward, with 95 % interval"
_BARE = f"IQM of eval/mean_reward, under {FEWEST_FOR_INTERVAL} seeds, without interval"
_BEST = "Best eval/mean_reward so far, mean over seeds"
_FINAL, _AREA = "compare/final_return", "compare/area_under_curve"


def places(out: Path, runs: Path, report: bool, tensorboard: bool) -> list[str]:
    """Lines that say where the files of a comparison are and how to open them.

    Args:
        out: folder of the comparison.
        runs: folder of the runs.
        report: whether there is a report.
        tensorboard: whether there are event files.
    """
    lines = [f"tables                  {out / 'summary.csv'}"]
    if report:
        lines.append(f"report                  {out / 'report.html'}")
    if tensorboard:
        where, fragment = tensorboard_place(out, runs)
        lines += [
            f"curves                  tensorboard {where}",
            f"  open                  http://localhost:6006/{fragment}",
        ]
    return lines


def tensorboard_place(out: Path, runs: Path) -> tuple[str, str]:
    """The flag with which TensorBoard shows a comparison beside its runs, and the part of the address with its charts.

    Args:
        out: the folder of the comparison.
        runs: that of the runs.
    """
    if out.resolve().is_relative_to(runs.resolve()):
        flag, name = f"--logdir {shlex.quote(str(runs))}", out.resolve().relative_to(runs.resolve()).as_posix()
    else:
        flag, name = f"--logdir_spec {shlex.quote(f'{_BESIDE}:{out},runs:{runs}')}", _BESIDE
    # Written into the runs' own folder, curves differ from runs only by lying less deep.
    pattern = f"^{re.escape(name)}/(?!hparams)" if name != "." else "^[^/]+/[^/]+$"
    return flag, _CHARTS.format(quote(pattern))


def event_files(results: tuple[TaskResult, ...], pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    """Event files by path: curves in ``<env>/<algo>/``, runs in ``hparams/<env>/<algo>/<seed>/``, and the layout.

    Args:
        results: of every environment.
        pictures: PNG files by name, shown beside the layout as ``figures/<name>``.
    """
    columns = _columns(results)
    files: dict[str, bytes] = {}
    for result in results:
        for g in result.groups:
            folder = f"{folder_name(result.task.name)}/{folder_name(g.label)}"
            files[f"{folder}/{EVENTS}"] = event_file(_curves(result.task.name, g))
            for run, score, area in zip(g.group.runs, g.scores, g.areas, strict=True):
                metrics = {_FINAL: float(score), _AREA: float(area)}
                row = event_file(_table_row(columns, _row(run, g, result), metrics, result.task.step))
                files[f"hparams/{folder}/seed{run.seed}/{EVENTS}"] = row
    layout = custom_scalars(_layout(results))
    shown = [(0, image_summary(f"figures/{name}", picture)) for name, picture in pictures.items()]
    files[EVENTS] = event_file([(0, layout), *shown])
    return files


def folder_name(name: str) -> str:
    """Any name as one folder below ours, never above it."""
    plain = re.sub(r"[^\w.+=,()\[\]-]+", "-", name).lstrip(".")[:_LONGEST_NAME]
    # Two names must not become one.
    return plain if plain and plain == name else f"{plain}-{zlib.crc32(name.encode()):08x}"


def _tags(env: str) -> tuple[str, ...]:
    """Tags of an environment, so that its chart shows nothing of another one."""
    return tuple(f"{env}/{part}" for part in ("iqm", "lower", "upper", "best_so_far_mean", "iqm_without_interval"))


def _curves(env: str, g: GroupResult) -> Iterator[tuple[int, Summary]]:
    """Scalars at every step. Charts with margins need all three numbers: what has no interval is a tag apart."""
    iqm, lower, upper, best, bare = _tags(env)
    curve = g.curve
    for step, value, low, high, so_far in zip(curve.steps, curve.value, curve.low, curve.high, g.best, strict=True):
        yield int(step), scalar(best, so_far)
        for tag, shown in ((bare, value),) if math.isnan(low) else ((iqm, value), (lower, low), (upper, high)):
            yield int(step), scalar(tag, shown)


def _layout(results: tuple[TaskResult, ...]) -> dict[str, dict[str, list[Any]]]:
    """Sections of charts in the form of `SummaryWriter.add_custom_scalars`; a chart without any curve is left out.

    Within a section TensorBoard puts charts with margins last, so that each kind of chart has a section of its own.
    """
    sections: dict[str, dict[str, list[Any]]] = {_INTERVALS: {}, _BARE: {}, _BEST: {}}
    for result in results:
        env = result.task.name
        iqm, lower, upper, best, bare = _tags(env)
        if any(g.n >= FEWEST_FOR_INTERVAL for g in result.groups):
            sections[_INTERVALS][f"{env}: IQM, 95 % interval"] = ["Margin", [iqm, lower, upper]]
        if any(g.n < FEWEST_FOR_INTERVAL for g in result.groups):
            sections[_BARE][f"{env}: IQM, no interval"] = ["Multiline", [f"^{re.escape(bare)}$"]]
        sections[_BEST][f"{env}: best so far, mean"] = ["Multiline", [f"^{re.escape(best)}$"]]
    # TensorBoard shows charts with margins from the last to the first.
    sections[_INTERVALS] = dict(reversed(sections[_INTERVALS].items()))
    return {title: charts for title, charts in sections.items() if charts}


def _columns(results: tuple[TaskResult, ...]) -> dict[str, list[str]]:
    """Settings in which any two runs differ, with the texts that they have; no texts where all are numbers."""
    rows = [_row(run, g, r) for r in results for g in r.groups for run in g.group.runs]
    keys = sorted({key for row in rows for key in row} - {SYMMETRY_DIGEST})
    columns: dict[str, list[str]] = {}
    for key in (*_NAMES, *(key for key in keys if key not in _NAMES)):
        values = {row.get(key, "-") for row in rows}
        if key in _NAMES or len(values) > 1:
            numbers = key not in _NAMES and all(_is_number(value) for value in values)
            columns[key] = [] if numbers else sorted(values)
    return columns


def _row(run: ComparedRun, g: GroupResult, result: TaskResult) -> dict[str, str]:
    state = "failed" if run.failed else "finished" if has_ended(run) else "unfinished"
    names = {"environment": result.task.name, "algorithm": g.label, "seed": str(run.seed)}
    return {**run.settings, **names, "state": state}


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _table_row(
    columns: Mapping[str, list[str]], row: Mapping[str, str], metrics: Mapping[str, float], step: int
) -> Iterator[tuple[int, Summary]]:
    """A run's settings, and its final score and area under the curve at the step at which all runs are compared."""
    values = {name: row.get(name, "-") if texts else float(row[name]) for name, texts in columns.items()}
    for summary in hparams(values, dict(metrics), {name: texts for name, texts in columns.items() if texts}):
        yield 0, summary
    for tag, value in metrics.items():
        yield step, scalar(tag, value)
