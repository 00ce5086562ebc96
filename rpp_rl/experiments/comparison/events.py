"""A comparison for TensorBoard: curves with intervals beside the single runs, a layout, a table of all runs."""

from __future__ import annotations

import math
import re
import time
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as layout_metadata
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2, summary_v2
from tensorboard.plugins.hparams import metadata as hparams_metadata

from rpp_rl.experiments.comparison.analysis import GroupResult, TaskResult
from rpp_rl.experiments.comparison.comparison import Comparison
from rpp_rl.experiments.comparison.grouping import has_ended
from rpp_rl.experiments.comparison.runs import SYMMETRY_DIGEST, Run
from rpp_rl.experiments.comparison.tensorboard_address import EVENTS
from rpp_rl.experiments.tensorboard_events import event_file, image_event
from rpp_rl.statistics import area_under_curve

_LONGEST_NAME = 100
_NAMES = ("environment", "algorithm", "seed")
_FINAL, _AREA = "compare/final_return", "compare/area_under_curve"


def event_files(comparison: Comparison, pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    """Event files by path: curves in ``<env>/<algo>/``, runs in ``hparams/<env>/<algo>/<seed>/``, and the layout.

    Args:
        comparison: it.
        pictures: PNG files by name, shown beside the layout as ``figures/<name>``.
    """
    now, columns = time.time(), _columns(comparison)
    files: dict[str, bytes] = {}
    for result in comparison.results:
        for g in result.groups:
            folder = f"{folder_name(result.task.name)}/{folder_name(g.label)}"
            files[f"{folder}/{EVENTS}"] = event_file(_curve_events(result.task.name, g, now), now)
            for run in g.group.runs:
                session = f"hparams/{folder}/seed{run.seed}/{EVENTS}"
                files[session] = event_file(_session_events(columns, result, g, run, now), now)
    head = [_layout(comparison.results), _experiment(columns)]
    shown = [image_event(f"figures/{name}", picture, 0, now) for name, picture in pictures.items()]
    files[EVENTS] = event_file([*(Event(wall_time=now, step=0, summary=part) for part in head), *shown], now)
    return files


def folder_name(name: str) -> str:
    """Any name as one folder below ours, never above it."""
    plain = re.sub(r"[^\w.+=,()\[\]-]+", "-", name).lstrip(".")[:_LONGEST_NAME]
    # Two names must not become one.
    return plain if plain and plain == name else f"{plain}-{zlib.crc32(name.encode()):08x}"


def _tags(env: str) -> tuple[str, str, str, str, str]:
    """Tags of an environment, so that its chart shows nothing of another one."""
    return tuple(f"{env}/{part}" for part in ("iqm", "lower", "upper", "best_so_far_mean", "iqm_without_interval"))  # type: ignore[return-value]


def _curve_events(env: str, g: GroupResult, now: float) -> Iterable[Event]:
    """Events at every step. Charts with margins need all three numbers: what has no interval is a tag apart."""
    iqm, lower, upper, best, bare = _tags(env)
    curve = g.curve
    for step, value, low, high, so_far in zip(curve.steps, curve.value, curve.low, curve.high, g.best, strict=True):
        scalars = {best: so_far, **({bare: value} if math.isnan(low) else {iqm: value, lower: low, upper: high})}
        yield _scalars(scalars, int(step), now)


def _scalars(values: Mapping[str, float], step: int, now: float) -> Event:
    parts = [Summary.Value(tag=tag, simple_value=float(value)) for tag, value in values.items()]
    return Event(wall_time=now, step=step, summary=Summary(value=parts))


def _layout(results: Iterable[TaskResult]) -> Summary:
    """A category of charts for every environment."""
    categories = []
    for i, result in enumerate(results):
        iqm, lower, upper, best, bare = _tags(result.task.name)
        series = layout_pb2.MarginChartContent.Series(value=iqm, lower=lower, upper=upper)
        charts = [
            layout_pb2.Chart(
                title=f"{result.task.name}: IQM of eval/mean_reward, 95 % interval",
                margin=layout_pb2.MarginChartContent(series=[series]),
            ),
            _lines(f"{result.task.name}: mean of the best so far", best),
        ]
        if any(math.isnan(low) for g in result.groups for low in g.curve.low):
            charts.append(_lines(f"{result.task.name}: IQM where fewer than three seeds are, no interval", bare))
        categories.append(layout_pb2.Category(title=result.task.name, chart=charts, closed=i > 0))
    layout = layout_pb2.Layout(category=categories)
    tensor = TensorProto(dtype=DT_STRING, string_val=[layout.SerializeToString()], tensor_shape=TensorShapeProto())
    tag, metadata = layout_metadata.CONFIG_SUMMARY_TAG, layout_metadata.create_summary_metadata()
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])


def _lines(title: str, tag: str) -> Any:
    content = layout_pb2.MultilineChartContent(tag=[f"^{re.escape(tag)}$"])
    return layout_pb2.Chart(title=title, multiline=content)


def _experiment(columns: Mapping[str, tuple[str, ...]]) -> Summary:
    """The columns of the table of runs."""
    infos = []
    for name, texts in columns.items():
        info = api_pb2.HParamInfo(name=name, type=api_pb2.DATA_TYPE_STRING if texts else api_pb2.DATA_TYPE_FLOAT64)
        info.domain_discrete.extend(texts)
        infos.append(info)
    metrics = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=tag.removeprefix("compare/"))
        for tag in (_FINAL, _AREA)
    ]
    experiment = api_pb2.Experiment(hparam_infos=infos, metric_infos=metrics)
    data = plugin_data_pb2.HParamsPluginData(experiment=experiment)
    return _hparams_summary(hparams_metadata.EXPERIMENT_TAG, data)


def _columns(comparison: Comparison) -> dict[str, tuple[str, ...]]:
    """Settings in which any two runs differ, with the texts that they have; no texts where all are numbers."""
    rows = [_row(run, g, r) for r in comparison.results for g in r.groups for run in g.group.runs]
    keys = sorted({key for row in rows for key in row} - {SYMMETRY_DIGEST})
    columns: dict[str, tuple[str, ...]] = {}
    for key in (*_NAMES, *(key for key in keys if key not in _NAMES)):
        values = {row.get(key, "-") for row in rows}
        if key in _NAMES or len(values) > 1:
            numbers = key not in _NAMES and all(_is_number(value) for value in values)
            columns[key] = () if numbers else tuple(sorted(values))
    return columns


def _row(run: Run, g: GroupResult, result: TaskResult) -> dict[str, str]:
    return {**run.settings, "environment": result.task.name, "algorithm": g.label, "seed": str(run.seed)}


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _session_events(
    columns: Mapping[str, tuple[str, ...]], result: TaskResult, g: GroupResult, run: Run, now: float
) -> list[Event]:
    row = _row(run, g, result)
    values = {name: row.get(name, "-") if texts else float(row[name]) for name, texts in columns.items()}
    name = f"{result.task.name}/{g.label}/seed{run.seed}"
    start = summary_v2.hparams_pb(values, trial_id=name, start_time_secs=now)
    ended_well = api_pb2.STATUS_SUCCESS if has_ended(run) else api_pb2.STATUS_UNKNOWN
    status = api_pb2.STATUS_FAILURE if run.failed else ended_well
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=now + (run.wall_time or 0.0))
    ended = plugin_data_pb2.HParamsPluginData(session_end_info=end)
    at = {int(step): float(score) for step, score in zip(run.steps, run.scores, strict=True)}
    shared = [at[step] for step in result.task.shared]
    step = result.task.step
    return [
        Event(wall_time=now, step=0, summary=Summary.FromString(start.SerializeToString())),
        _scalars({_FINAL: at[step], _AREA: float(area_under_curve(result.task.shared, [shared])[0])}, step, now),
        Event(wall_time=now, step=step, summary=_hparams_summary(hparams_metadata.SESSION_END_INFO_TAG, ended)),
    ]


def _hparams_summary(tag: str, data: Any) -> Summary:
    metadata = hparams_metadata.create_summary_metadata(data)
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=hparams_metadata.NULL_TENSOR)])
