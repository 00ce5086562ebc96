import copy
import warnings
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.wrappers import NormalizeObservation
from helpers.agents import POLICIES, SMALL, agent, assert_same_parameters, observations, parameters
from helpers.tasks import WHEELS, bicycle
from stable_baselines3 import SAC
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor, VecNormalize

from rpp_rl import Symmetry
from rpp_rl.agents import RPPSAC
from rpp_rl.agents.common.callbacks import actor_error


@pytest.mark.parametrize("policy", POLICIES)
def test_it_learns_and_stays_finite(policy):
    model = agent(policy)
    before = parameters(model)
    model.learn(80)
    after = parameters(model)
    moved = [k for k in before if not torch.equal(before[k], after[k])]
    assert {k for k in before if before[k].numel()} == set(moved)
    assert all(torch.isfinite(v).all() for v in after.values())


def test_a_residual_lets_training_leave_the_symmetry():
    model = agent()
    model.learn(300)
    x, _ = observations(model)
    assert actor_error(model, WHEELS, x) > 1e-3


def test_plain_policy_is_that_of_stable_baselines3():
    runs = []
    for cls in (partial(RPPSAC, fast_update=False), SAC):
        # Both draw from the global generators, so each is built and run on its own.
        kwargs = {**SMALL, "optimizer_kwargs": {"fused": False}}
        policy = "MlpPolicy" if cls is SAC else "PlainPolicy"
        model = cls(policy, bicycle(), seed=0, learning_starts=20, batch_size=16, policy_kwargs=kwargs)
        model.learn(60)
        runs.append(parameters(model))
    assert_same_parameters(*runs)


def test_the_same_seed_gives_the_same_run():
    runs = []
    for _ in range(2):
        model = agent(seed=7)
        model.learn(60)
        runs.append(parameters(model))
    assert_same_parameters(*runs)


def test_symmetry_can_be_given_instead_of_carried():
    env = gym.make("Bicycle-v0")
    for kwargs in ({"symmetry": WHEELS}, {"symmetry": WHEELS.to_dict()}):
        assert agent(env=env, **kwargs).symmetry == WHEELS
    assert agent(env=env, policy_kwargs={"symmetry": WHEELS, **SMALL}).symmetry == WHEELS
    assert agent("PlainPolicy", env=env).symmetry is None
    assert agent(env=bicycle(), symmetry=Symmetry.trivial(4, 2)).symmetry.name == "trivial"


def test_the_callers_arguments_are_left_alone():
    policy_kwargs = {"net_arch": [16]}
    before = copy.deepcopy(policy_kwargs)
    agent(policy_kwargs=policy_kwargs, actor="equivariant")
    assert policy_kwargs == before


def test_predict_takes_single_batched_and_vectorised_observations():
    model = agent()
    single = np.zeros(4, dtype=np.float32)
    assert model.predict(single)[0].shape == (2,)
    assert model.predict(np.stack([single] * 3))[0].shape == (3, 2)
    env = DummyVecEnv([bicycle] * 2)
    actions, state = model.predict(env.reset(), deterministic=True)
    assert actions.shape == (2, 2)
    assert state is None
    assert (np.abs(actions) <= 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("vec_env", [DummyVecEnv, SubprocVecEnv])
def test_parallel_environments(vec_env):
    env = VecMonitor(vec_env([bicycle] * 2))
    model = agent(env=env)
    model.learn(60)
    assert model.symmetry == WHEELS
    env.close()


def test_vec_normalize_works_and_warns_about_the_symmetry():
    env = VecNormalize(DummyVecEnv([bicycle]), norm_obs=False)
    agent(env=env).learn(30)
    with pytest.warns(UserWarning, match="norm_obs=False"):
        model = agent(env=VecNormalize(DummyVecEnv([bicycle])))
    model.learn(30)
    with pytest.warns(UserWarning, match="NormalizeObservation keeps statistics per entry") as said:
        RPPSAC("RPPPolicy", NormalizeObservation(bicycle()))
    assert {warning.filename for warning in said if "NormalizeObservation" in str(warning.message)} == {__file__}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent("PlainPolicy", env=VecNormalize(DummyVecEnv([bicycle])))
