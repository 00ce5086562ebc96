"""Evaluations of a task that never ends by itself."""

import gymnasium as gym
import numpy as np

from rpp_rl.experiments import RunConfig, evaluate, train
from rpp_rl.experiments.resolve import build, resolved
from rpp_rl.experiments.run import Run
from rpp_rl.experiments.training import note_what_may_surprise


class Endless(gym.Env):
    """A point that moves for ever."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.x, {}

    def step(self, action):
        self.x = np.clip(self.x + 0.1 * action, -10, 10).astype(np.float32)
        return self.x, -float(abs(self.x[0])), False, False, {}


if "Endless-v0" not in gym.registry:
    gym.register("Endless-v0", Endless)


def test_a_task_without_a_time_limit_gets_a_note(tmp_path, capsys):
    for env, notes in (("Endless-v0", 1), ("Pendulum-v1", 0)):
        with resolved(RunConfig(env, algo="mlp_sac", n_timesteps=50, log_folder=tmp_path)) as task:
            note_what_may_surprise(task, build(task, 0, False))
        assert capsys.readouterr().out.count("has no time limit") == notes


def test_episodes_of_evaluations_are_cut_off_and_a_note_says_how(tmp_path, capsys):
    settings = {"learning_starts": 10, "policy_kwargs": {"net_arch": [8]}}
    given = {"algo": "mlp_sac", "n_timesteps": 30, "eval_freq": 20, "eval_episodes": 2, "log_folder": tmp_path}
    run = train(RunConfig("Endless-v0", hyperparams=settings, eval_max_steps=7, **given))
    assert "no time limit" not in capsys.readouterr().out
    with np.load(run.path / "evaluations.npz") as data:
        assert (data["ep_lengths"] == 7).all()
    assert Run(run.path).record["eval_max_steps"] == 7
    # The run remembers its limit, and another one overrides it.
    assert evaluate(run, 2)["lengths"] == [7, 7]
    assert evaluate(run, 1, env_kwargs={"max_episode_steps": 4})["lengths"] == [4]
