"""Write films (.mp4 and .gif), and film one episode of an agent."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.error import DependencyNotInstalled
from numpy.typing import NDArray

from rpp_rl.envs.wrapper import make_plain
from rpp_rl.errors import RunError
from rpp_rl.experiments.environments import make_checked
from rpp_rl.experiments.event_files import show_in_tensorboard
from rpp_rl.experiments.finding import run_of
from rpp_rl.experiments.videos.renderers import choose_renderer
from rpp_rl.files import check_folder

if TYPE_CHECKING:
    from rpp_rl.experiments.evaluation import LoadedAgent

Frame = NDArray[np.uint8]

EPISODE = "episode.mp4"
SUFFIXES = (".mp4", ".gif")
# TensorBoard gets a preview of at most this many frames, at most this wide.
_PREVIEW_FRAMES, _PREVIEW_WIDTH = 60, 320
# Browsers slow down a GIF with a higher frame rate.
_GIF_FPS = 20
# Of a sheet of pictures, in pixels: bars of text, gaps between pictures, margin of the text.
_BAR, _GAP, _MARGIN, _FONT_SIZE = 28, 4, 8, 15
_PAPER, _INK = 255, (30, 30, 30)


def check_film(path: Path) -> None:
    """Check that a film can be written to a path, before anything is rendered.

    Raises:
        RunError: if the suffix is unknown, the folder cannot be made, or imageio cannot write the format.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise RunError(f"a film ends in {' or '.join(SUFFIXES)}, got {str(path)!r}")
    check_folder(path.parent, "choose another folder")
    if path.is_dir():
        raise RunError(f"cannot write a video to {path}: it is a folder; name a file")
    try:
        import imageio  # noqa: F401 - checks that it is installed

        if path.suffix.lower() == ".mp4":
            import imageio_ffmpeg  # noqa: F401 - likewise
    except ImportError as error:
        raise RunError("a video needs imageio with ffmpeg; install it with: pip install 'rpp-rl[video]'") from error


def check_video(folder: Path) -> None:
    """Check that an episode can be rendered and its film written to a folder.

    Raises:
        RunError: if not.
    """
    check_film(folder / EPISODE)
    choose_renderer()


class Film:
    """Write frames to a film, as a context manager. The file appears when all frames are written.

    Args:
        path: the film, ending in .mp4 or .gif.
        fps: frames per second.

    Raises:
        RunError: by `add` or at the end, if the file cannot be written.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = path, fps
        self._partial = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
        self._is_gif = path.suffix.lower() == ".gif"
        self._writer: Any = None
        self._count = 0
        self._preview: list[Frame] = []
        self._preview_step = 1

    def __enter__(self) -> Film:
        return self

    def add(self, frame: Frame) -> None:
        """Add a frame of shape (height, width, 3). All frames have one size, and it must be even."""
        self._add_to_preview(frame)
        try:
            if self._writer is None:
                self._partial.parent.mkdir(parents=True, exist_ok=True)
                self._writer = _writer(self._partial, self.fps)
            if not self._is_gif or self._count % _gif_step(self.fps) == 0:
                self._writer.append_data(frame)
        except OSError as error:
            raise self._failure(str(error)) from error
        self._count += 1

    def preview(self) -> bytes:
        """A small GIF of the whole film."""
        fps, content = self.fps / self._preview_step, io.BytesIO()
        with _writer(content, fps) as writer:
            for frame in self._preview[:: _gif_step(fps)]:
                writer.append_data(frame)
        return content.getvalue()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
            if kind is None:
                self._check_frames()
                self._partial.replace(self.path)
        except OSError as failure:
            raise self._failure(str(failure)) from failure
        finally:
            self._partial.unlink(missing_ok=True)

    def _add_to_preview(self, frame: Frame) -> None:
        """Keep every k-th frame; k doubles when there are too many."""
        if self._count % self._preview_step == 0:
            step = -(-frame.shape[1] // _PREVIEW_WIDTH)
            self._preview.append(frame[::step, ::step].copy())
        if len(self._preview) > _PREVIEW_FRAMES:
            self._preview, self._preview_step = self._preview[::2], 2 * self._preview_step

    def _check_frames(self) -> None:
        """Count the frames of an mp4: imageio does not notice that ffmpeg stopped early, and players show the rest."""
        if self._is_gif:
            return
        from imageio_ffmpeg import count_frames_and_secs

        try:
            count, _ = count_frames_and_secs(str(self._partial))
        except RuntimeError:
            count = 0
        if count != self._count:
            raise self._failure(f"ffmpeg wrote {count} of {self._count} frames")

    def _failure(self, detail: str) -> RunError:
        detail = " ".join(detail.split())[:200]
        return RunError(f"cannot write a video to {self.path}: {detail}; choose another place")


def _writer(target: Path | io.BytesIO, fps: float) -> Any:
    """An imageio writer: mp4 for a path with that suffix, GIF else."""
    from imageio.v2 import get_writer

    if isinstance(target, Path) and target.suffix.lower() == ".mp4":
        return get_writer(target, format="FFMPEG", fps=fps, macro_block_size=2)
    duration = max(1, round(1000 * _gif_step(fps) / fps))
    return get_writer(target, format="GIF", mode="I", duration=duration, loop=0)


def _gif_step(fps: float) -> int:
    """A GIF takes every k-th frame; this is k."""
    return max(1, round(fps / _GIF_FPS))


def side_by_side(pictures: Sequence[Frame], titles: Sequence[str], line: str) -> Frame:
    """Put pictures side by side, a title above each and a line of text below all.

    Args:
        pictures: of one size, each of shape (height, width, 3).
        titles: one for each picture.
        line: the text below.

    Returns:
        One picture of even height and width.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width, _ = pictures[0].shape
    total = len(pictures) * width + (len(pictures) - 1) * _GAP
    sheet = np.full((height + 2 * _BAR, total, 3), _PAPER, dtype=np.uint8)
    for i, picture in enumerate(pictures):
        start = i * (width + _GAP)
        sheet[_BAR : _BAR + height, start : start + width] = picture
    image = Image.fromarray(sheet[: sheet.shape[0] // 2 * 2, : sheet.shape[1] // 2 * 2])
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(_FONT_SIZE)
    for i, title in enumerate(titles):
        draw.text((i * (width + _GAP) + _MARGIN, _BAR // 2), title, fill=_INK, font=font, anchor="lm")
    draw.text((_MARGIN, height + _BAR + _BAR // 2), line, fill=_INK, font=font, anchor="lm")
    return np.asarray(image, dtype=np.uint8)


def film(loaded: LoadedAgent, folder: Path) -> None:
    """Film the first episode of an agent to ``episode.mp4`` in a folder, and show it in TensorBoard.

    Raises:
        RunError: if the environment cannot be rendered, or the film cannot be written.
    """
    show_preview(loaded, "videos/evaluate", film_episode(loaded, folder / EPISODE))


def show_preview(loaded: LoadedAgent, name: str, preview: bytes) -> None:
    """Show the preview of a film in TensorBoard, beside the curves of the agent's run; print a note on failure."""
    run = run_of(loaded.path)
    problem = show_in_tensorboard(run.path, name, preview, loaded.agent.num_timesteps) if run else None
    if problem:
        print(f"note: {problem}", file=sys.stderr)


def film_episode(loaded: LoadedAgent, path: Path) -> bytes:
    """Film one episode of a deterministic agent.

    Args:
        loaded: the agent, with its environment and seed.
        path: the film.

    Returns:
        A small GIF of the film, see `Film.preview`.

    Raises:
        RunError: if the environment cannot be rendered, or the film cannot be written.
    """
    env = make_checked(make_plain, loaded.env_id, {**loaded.env_kwargs, "render_mode": "rgb_array"})
    try:
        with Film(path, float(env.metadata.get("render_fps") or 30)) as film:
            observation, _ = env.reset(seed=loaded.seed)
            film.add(_picture(env, loaded.env_id))
            done = False
            while not done:
                observation, _, terminated, truncated, _ = env.step(loaded.act(observation))
                film.add(_picture(env, loaded.env_id))
                done = terminated or truncated
            return film.preview()
    except DependencyNotInstalled as error:
        raise RunError(f"cannot render {loaded.env_id}: {error}") from error
    finally:
        env.close()


def _picture(env: Any, env_id: str) -> Any:
    picture = env.render()
    if getattr(picture, "ndim", 0) != 3:
        raise RunError(f"cannot film {env_id}: it does not support render mode 'rgb_array'; leave out --video")
    return picture
