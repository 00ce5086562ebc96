"""However an agent is changed between its steps, its next step equals stable-baselines3's own."""

import copy

import numpy as np
import pytest
import torch
from helpers.agents import POLICIES, agent
from helpers.tasks import bicycle
from helpers.twins import assert_equal_after, twins
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.utils import polyak_update
from torch import nn

from rpp_rl.agents import PlainPolicy, RPPPolicy
from rpp_rl.agents.common.export import PlainActor
from rpp_rl.agents.common.transition_buffer import TransitionBuffer
from rpp_rl.errors import NetworkError


def target_scaled_through_data(model):
    for p in model.critic_target.parameters():
        p.data.mul_(3.0)


def all_scaled_through_data(model):
    for p in model.policy.parameters():
        p.data.mul_(0.5)


def target_put_on_the_critics(model):
    with torch.no_grad():
        for p in model.critic.parameters():
            p.add_(0.1)
    polyak_update(model.critic.parameters(), model.critic_target.parameters(), 1.0)


def cloned_from_a_teacher(model):
    optimizer = torch.optim.Adam(model.actor.parameters(), lr=1e-2, fused=True)
    x = torch.linspace(-1, 1, 20).reshape(5, 4)
    mean, log_std, _ = model.actor.get_action_dist_params(x)
    ((mean - 1).square().mean() + log_std.mean()).backward()
    optimizer.step()
    model.actor.optimizer.zero_grad()


def target_entropy_replaced(model):
    model.target_entropy = 5.0


def policy_replaced(model):
    policy = copy.deepcopy(model.policy)
    with torch.no_grad():
        for p in policy.parameters():
            p.add_(0.1)
    model.policy = policy
    model._create_aliases()


def head_replaced(model):
    head = copy.deepcopy(model.actor.mu)
    with torch.no_grad():
        for p in head.parameters():
            p.add_(0.3)
    model.actor.mu = head
    model.actor.optimizer = torch.optim.Adam(model.actor.parameters(), lr=3e-4)


def activation_replaced(model):
    for i, module in enumerate(model.actor.latent_pi):
        if isinstance(module, nn.ReLU):
            model.actor.latent_pi[i] = nn.Tanh()


def optimizer_replaced(model):
    model.critic.optimizer = torch.optim.SGD(model.critic.parameters(), lr=3e-4)


def temperature_replaced(model):
    model.log_ent_coef = torch.ones(1).requires_grad_(True)
    model.ent_coef_optimizer = torch.optim.Adam([model.log_ent_coef], lr=3e-4)


def temperature_fixed(model):
    model.ent_coef_optimizer = model.log_ent_coef = None
    model.ent_coef_tensor = torch.tensor(3.0)


def ascent(model):
    for group in model.critic.optimizer.param_groups:
        group["maximize"] = True


def settings_of_the_optimizer_changed(model):
    for group in model.critic.optimizer.param_groups:
        group["eps"] = 0.1


def state_of_the_optimizer_loaded(model):
    state = copy.deepcopy(model.critic.optimizer.state_dict())
    for moments in state["state"].values():
        moments["exp_avg"].mul_(-3.0)
    model.critic.optimizer.load_state_dict(state)


def parameters_moved(model):
    for p in model.actor.parameters():
        p.data = 0.5 * p.data


def parameter_replaced(model):
    name, old = next(iter(model.actor.mu.named_parameters()))
    model.actor.mu.register_parameter(name, nn.Parameter(old.detach() + 0.3))
    model.actor.optimizer = torch.optim.Adam(model.actor.parameters(), lr=3e-4)


CHANGES = [
    *(settings_of_the_optimizer_changed, state_of_the_optimizer_loaded, parameters_moved, parameter_replaced),
    *(target_scaled_through_data, all_scaled_through_data, target_put_on_the_critics, cloned_from_a_teacher),
    *(target_entropy_replaced, policy_replaced, head_replaced, activation_replaced, optimizer_replaced),
    *(temperature_replaced, temperature_fixed, ascent),
]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("change", CHANGES)
def test_the_fast_step_follows_a_change(policy, change):
    one, other = twins(policy, learning_rate=1e-2)
    assert_equal_after(one, other, 2, rtol=1e-3, loss_rtol=1e-3, batch_size=40)
    for model in (one, other):
        change(model)
    assert_equal_after(one, other, 2, rtol=2e-2, loss_rtol=2e-3, batch_size=40)
    assert one._update is not None and not one._unknown_to_fast_update


@pytest.mark.parametrize("policy", ["RPPPolicy", "PlainPolicy"])
@pytest.mark.parametrize("in_place", [True, False])
def test_the_fast_step_follows_a_fixed_temperature(policy, in_place):
    one, other = twins(policy, ent_coef=0.1)
    assert_equal_after(one, other, 2, rtol=1e-4, loss_rtol=1e-4, batch_size=40)
    for model in (one, other):
        if in_place:
            model.ent_coef_tensor.fill_(5.0)
        else:
            model.ent_coef_tensor = torch.tensor(5.0)
    assert_equal_after(one, other, 2, rtol=1e-3, loss_rtol=1e-3, batch_size=40)


def actor_frozen(model):
    for p in model.actor.latent_pi.parameters():
        p.requires_grad_(False)


def critic_frozen(model):
    for p in model.critic.q_networks[0].parameters():
        p.requires_grad_(False)


def forward_hook(model):
    for q in model.critic.q_networks:
        q.register_forward_hook(lambda module, inputs, output: output * 2)


def gradient_hook(model):
    for p in model.critic.parameters():
        p.register_hook(lambda gradient: gradient * 0)


def gradients_clipped(model):
    parameters = list(model.critic.parameters())
    model.critic.optimizer.register_step_pre_hook(lambda *_: nn.utils.clip_grad_norm_(parameters, 1e-6) and None)


def left_to_no_optimizer(model):
    model.actor.optimizer = torch.optim.Adam(model.actor.mu.parameters(), lr=3e-4)


@pytest.mark.parametrize("policy", ["RPPPolicy", "PlainPolicy"])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "change", [actor_frozen, critic_frozen, forward_hook, gradient_hook, gradients_clipped, left_to_no_optimizer]
)
def test_unsupported_changes_are_left_to_stable_baselines3(caplog, policy, late, change):
    one, other = twins(policy)
    if late:
        assert_equal_after(one, other, 2, rtol=1e-4, loss_rtol=1e-4, batch_size=40)
    for model in (one, other):
        change(model)
    assert_equal_after(one, other, 2, rtol=1e-3, loss_rtol=1e-3, batch_size=40)
    assert one._update is None
    assert caplog.text.count("own gradient step is used") == 1


def test_computed_weights_are_left_to_stable_baselines3(caplog):
    one, other = twins("PlainPolicy")
    for model in (one, other):
        torch.manual_seed(3)
        nn.utils.spectral_norm(model.actor.latent_pi[0])
        model.actor.optimizer = torch.optim.Adam(model.actor.parameters(), lr=3e-4)
    assert_equal_after(one, other, 1, rtol=1e-3, loss_rtol=1e-3, batch_size=40)
    assert one._update is None


class HalvedPolicy(PlainPolicy):
    """A policy whose critics return half of their networks' outputs."""

    def make_critic(self, features_extractor=None):
        critic = super().make_critic(features_extractor)

        class Halved(type(critic)):
            def forward(self, obs, actions):
                return tuple(q / 2 for q in super().forward(obs, actions))

        critic.__class__ = Halved
        return critic


def test_a_users_critic_is_left_to_stable_baselines3(caplog):
    one, other = twins(HalvedPolicy)
    assert_equal_after(one, other, 2, rtol=1e-4, loss_rtol=1e-4, batch_size=40)
    assert "does not support the network Halved" in caplog.text


class Scaled(FlattenExtractor):
    def forward(self, observations):
        return 3 * super().forward(observations)


def test_a_users_features_extractor_is_refused_or_left_to_stable_baselines3(caplog):
    options = {"net_arch": [16], "features_extractor_class": Scaled}
    with pytest.raises(NetworkError, match="not known how the group moves the features of Scaled"):
        agent(RPPPolicy, policy_kwargs=options)
    plain = agent("PlainPolicy", policy_kwargs=options).learn(30)
    assert "does not support the features extractor Scaled" in caplog.text
    with pytest.raises(NetworkError):
        PlainActor(plain)


@pytest.mark.parametrize("learnt", [False, True])
def test_acting_follows_writes_through_data(learnt):
    model = agent(learning_starts=20)
    if learnt:
        model.learn(40)
    x = np.ones((1, 4), np.float32)
    assert np.abs(model.predict(x, deterministic=True)[0]).max() > 0
    for p in model.actor.parameters():
        p.data.zero_()
    assert np.abs(model.predict(x, deterministic=True)[0]).max() == 0


def test_every_number_of_a_small_parameter_is_compared():
    model = agent(learning_starts=20).learn(40)
    x = np.ones((1, 4), np.float32)
    before = model.predict(x, deterministic=True)[0]
    # The last of the mean's biases that the mirror does not fix at zero.
    model.actor.mu.bias_basic.data[-1] += 0.5
    after = model.predict(x, deterministic=True)[0]
    assert (before != after).any()


class Counting(TransitionBuffer):
    sampled = 0

    def sample(self, batch_size, env=None):
        self.sampled += 1
        return super().sample(batch_size, env)


def test_a_users_buffer_draws_the_minibatches():
    model = agent(replay_buffer_class=Counting).learn(40)
    assert model.replay_buffer.sampled == 20
    assert model._update is not None


def test_a_replaced_buffer_takes_its_discounts_with_it():
    one, other = twins("PlainPolicy", n_steps=3, gamma=0.9)
    assert_equal_after(one, other, 2, rtol=1e-4, loss_rtol=1e-4, batch_size=40)
    env = bicycle()
    for model in (one, other):
        plain = ReplayBuffer(200, env.observation_space, env.action_space)
        rng = np.random.default_rng(0)
        for _ in range(50):
            row = rng.standard_normal((1, 4)).astype(np.float32)
            plain.add(row, row[:, ::-1], row[:, :2], np.ones(1), np.zeros(1), [{}])
        model.replay_buffer = plain
    assert_equal_after(one, other, 2, rtol=1e-3, loss_rtol=1e-3, batch_size=40)
