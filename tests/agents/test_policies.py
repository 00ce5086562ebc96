import io
import itertools

import numpy as np
import pytest
import torch
from helpers.agents import SMALL, agent, assert_same_parameters, observations, parameters
from helpers.tasks import NAMES, WHEELS, bicycle
from stable_baselines3 import SAC

import rpp_rl
from rpp_rl import trivial_representation
from rpp_rl.agents import RPPSAC, EquivariantPolicy, PlainPolicy, RPPPolicy
from rpp_rl.agents.common.callbacks import actor_error, critic_error
from rpp_rl.orthogonal_layers import OrthogonalLinear


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


@pytest.mark.parametrize("actor", ["rpp", "equivariant", "plain"])
@pytest.mark.parametrize("critic", ["rpp", "equivariant", "plain"])
def test_actor_and_critic_choose_their_networks(actor, critic):
    model = agent(actor=actor, critic=critic)
    for network, kind in ((model.actor, actor), (model.critic, critic)):
        assert any(isinstance(m, OrthogonalLinear) for m in network.modules()) == (kind == "rpp")
        assert (type(network).__name__.startswith("Symmetric")) == (kind != "plain")
    model.learn(30)


def test_policy_in_stable_baselines3s_own_sac():
    kwargs = {"symmetry": WHEELS, "net_arch": [16]}
    for policy in (RPPPolicy, EquivariantPolicy, PlainPolicy):
        model = SAC(policy, bicycle(), learning_starts=10, batch_size=8, policy_kwargs=kwargs, device="auto")
        model.learn(30)
        buffer = io.BytesIO()
        model.save(buffer)
        buffer.seek(0)
        assert_same_parameters(parameters(SAC.load(buffer, device="auto")), parameters(model))


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


def test_names_of_the_task_are_those_of_the_symmetry():
    assert agent().symmetry.observation_names == NAMES
    assert trivial_representation(WHEELS.group).size == 1
