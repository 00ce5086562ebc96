"""`rpp-rl mirror-video`: its films, its files and its errors."""

import csv
import os
import subprocess
import sys

import imageio.v2 as imageio
import numpy as np
import pytest
from helpers.rendering import needs_renderer
from helpers.tasks import bicycle
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import rpp_rl
from rpp_rl.agents import RPPSAC
from rpp_rl.experiments.videos import renderers


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    """Untrained agents: one exactly equivariant, two plain."""
    folder = tmp_path_factory.mktemp("agents")
    for policy in ("EquivariantPolicy", "PlainPolicy"):
        env = rpp_rl.make("Swimmer-v5")
        RPPSAC(policy, env, policy_kwargs={"net_arch": [16, 16]}, seed=0, device="cpu").save(folder / policy)
    RPPSAC("PlainPolicy", bicycle(), policy_kwargs={"net_arch": [16, 16]}, device="cpu").save(folder / "bicycle")
    return folder


def filmed(folder, *arguments, renderer=""):
    needs_renderer(renderer)
    command = [sys.executable, "-m", "rpp_rl.scripts.main", "mirror-video", *map(str, arguments)]
    environment = {**os.environ, "MUJOCO_GL": renderer}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def distances(path):
    with path.open(newline="") as file:
        return [float(row["distance"]) for row in csv.DictReader(file)]


def halves(path):
    """The pixels of the robot in the two pictures of each frame. The floor is grey and its tiles are not symmetric."""
    for frame in imageio.get_reader(path):
        height, width = frame.shape[0] - 56, (frame.shape[1] - 4) // 2
        shown = np.ptp(frame[28 : 28 + height, :, :3].astype(float), axis=2) > 60
        yield shown[:, :width], shown[:, width + 4 :]


def apart(one, other):
    """The share of the robot's pixels in which two pictures differ."""
    return (one != other).sum() / (one | other).sum()


@pytest.mark.slow
def test_a_symmetric_policy_gives_two_equal_films(agents, tmp_path):
    arguments = (agents / "EquivariantPolicy.zip", "--env", "Swimmer-v5", "--steps", 30)
    out = filmed(tmp_path, *arguments)
    assert "sagittal of Swimmer-v5, element 1 (mirror)" in out
    assert "mirrored back" in out
    assert {p.name for p in tmp_path.iterdir()} == {"mirror.mp4", "mirror.csv"}
    assert max(distances(tmp_path / "mirror.csv")) < 1e-3
    pairs = list(halves(tmp_path / "mirror.mp4"))
    assert len(pairs) == 31
    assert min(one.sum() for one, _ in pairs) > 500
    assert max(apart(one, other) for one, other in pairs) < 0.2
    filmed(tmp_path, *arguments, "--flip", "none", "--out", "plain.gif", "--seed", 3)
    one, other = list(halves(tmp_path / "plain.gif"))[-1]
    assert apart(one, other) > 0.3
    assert apart(one, other[:, ::-1]) < 0.1


@pytest.mark.slow
def test_the_films_of_an_asymmetric_policy_part(agents, tmp_path):
    filmed(tmp_path, agents / "PlainPolicy.zip", "--env", "Swimmer-v5", "--steps", 30, "--out", "a/film.gif")
    measured = distances(tmp_path / "a" / "film.csv")
    assert measured[0] == 0
    assert max(measured) > 0.1
    pairs = list(halves(tmp_path / "a" / "film.gif"))
    assert apart(*pairs[0]) < 0.2
    assert apart(*pairs[-1]) > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("renderer", ["egl", "osmesa"])
def test_a_run_keeps_its_film_and_tensorboard_shows_it(trained, tmp_path, renderer):
    run = trained / "sac" / "seed0"
    out = filmed(tmp_path, run, "--steps", 20, renderer=renderer)
    assert "a trajectory ended" in out or "  20  " in out
    assert {p.suffix for p in (run / "videos").iterdir() if p.is_file()} == {".mp4", ".csv"}
    events = EventAccumulator(str(run / "videos" / "mirror"))
    events.Reload()
    (image,) = events.Images("videos/mirror")
    assert image.step == 400
    assert image.encoded_image_string.startswith(b"GIF")


class TestRefused:
    @pytest.fixture(autouse=True)
    def _any_renderer(self, monkeypatch):
        monkeypatch.setenv("MUJOCO_GL", "")
        monkeypatch.setattr(renderers, "failure_of", lambda name: None)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--steps", 0), "--steps must be at least 1"),
            (("--out", "film.avi"), "ends in .mp4 or .gif"),
            (("--element", 2), "--element must be one of 0 (identity), 1 (mirror), got 2"),
            (("--symmetry", "sagital"), "did you mean 'sagittal'"),
            (("--symmetry", "trivial"), "has only the identity"),
            (("--seed", -1), "--seed must be"),
            (("--device", "quantum"), "unknown device"),
            (("--env", "Hopper-v5"), "trained on observations of shape (8,)"),
        ],
    )
    def test_bad_arguments_are_refused(self, refused, agents, arguments, message):
        given = arguments if "--env" in arguments else (*arguments, "--env", "Swimmer-v5")
        assert message in " ".join(refused("mirror-video", agents / "PlainPolicy.zip", *given).split())

    def test_a_task_without_a_simulator_is_refused(self, refused, agents):
        err = refused("mirror-video", agents / "bicycle.zip", "--env", "Bicycle-v0")
        assert "states can be set only of a MuJoCo environment" in err

    def test_a_missing_run_is_refused(self, refused):
        assert "cannot find a run or model at nowhere" in refused("mirror-video", "nowhere")

    def test_a_machine_without_a_renderer_is_refused(self, refused, agents, monkeypatch):
        monkeypatch.setattr(renderers, "failure_of", lambda name: "no device")
        for command in (("mirror-video",), ("evaluate", "--video", "film")):
            err = refused(*command, agents / "PlainPolicy.zip", "--env", "Swimmer-v5")
            assert "no off-screen renderer works here" in err
            assert "install EGL or OSMesa" in err

    def test_a_missing_ffmpeg_is_refused(self, refused, agents, monkeypatch):
        monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
        err = refused("mirror-video", agents / "PlainPolicy.zip", "--env", "Swimmer-v5")
        assert "pip install 'rpp-rl[video]'" in err
