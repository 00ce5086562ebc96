"""Law: normalize(g x) = rho(g) normalize(x), after any stream of data."""

import warnings

import numpy as np
import pytest
from helpers.agents import agent
from helpers.algebra import groups, representations
from helpers.tasks import WHEELS, bicycle
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import rpp_rl
from rpp_rl import Symmetry
from rpp_rl.agents import SymmetricVecNormalize
from rpp_rl.agents.common.normalize import OrbitMeanStd
from rpp_rl.errors import SymmetryError


def error(rms, symmetry, x):
    """The largest violation of the law over the group."""

    def normalize(x):
        return (x - rms.mean) / np.sqrt(rms.var + 1e-8)

    y = normalize(x)
    return max(
        np.abs(normalize(symmetry.transform_observation(g, x)) - symmetry.observation.act(g, y)).max()
        for g in range(symmetry.group.order)
    )


@settings(max_examples=40)
@given(st.data(), groups, st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_the_law_holds_for_any_group_and_stream(data, group, seed, batches):
    rep = data.draw(representations(group))
    rng = np.random.default_rng(seed)
    symmetry = Symmetry("any", rep, rep)
    rms = OrbitMeanStd(symmetry)
    for _ in range(batches):
        rms.update(rng.standard_normal((rng.integers(1, 20), rep.size)) * rng.uniform(0, 9) + rng.standard_normal())
    assert error(rms, symmetry, rng.standard_normal((10, rep.size))) < 1e-6


@pytest.mark.parametrize(
    ("env_id", "name"), [("Ant-v5", "dihedral"), ("Pusher-v5", "sagittal"), ("Humanoid-v5", "sagittal")]
)
def test_the_law_holds_for_observations_of_environments(env_id, name):
    venv = SymmetricVecNormalize(DummyVecEnv([lambda: rpp_rl.make(env_id, name)] * 2), clip_obs=np.inf)
    venv.seed(0)
    x = venv.reset()
    for _ in range(30):
        x, *_ = venv.step(np.array([venv.action_space.sample() for _ in range(2)]))
    raw, declared = venv.get_original_obs(), venv.obs_rms.symmetry
    for g in range(declared.group.order):
        moved = venv.normalize_obs(declared.transform_observation(g, raw))
        # Normalized observations are single precision.
        expected = venv.symmetry.transform_observation(g, x)
        np.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-5 * np.abs(x).max())
    assert venv.symmetry.center == ()
    assert venv.get_attr("symmetry") == [venv.symmetry] * 2


def test_the_trivial_group_gives_the_statistics_of_the_stream():
    rng = np.random.default_rng(0)
    ours, theirs = (
        OrbitMeanStd(Symmetry.trivial(5, 1)),
        RunningMeanStd(shape=(5,)),
    )
    for _ in range(10):
        batch = rng.normal([5, 4, 3, 2, 1], [1, 2, 3, 4, 5], size=(7, 5))
        ours.update(batch)
        theirs.update(batch)
    np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-12)
    np.testing.assert_allclose(ours.var, theirs.var, rtol=1e-12)
    assert ours.count == theirs.count


def test_moments_include_all_images_of_the_stream():
    rng = np.random.default_rng(0)
    stream = rng.normal([3.0, 1.0, 5.0, 2.0], size=(500, 4))
    rms = OrbitMeanStd(WHEELS, epsilon=1e-12)
    for batch in np.split(stream, 50):
        rms.update(batch)
    everything = np.concatenate([stream, WHEELS.transform_observation(1, stream)])
    np.testing.assert_allclose(rms.mean, everything.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(rms.var, everything.var(axis=0), rtol=1e-6)


def test_plain_statistics_break_the_symmetry():
    rms = VecNormalize(DummyVecEnv([bicycle])).obs_rms
    rms.update(np.random.default_rng(0).normal([3.0, 0.0, 0.0, 1.0], size=(50, 4)))
    assert error(rms, WHEELS, np.ones((1, 4))) > 0.1


def test_an_agent_trains_on_it_without_a_warning_and_stays_symmetric(tmp_path):
    env = SymmetricVecNormalize(DummyVecEnv([bicycle]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = agent("EquivariantPolicy", env=env)
    model.learn(60)
    raw = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    moved = WHEELS.transform_observation(1, raw)
    acted, moved_acted = (model.predict(env.normalize_obs(x), deterministic=True)[0] for x in (raw, moved))
    np.testing.assert_allclose(moved_acted, acted[:, ::-1], atol=1e-5)


def test_a_normalizer_saves_and_loads(tmp_path):
    env = SymmetricVecNormalize(DummyVecEnv([bicycle]), clip_obs=3.0)
    env.reset()
    for _ in range(20):
        env.step(np.zeros((1, 2)))
    env.save(str(tmp_path / "normalize.pkl"))
    again = SymmetricVecNormalize.load(str(tmp_path / "normalize.pkl"), DummyVecEnv([bicycle]))
    assert isinstance(again, SymmetricVecNormalize)
    assert again.symmetry == env.symmetry
    assert again.clip_obs == 3.0
    x = np.ones((1, 4))
    np.testing.assert_array_equal(again.normalize_obs(x), env.normalize_obs(x))
    rewards = np.array([2.0])
    assert env.ret_rms.count > 10
    np.testing.assert_array_equal(again.normalize_reward(rewards), env.normalize_reward(rewards))
    copied = again.obs_rms.copy()
    copied.update(x)
    np.testing.assert_array_equal(again.normalize_obs(x), env.normalize_obs(x))


def test_without_observations_only_rewards_are_scaled():
    env = SymmetricVecNormalize(DummyVecEnv([lambda: rpp_rl.make("Pusher-v5")]), norm_obs=False)
    assert env.symmetry.center
    assert env.get_attr("symmetry")[0] == env.symmetry


def test_bad_input_is_refused():
    import gymnasium as gym

    with pytest.raises(SymmetryError, match="needs a symmetry"):
        SymmetricVecNormalize(DummyVecEnv([lambda: gym.make("Pendulum-v1")]))
    with pytest.raises(SymmetryError, match="acts on 3 entries"):
        SymmetricVecNormalize(DummyVecEnv([bicycle]), Symmetry.trivial(3, 2))
    with pytest.raises(SymmetryError, match="different symmetries"):
        SymmetricVecNormalize(DummyVecEnv([bicycle, lambda: bicycle(symmetry="trivial")]))
    env = SymmetricVecNormalize(DummyVecEnv([lambda: gym.make("Bicycle-v0")]), WHEELS.to_dict())
    assert env.symmetry == WHEELS
