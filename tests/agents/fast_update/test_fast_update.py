"""The fast gradient step against stable-baselines3's own: same minibatches, same noise, same parameters."""

import copy

import pytest
import torch
from helpers.tasks import bicycle
from helpers.twins import TASKS, assert_equal_after, twins
from stable_baselines3 import SAC
from torch import nn

from rpp_rl.agents import RPPSAC

ADAMW = {"net_arch": [32, 16], "optimizer_class": torch.optim.AdamW, "optimizer_kwargs": {"weight_decay": 0.3}}
CASES = [
    ("PlainPolicy", {}),
    ("RPPPolicy", {}),
    ("EquivariantPolicy", {}),
    ("RPPPolicy", {"critic": "plain"}),
    ("RPPPolicy", {"actor": "equivariant", "critic_basic_wd": 1e-2, "actor_equiv_wd": 1e-2}),
    ("PlainPolicy", {"policy_kwargs": {"net_arch": {"pi": [16], "qf": [24, 24, 24]}, "n_critics": 3}}),
    ("RPPPolicy", {"policy_kwargs": {"net_arch": [16, 16], "activation_fn": nn.Tanh, "n_critics": 1}}),
    ("RPPPolicy", {"policy_kwargs": {"net_arch": [16, 16], "activation_fn": nn.ELU}}),
    ("PlainPolicy", {"policy_kwargs": {"net_arch": [16, 16], "activation_fn": nn.LeakyReLU}}),
    ("RPPPolicy", {"ent_coef": 0.2}),
    ("RPPPolicy", {"residual_step_ratio": 0.1}),
    ("RPPPolicy", {"actor_basic_wd": 1.0, "actor": "rpp", "critic": "plain"}),
    # Orthogonal coordinates.
    ("RPPPolicy", {"residual_prior": "none", "residual_init_scale": 1.0}),
    ("RPPPolicy", {"residual_prior": "dual", "residual_budget": {"critic": [0.01, 0.02, 0.03]}}),
    ("RPPPolicy", {"residual_prior": "projection", "residual_budget": 0.05, "residual_init_scale": 0.5}),
    ("RPPPolicy", {"critic_basic_wd": 1e-2, "critic_equiv_wd": 3e-2, "actor_equiv_wd": 1.0, "actor_basic_wd": 1.0}),
    ("RPPPolicy", {"critic_basic_wd": 1.0, "critic_equiv_wd": 1.0, "residual_prior": "dual", "residual_budget": 0.01}),
    ("RPPPolicy", {"critic_basic_wd": 1e-2, "critic_equiv_wd": 3e-2, "policy_kwargs": ADAMW}),
    # The paper's two pathways.
    ("RPPPolicy", {"parametrization": "pathways"}),
    ("RPPPolicy", {"parametrization": "pathways", "steps": "published", "critic_basic_wd": 1e-2}),
    ("RPPPolicy", {"parametrization": "pathways", "steps": "orthonormal", "critic_equiv_wd": 1e-2}),
    ("RPPPolicy", {"parametrization": "pathways", "residual_prior": "decay", "residual_step_ratio": 0.5}),
    ("EquivariantPolicy", {"steps": "orthonormal", "critic_equiv_wd": 1e-2}),
    ("EquivariantPolicy", {"critic_equiv_wd": 1e-2, "policy_kwargs": ADAMW}),
    ("PlainPolicy", {"policy_kwargs": ADAMW}),
]


@pytest.mark.parametrize(("policy", "options"), CASES)
def test_one_step_equals_stable_baselines3s(policy, options):
    one, other = twins(policy, **options)
    assert_equal_after(one, other, 1, batch_size=40)
    assert one._update is not None
    assert other._update is None


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("policy", ["PlainPolicy", "RPPPolicy", "EquivariantPolicy"])
def test_many_steps_equal_stable_baselines3s(task, policy):
    one, other = twins(policy, task)
    # Adam divides by the root of tiny squares, so rounding grows with the steps.
    assert_equal_after(one, other, 20, rtol=1e-2, loss_rtol=2e-3, batch_size=40)


@pytest.mark.parametrize("policy", ["PlainPolicy", "RPPPolicy"])
def test_targets_move_every_few_steps(policy):
    one, other = twins(policy, target_update_interval=3, tau=0.3)
    assert_equal_after(one, other, 5, rtol=1e-4, loss_rtol=1e-4, batch_size=40)


def test_a_fast_target_changes_the_next_losses():
    one, other = twins("RPPPolicy", tau=0.5, learning_rate=1e-2)
    assert_equal_after(one, other, 10, rtol=1e-2, loss_rtol=1e-3, batch_size=40)


@pytest.mark.parametrize("beyond", [-30.0, 3.0])
def test_standard_deviations_out_of_bounds_have_no_gradient(beyond):
    agent = twins("PlainPolicy")[0]
    with torch.no_grad():
        agent.actor.log_std.bias.copy_(torch.tensor([-1.0, beyond]))
        agent.actor.log_std.weight.zero_()
    agent.train(1, batch_size=40)
    assert agent._update is not None
    assert agent.actor.log_std.bias[0] != -1.0
    assert agent.actor.log_std.bias[1] == beyond


@pytest.mark.parametrize("fast", [True, False])
def test_acting_uses_the_learnt_weights(fast):
    agent = twins("RPPPolicy", learning_rate=1e-2)[0 if fast else 1]
    observations = torch.randn(5, 4)
    for _ in range(2):
        agent.train(3, batch_size=20)
        with torch.no_grad():
            agent.policy.set_training_mode(False)
            acted = agent.actor.get_action_dist_params(observations)[0]
        agent.policy.set_training_mode(True)
        learnt = agent.actor.get_action_dist_params(observations)[0].detach()
        torch.testing.assert_close(acted, learnt, rtol=1e-5, atol=1e-6)


def test_the_step_equals_that_of_sac():
    """Compare with `stable_baselines3.SAC` itself, not only with its step within our class."""
    ours = twins("PlainPolicy")[0]
    theirs = SAC(
        "MlpPolicy", bicycle(), learning_starts=60, buffer_size=200, seed=1, policy_kwargs={"net_arch": [32, 16]}
    )
    theirs.learn(60)
    theirs.policy.load_state_dict(ours.policy.state_dict())
    theirs.replay_buffer = copy.deepcopy(ours.replay_buffer)
    assert_equal_after(ours, theirs, 3, rtol=1e-4, loss_rtol=1e-4, batch_size=32)


def test_the_step_follows_written_parameters():
    one, other = twins("RPPPolicy")
    assert_equal_after(one, other, 1, batch_size=40)
    for agent in (one, other):
        with torch.no_grad():
            for p in agent.policy.parameters():
                p.mul_(0.5)
    assert_equal_after(one, other, 1, rtol=1e-4, batch_size=40)
    state = copy.deepcopy(one.get_parameters())
    for agent in (one, other):
        agent.set_parameters(copy.deepcopy(state))
    assert_equal_after(one, other, 1, rtol=1e-4, batch_size=40)


def test_gradients_of_other_code_do_no_harm():
    one, other = twins("RPPPolicy")
    assert_equal_after(one, other, 1, batch_size=40)
    for agent in (one, other):
        agent.policy.zero_grad(set_to_none=True)
        observations = torch.zeros(3, 4)
        agent.critic(observations, torch.zeros(3, 2))[0].sum().backward()
    assert_equal_after(one, other, 1, batch_size=40)


class Wide(nn.Module):
    def forward(self, x):
        return torch.sin(x)


def test_unsupported_networks_take_stable_baselines3s_step(caplog):
    one, other = twins("PlainPolicy", policy_kwargs={"net_arch": [8], "activation_fn": Wide})
    assert_equal_after(one, other, 2, batch_size=40)
    assert caplog.text.count("does not support the activation Wide()") == 1
    assert "own gradient step is used" in caplog.text
    assert one.fast_update  # the argument as it was given, which is saved


def test_a_loaded_agent_continues_to_learn(tmp_path):
    agent = twins("RPPPolicy")[0]
    agent.train(2, batch_size=20)
    agent.save(tmp_path / "agent")
    again = RPPSAC.load(tmp_path / "agent", env=bicycle())
    assert again.fast_update
    again.learn(80)
    assert again._n_updates > agent._n_updates
