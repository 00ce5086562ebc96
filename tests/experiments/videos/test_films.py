"""Films, and images in TensorBoard's events."""

import io
import subprocess

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rpp_rl.errors import RunError
from rpp_rl.experiments.event_files import show_in_tensorboard
from rpp_rl.experiments.videos.films import Film, check_film, side_by_side


def picture(k, height=32, width=48):
    return np.full((height, width, 3), 2 * k % 256, dtype=np.uint8)


def filmed(path, count):
    with Film(path, 20.0) as film:
        for k in range(count):
            film.add(picture(k))
        return film.preview()


@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
def test_a_film_has_every_frame(tmp_path, name):
    path = tmp_path / "new" / name
    filmed(path, 20)
    frames = [np.asarray(frame)[..., :3] for frame in imageio.get_reader(path)]
    assert len(frames) == 20
    assert frames[0].shape == (32, 48, 3)
    # Compression is not exact, but the last frame is the brightest.
    assert frames[-1].mean() == pytest.approx(38, abs=6)
    assert [p.name for p in path.parent.iterdir()] == [name]


@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
def test_a_failure_leaves_no_partial_film(tmp_path, name):
    with pytest.raises(RuntimeError, match="the robot fell"), Film(tmp_path / name, 20.0) as film:
        film.add(picture(0))
        raise RuntimeError("the robot fell")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [1, 200])
def test_a_film_is_refused_where_ffmpeg_dies(tmp_path, monkeypatch, count):
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    refused = pytest.raises(RunError, match=r"cannot write a video to .*film\.mp4: .*choose another place")
    with refused, Film(tmp_path / "film.mp4", 20.0) as film:
        film.add(picture(0))
        ffmpeg = started[-1]
        ffmpeg.kill()
        ffmpeg.wait()
        for k in range(1, count):
            film.add(picture(k))
    assert list(tmp_path.iterdir()) == []


def test_a_fast_gif_leaves_out_frames(tmp_path):
    path = tmp_path / "film.gif"
    with Film(path, 100.0) as film:
        for k in range(50):
            film.add(picture(k))
    with Image.open(path) as opened:
        assert opened.n_frames == 10
        assert opened.n_frames * opened.info["duration"] == 500


def test_the_preview_is_small_and_shows_the_whole_film(tmp_path):
    preview = filmed(tmp_path / "film.gif", 127)
    with Image.open(io.BytesIO(preview)) as opened:
        assert 16 <= opened.n_frames <= 60
        opened.seek(opened.n_frames - 1)
        assert np.asarray(opened.convert("RGB")).mean() > 2 * 115
        # As long as the film.
        assert opened.n_frames * opened.info["duration"] == pytest.approx(127 * 50, rel=0.1)


def test_tensorboard_shows_the_latest_preview(tmp_path):
    preview = filmed(tmp_path / "film.gif", 5)
    for step in (100, 200):
        assert show_in_tensorboard(tmp_path / "run", "videos/mirror", preview, step) is None
    events = EventAccumulator(str(tmp_path / "run" / "videos" / "mirror"))
    events.Reload()
    # The second took the place of the first.
    (image,) = events.Images("videos/mirror")
    assert (image.step, image.width, image.height) == (200, 48, 32)
    assert image.encoded_image_string == preview


def test_a_folder_that_is_not_writable_is_reported(tmp_path):
    (tmp_path / "run").write_text("no folder")
    assert "cannot be written to" in show_in_tensorboard(tmp_path / "run", "videos/x", filmed(tmp_path / "a.gif", 1), 0)


@pytest.mark.parametrize(
    ("name", "message"), [("film.avi", "ends in .mp4 or .gif"), ("file/film.mp4", "file"), ("x.mp4", "is a folder")]
)
def test_a_bad_path_is_refused(tmp_path, name, message):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "x.mp4").mkdir()
    with pytest.raises(RunError, match=message):
        check_film(tmp_path / name)


def test_panels_have_even_sizes():
    sheet = side_by_side([picture(0, 31, 47), picture(100, 31, 47)], ["one", "other"], "step 1")
    assert sheet.shape[0] % 2 == sheet.shape[1] % 2 == 0
    assert (sheet[40, :47] == 0).all()
    assert (sheet[40, 51:-1] == 200).all()
