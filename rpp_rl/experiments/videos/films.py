"""Films: frames that go to a file as they come, with a small moving picture for TensorBoard beside."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpp_rl.errors import RunError
from rpp_rl.files import check_folder

Frame = NDArray[np.uint8]

SUFFIXES = (".mp4", ".gif")
# What TensorBoard is given: at most so many pictures, at most so wide.
_PREVIEW, _PREVIEW_WIDTH = 60, 320
_FASTEST_GIF = 20


def check_film(path: Path) -> None:
    """Check that a film can be written to a path, before anything is rendered.

    Raises:
        RunError: if its ending is unknown, its folder cannot be made, or moviepy is missing.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise RunError(f"a film ends in {' or '.join(SUFFIXES)}, got {str(path)!r}")
    check_folder(path.parent, "choose another folder")
    if path.is_dir():
        raise RunError(f"no video can be written to {path}, which is a folder; name a file")
    if path.suffix.lower() == ".mp4":
        need_moviepy()


def need_moviepy() -> None:
    """Check that moviepy is installed.

    Raises:
        RunError: if not.
    """
    try:
        from moviepy.video.io import ffmpeg_writer  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise RunError("a video needs moviepy; install it with: pip install 'rpp-rl[video]'") from error


class Film:
    """A film that is written to a file; it is there when all of it is.

    Args:
        path: of the film, ending in .mp4 or .gif.
        fps: frames per second.

    Raises:
        RunError: by `add` or at the end, if the file cannot be written.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = path, fps
        self._aside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
        self._is_gif = path.suffix.lower() == ".gif"
        self._frames: list[Frame] = []
        self._writer: Any = None
        self._small: list[Frame] = []
        self._every, self._count = 1, 0

    def __enter__(self) -> Film:
        return self

    def add(self, frame: Frame) -> None:
        """Add a frame of shape (height, width, 3), as large as the others; both sizes must be even."""
        self._keep_small(frame)
        if self._is_gif:
            self._frames.append(frame)
            return
        try:
            if self._writer is None:
                self._writer = _writer(self._aside, frame, self.fps)
            self._writer.write_frame(np.ascontiguousarray(frame))
        except OSError as error:
            raise self._unwritten(str(error)) from error

    def _unwritten(self, detail: str) -> RunError:
        detail = " ".join(detail.split())[:200]
        return RunError(f"no video can be written to {self.path}: {detail}; choose another place")

    def _keep_small(self, frame: Frame) -> None:
        """Every k-th frame, where k doubles when there are too many."""
        if self._count % self._every == 0:
            step = -(-frame.shape[1] // _PREVIEW_WIDTH)
            self._small.append(frame[::step, ::step].copy())
        self._count += 1
        if len(self._small) > _PREVIEW:
            self._small, self._every = self._small[::2], 2 * self._every

    def preview(self) -> bytes:
        """A small moving picture of the whole film, as GIF."""
        return gif(self._small, self.fps / self._every)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            failed = self._end_writer()
            if kind is not None:
                return
            if failed is not None:
                raise self._unwritten(failed)
            if self._is_gif:
                self._aside.parent.mkdir(parents=True, exist_ok=True)
                self._aside.write_bytes(gif(self._frames, self.fps))
            self._aside.replace(self.path)
        finally:
            self._aside.unlink(missing_ok=True)

    def _end_writer(self) -> str | None:
        """Let ffmpeg write what it still holds; returns what kept it from that."""
        if self._writer is None:
            return None
        process = self._writer.proc
        try:
            self._writer.close()
        except OSError as error:  # it was gone already
            return str(error)
        # moviepy does not look, and half a film is one that a player shows.
        return None if not process or process.returncode == 0 else f"ffmpeg ended with code {process.returncode}"


def _writer(path: Path, frame: Frame, fps: float) -> Any:
    from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter

    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, _ = frame.shape
    return FFMPEG_VideoWriter(str(path), (width, height), fps)


def gif(frames: Sequence[Frame], fps: float) -> bytes:
    """A moving picture as GIF; shown faster than GIF allows, frames are left out.

    Args:
        frames: at least one, each of shape (height, width, 3).
        fps: frames per second.
    """
    from PIL import Image

    step = max(1, round(fps / _FASTEST_GIF)) if fps > _FASTEST_GIF else 1
    first, *rest = (Image.fromarray(frame) for frame in frames[::step])
    content = io.BytesIO()
    duration = max(1, round(1000 * step / fps))
    first.save(content, "GIF", save_all=True, append_images=rest, duration=duration, loop=0)
    return content.getvalue()
