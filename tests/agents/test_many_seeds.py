"""Agents trained together against the same agents trained alone."""

import numpy as np
import pytest
import torch
from helpers.agents import agent, assert_same_parameters, parameters
from helpers.tasks import NAMES, bicycle
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

import rpp_rl
from rpp_rl.agents import RPPSAC, ManySeeds, SymmetricVecNormalize
from rpp_rl.errors import NetworkError, NonFiniteError


def builder(policy="RPPPolicy", **kwargs):
    return lambda seed: agent(policy, seed=seed, **kwargs)


CASES = [
    ("RPPPolicy", {}),
    ("EquivariantPolicy", {"critic": "plain", "policy_kwargs": {"net_arch": [16, 16], "n_critics": 3}}),
    ("PlainPolicy", {"train_freq": 4, "gradient_steps": -1, "target_update_interval": 3}),
    ("RPPPolicy", {"ent_coef": 0.1, "learning_rate": lambda left: 1e-3 * left, "actor_basic_wd": 1e-2}),
]


@pytest.mark.parametrize(("policy", "options"), CASES)
def test_each_learns_as_it_would_alone(policy, options):
    together = ManySeeds(builder(policy, **options), [3, 1, 4])
    assert together.learn(320) == [None] * 3
    for seed, stacked in zip([3, 1, 4], together.agents, strict=True):
        alone = agent(policy, seed=seed, **options)
        alone.learn(320)
        assert (stacked.num_timesteps, stacked._n_updates) == (alone.num_timesteps, alone._n_updates)
        np.testing.assert_allclose(
            stacked.replay_buffer.observations[:320], alone.replay_buffer.observations[:320], atol=1e-4
        )
        for name, value in parameters(alone).items():
            torch.testing.assert_close(parameters(stacked)[name], value, rtol=1e-3, atol=1e-4)
        if alone.log_ent_coef is not None:
            torch.testing.assert_close(stacked.log_ent_coef, alone.log_ent_coef, rtol=1e-3, atol=1e-4)


def test_agents_differ():
    one, other = ManySeeds(builder(), [0, 1]).agents
    assert not torch.equal(one.actor.mu.weight_equiv, other.actor.mu.weight_equiv)


def test_several_environments_each():
    def build(seed):
        return agent(env=DummyVecEnv([bicycle] * 3), seed=seed)

    together = ManySeeds(build, [0, 1])
    together.learn(120)
    alone = build(1)
    alone.learn(120)
    assert alone.num_timesteps == together.agents[1].num_timesteps
    for name, value in parameters(alone).items():
        torch.testing.assert_close(parameters(together.agents[1])[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("normalized", "options"), [(True, {}), (False, {"n_steps": 3})])
def test_minibatches_that_stable_baselines3_draws_are_each_agents_own(normalized, options):
    def build(seed):
        env = DummyVecEnv([bicycle])
        return agent(env=SymmetricVecNormalize(env) if normalized else env, seed=seed, **options)

    together = ManySeeds(build, [0, 1])
    before = np.random.get_state()[1].copy()
    together.learn(60)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    if normalized:
        assert not np.array_equal(*[a.env.obs_rms.mean for a in together.agents])
    for seed, stacked in zip([0, 1], together.agents, strict=True):
        alone = build(seed)
        alone.learn(60)
        for name, value in parameters(alone).items():
            torch.testing.assert_close(parameters(stacked)[name], value, rtol=1e-3, atol=1e-4)


def test_what_has_not_changed_is_not_stacked_again():
    together = ManySeeds(builder(), [0, 1])
    together.learn(30)
    first = together._together
    together.learn(30, reset_num_timesteps=False)
    assert together._together is first
    together.agents[1].set_parameters(together.agents[0].get_parameters())
    together.learn(30, reset_num_timesteps=False)
    assert together._together is not first


def test_each_agent_saves_and_continues_alone(tmp_path):
    together = ManySeeds(builder(), range(4))
    together.learn(50)
    stacked = together.agents[2]
    stacked.save(tmp_path / "agent")
    lone = agent(seed=2)
    lone.learn(50)
    lone.save(tmp_path / "lone")
    # Nothing of the other agents is in the file.
    assert abs((tmp_path / "agent.zip").stat().st_size - (tmp_path / "lone.zip").stat().st_size) < 5000
    again = RPPSAC.load(tmp_path / "agent", env=bicycle())
    assert_same_parameters(parameters(again), parameters(stacked))
    again.learn(40)
    others = [parameters(a) for a in together.agents]
    stacked.learn(60, reset_num_timesteps=False)
    assert stacked.num_timesteps == 110
    for k in (0, 1, 3):
        assert_same_parameters(parameters(together.agents[k]), others[k])


class StopAt(BaseCallback):
    def __init__(self, step):
        super().__init__()
        self.step, self.ended = step, 0

    def _on_step(self):
        return self.num_timesteps < self.step

    def _on_training_end(self):
        self.ended += 1


def test_one_that_stops_stays_as_it_was_and_the_others_go_on():
    callbacks = [StopAt(1000), StopAt(40), StopAt(1000)]
    together = ManySeeds(builder(), range(3))
    assert together.learn(80, callbacks) == [None] * 3
    assert [a.num_timesteps for a in together.agents] == [80, 40, 80]
    assert [c.ended for c in callbacks] == [1, 1, 1]
    for seed, callback in ((1, StopAt(40)), (2, None)):
        alone = agent(seed=seed)
        alone.learn(80, callback)
        for name, value in parameters(alone).items():
            torch.testing.assert_close(parameters(together.agents[seed])[name], value, rtol=1e-3, atol=1e-4)


def test_an_environment_that_fails_stops_its_own_agent_only():
    def build(seed):
        return agent(env=bicycle(fault="observation", at=45) if seed == 1 else bicycle(), seed=seed)

    together = ManySeeds(build, range(3))
    first, failed, last = together.learn(80)
    assert (first, last) == (None, None)
    assert isinstance(failed, NonFiniteError)
    assert "roll" in str(failed)
    assert [a.num_timesteps for a in together.agents] == [80, 45, 80]
    assert np.isfinite(together.agents[1].replay_buffer.observations).all()


def test_it_logs_each_agents_own_losses():
    together = ManySeeds(lambda seed: agent(env=Monitor(bicycle()), seed=seed), range(2))
    seen = [[], []]
    for k, a in enumerate(together.agents):
        original = a.dump_logs

        def dump(a=a, k=k, original=original):
            a._read_losses()
            seen[k].append(dict(a.logger.name_to_value))
            original()

        a.dump_logs = dump
    together.learn(150)
    one, other = (values[-1] for values in seen)
    assert one["train/critic_loss"] != other["train/critic_loss"]
    assert {"train/actor_loss", "train/ent_coef", "train/ent_coef_loss"} <= one.keys()


def test_settings_that_part_later_are_refused():
    together = ManySeeds(builder(), [0, 1])
    together.learn(40)
    together.agents[1].gamma = 0.1
    with pytest.raises(NetworkError, match="same gamma"):
        together.learn(40)


def test_environments_that_share_an_action_space():
    """Actions before learning starts are drawn from the space's own generator."""
    together = ManySeeds(lambda seed: agent(seed=seed, env=rpp_rl.make("Crowded-v0")), [3, 1])
    together.learn(20)
    for seed, stacked in zip([3, 1], together.agents, strict=True):
        alone = agent(seed=seed, env=rpp_rl.make("Crowded-v0")).learn(20)
        assert np.array_equal(stacked.replay_buffer.actions[:20], alone.replay_buffer.actions[:20])


def test_bad_input():
    with pytest.raises(NetworkError, match=r"same gamma, got \[0.9, 0.99\]"):
        ManySeeds(lambda seed: agent(seed=seed, gamma=0.99 if seed else 0.9), [0, 1])
    with pytest.raises(NetworkError, match="same learning_rate"):
        ManySeeds(lambda seed: agent(seed=seed, learning_rate=1e-3 if seed else 1e-4), [0, 1])
    with pytest.raises(NetworkError, match=r"same n_critics, got \[2, 4\]"):
        ManySeeds(lambda seed: agent(seed=seed, policy_kwargs={"net_arch": [8], "n_critics": 2 + 2 * seed}), [0, 1])
    with pytest.raises(NetworkError, match=r"same n_steps, got \[1, 3\]"):
        ManySeeds(lambda seed: agent(seed=seed, n_steps=1 + 2 * seed), [0, 1])
    with pytest.raises(NetworkError, match="same learning_rate"):
        ManySeeds(lambda seed: agent(seed=seed, learning_rate=(lambda left: 1e-3 * (left**seed))), [0, 1])
    other = rpp_rl.envs.reflection(
        NAMES, ("left", "right"), swap=[("left", "right")], flip=["height"], action_swap=[("left", "right")]
    )
    with pytest.raises(NetworkError, match=r"same symmetry$"):
        ManySeeds(lambda seed: agent(seed=seed, symmetry=other if seed else None), [0, 1])
    with pytest.raises(NetworkError, match="every so many steps"):
        ManySeeds(builder(train_freq=(1, "episode")), [0, 1])
    with pytest.raises(NetworkError, match="fast_update=True"):
        ManySeeds(builder(fast_update=False), [0, 1])
    with pytest.raises(NetworkError, match="at least one seed"):
        ManySeeds(builder(), [])
    with pytest.raises(NetworkError, match="does not support the activation"):
        ManySeeds(builder("PlainPolicy", policy_kwargs={"activation_fn": torch.nn.GELU}), [0, 1])
