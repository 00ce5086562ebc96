"""Films, and pictures in TensorBoard's events."""

import io

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rpp_rl.errors import RunError
from rpp_rl.experiments.tensorboard_events import show_in_tensorboard
from rpp_rl.experiments.videos.films import Film, check_film
from rpp_rl.experiments.videos.panels import side_by_side


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
def test_what_fails_leaves_no_part_of_a_film(tmp_path, name):
    with pytest.raises(RuntimeError, match="the robot fell"), Film(tmp_path / name, 20.0) as film:
        film.add(picture(0))
        raise RuntimeError("the robot fell")
    assert list(tmp_path.iterdir()) == []


def test_a_film_that_could_not_be_finished_is_no_film(tmp_path):
    refused = pytest.raises(RunError, match=r"no video can be written to .*film\.mp4: .*choose another place")
    with refused, Film(tmp_path / "film.mp4", 20.0) as film:
        film.add(picture(0))
        film._writer.proc.kill()
        film._writer.proc.wait()
    assert list(tmp_path.iterdir()) == []


def test_the_preview_is_of_the_whole_film_and_small(tmp_path):
    preview = filmed(tmp_path / "film.gif", 127)
    with Image.open(io.BytesIO(preview)) as opened:
        assert 16 <= opened.n_frames <= 60
        opened.seek(opened.n_frames - 1)
        assert np.asarray(opened.convert("RGB")).mean() > 2 * 115
        # As long as the film.
        assert opened.n_frames * opened.info["duration"] == pytest.approx(127 * 50, rel=0.1)


def test_pictures_in_tensorboard(tmp_path):
    preview = filmed(tmp_path / "film.gif", 5)
    for step in (100, 200):
        assert show_in_tensorboard(tmp_path / "run", "videos/mirror", preview, step) is None
    events = EventAccumulator(str(tmp_path / "run" / "videos" / "mirror"))
    events.Reload()
    # The second took the place of the first.
    (image,) = events.Images("videos/mirror")
    assert (image.step, image.width, image.height) == (200, 48, 32)
    assert image.encoded_image_string == preview


def test_a_folder_that_may_not_be_written_to_is_said(tmp_path):
    (tmp_path / "run").write_text("no folder")
    assert "cannot be written to" in show_in_tensorboard(tmp_path / "run", "videos/x", filmed(tmp_path / "a.gif", 1), 0)


@pytest.mark.parametrize(
    ("name", "message"), [("film.avi", "ends in .mp4 or .gif"), ("file/film.mp4", "no folder"), ("x.mp4", "a folder")]
)
def test_where_no_film_can_be(tmp_path, name, message):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "x.mp4").mkdir()
    with pytest.raises(RunError, match=message):
        check_film(tmp_path / name)


def test_panels_have_even_sizes():
    sheet = side_by_side([picture(0, 31, 47), picture(100, 31, 47)], ["one", "other"], "step 1")
    assert sheet.shape[0] % 2 == sheet.shape[1] % 2 == 0
    assert (sheet[40, :47] == 0).all()
    assert (sheet[40, 51:-1] == 200).all()
