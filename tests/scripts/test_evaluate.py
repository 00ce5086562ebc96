import json
import os
import subprocess
import sys

import imageio.v2 as imageio
import pytest
from helpers.rendering import needs_renderer
from helpers.run_folders import write_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def images_of(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


@pytest.mark.slow
@pytest.mark.parametrize("renderer", ["", "egl", "osmesa"])
def test_a_video_shows_the_first_episode(renderer, trained, tmp_path):
    needs_renderer(renderer)
    run = trained / "rpp_sac" / "seed0"
    command = [sys.executable, "-m", "rpp_rl.scripts.main", "evaluate", str(run), "-n", "2", "--video", "film"]
    environment = {**os.environ, "MUJOCO_GL": renderer}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (film,) = (tmp_path / "film").iterdir()
    assert film.name == "episode.mp4"
    # One frame more than steps: the film shows the state after reset too.
    frames = [frame for frame in imageio.get_reader(film)]
    assert done.stdout.strip().endswith("video in film")
    told = subprocess.run([*command[:-2], "--json"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert len(frames) == 1 + json.loads(told.stdout)["lengths"][0]
    assert all(frame.std() > 1 for frame in frames)
    assert (frames[0] != frames[-1]).any()
    (image,) = images_of(run / "videos" / "evaluate").Images("videos/evaluate")
    assert image.encoded_image_string.startswith(b"GIF")
    assert image.step == 400


class TestPlot:
    def test_the_picture_of_a_run_is_written_and_logged(self, main, trained, tmp_path):
        run = trained / "rpp_sac" / "seed0"
        code, out, err = main("evaluate", run, "-n", 1, "--plot", "symmetry.svg")
        assert code == 0, err
        assert "picture in symmetry.svg" in out
        text = (tmp_path / "symmetry.svg").read_text()
        assert text.count("<svg") == 1
        (image,) = images_of(run / "figures" / "symmetry").Images("figures/symmetry")
        assert image.encoded_image_string.startswith(b"\x89PNG")
        assert image.step == 400

    @pytest.mark.parametrize(
        ("plot", "message"),
        [
            ("picture.jpeg", "ends in .png, .svg, .pdf"),
            ("nowhere/picture.png", "there is no folder nowhere"),
        ],
    )
    def test_a_picture_that_cannot_be_written_is_refused(self, refused, trained, plot, message):
        assert message in refused("evaluate", trained / "sac" / "seed0", "--plot", plot)

    def test_a_picture_without_matplotlib_is_refused(self, refused, trained, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        err = refused("evaluate", trained / "sac" / "seed0", "--plot", "picture.png")
        assert "pip install 'rpp-rl[plot]'" in err

    def test_a_picture_of_a_run_without_curves_is_refused(self, refused, trained, tmp_path):
        run = write_run(tmp_path, "InvertedPendulum-v5", "sac", 0)
        (run / "model.zip").write_bytes((trained / "sac" / "seed0" / "model.zip").read_bytes())
        err = refused("evaluate", run, "-n", 1, "--plot", "picture.png")
        assert "has none beside it" in err
