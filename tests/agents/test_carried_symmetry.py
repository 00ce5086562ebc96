import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from helpers.tasks import NAMES, bicycle
from stable_baselines3 import SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecMonitor

from rpp_rl.agents import RPPSAC, SymmetricVecNormalize, SymmetryCallback
from rpp_rl.envs import SymmetryWrapper
from rpp_rl.errors import SymmetryError


def agent(env):
    return RPPSAC("RPPPolicy", env, learning_starts=10, buffer_size=100, policy_kwargs={"net_arch": [16, 16]}, seed=0)


def test_frames_stacked_by_a_vec_env_are_carried():
    env = VecFrameStack(VecMonitor(DummyVecEnv([bicycle])), 3)
    symmetry = agent(env).symmetry
    assert symmetry.observation_names[-4:] == NAMES
    assert symmetry.observation_names[0] == "left[t-2]"
    # The newest frame is the last.
    assert not env.reset()[0, :8].any()
    # Two environments that differ by the exchange of the wheels stay mirror images of one another.
    frames = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    base = bicycle().symmetry
    mirrored = np.concatenate([base.transform_observation(1, f) for f in frames])
    np.testing.assert_allclose(symmetry.transform_observation(1, frames.ravel()), mirrored)


def test_it_learns_on_stacked_frames():
    stacked = wrappers.FlattenObservation(wrappers.FrameStackObservation(gym.make("Bicycle-v0"), 2))
    assert agent(SymmetryWrapper(stacked)).learn(20).num_timesteps == 20
    assert agent(VecFrameStack(DummyVecEnv([bicycle]), 2)).learn(20).num_timesteps == 20


def test_statistics_and_measurements_know_stacked_frames():
    env = SymmetricVecNormalize(VecFrameStack(DummyVecEnv([bicycle]), 2))
    assert agent(env).learn(20).symmetry.observation == env.symmetry.observation
    assert env.symmetry.observation.size == 8
    plain = SAC("MlpPolicy", env, learning_starts=10, buffer_size=100, policy_kwargs={"net_arch": [8]}, seed=0)
    callback = SymmetryCallback(samples=8)
    plain.learn(20, callback=callback)
    assert callback.symmetry == env.symmetry
    assert callback.measure()["actor_equivariance_error"] > 0.01


@pytest.mark.parametrize(
    "wrap",
    [
        lambda env: wrappers.RescaleAction(env, -2.0, 2.0),
        wrappers.TimeAwareObservation,
        lambda env: wrappers.DelayObservation(env, 1),
    ],
)
def test_changes_outside_the_symmetry_are_refused_by_name(wrap):
    env = wrap(bicycle())
    with pytest.raises(SymmetryError, match=f"{type(env).__name__} stands around the SymmetryWrapper"):
        agent(env)


def test_wrappers_that_change_nothing_may_stand_anywhere():
    assert agent(wrappers.RecordEpisodeStatistics(wrappers.TimeLimit(bicycle(), 5))).symmetry == bicycle().symmetry
