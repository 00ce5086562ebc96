"""Scalars from TensorBoard's event files, which are read once for all comparisons."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpp_rl.errors import RunError
from rpp_rl.experiments.comparison.style import SCORE
from rpp_rl.experiments.run_files import LARGEST_RETURN, read_json

CACHE = "event_scalars.json"
_LARGEST = 1 << 30
_HEADER = struct.Struct("<QI")
_FOOTER = 4
Curve = dict[int, float]


def event_paths(folder: Path) -> list[Path]:
    """The event files of a run in the order in which they were begun, which their names hold."""
    return sorted(path for path in folder.glob("events.out.tfevents.*") if path.is_file())


class EventScalars:
    """Scalars of event files, remembered by their folder for as long as the files' names, sizes and times stay.

    Args:
        path: of a file with what was remembered before; one that is missing or is none is as good as empty. None to
            begin with nothing.
    """

    def __init__(self, path: Path | None = None) -> None:
        found = None if path is None else read_json(path, _LARGEST)
        self._known: dict[str, Any] = found if isinstance(found, dict) else {}
        self._used: dict[str, dict[str, Any]] = {}

    def scalars(self, folder: Path, mark: str) -> dict[str, Curve]:
        """The scalars of a run whose tags begin with `mark`: by tag, the value at each step.

        Raises:
            RunError: if its event files cannot be read.
        """
        paths = event_paths(folder)
        stats = [(path, path.stat()) for path in paths]
        text = repr([(path.name, stat.st_size, stat.st_mtime_ns) for path, stat in stats])
        stamp, key = hashlib.sha256(text.encode()).hexdigest(), f"{mark} {folder.resolve()}"
        known = self._known.get(key)
        found = _recalled(known.get("scalars")) if isinstance(known, dict) and known.get("stamp") == stamp else None
        if found is None:
            found = read_scalars(paths, mark)
        written = {
            tag: [list(curve), [v if math.isfinite(v) else None for v in curve.values()]]
            for tag, curve in found.items()
        }
        self._used[key] = {"stamp": stamp, "scalars": written}
        return found

    def curve(self, folder: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """Steps and ``eval/mean_reward`` of a run, each of shape (k,); None where there is no evaluation yet.

        Raises:
            RunError: if its event files cannot be read, or an evaluation is not a number.
        """
        found = self.scalars(folder, SCORE).get(SCORE, {})
        steps = sorted(found)
        scores = [found[step] for step in steps]
        if not steps:
            return None
        if not 0 <= steps[0] <= steps[-1] < 1 << 62 or not all(abs(v) < LARGEST_RETURN for v in scores):
            raise RunError(f"{folder} has logged a return that is not finite; leave the run out with --filter")
        return np.array(steps, dtype=np.int64), np.array(scores, dtype=np.float64)

    def content(self) -> bytes | None:
        """What to remember, also of runs that were not asked for this time; None where no event file was needed."""
        if not self._used:
            return None
        content = json.dumps({**self._known, **self._used}).encode()
        return content if len(content) <= _LARGEST else json.dumps(self._used).encode()


def _recalled(found: Any) -> dict[str, Curve] | None:
    """Scalars as they were remembered, or None if it is none."""
    if not isinstance(found, dict):
        return None
    recalled: dict[str, Curve] = {}
    for tag, curve in found.items():
        if not isinstance(curve, list) or len(curve) != 2 or not all(isinstance(part, list) for part in curve):
            return None
        steps, values = curve
        if len(steps) != len(values) or not all(type(step) is int for step in steps):
            return None
        if not all(v is None or type(v) in (int, float) for v in values):
            return None
        recalled[tag] = {s: math.nan if v is None else float(v) for s, v in zip(steps, values, strict=True)}
    return recalled


def read_scalars(paths: list[Path], mark: str) -> dict[str, Curve]:
    """Read event files of one run, in the order in which they were begun; see `EventScalars.scalars`.

    Raises:
        RunError: if one cannot be read.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    found: dict[str, Curve] = {}
    for path in paths:
        for record in _records(path, mark.encode()):
            try:
                event = Event.FromString(record)
            except DecodeError as error:
                raise RunError(f"{path} is not a readable event file; leave the run out with --filter") from error
            if event.session_log.status == SessionLog.START:
                # The run was resumed from a checkpoint: what it wrote before beyond that step does not count.
                found = {tag: {s: v for s, v in curve.items() if s < event.step} for tag, curve in found.items()}
            for value in event.summary.value:
                if value.tag.startswith(mark):
                    found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def _records(path: Path, tag: bytes) -> Iterator[bytes]:
    """Records that may hold a tag or a new beginning; of a file that is still written the last is left out."""
    if path.stat().st_size > _LARGEST:
        raise RunError(f"{path} is larger than the events of a run are; leave the run out with --filter")
    content = path.read_bytes()
    place = 0
    while place + _HEADER.size <= len(content):
        length, _ = _HEADER.unpack_from(content, place)
        begin, end = place + _HEADER.size, place + _HEADER.size + length
        if end + _FOOTER > len(content):
            return
        # Looking for the tag is much faster than decoding what does not have it. A session log is a short record.
        if length < 64 or content.find(tag, begin, end) >= 0:
            yield content[begin:end]
        place = end + _FOOTER
