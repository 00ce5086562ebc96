"""Resume agents in Python, with normalized observations and a user's callbacks."""

import random
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from helpers.agents import agent, assert_same_parameters, parameters
from helpers.tasks import WHEELS, bicycle
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rpp_rl.agents import RPPSAC, ManySeeds, RunCheckpoint, SymmetricVecNormalize
from rpp_rl.agents.common.checkpoints import newest_checkpoint, restore_run
from rpp_rl.envs import SymmetryWrapper
from rpp_rl.errors import RunError


class Highest(BaseCallback):
    """A user's callback with state."""

    def __init__(self):
        super().__init__()
        self.highest = -np.inf

    def _on_step(self):
        self.highest = max(self.highest, float(self.locals["rewards"][0]))
        return True


class Broken(BaseCallback):
    """Stop training in the middle of a rollout."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def _on_step(self):
        return self.num_timesteps < self.at


def agent_with(cls, **kwargs):
    # Plain networks where statistics per entry would break a symmetry.
    policy = "RPPPolicy" if cls is SymmetricVecNormalize else "PlainPolicy"
    return agent(policy, env=cls(DummyVecEnv([lambda: Monitor(bicycle())] * 2)), **kwargs)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (SymmetricVecNormalize, {}),
        (VecNormalize, {}),
        (SymmetricVecNormalize, {"residual_prior": "dual", "residual_budget": 0.01}),
        (SymmetricVecNormalize, {"residual_prior": "projection", "residual_init_scale": 1.0}),
    ],
)
def test_a_run_resumes_bit_for_bit(tmp_path, cls, options):
    normalized = partial(agent_with, cls, **options)
    undisturbed, highest = normalized(), Highest()
    undisturbed.learn(200, highest)
    first = normalized()
    own = Highest()
    checkpoint = RunCheckpoint(tmp_path, 60, [own])
    first.learn(200, [own, checkpoint, Broken(130)])
    folder, state = newest_checkpoint(tmp_path)
    again, restored = normalized(), Highest()
    checkpoint = RunCheckpoint(tmp_path, 60, [restored])
    assert restore_run(folder, state, again, checkpoint) == []
    assert again.num_timesteps == 120
    again.learn(200 - again.num_timesteps, [restored, checkpoint], reset_num_timesteps=False)
    assert_same_parameters(parameters(again), parameters(undisturbed))
    np.testing.assert_array_equal(again.env.obs_rms.mean, undisturbed.env.obs_rms.mean)
    np.testing.assert_array_equal(again.env.obs_rms.var, undisturbed.env.obs_rms.var)
    assert restored.highest == highest.highest
    assert [e["r"] for e in again.ep_info_buffer] == [e["r"] for e in undisturbed.ep_info_buffer]


def test_a_checkpoint_is_written_at_the_end(tmp_path):
    undisturbed = agent()
    undisturbed.learn(200)
    agent().learn(130, RunCheckpoint(tmp_path, 60))
    checkpoint = RunCheckpoint(tmp_path, 60)
    again = RPPSAC.resume(tmp_path, bicycle(), checkpoint)
    assert again.num_timesteps == 130
    again.learn(70, checkpoint, reset_num_timesteps=False)
    assert_same_parameters(parameters(again), parameters(undisturbed))


def test_a_checkpoint_is_written_at_the_end_of_each_seed(tmp_path):
    each = [RunCheckpoint(tmp_path / str(seed), 60) for seed in range(2)]
    together = ManySeeds(lambda seed: agent(seed=seed), range(2))
    together.learn(130, each)
    assert [newest_checkpoint(one.run)[0].name for one in each] == ["step_000000000130"] * 2
    before = [parameters(one) for one in together.agents]
    assert together.learn(0, each, reset_num_timesteps=False) == [None, None]
    for one, old in zip(together.agents, before, strict=True):
        assert one.num_timesteps == 130
        assert_same_parameters(parameters(one), old)


def test_an_agent_of_a_stack_resumes_from_the_end_of_its_training(tmp_path):
    each = [RunCheckpoint(tmp_path / str(seed), 60) for seed in range(2)]
    together = ManySeeds(lambda seed: agent(seed=seed), range(2))
    together.learn(90, each)
    together.learn(40, reset_num_timesteps=False)
    for seed, undisturbed in enumerate(together.agents):
        again = RPPSAC.resume(tmp_path / str(seed), bicycle())
        again.learn(40, reset_num_timesteps=False)
        for name, value in parameters(undisturbed).items():
            torch.testing.assert_close(parameters(again)[name], value, rtol=1e-3, atol=1e-4)


def test_no_checkpoint_is_written_within_a_rollout(tmp_path):
    agent().learn(130, [RunCheckpoint(tmp_path, 60), Broken(130)])
    assert newest_checkpoint(tmp_path)[0].name == "step_000000000120"
    agent().learn(130, RunCheckpoint(tmp_path / "none", 0))
    assert not (tmp_path / "none").exists()


class Drawing(gym.Wrapper):
    """Draw from the global generators at each reset, as environments should not."""

    def reset(self, **kwargs):
        observation, info = super().reset(**kwargs)
        return observation + np.float32(np.random.standard_normal() + random.random()), info  # noqa: S311


def test_environments_may_draw_from_the_global_generators(tmp_path):
    def drawing():
        return SymmetryWrapper(Drawing(gym.make("Bicycle-v0")), WHEELS)

    def evaluation():
        return EvalCallback(Monitor(drawing()), eval_freq=50, n_eval_episodes=1, verbose=0)

    random.seed(1)
    undisturbed = agent(env=drawing())
    undisturbed.learn(130, evaluation())
    random.seed(1)
    first, watched = agent(env=drawing()), evaluation()
    first.learn(130, [watched, RunCheckpoint(tmp_path, 60, [watched]), Broken(110)])
    folder, state = newest_checkpoint(tmp_path)
    again, watched = agent(env=drawing()), evaluation()
    checkpoint = RunCheckpoint(tmp_path, 60, [watched])
    random.seed(2)
    restore_run(folder, state, again, checkpoint)
    again.learn(70, [watched, checkpoint], reset_num_timesteps=False)
    assert_same_parameters(parameters(again), parameters(undisturbed))


def test_another_agent_is_refused(tmp_path):
    first = agent()
    first.learn(50, RunCheckpoint(tmp_path, 20, []))
    folder, state = newest_checkpoint(tmp_path)
    other = agent(policy_kwargs={"net_arch": [8, 8]})
    with pytest.raises(RunError, match="does not fit this agent"):
        restore_run(folder, state, other, RunCheckpoint(tmp_path, 20, []))
    with pytest.raises(RunError, match="other callbacks"):
        restore_run(folder, state, agent(), RunCheckpoint(tmp_path, 20, [Highest()]))


def test_training_continues_with_a_warning_on_a_full_disk(tmp_path, monkeypatch, capsys):
    model = agent()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rpp_rl.files.os.fsync", full)
    model.learn(50, RunCheckpoint(tmp_path, 20, []))
    assert model.num_timesteps == 50
    printed = capsys.readouterr().out
    assert "cannot write the checkpoint of step 20: No space left on device; training continues" in printed
    with pytest.raises(RunError, match="no checkpoint to resume from"):
        newest_checkpoint(tmp_path)


def test_environments_that_cannot_be_resumed_are_named(tmp_path):
    from helpers.tasks import Bicycle

    from rpp_rl.agents import PlainPolicy

    model = agent(PlainPolicy, env=Monitor(Bicycle()))
    model.learn(50, RunCheckpoint(tmp_path, 20, []))
    _, state = newest_checkpoint(tmp_path)
    assert any("wrap them with rpp_rl.envs.ResumableWrapper" in line for line in state["unsaved"])


def test_one_call_resumes_a_run(tmp_path):
    """`RPPSAC.resume` builds the agent from the checkpoint alone."""
    options = {"gamma": 0.9, "policy_kwargs": {"net_arch": [16], "activation_fn": torch.nn.Tanh}, "tau": 0.02}
    undisturbed, highest = agent_with(SymmetricVecNormalize, **options), Highest()
    undisturbed.learn(200, highest)
    own = Highest()
    agent_with(SymmetricVecNormalize, **options).learn(200, [own, RunCheckpoint(tmp_path, 60, [own]), Broken(130)])
    restored = Highest()
    checkpoint = RunCheckpoint(tmp_path, 60, [restored])
    env = SymmetricVecNormalize(DummyVecEnv([lambda: Monitor(bicycle())] * 2))
    again = RPPSAC.resume(tmp_path, env, checkpoint)
    assert (again.num_timesteps, again.gamma, again.replay_buffer.size()) == (120, 0.9, 60)
    again.learn(200 - again.num_timesteps, [restored, checkpoint], reset_num_timesteps=False)
    assert_same_parameters(parameters(again), parameters(undisturbed))
    assert restored.highest == highest.highest
    np.testing.assert_array_equal(again.env.obs_rms.var, undisturbed.env.obs_rms.var)


def test_a_users_schedule_is_given_again(tmp_path, caplog):
    def schedule(left):
        return 1e-3 * left

    undisturbed = agent(learning_rate=schedule)
    undisturbed.learn(100)
    agent(learning_rate=schedule).learn(100, [RunCheckpoint(tmp_path, 60), Broken(90)])
    again = RPPSAC.resume(tmp_path, bicycle(), custom_objects={"learning_rate": schedule})
    again.learn(40, reset_num_timesteps=False)
    assert_same_parameters(parameters(again), parameters(undisturbed))
    assert "learning_rate" not in caplog.text
    RPPSAC.resume(tmp_path, bicycle())
    assert "learning_rate" in caplog.text
    with pytest.raises(RunError, match="no checkpoint to resume from"):
        RPPSAC.resume(tmp_path / "nowhere", bicycle())
