"""TensorBoard's event files: read a run's scalars, and write summaries as a whole file."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from rpp_rl.errors import RunError
from rpp_rl.files import check_own_files, replace_file

Curve = dict[int, float]
_RGB = 3
_PICTURES = "events.out.tfevents.0.pictures"


def read_scalars(folder: Path, prefix: str) -> dict[str, Curve]:
    """Read the scalars of a run whose tags begin with a prefix.

    A damaged file counts up to its first damaged record, as in TensorBoard. What a run had logged beyond the checkpoint
    from which it was resumed does not count.

    Args:
        folder: the run's folder.
        prefix: for example ``"symmetry/"``.

    Returns:
        By tag, the value at each environment step.
    """
    found: dict[str, Curve] = {}
    mark = prefix.encode()
    # The names begin with the time at which the files were opened.
    for path in sorted(path for path in folder.glob("events.out.tfevents.*") if path.is_file()):
        for record in RawEventFileLoader(str(path)).Load():
            # Decoding is slow. A session log is a short record.
            if len(record) >= 64 and mark not in record:
                continue
            try:
                event = Event.FromString(record)
            except DecodeError:
                break
            if event.session_log.status == SessionLog.START:
                found = {tag: {s: v for s, v in curve.items() if s < event.step} for tag, curve in found.items()}
            for value in event.summary.value:
                if value.tag.startswith(prefix):
                    found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def event_file(summaries: Iterable[tuple[int, Summary]]) -> bytes:
    """The content of an event file.

    Args:
        summaries: environment steps and summaries, in their order.
    """
    content, now = io.BytesIO(), time.time()
    writer = RecordWriter(content)
    writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
    for step, summary in summaries:
        writer.write(Event(wall_time=now, step=step, summary=summary).SerializeToString())
    return content.getvalue()


def image_summary(tag: str, picture: bytes) -> Summary:
    """A picture for TensorBoard's *Images*, in the bytes that it has; torch's own `image` would encode it again.

    Args:
        tag: its name.
        picture: PNG, or GIF for a moving one.
    """
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as opened:
        width, height = opened.size
    image = Summary.Image(height=height, width=width, colorspace=_RGB, encoded_image_string=picture)
    return Summary(value=[Summary.Value(tag=tag, image=image)])


def show_in_tensorboard(run: Path, name: str, picture: bytes, step: int) -> str | None:
    """Add a picture to the events of a run, in a folder below it, since a run that still learns writes to its own file.

    Args:
        run: the run's folder.
        name: of the picture, such as ``videos/evaluate``; its folder, and its tag. The next of that name replaces it.
        picture: PNG, or GIF for a moving one.
        step: of training.

    Returns:
        Why it could not be written, None if it was.
    """
    try:
        check_own_files(run)
        replace_file(run / name / _PICTURES, event_file([(step, image_summary(name, picture))]))
    except OSError as error:
        return f"TensorBoard does not show {name}, since {run} cannot be written to: {error.strerror or error}"
    except RunError as error:
        return f"TensorBoard does not show {name}: {error}"
    return None
