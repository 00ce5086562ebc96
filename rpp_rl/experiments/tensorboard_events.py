"""TensorBoard's event files, made in memory: they are whole when they are written, and need no writer's thread."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from rpp_rl.files import replace_file

_RGB = 3
_EVENTS = "events.out.tfevents.0.pictures"


def event_file(events: Iterable[Event], now: float) -> bytes:
    """The content of an event file.

    Args:
        events: in their order.
        now: time of the file, in seconds since 1970.
    """
    content = io.BytesIO()
    writer = RecordWriter(content)
    writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
    for event in events:
        writer.write(event.SerializeToString())
    return content.getvalue()


def image_event(tag: str, picture: bytes, step: int, now: float) -> Event:
    """A picture as TensorBoard's *Images* show it.

    Args:
        tag: its name.
        picture: PNG, or GIF for one that moves.
        step: at which it is shown.
        now: in seconds since 1970.
    """
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as opened:
        width, height = opened.size
    image = Summary.Image(height=height, width=width, colorspace=_RGB, encoded_image_string=picture)
    return Event(wall_time=now, step=step, summary=Summary(value=[Summary.Value(tag=tag, image=image)]))


def show_in_tensorboard(run: Path, name: str, picture: bytes, step: int) -> str | None:
    """Add a picture to the events of a run, in a folder below it, since a run that still learns writes to its own file.

    Args:
        run: the run's folder.
        name: of the picture, such as ``videos/evaluate``; its folder, and its tag. The next of that name replaces it.
        picture: PNG, or GIF for one that moves.
        step: of training.

    Returns:
        Why it could not be written, None if it was.
    """
    now = time.time()
    try:
        replace_file(run / name / _EVENTS, event_file([image_event(name, picture, step, now)], now))
    except OSError as error:
        return f"TensorBoard does not show {name}, since {run} cannot be written to: {error.strerror or error}"
    return None
