"""Curves from TensorBoard's event files, for runs that have no ``evaluations.npz``; each file is read once."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpp_rl.errors import RunError
from rpp_rl.scripts.comparing.files import LARGEST_RETURN, read_json
from rpp_rl.scripts.comparing.looks import SCORE

CACHE = "event_curves.json"
_LARGEST = 1 << 30
_HEADER = struct.Struct("<QI")
_FOOTER = 4


def event_paths(folder: Path) -> list[Path]:
    """The event files of a run in the order in which they were begun, which their names hold."""
    return sorted(path for path in folder.glob("events.out.tfevents.*") if path.is_file())


class EventCurves:
    """Curves of event files, remembered by the files' names, sizes and times.

    Args:
        path: of a file with what was remembered before; one that is missing or is none is as good as empty.
    """

    def __init__(self, path: Path) -> None:
        found = read_json(path)
        self._known: dict[str, Any] = found if isinstance(found, dict) else {}
        self._used: dict[str, list[list[float]]] = {}

    def curve(self, folder: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """Steps and ``eval/mean_reward`` of a run, each of shape (k,); None where there is no evaluation yet.

        Raises:
            RunError: if its event files cannot be read.
        """
        paths = event_paths(folder)
        stats = [(path, path.stat()) for path in paths]
        text = repr([(str(path.resolve()), stat.st_size, stat.st_mtime_ns) for path, stat in stats])
        key = hashlib.sha256(text.encode()).hexdigest()
        curve = _checked(self._known.get(key))
        if curve is None:
            curve = _checked(_read(paths))
        if curve is None:
            return None
        self._used[key] = curve
        return np.array(curve[0], dtype=np.int64), np.array(curve[1], dtype=np.float64)

    def content(self) -> bytes | None:
        """What to remember; None where no event file was needed."""
        return json.dumps(self._used).encode() if self._used else None


def _checked(curve: Any) -> list[list[float]] | None:
    """A curve as it was remembered or read, or None if it is none."""
    if not isinstance(curve, list) or len(curve) != 2 or not all(isinstance(part, list) for part in curve):
        return None
    steps, scores = curve
    if not steps or len(steps) != len(scores) or not all(type(step) is int for step in steps):
        return None
    if not all(isinstance(score, int | float) and abs(score) < LARGEST_RETURN for score in scores):
        return None
    increasing = all(one < other for one, other in zip([-1, *steps], steps, strict=False))
    return curve if increasing and steps[-1] < 1 << 62 else None


def _read(paths: list[Path]) -> list[list[float]]:
    found = scalars(paths, SCORE).get(SCORE, {})
    steps = sorted(found)
    return [list(steps), [found[step] for step in steps]]


def scalars(paths: list[Path], mark: str) -> dict[str, dict[int, float]]:
    """The scalars whose tags begin with `mark`: by tag, the value at each step.

    Args:
        paths: event files of one run, in the order in which they were begun.
        mark: the beginning of the tags.

    Raises:
        RunError: if one cannot be read.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    found: dict[str, dict[int, float]] = {}
    for path in paths:
        for record in _records(path, mark.encode()):
            try:
                event = Event.FromString(record)
            except DecodeError as error:
                raise RunError(f"{path} is no event file that can be read; leave the run out with --filter") from error
            if event.session_log.status == SessionLog.START:
                # A run that went on from a checkpoint: what was written from there on before is no part of it.
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
