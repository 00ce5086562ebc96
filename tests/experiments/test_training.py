"""Runs as Python objects: train, resume, evaluate, find and sweep."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv

from rpp_rl import Symmetry
from rpp_rl.errors import RunError
from rpp_rl.experiments import Plan, RunConfig, evaluate, find_runs, load, resume, sweep, train, train_seeds
from rpp_rl.experiments.progress import State

SHORT = {"learning_starts": 60, "batch_size": 16, "policy_kwargs": {"net_arch": [8, 8]}}


@pytest.fixture
def config(tmp_path):
    return RunConfig(
        env="InvertedPendulum-v5", seed=3, n_timesteps=120, eval_freq=60, eval_episodes=2, audit=False,
        hyperparams=SHORT, log_folder=tmp_path / "runs",
    )  # fmt: skip


def test_a_run_holds_its_configuration_evaluations_and_agent(config):
    run = train(config)
    assert run.path == config.folder
    assert run.config == config
    assert list(run.evaluations.timesteps) == [60, 120]
    assert run.evaluations.returns.shape == (2, 2)
    assert run.monitor.steps <= 120
    assert run.agent().num_timesteps == 120
    assert run.progress.state is State.DONE
    assert [found.path for found in find_runs(config.log_folder)] == [run.path]
    again = evaluate(run, 2)
    assert again["rewards"] == run.evaluation["rewards"]


def test_python_and_the_command_line_train_the_same_agent(config, main):
    run = train(config)
    words = [*config.command()[1:], "--log-folder", "other"]
    assert main(*[str(w) for w in words])[0] == 0
    (other,) = find_runs("other")
    ours, theirs = (found.agent().policy.state_dict() for found in (run, other))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    np.testing.assert_array_equal(run.evaluations.returns, other.evaluations.returns)


def test_a_resumed_run_equals_the_undisturbed_one(config, tmp_path):
    whole = train(config.with_options({"n_timesteps": 180}))
    first = train(config.with_options({"save_freq": 60, "log_folder": tmp_path / "parts"}))
    (resumed,) = resume([first], n_timesteps=180)
    assert resumed.path == first.path
    assert resumed.record["n_timesteps"] == 180
    ours, theirs = (run.agent().policy.state_dict() for run in (whole, resumed))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_one_train_makes_few_environments_and_symmetries(config, monkeypatch):
    made = {InvertedPendulumEnv: 0, Symmetry: 0}
    for cls in made:

        def counted(self, *args, cls=cls, original=cls.__init__, **kwargs):
            made[cls] += 1
            original(self, *args, **kwargs)

        monkeypatch.setattr(cls, "__init__", counted)
    train(config)
    assert made[InvertedPendulumEnv] <= 4
    assert made[Symmetry] <= 2


def test_a_symmetry_object_reaches_the_agent_unchanged(config):
    symmetry = Symmetry.trivial(4, 1)
    run = train(config.with_options({"symmetry": symmetry}))
    assert run.agent().symmetry == symmetry
    assert run.config.symmetry == symmetry


def test_seeds_trained_together_get_folders_of_their_own(config):
    runs = train_seeds(config, (0, 1))
    assert [run.config.seed for run in runs] == [0, 1]
    assert all(run.progress.state is State.DONE for run in runs)


def test_a_trained_agent_continues_in_a_new_run(config):
    first = train(config)
    second = train(replace(config, trained_agent=first.path, n_timesteps=30, seed=4, hyperparams={}))
    assert second.agent().num_timesteps == 150
    assert json.loads((second.path / "config.json").read_text())["trained_agent"] == str(first.path)


def test_an_agent_acts_on_observations_as_the_task_gives_them(config):
    loaded = load(train(config.with_options({"hyperparams": {"normalize": True}})))
    try:
        observation = np.array([0.1, 0.2, 0.0, 0.0])
        expected = loaded.agent.predict(loaded.env.normalize_obs(observation), deterministic=True)[0]
        np.testing.assert_array_equal(loaded.act(observation), expected)
        assert not np.array_equal(loaded.agent.predict(observation, deterministic=True)[0], expected)
    finally:
        loaded.env.close()


def test_nothing_is_written_for_a_configuration_that_cannot_be_met(config):
    with pytest.raises(RunError, match="unknown device"):
        train(config.with_options({"device": "abacus"}))
    assert not config.log_folder.exists()


@pytest.mark.slow
def test_a_sweep_of_configurations_trains_each_once(config):
    plan = Plan(algos=("rpp_sac", "sac"), envs=(config.env,), seeds=(0,), n_timesteps=120)
    options = {"eval_freq": 60, "eval_episodes": 1, "audit": False, "hyperparams": SHORT}
    configs = plan.configs(config.log_folder, options)
    done = sweep(configs)
    assert not done.failures
    assert [run.config.algo for run in done.runs] == ["rpp_sac", "sac"]
    before = {run.path: run.model.read_bytes() for run in done.runs}
    assert {run.path: run.model.read_bytes() for run in sweep(configs).runs} == before
