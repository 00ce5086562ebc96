import copy
import io
import itertools
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from helpers.tasks import NAMES, WHEELS, Bicycle, bicycle
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor, VecNormalize

import rpp_rl
from rpp_rl import RPPLinear, Symmetry, residual_shares, trivial_representation
from rpp_rl.agents import RPPSAC, EquivariantPolicy, MlpPolicy, RPPPolicy, SymmetryCallback
from rpp_rl.agents.callbacks import actor_error, critic_error
from rpp_rl.envs import reflection
from rpp_rl.errors import NetworkError, NonFiniteError, RPPError, SymmetryError

SMALL = {"net_arch": [32, 32]}
POLICIES = ["RPPPolicy", "EquivariantPolicy", "MlpPolicy"]


def agent(policy="RPPPolicy", env=None, **kwargs):
    kwargs = {"seed": 0, "learning_starts": 20, "batch_size": 16, "buffer_size": 2000, "device": "auto"} | kwargs
    kwargs.setdefault("policy_kwargs", SMALL)
    return RPPSAC(policy, bicycle() if env is None else env, **kwargs)


def parameters(model):
    return {k: v.clone() for k, v in model.policy.state_dict().items()}


def assert_same_parameters(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key].cpu(), other[key].cpu()), key


def observations(model, n=64):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 4, generator=generator)
    a = torch.rand(n, 2, generator=generator) * 2 - 1
    return x.to(model.device), a.to(model.device)


@pytest.mark.parametrize("policy", POLICIES)
def test_it_learns_and_stays_finite(policy):
    model = agent(policy)
    before = parameters(model)
    model.learn(80)
    after = parameters(model)
    moved = [k for k in before if not torch.equal(before[k], after[k])]
    assert {k for k in before if before[k].numel()} == set(moved)
    assert all(torch.isfinite(v).all() for v in after.values())


@pytest.mark.parametrize("policy", ["RPPPolicy", "EquivariantPolicy"])
def test_symmetry_of_actor_and_critic(policy):
    model = agent(policy, residual_init_scale=0.0)
    with torch.no_grad():
        for p in model.policy.parameters():
            p.mul_(3.0)
    if policy == "EquivariantPolicy":
        model.learn(100)
    x, a = observations(model)
    assert actor_error(model, WHEELS, x) < 1e-5
    assert critic_error(model, WHEELS, x, a) < 1e-5
    mean, log_std, _ = model.actor.get_action_dist_params(x)
    moved_mean, moved_log_std, _ = model.actor.get_action_dist_params(WHEELS.transform_observation(1, x))
    torch.testing.assert_close(moved_mean, mean.flip(1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(moved_log_std, log_std.flip(1), atol=1e-5, rtol=1e-5)


def test_log_std_moves_without_signs():
    model = RPPSAC("EquivariantPolicy", rpp_rl.make("Swimmer-v5"), policy_kwargs=SMALL, device="auto")
    x = torch.randn(64, 8, device=model.device)
    mean, log_std, _ = model.actor.get_action_dist_params(x)
    moved_mean, moved_log_std, _ = model.actor.get_action_dist_params(model.symmetry.transform_observation(1, x))
    torch.testing.assert_close(moved_mean, -mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(moved_log_std, log_std, atol=1e-5, rtol=1e-5)


def test_a_residual_lets_training_leave_the_symmetry():
    model = agent()
    model.learn(300)
    x, _ = observations(model)
    assert actor_error(model, WHEELS, x) > 1e-3


def test_symmetry_about_a_center():
    env = rpp_rl.make("Pusher-v5")
    model = RPPSAC("EquivariantPolicy", env, policy_kwargs=SMALL, device="auto", buffer_size=100)
    assert env.symmetry.center
    x, a = torch.randn(64, 23, device=model.device), torch.rand(64, 7, device=model.device)
    assert actor_error(model, env.symmetry, x) < 1e-5
    assert critic_error(model, env.symmetry, x, a) < 1e-5


def test_a_larger_group():
    env = rpp_rl.make("Reacher-v5", "dihedral")
    model = RPPSAC("EquivariantPolicy", env, policy_kwargs=SMALL, device="auto", buffer_size=100)
    x, a = torch.randn(64, 10, device=model.device), torch.rand(64, 2, device=model.device)
    assert env.symmetry.group.order == 8
    assert actor_error(model, env.symmetry, x) < 1e-5
    assert critic_error(model, env.symmetry, x, a) < 1e-5


@pytest.mark.parametrize("actor", ["rpp", "equivariant", "mlp"])
@pytest.mark.parametrize("critic", ["rpp", "equivariant", "mlp"])
def test_actor_and_critic_choose_their_networks(actor, critic):
    model = agent(actor=actor, critic=critic)
    for network, kind in ((model.actor, actor), (model.critic, critic)):
        assert any(isinstance(m, RPPLinear) for m in network.modules()) == (kind == "rpp")
        assert (type(network).__name__.startswith("Symmetric")) == (kind != "mlp")
    model.learn(30)


def test_plain_policy_is_that_of_stable_baselines3():
    runs = []
    for cls in (RPPSAC, SAC):
        # Both draw from the global generators, so each is built and run on its own.
        model = cls(
            "MlpPolicy", bicycle(), seed=0, learning_starts=20, batch_size=16, policy_kwargs=SMALL, device="auto"
        )
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


def test_policy_in_stable_baselines3s_own_sac():
    kwargs = {"symmetry": WHEELS, "net_arch": [16]}
    for policy in (RPPPolicy, EquivariantPolicy, MlpPolicy):
        model = SAC(policy, bicycle(), learning_starts=10, batch_size=8, policy_kwargs=kwargs, device="auto")
        model.learn(30)
        buffer = io.BytesIO()
        model.save(buffer)
        buffer.seek(0)
        assert_same_parameters(parameters(SAC.load(buffer, device="auto")), parameters(model))


def test_symmetry_can_be_given_instead_of_carried():
    env = gym.make("Bicycle-v0")
    for kwargs in ({"symmetry": WHEELS}, {"symmetry": WHEELS.to_dict()}):
        assert agent(env=env, **kwargs).symmetry == WHEELS
    assert agent(env=env, policy_kwargs={"symmetry": WHEELS, **SMALL}).symmetry == WHEELS
    assert agent("MlpPolicy", env=env).symmetry is None
    assert agent(env=bicycle(), symmetry=Symmetry.trivial(4, 2)).symmetry.name == "trivial"


def test_the_callers_arguments_are_left_alone():
    policy_kwargs = {"net_arch": [16]}
    before = copy.deepcopy(policy_kwargs)
    agent(policy_kwargs=policy_kwargs, actor="equivariant")
    assert policy_kwargs == before


class TestSaving:
    @pytest.mark.parametrize("policy", POLICIES)
    def test_round_trip(self, policy, tmp_path):
        model = agent(
            policy,
            residual_init_scale=0.01,
            policy_kwargs={"net_arch": {"pi": [16, 8], "qf": [24]}, "activation_fn": torch.nn.Tanh, "n_critics": 3},
        )
        model.learn(40)
        model.save(tmp_path / "agent")
        for env in (None, bicycle()):
            again = RPPSAC.load(tmp_path / "agent", env=env, device="auto")
            assert_same_parameters(parameters(again), parameters(model))
            assert again.symmetry == model.symmetry
            assert again.policy.residual_init_scale == 0.01
            x = np.random.default_rng(0).standard_normal((5, 4))
            np.testing.assert_array_equal(
                again.predict(x, deterministic=True)[0], model.predict(x, deterministic=True)[0]
            )
        again.learn(40, reset_num_timesteps=False)
        assert again.num_timesteps == 80

    def test_optimizer_state_and_priors_survive(self, tmp_path):
        model = agent(actor_equiv_wd=0.1, actor_basic_wd=0.2, critic_equiv_wd=0.3, critic_basic_wd=0.4)
        model.learn(40)
        model.save(tmp_path / "agent")
        again = RPPSAC.load(tmp_path / "agent", env=bicycle(), device="auto")
        for name in ("actor", "critic"):
            one, other = (getattr(m, name).optimizer.state_dict() for m in (model, again))
            assert one["param_groups"] == other["param_groups"]
            assert again.policy.priors[name] == model.policy.priors[name]
            for key, state in one["state"].items():
                torch.testing.assert_close(state["exp_avg"], other["state"][key]["exp_avg"])

    def test_custom_objects_and_parameters(self, tmp_path):
        model = agent()
        model.learn(30)
        model.save(tmp_path / "agent")
        again = RPPSAC.load(tmp_path / "agent", device="cpu", custom_objects={"learning_rate": 1e-5, "gamma": 0.5})
        assert (again.gamma, again.learning_rate) == (0.5, 1e-5)
        fresh = agent(seed=3)
        fresh.set_parameters(model.get_parameters(), device="auto")
        assert_same_parameters(parameters(fresh), parameters(model))
        fresh.set_parameters(str(tmp_path / "agent.zip"), device="auto")
        same = {"policy_kwargs": copy.deepcopy(model.policy_kwargs)}
        RPPSAC.load(tmp_path / "agent", device="auto", **same)
        for option in ({"symmetry": WHEELS}, {"actor_basic_wd": 1.0}):
            with pytest.raises(NetworkError, match="cannot be changed by load"):
                RPPSAC.load(tmp_path / "agent", **option)
        with pytest.raises(ValueError, match="policy kwargs"):
            RPPSAC.load(tmp_path / "agent", device="auto", policy_kwargs={"net_arch": [1]})

    @pytest.mark.parametrize("policy", [RPPPolicy, EquivariantPolicy, MlpPolicy])
    def test_policy_alone(self, policy, tmp_path):
        model = agent(policy, residual_init_scale=0.02, critic="mlp")
        model.policy.save(str(tmp_path / "policy.pt"))
        again = policy.load(str(tmp_path / "policy.pt"), device="auto")
        assert_same_parameters(again.state_dict(), model.policy.state_dict())
        assert (again.kinds, again.priors, again.residual_init_scale) == (
            model.policy.kinds,
            model.policy.priors,
            0.02,
        )

    def test_replay_buffer(self, tmp_path):
        model = agent()
        model.learn(30)
        model.save_replay_buffer(tmp_path / "buffer")
        again = agent()
        again.load_replay_buffer(tmp_path / "buffer")
        assert again.replay_buffer.size() == 30

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
    def test_across_devices(self, tmp_path):
        model = agent(device="cuda")
        model.learn(40)
        model.save(tmp_path / "agent")
        again = RPPSAC.load(tmp_path / "agent", device="cpu")
        assert_same_parameters(parameters(again), parameters(model))
        assert str(model.device).startswith("cuda")


@pytest.mark.parametrize("policy", ["RPPPolicy", "EquivariantPolicy"])
def test_acting_from_merged_weights_follows_every_change(policy, tmp_path):
    model, other = agent(policy), agent(policy, seed=1)
    x, _ = observations(model)

    def assert_same():
        acted, _ = model.predict(x.cpu().numpy(), deterministic=True)
        model.policy.set_training_mode(True)
        learnt = model.actor(x, deterministic=True).detach().cpu().numpy()
        model.policy.set_training_mode(False)
        np.testing.assert_allclose(acted, learnt, atol=1e-6)
        return acted

    seen = [assert_same()]
    model.learn(30)
    seen.append(assert_same())
    with torch.no_grad():
        model.actor.mu.weight_equiv.mul_(2.0)
    seen.append(assert_same())
    model.set_parameters(other.get_parameters())
    seen.append(assert_same())
    model.policy.load_from_vector(np.full_like(model.policy.parameters_to_vector(), 0.01))
    seen.append(assert_same())
    assert all(np.abs(a - b).max() > 1e-4 for a, b in itertools.pairwise(seen))
    assert not any("merged" in key for key in model.policy.state_dict())


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
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent("MlpPolicy", env=VecNormalize(DummyVecEnv([bicycle])))


def test_learn_takes_callbacks_progress_and_tensorboard(tmp_path):
    calls = []

    class Count(BaseCallback):
        def _on_step(self):
            calls.append(self.num_timesteps)
            return True

    for callback in (Count(), [Count()], lambda _locals, _globals: calls.append(0) or True, None):
        model = agent(tensorboard_log=str(tmp_path / "tb"))
        model.learn(30, callback=callback, progress_bar=callback is None)
    assert len(calls) == 90
    assert len(list((tmp_path / "tb").glob("SAC_*/events*"))) == 4
    evaluation = EvalCallback(
        VecMonitor(DummyVecEnv([bicycle])), eval_freq=10, log_path=str(tmp_path), callback_after_eval=SymmetryCallback()
    )
    agent().learn(40, callback=[evaluation, CheckpointCallback(20, str(tmp_path), "agent")])
    assert np.load(tmp_path / "evaluations.npz")["timesteps"].tolist() == [10, 20, 30, 40]
    assert (tmp_path / "agent_40_steps.zip").exists()


class TestPriors:
    def test_each_parameter_is_in_one_group_with_its_strength(self):
        model = agent(actor_equiv_wd=0.1, actor_basic_wd=0.2, critic_equiv_wd=0.3, critic_basic_wd=0.4)
        for network, (equiv, basic) in {"actor": (0.1, 0.2), "critic": (0.3, 0.4)}.items():
            module = getattr(model, network)
            groups = module.optimizer.param_groups
            listed = [p for g in groups for p in g["params"]]
            assert len(listed) == len(set(listed))
            assert set(listed) == set(module.parameters())
            assert {g["pathway"]: g["weight_decay"] for g in groups} == {"equiv": 2 * equiv, "basic": 2 * basic}

    def test_defaults_are_the_papers(self):
        model = agent()
        assert (model.policy.priors["actor"].equiv_wd, model.policy.priors["actor"].basic_wd) == (1e-6, 1e-6)
        assert (model.policy.priors["critic"].equiv_wd, model.policy.priors["critic"].basic_wd) == (0, 0)

    def test_a_strong_prior_on_the_residual_keeps_the_agent_symmetric(self):
        free, bound = agent(), agent(actor_basic_wd=10.0, critic_basic_wd=10.0)
        for model in (free, bound):
            model.learn(400)
        for name in ("actor", "critic"):
            left, kept = (residual_shares(getattr(model, name)).values() for model in (free, bound))
            assert sum(kept) < 0.3 * sum(left)
        x, _ = observations(free)
        assert actor_error(bound, WHEELS, x) < actor_error(free, WHEELS, x)

    def test_terms_are_logged_apart(self):
        model = agent(actor_equiv_wd=0.5, critic_basic_wd=0.25)
        model.learn(130)
        logged = {}
        model.logger.record = lambda key, value, exclude=None: logged.update({key: value})
        model.dump_logs()
        squares = sum(p.detach().square().sum() for n, p in model.actor.named_parameters() if n.endswith("_equiv"))
        assert logged["train/prior_actor_equiv"] == pytest.approx(0.5 * float(squares), rel=1e-5)
        squares = sum(p.detach().square().sum() for n, p in model.critic.named_parameters() if n.endswith("_basic"))
        assert logged["train/prior_critic_basic"] == pytest.approx(0.25 * float(squares), rel=1e-5)

    def test_a_common_weight_decay_is_added(self):
        model = agent(actor_basic_wd=0.5, policy_kwargs={"optimizer_kwargs": {"weight_decay": 0.25}, **SMALL})
        assert {g["pathway"]: g["weight_decay"] for g in model.actor.optimizer.param_groups}["basic"] == 1.25

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"actor": "equivariant", "actor_basic_wd": 1.0}, "does not have"),
            ({"critic": "mlp", "critic_equiv_wd": 1.0}, "does not have"),
            ({"actor_basic_wd": -1.0}, "must be a number >= 0"),
            ({"policy_kwargs": {"optimizer_class": torch.optim.AdamW}}, "AdamW does not add its weight decay"),
            ({"policy_kwargs": {"optimizer_class": torch.optim.Adafactor}}, "Adafactor does not add its weight decay"),
        ],
    )
    def test_priors_without_effect_are_refused(self, kwargs, message):
        with pytest.raises(NetworkError, match=message):
            agent(**kwargs)


class TestSymmetryCallback:
    def measured(self, model):
        callback = SymmetryCallback(samples=64)
        callback.init_callback(model)
        return callback.measure()

    def test_tags(self):
        model = agent()
        model.learn(40)
        values = self.measured(model)
        shares = {k for k in values if k.endswith("/residual_share")}
        assert {"actor/mu/residual_share", "actor/latent_pi.0/residual_share", "critic/qf1.4/residual_share"} <= shares
        assert values.keys() - shares == {"actor_equivariance_error", "critic_invariance_error"}
        assert all(0 < values[k] < 1 for k in shares)

    def test_plain_sac_is_measured_with_the_environments_symmetry(self):
        model = SAC("MlpPolicy", bicycle(), learning_starts=10, batch_size=8, device="auto", seed=0)
        model.learn(40)
        values = self.measured(model)
        assert values["actor_equivariance_error"] > 0.01
        assert values.keys() == {"actor_equivariance_error", "critic_invariance_error"}

    def test_measuring_does_not_change_the_run(self):
        runs = []
        for callback in (None, SymmetryCallback(samples=8)):
            model = agent()
            model.learn(60, callback=callback)
            runs.append(parameters(model))
        assert_same_parameters(*runs)


class TestBadInput:
    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: agent(env=gym.make("Bicycle-v0")), SymmetryError, "make the environment with rpp_rl.make"),
            (lambda: agent(symmetry="wheels"), SymmetryError, r"rpp_rl.make\(env_id, symmetry='wheels'\)"),
            (lambda: agent(symmetry=Symmetry.trivial(3, 2)), SymmetryError, "observation of 3 entries"),
            (lambda: agent(use_sde=True), NetworkError, "use_sde=False"),
            (lambda: agent(policy_kwargs={"net_arch": [32, 33]}), NetworkError, "next width that works is 34"),
            (lambda: agent(actor="residual"), RPPError, "unknown kind of network 'residual'"),
            (lambda: agent(actor="mlp", policy_kwargs={"actor": "rpp"}), NetworkError, "given twice"),
            (lambda: agent(env=gym.make("CartPole-v1"), symmetry=WHEELS), SymmetryError, "Discrete"),
            (lambda: agent(residual_init_scale=-1.0), NetworkError, "residual_init_scale"),
            (
                lambda: agent(env=Bicycle(low=-0.5), symmetry=reflection(4, 2, action_flip=[0])),
                SymmetryError,
                "maps the action bounds",
            ),
        ],
    )
    def test_refused_with_the_remedy(self, make, error, message):
        with pytest.raises(error, match=message) as caught:
            make()
        assert "\n" not in str(caught.value)

    def test_parallel_environments_must_agree(self):
        env = DummyVecEnv([bicycle, lambda: bicycle(symmetry="trivial")])
        with pytest.raises(SymmetryError, match="different symmetries"):
            agent(env=env)

    @pytest.mark.parametrize(
        ("fault", "message"), [("observation", r"entry 3 \(roll\) at step 20"), ("reward", "reward that")]
    )
    def test_a_number_that_is_none_stops_training_before_it_is_stored(self, fault, message):
        model = agent(env=bicycle(fault=fault))
        with pytest.raises(NonFiniteError, match=message):
            model.learn(100)
        assert model.replay_buffer.size() == 19
        assert np.isfinite(model.replay_buffer.observations).all()


def test_names_of_the_task_are_those_of_the_symmetry():
    assert agent().symmetry.observation_names == NAMES
    assert trivial_representation(WHEELS.group).size == 1
