"""An id is enough: agents take the symmetry that is declared for it, through wrappers and parallel environments."""

import logging

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from helpers.tasks import WHEELS, Bicycle, bicycle
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack

import rpp_rl
from rpp_rl.agents import (
    RPPSAC,
    RPPTD3,
    EquivariantPolicy,
    PlainPolicy,
    RPPPolicy,
    RPPTD3Policy,
    SymmetricVecNormalize,
    SymmetryCallback,
)
from rpp_rl.errors import NetworkError, RPPError, RunError, SymmetryError, UnknownNameError

SMALL = {"learning_starts": 5, "buffer_size": 100, "policy_kwargs": {"net_arch": [16, 16]}, "seed": 0}


def rescaled():
    return wrappers.FlattenObservation(wrappers.RescaleAction(gym.make("Reacher-v5"), -0.5, 0.5))


@pytest.mark.parametrize("cls", [RPPSAC, RPPTD3])
def test_an_id_is_enough(cls):
    agent = cls("MlpPolicy", "Reacher-v5", **SMALL)
    assert agent.symmetry == rpp_rl.make("Reacher-v5").symmetry
    assert agent.learn(10).num_timesteps == 10


def test_parallel_and_stacked_environments_take_the_declared_symmetry():
    declared = rpp_rl.make("Reacher-v5").symmetry
    parallel = make_vec_env("Reacher-v5", 3)
    assert RPPSAC("MlpPolicy", parallel, **SMALL).symmetry == declared
    assert RPPSAC("MlpPolicy", VecFrameStack(parallel, 2), **SMALL).symmetry == declared.stacked(2)
    assert SymmetricVecNormalize(parallel).symmetry == declared
    agent = RPPSAC("MlpPolicy", SymmetricVecNormalize(parallel), **SMALL)
    assert agent.learn(12, callback=SymmetryCallback(samples=4)).symmetry == declared


@pytest.mark.slow
def test_environments_in_processes_take_the_declared_symmetry():
    env = make_vec_env("Reacher-v5", 2, vec_env_cls=SubprocVecEnv)
    assert RPPSAC("MlpPolicy", env, **SMALL).symmetry == rpp_rl.make("Reacher-v5").symmetry
    env.close()
    env = SubprocVecEnv([rescaled, rescaled])
    assert RPPSAC("MlpPolicy", env, **SMALL).symmetry == rpp_rl.envs.SymmetryWrapper(rescaled()).symmetry
    env.close()


def test_the_declared_symmetry_is_carried_through_wrappers_or_refused():
    assert RPPSAC("MlpPolicy", rescaled(), **SMALL).symmetry == rpp_rl.make("Reacher-v5").symmetry
    observed = wrappers.TransformObservation(gym.make("Reacher-v5"), np.flip, gym.make("Reacher-v5").observation_space)
    with pytest.raises(SymmetryError, match="TransformObservation, for which no rule is known"):
        RPPSAC("MlpPolicy", observed, **SMALL)
    # Plain networks need no symmetry, so nothing is looked up for them.
    assert RPPSAC("PlainPolicy", observed, **SMALL).symmetry is None
    assert RPPSAC("MlpPolicy", observed, actor="plain", critic="plain", **SMALL).symmetry is None


def test_the_declared_symmetry_follows_the_arguments_of_the_environment():
    env = gym.make("Ant-v5", include_cfrc_ext_in_observation=False)
    assert RPPSAC("MlpPolicy", env, **SMALL).symmetry.observation.size == 27


def test_an_explicit_symmetry_wins():
    trivial = rpp_rl.Symmetry.trivial(10, 2)
    assert RPPSAC("MlpPolicy", "Reacher-v5", symmetry=trivial, **SMALL).symmetry == trivial
    assert RPPSAC("MlpPolicy", rpp_rl.make("Reacher-v5", "trivial"), **SMALL).symmetry == trivial
    other = rpp_rl.make("Reacher-v5", "dihedral").symmetry
    assert RPPSAC("MlpPolicy", rpp_rl.make("Reacher-v5", "dihedral"), **SMALL).symmetry == other
    assert SymmetricVecNormalize(DummyVecEnv([lambda: rpp_rl.make("Reacher-v5", "dihedral")])).symmetry == other


def test_different_environments_are_refused():
    env = DummyVecEnv([lambda: gym.make("Reacher-v5"), lambda: rescaled().env])
    RPPSAC("MlpPolicy", env, **SMALL)  # the same map
    env = DummyVecEnv([bicycle, lambda: bicycle(symmetry="trivial")])
    with pytest.raises(SymmetryError, match="different symmetries"):
        RPPSAC("MlpPolicy", env, **SMALL)


def test_an_environment_without_an_id_gets_the_line_that_works():
    with pytest.raises(SymmetryError, match=r"which has no id: wrap it in rpp_rl.envs.SymmetryWrapper\(env, symmetry"):
        RPPSAC("MlpPolicy", Bicycle(), **SMALL)
    # Not the symmetry of an id that happens to have the name of the class.
    for name in (None, "wheels"):
        with pytest.raises(SymmetryError, match="Bicycle has no id"):
            rpp_rl.envs.SymmetryWrapper(Bicycle(), name)


def test_what_was_taken_is_logged(caplog, capsys):
    with caplog.at_level(logging.INFO, logger="rpp_rl"):
        RPPSAC("MlpPolicy", "Reacher-v5", verbose=1, **SMALL)
    taken = "symmetry 'sagittal', which is declared for Reacher-v5, is used"
    assert [record.message for record in caplog.records] == [taken]
    assert taken in capsys.readouterr().out
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="rpp_rl"):
        RPPSAC("MlpPolicy", bicycle(), **SMALL)
    assert not caplog.records


@pytest.mark.parametrize(
    ("baseline", "policy", "ours"),
    [
        (SAC, RPPPolicy, RPPSAC),
        (SAC, EquivariantPolicy, RPPSAC),
        (SAC, PlainPolicy, RPPSAC),
        (TD3, RPPTD3Policy, RPPTD3),
    ],
)
def test_our_policies_in_their_algorithms_are_saved_and_loaded_without_trust(tmp_path, baseline, policy, ours):
    env = bicycle()
    options = {**SMALL, "policy_kwargs": {"net_arch": [16, 16], "symmetry": env.symmetry.to_dict()}}
    trained = baseline(policy, env, **options).learn(10)
    trained.save(tmp_path / "agent")
    agent = ours.load(tmp_path / "agent")
    assert agent.symmetry == WHEELS
    assert type(agent.policy) is policy
    observations = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)
    expected = trained.predict(observations, deterministic=True)[0]
    np.testing.assert_allclose(agent.predict(observations, deterministic=True)[0], expected, atol=1e-6)


def test_the_error_of_a_policy_shows_a_line_that_works():
    env = bicycle()
    with pytest.raises(SymmetryError) as caught:
        SAC(RPPPolicy, env)
    line = str(caught.value).partition(": ")[2].partition(", with env")[0]
    assert eval(line).policy.symmetry == env.symmetry  # noqa: S307 - the line of our own error


class OwnSAC(SAC):
    """An algorithm that a user derives from the right one."""


def test_a_policy_names_the_algorithm_that_it_is_for():
    options = {"policy_kwargs": {"symmetry": WHEELS}}
    contrib = pytest.importorskip("sb3_contrib")
    for cls in (TD3, PPO, contrib.TQC, contrib.CrossQ):
        with pytest.raises(NetworkError, match=f"RPPPolicy is a policy for SAC, and {cls.__name__} cannot use it"):
            cls(RPPPolicy, bicycle(), **options)
    with pytest.raises(NetworkError, match="RPPTD3Policy is a policy for TD3, and SAC cannot use it"):
        SAC(RPPTD3Policy, bicycle(), **options)
    assert OwnSAC(RPPPolicy, bicycle(), **options).policy.symmetry == WHEELS


def test_another_algorithm_may_load_a_policy_while_it_learns(tmp_path):
    RPPSAC("MlpPolicy", bicycle(), **SMALL).policy.save(tmp_path / "teacher")
    loaded = []

    def stop(_, __):
        loaded.append(RPPPolicy.load(tmp_path / "teacher"))
        return False

    PPO("MlpPolicy", bicycle(), n_steps=8, batch_size=8).learn(8, callback=stop)
    assert loaded[0].symmetry == WHEELS


@pytest.mark.parametrize("cls", [RPPSAC, RPPTD3])
def test_misspelt_arguments_and_numbers_given_as_text_are_refused(cls):
    with pytest.raises(UnknownNameError, match=f"argument of {cls.__name__} 'learning_rat': did you mean"):
        cls("MlpPolicy", bicycle(), learning_rat=1e-3)
    with pytest.raises(UnknownNameError, match=r"option of RPP\w*Policy 'net_arc': did you mean 'net_arch'"):
        cls("MlpPolicy", bicycle(), policy_kwargs={"net_arc": [16]})
    with pytest.raises(UnknownNameError, match="unknown policy 'MlpPolcy': did you mean 'MlpPolicy'"):
        cls("MlpPolcy", bicycle())
    assert cls("MlpPolicy", bicycle(), learning_rate=np.float32(0.5)).lr_schedule(1.0) == 0.5
    for wrong in (
        {"learning_rate": "3e-4"},
        {"gamma": "0.9"},
        {"residual_init_scale": "1e-3"},
        {"residual_step_ratio": "half"},
        {"actor_basic_wd": "1e-6"},
        {"critic_equiv_wd": [1e-6]},
        {"zero_mean": "False"},
        {"seed": "3"},
        {"batch_size": "256"},
    ):
        (name,) = wrong
        with pytest.raises(RPPError, match=f"{name} must be"):
            cls("MlpPolicy", bicycle(), **wrong)


def test_a_device_that_the_machine_does_not_have_is_refused(tmp_path):
    agent = RPPSAC("MlpPolicy", bicycle(), **SMALL)
    agent.save(tmp_path / "agent")
    agent.policy.save(tmp_path / "policy")
    for build in (
        lambda device: RPPSAC("MlpPolicy", bicycle(), device=device),
        lambda device: RPPTD3("MlpPolicy", bicycle(), device=device),
        lambda device: RPPSAC.load(tmp_path / "agent", device=device),
        lambda device: RPPPolicy.load(tmp_path / "policy", device=device),
    ):
        for device in ("cuda:9", "quantum"):
            with pytest.raises(RunError, match="use auto"):
                build(device)
