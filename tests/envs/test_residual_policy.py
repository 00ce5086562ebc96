"""An agent that adds to a controller: the executed actions, and when a symmetry survives."""

import gymnasium as gym
import helpers.tasks  # noqa: F401, registers Bicycle-v0
import numpy as np
import pytest
from helpers.agents import agent
from helpers.tasks import WHEELS

from rpp_rl.envs import ResidualPolicy, ResumableWrapper, SymmetryWrapper
from rpp_rl.errors import EnvironmentFailureError, SymmetryError


def to_zero(observation):
    """An equivariant controller: each wheel is pushed back in proportion to its position."""
    return -0.5 * observation[:2]


def to_the_left(observation):
    return np.array([0.3, -0.3 * observation[0]])


def task(base_policy=to_zero, **kwargs):
    return ResidualPolicy(gym.make("Bicycle-v0"), base_policy, **kwargs)


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_the_sum_is_executed_within_the_bounds(scale):
    env, plain = task(scale=scale), gym.make("Bicycle-v0")
    x, y = env.reset(seed=0)[0], plain.reset(seed=0)[0]
    rng = np.random.default_rng(0)
    for _ in range(8):
        np.testing.assert_allclose(x, y, atol=1e-5)
        f = rng.uniform(-1, 1, 2).astype(np.float32)
        executed = np.clip(to_zero(x) + scale * f, -1, 1)
        base = to_zero(x)
        x, reward, *_, info = env.step(f)
        y, expected, *_ = plain.step(executed)
        np.testing.assert_allclose(info["base_action"], base)
        assert reward == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("base", "holds"), [(to_zero, True), (to_the_left, False)])
def test_the_symmetry_survives_an_equivariant_base_policy(base, holds):
    one, other = (SymmetryWrapper(task(base)) for _ in range(2))
    assert one.symmetry == WHEELS
    x, _ = one.reset(seed=2)
    other.reset(seed=2)
    mirrored = WHEELS.transform_observation(1, x)
    other.unwrapped.state = mirrored
    other.env._observation = mirrored
    rng, differences = np.random.default_rng(0), []
    for _ in range(6):
        f = rng.uniform(-1, 1, 2).astype(np.float32)
        x, y = one.step(f)[0], other.step(WHEELS.transform_action(1, f))[0]
        differences.append(np.abs(y - WHEELS.transform_observation(1, x)).max())
    assert (max(differences) < 1e-6) == holds


def test_a_controller_cannot_write_into_what_the_agent_sees():
    def overwrite(observation):
        observation[:] = 7.0
        return np.zeros(2)

    env = task(overwrite)
    x, _ = env.reset(seed=0)
    before = x.copy()
    env.step(np.zeros(2))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("bad", [np.zeros(3), [np.nan, 0.0], 0.0])
def test_base_policies_with_bad_actions_are_refused(bad):
    env = task(lambda _: bad)
    env.reset()
    with pytest.raises(EnvironmentFailureError, match="the base policy returned"):
        env.step(np.zeros(2))


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan])
def test_bad_scales_are_refused(scale):
    with pytest.raises(SymmetryError, match="scale of a residual policy"):
        task(scale=scale)


def test_actions_without_bounds_are_refused():
    with pytest.raises(SymmetryError, match="bounded box"):
        ResidualPolicy(gym.make("CartPole-v1"), to_zero)


def test_a_restored_environment_continues_the_episode():
    one, other = (ResumableWrapper(task()) for _ in range(2))
    one.reset(seed=0)
    one.step(np.ones(2))
    state = one.save_state()
    assert not state["unsaved"]
    other.restore_state(state)
    for _ in range(4):
        np.testing.assert_array_equal(one.step(np.ones(2))[0], other.step(np.ones(2))[0])


@pytest.mark.parametrize("policy", ["RPPPolicy", "EquivariantPolicy", "PlainPolicy"])
def test_an_agent_begins_as_the_base_policy_and_learns(policy, tmp_path):
    model = agent(policy, SymmetryWrapper(task()), zero_mean=True)
    x = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    np.testing.assert_array_equal(model.predict(x, deterministic=True)[0], np.zeros((50, 2)))
    model.learn(60)
    assert np.abs(model.predict(x, deterministic=True)[0]).max() > 1e-4
    model.save(tmp_path / "agent")
    again = type(model).load(tmp_path / "agent")
    assert again.policy.zero_mean
    np.testing.assert_array_equal(again.predict(x, deterministic=True)[0], model.predict(x, deterministic=True)[0])
    usual = agent(policy, SymmetryWrapper(task()))
    assert np.abs(usual.predict(x, deterministic=True)[0]).max() > 1e-4
