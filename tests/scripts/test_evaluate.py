import os
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("renderer", ["egl", "osmesa"])
def test_video(renderer, trained, tmp_path):
    arguments = ["evaluate", trained / "rpp_sac" / "seed0", "-n", 1, "--video", "film"]
    command = [sys.executable, "-m", "rpp_rl.scripts.main", *map(str, arguments)]
    environment = {**os.environ, "MUJOCO_GL": renderer}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 2 and "no off-screen renderer works here" in done.stderr:
        pytest.skip(f"{renderer} is not installed: {done.stderr}")
    assert done.returncode == 0, done.stderr
    (film,) = (tmp_path / "film").glob("*.mp4")
    assert film.stat().st_size > 1000
