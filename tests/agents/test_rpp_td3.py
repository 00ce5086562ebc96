"""RPP-TD3: stable-baselines3's TD3 with networks that know the symmetry."""

import inspect
from functools import partial

import numpy as np
import pytest
import torch
from helpers.agents import SMALL, assert_same_parameters, observations, parameters
from helpers.tasks import WHEELS, bicycle
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv

import rpp_rl
from rpp_rl.agents import RPPSAC, RPPTD3, RPPTD3Policy, RunCheckpoint
from rpp_rl.agents.common.algorithms import algorithm
from rpp_rl.agents.common.building import build_agent
from rpp_rl.agents.common.callbacks import actor_error, critic_error
from rpp_rl.agents.common.hyperparameters import hyperparameters
from rpp_rl.errors import RunError, SymmetryError


def td3(policy="MlpPolicy", env=None, **kwargs):
    kwargs = {"seed": 0, "learning_starts": 20, "batch_size": 16, "buffer_size": 2000, "device": "cpu"} | kwargs
    kwargs.setdefault("policy_kwargs", SMALL)
    return RPPTD3(policy, bicycle() if env is None else env, **kwargs)


@pytest.mark.parametrize("policy", ["MlpPolicy", "EquivariantPolicy"])
@pytest.mark.parametrize("network", ["mlp", "emlp"])
def test_actor_is_equivariant_and_critics_are_invariant_without_a_residual(policy, network):
    model = td3(policy, residual_init_scale=0.0, network=network)
    if policy == "EquivariantPolicy":
        model.learn(60)
    x, a = observations(model)
    assert actor_error(model, WHEELS, x) < 1e-5
    assert critic_error(model, WHEELS, x, a) < 1e-5
    assert model.actor(x).std() > 1e-3


@pytest.mark.parametrize(("env_id", "name"), [("Swimmer-v5", "sagittal"), ("Reacher-v5", "dihedral")])
def test_signs_and_larger_groups_are_kept(env_id, name):
    env = rpp_rl.make(env_id, name)
    model = td3("EquivariantPolicy", env=env)
    x = torch.randn(64, env.observation_space.shape[0])
    a = torch.rand(64, env.action_space.shape[0]) * 2 - 1
    assert actor_error(model, env.symmetry, x) < 1e-5
    assert critic_error(model, env.symmetry, x, a) < 1e-5
    assert model.actor(x).std() > 1e-3


def test_a_residual_lets_training_leave_the_symmetry():
    model = td3().learn(300)
    x, a = observations(model)
    assert actor_error(model, WHEELS, x) > 1e-3
    assert critic_error(model, WHEELS, x, a) > 1e-3


def test_plain_networks_learn_as_those_of_stable_baselines3():
    runs = []
    for cls, policy in ((RPPTD3, "PlainPolicy"), (TD3, "MlpPolicy")):
        kwargs = {**SMALL, "optimizer_kwargs": {"fused": False}}
        noise = NormalActionNoise(np.zeros(2), 0.1 * np.ones(2))
        options = {"learning_starts": 20, "batch_size": 16, "action_noise": noise, "policy_kwargs": kwargs}
        runs.append(parameters(cls(policy, bicycle(), seed=0, device="cpu", **options).learn(80)))
    assert_same_parameters(*runs)


def test_the_symmetric_policy_works_with_stable_baselines3s_td3():
    kwargs = {**SMALL, "symmetry": WHEELS}
    options = {"seed": 0, "learning_starts": 20, "batch_size": 16, "device": "cpu", "policy_kwargs": kwargs}
    # Both draw from the global generators, so each is built and run on its own.
    assert_same_parameters(*(parameters(cls(RPPTD3Policy, bicycle(), **options).learn(60)) for cls in (RPPTD3, TD3)))


@pytest.mark.parametrize("policy", ["MlpPolicy", "EquivariantPolicy", "PlainPolicy"])
def test_a_saved_agent_acts_and_learns_as_the_first(policy, tmp_path):
    model = td3(policy, critic_basic_wd=0.01, actor="rpp", critic="rpp", policy_delay=3, target_policy_noise=0.1)
    model.learn(60).save(tmp_path / "agent")
    again = RPPTD3.load(tmp_path / "agent.zip", env=bicycle(), device="cpu")
    assert_same_parameters(parameters(model), parameters(again))
    assert (again.policy_delay, again.target_policy_noise, again.symmetry) == (3, 0.1, WHEELS)
    assert again.policy.priors == model.policy.priors
    assert again.learn(40, reset_num_timesteps=False).num_timesteps == 100


def test_an_interrupted_run_resumes_bit_for_bit(tmp_path):
    noise = partial(NormalActionNoise, np.zeros(2), 0.2 * np.ones(2))
    whole = td3(action_noise=noise()).learn(160)
    td3(action_noise=noise()).learn(90, callback=RunCheckpoint(tmp_path, save_freq=80))
    resumed = RPPTD3.resume(tmp_path, bicycle(), device="cpu")
    assert 0 < resumed.num_timesteps < 160
    resumed.learn(160 - resumed.num_timesteps, reset_num_timesteps=False)
    assert_same_parameters(parameters(whole), parameters(resumed))


@pytest.mark.parametrize("n_envs", [1, 2])
def test_noise_is_saved_and_correlated_noise_is_reported_by_a_resume(tmp_path, n_envs, caplog):
    for cls, exact in ((NormalActionNoise, True), (OrnsteinUhlenbeckActionNoise, False)):
        env = DummyVecEnv([bicycle] * n_envs)
        run = tmp_path / cls.__name__
        noise = cls(np.zeros(2), 0.2 * np.ones(2))
        td3(env=env, action_noise=noise).learn(90, callback=RunCheckpoint(run, save_freq=40)).save(run / "model")
        assert isinstance(RPPTD3.load(run / "model", device="cpu").action_noise, cls)
        caplog.clear()
        RPPTD3.resume(run, DummyVecEnv([bicycle] * n_envs), device="cpu")
        assert ("action_noise" in caplog.text) is not exact


def test_the_action_is_zero_at_the_start_and_not_after_learning():
    model = td3(zero_mean=True)
    x, _ = observations(model)
    assert model.actor(x).abs().max() == 0
    # Zero weights below the last layer would never let the action depend on the observation.
    assert model.learn(100).actor(x).std(dim=0).min() > 0


def test_a_missing_symmetry_is_refused():
    with pytest.raises(SymmetryError, match="RPPTD3 needs a symmetry"):
        RPPTD3("MlpPolicy", "Pendulum-v1")
    assert RPPTD3("PlainPolicy", "Pendulum-v1").symmetry is None


@pytest.mark.parametrize(("ours", "theirs"), [(RPPSAC, SAC), (RPPTD3, TD3)])
def test_arguments_are_those_of_stable_baselines3_in_order_with_defaults_and_types(ours, theirs):
    mine, given = (dict(inspect.signature(cls.__init__, eval_str=True).parameters) for cls in (ours, theirs))
    assert list(mine)[: len(given)] == list(given)
    for name, parameter in given.items():
        assert (mine[name].default, mine[name].kind) == (parameter.default, parameter.kind), name
        if name not in ("self", "policy"):
            assert mine[name].annotation == parameter.annotation, name
    added = [p for name, p in mine.items() if name not in given]
    assert all(p.kind is p.KEYWORD_ONLY for p in added)


@pytest.mark.parametrize("name", ["rpp_td3", "equivariant_td3", "mlp_td3", "td3"])
def test_noise_of_the_hyperparameter_file_reaches_the_agent(name):
    values = {k: v for k, v in hyperparameters(name, "Hopper-v5").items() if k not in ("n_timesteps", "n_envs")}
    agent = build_agent(algorithm(name), rpp_rl.make("Hopper-v5"), seed=0, device="cpu", verbose=0, values=values)
    assert agent.action_noise._sigma == pytest.approx([0.1] * 3)


def test_noise_of_an_unknown_type_is_refused():
    values = {"noise_type": "pink", "noise_std": 0.1}
    with pytest.raises(RunError, match="noise_type must be one of normal, ornstein-uhlenbeck"):
        build_agent(algorithm("td3"), bicycle(), seed=0, device="cpu", verbose=0, values=values)


@pytest.mark.parametrize("algo", ["rpp_td3", "td3"])
def test_the_command_line_trains_resumes_and_evaluates(main, algo):
    words = ("train", "--env", "InvertedPendulum-v5", "--algo", algo, "--eval-episodes", 1, "--no-audit")
    small = ("-params", "learning_starts:20", "batch_size:16", "policy_kwargs:{net_arch: [16, 16]}")
    assert main(*words, "-n", 60, "--save-freq", 30, *small)[0] == 0
    assert main(*words, "-n", 80, "-f", "whole", *small)[0] == 0
    run = f"runs/InvertedPendulum-v5/{algo}/seed0"
    code, _, err = main("train", "--resume", run, "-n", 80)
    assert code == 0, err
    cls = TD3 if algo == "td3" else RPPTD3
    agents = [RPPTD3.load(f"{f}/InvertedPendulum-v5/{algo}/seed0/model.zip", device="cpu") for f in ("runs", "whole")]
    assert isinstance(agents[0], cls)
    assert_same_parameters(*map(parameters, agents))
    assert main("evaluate", run, "-n", 1)[0] == 0
    code, _, err = main("export", run)
    assert code == 0, err
