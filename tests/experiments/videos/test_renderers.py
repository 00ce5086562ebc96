"""The choice of a renderer."""

import os
import subprocess
import sys

import pytest

from rpp_rl.errors import RunError
from rpp_rl.experiments.videos import renderers
from rpp_rl.experiments.videos.renderers import candidates, choose_renderer, failure_of


@pytest.fixture
def works(monkeypatch):
    """Let only the named renderers work, and record which are tried."""
    tried = []

    def only(*names):
        def fail(name):
            tried.append(name)
            return None if name in names else "no device"

        monkeypatch.setattr(renderers, "failure_of", fail)
        return tried

    monkeypatch.setenv("MUJOCO_GL", "")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    return only


def test_candidates_depend_on_display_and_platform():
    assert candidates({}, "linux") == ("egl", "osmesa")
    assert candidates({"DISPLAY": ":0"}, "linux") == ("glfw", "egl", "osmesa")
    assert candidates({"WAYLAND_DISPLAY": "wayland-0"}, "linux") == ("glfw", "egl", "osmesa")
    assert candidates({}, "darwin") == ("glfw",)


def test_the_first_working_renderer_is_chosen(works):
    tried = works("osmesa")
    assert choose_renderer() == "osmesa"
    assert tried == ["egl", "osmesa"]
    assert os.environ["MUJOCO_GL"] == "osmesa"


def test_a_named_renderer_is_not_replaced(works, monkeypatch):
    tried = works("osmesa")
    monkeypatch.setenv("MUJOCO_GL", "EGL")
    with pytest.raises(RunError, match=r"\(egl: no device\).*or unset MUJOCO_GL"):
        choose_renderer()
    assert tried == ["egl"]


def test_an_error_names_every_renderer_where_none_works(works):
    works()
    with pytest.raises(RunError, match=r"\(egl: no device; osmesa: no device\); install EGL or OSMesa"):
        choose_renderer()
    assert os.environ["MUJOCO_GL"] == ""


def test_an_unknown_renderer_is_refused(works, monkeypatch):
    works("egl")
    monkeypatch.setenv("MUJOCO_GL", "vulkan")
    with pytest.raises(RunError, match="set it to egl, osmesa or glfw"):
        choose_renderer()


def test_a_failure_is_one_line(monkeypatch):
    monkeypatch.setattr(renderers, "_TRIAL", "print('x'); raise ImportError('no such\\n library')")
    assert failure_of("egl") == "library"
    monkeypatch.setattr(renderers, "_TRIAL", "import os; os.abort()")
    assert failure_of("egl") == "exit code -6"


def test_a_driver_that_hangs_fails(monkeypatch):
    monkeypatch.setattr(renderers, "_TRIAL", "import time; time.sleep(60)")
    monkeypatch.setattr(renderers, "_PATIENCE", 0.5)
    assert "no picture within" in failure_of("egl")


def test_a_file_named_like_a_library_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "mujoco.py").write_text("open('canary', 'w')")
    monkeypatch.chdir(tmp_path)
    failure_of("egl")
    assert not (tmp_path / "canary").exists()


def test_the_trial_agrees_with_gymnasium():
    # On each machine the trial must say what a program with gymnasium meets.
    draw = (
        "import gymnasium as gym\n"
        "env = gym.make('InvertedPendulum-v5', render_mode='rgb_array')\n"
        "env.reset(seed=0)\n"
        "assert env.render().std() > 0\n"
        "import os; os._exit(0)"
    )
    for name in ("egl", "osmesa"):
        environment = {**os.environ, "MUJOCO_GL": name}
        done = subprocess.run([sys.executable, "-c", draw], env=environment, capture_output=True, check=False)
        failure = failure_of(name)
        assert (failure is None) == (done.returncode == 0), (name, failure, done.stderr)
        assert failure is None or failure.strip()
