"""MUJOCO_GL names a renderer that is missing: every command ends with one sentence and exit code 2."""

import os
import subprocess
import sys

import pytest

from rpp_rl.scripts.renderer_problem import renderer_problem

COMMANDS = {
    "mirror-video": ("nowhere",),
    "evaluate": ("nowhere", "--video", "film"),
    "audit": ("Swimmer-v5",),
    "train": ("--env", "Swimmer-v5", "-n", "10"),
}


@pytest.mark.parametrize("command", [pytest.param(c, marks=[] if c == "audit" else pytest.mark.slow) for c in COMMANDS])
@pytest.mark.parametrize("renderer", ["osmesa", "vulkan"])
def test_a_missing_renderer_is_one_sentence(tmp_path, command, renderer):
    # What PyOpenGL does without libOSMesa, on machines that have it too.
    stub = tmp_path / "without" / "OpenGL" / "__init__.py"
    stub.parent.mkdir(parents=True)
    stub.write_text("None.glGetError")
    environment = {**os.environ, "MUJOCO_GL": renderer, "PYTHONPATH": str(tmp_path / "without")}
    words = [sys.executable, "-m", "rpp_rl.scripts.main", command, *COMMANDS[command]]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert f"MUJOCO_GL={renderer}" in done.stderr
    assert "unset MUJOCO_GL" in done.stderr
    assert os.listdir(tmp_path) == ["without"]


def test_other_errors_are_not_explained(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with pytest.raises(ImportError) as caught:
        import rpp_rl.nothing  # noqa: F401
    assert renderer_problem(caught.value) is None
