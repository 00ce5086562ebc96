"""The direction of imports: envs -> rpp_rl <- agents, scripts on top; and the core stays light."""

import subprocess
import sys

import pytest

HEAVY = {"matplotlib", "imageio", "pandas", "rich", "tyro", "tensorboard", "stable_baselines3", "gymnasium", "mujoco"}


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("rpp_rl", HEAVY | {"yaml", "rpp_rl.envs", "rpp_rl.agents", "rpp_rl.scripts"}),
        ("rpp_rl.envs", {"stable_baselines3", "matplotlib", "tyro", "rpp_rl.agents", "rpp_rl.scripts"}),
        ("rpp_rl.agents", {"mujoco", "tyro", "rpp_rl.envs", "rpp_rl.scripts"}),
        ("rpp_rl.scripts.main", {"stable_baselines3", "gymnasium", "mujoco", "rpp_rl.agents", "rpp_rl.envs"}),
    ],
)
def test_what_a_package_imports(module, forbidden):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not forbidden & set(done.stdout.split())
