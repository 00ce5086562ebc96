"""An algorithm of another package trains, sweeps, resumes and evaluates from the command line."""

import json

import pytest

MODULE = """
from pathlib import Path

import gymnasium as gym
from stable_baselines3 import SAC

import rpp_rl
from rpp_rl.agents import RPPSAC, register_algorithm

gym.register("Balance-v0", "gymnasium.envs.mujoco.inverted_pendulum_v5:InvertedPendulumEnv", max_episode_steps=100)
rpp_rl.register_symmetry("Balance-v0", reflection="x")


class LazySAC(RPPSAC):
    def train(self, gradient_steps, batch_size=64):
        super().train(max(1, gradient_steps // 2), batch_size)


register_algorithm("lazy", LazySAC, baseline=SAC, hyperparams=Path(__file__).with_name("lazy.yml"))
"""
SMALL = ("--eval-episodes", 1, "-params", "batch_size:16", "policy_kwargs:{net_arch: [8, 8]}")


@pytest.mark.slow
def test_a_registered_algorithm_is_trained_resumed_swept_and_evaluated(run_cli, tmp_path):
    (tmp_path / "my_lab.py").write_text(MODULE)
    (tmp_path / "lazy.yml").write_text("default:\n  n_timesteps: 100\n  learning_starts: 50\n")
    run_cli("train", "--algo", "rpp_lazy", "--env", "my_lab:Balance-v0", "--save-freq", 50, *SMALL)
    run = tmp_path / "runs/Balance-v0/rpp_lazy/seed0"
    record = json.loads((run / "config.json").read_text())
    assert (record["algorithm"], record["use"], record["n_timesteps"]) == ("lazy", "rpp", 100)
    refused = run_cli("train", "--resume", run, "-n", 120, check=False)
    assert refused.returncode == 2
    assert "importing my_lab would run it" in " ".join(refused.stderr.split())
    run_cli("train", "--resume", run, "-n", 120, "--trust")
    assert "over 1 episodes" in run_cli("evaluate", run, "-n", 1, "--trust").stdout
    swept = ("--algos", "rpp_lazy", "lazy", "--envs", "my_lab:Balance-v0", "--seeds", "0-1", "-n", 120)
    assert "4 of 4 runs are done" in run_cli("sweep", *swept, *SMALL, "--trust", "-f", "swept").stdout
    assert "rpp_lazy" in run_cli("compare", "swept", "--no-report", "--no-tensorboard").stdout
