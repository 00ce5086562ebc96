"""A plain agent of stable-baselines3 in orthogonal coordinates, and conversions of networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.tasks import WHEELS, bicycle
from stable_baselines3 import SAC, TD3
from torch import nn

import rpp_rl
from rpp_rl import RPPMLP, EquivariantMLP
from rpp_rl.agents import RPPSAC
from rpp_rl.conversion import converted, layer_symmetry, sorted_units
from rpp_rl.errors import NetworkError
from rpp_rl.networks import MLP
from rpp_rl.representations import regular_representation, trivial_representation


def trained(env=None, **kwargs):
    kwargs = {"learning_starts": 20, "batch_size": 16, "policy_kwargs": {"net_arch": [16, 8]}, **kwargs}
    return SAC("MlpPolicy", env or bicycle(), seed=0, device="cpu", **kwargs).learn(60)


@pytest.mark.parametrize("task", ["bicycle", "reacher"])
def test_actions_and_values_stay_as_they_are(task):
    env = bicycle() if task == "bicycle" else rpp_rl.make("Reacher-v5", "dihedral")
    model = trained(env)
    agent = RPPSAC.from_sac(model)
    observations = np.array([env.observation_space.sample() for _ in range(20)]).clip(-3, 3)
    for deterministic in (True, False):
        torch.manual_seed(0)
        ours = agent.predict(observations, deterministic=deterministic)[0]
        torch.manual_seed(0)
        np.testing.assert_allclose(ours, model.predict(observations, deterministic=deterministic)[0], atol=1e-4)
    x, a = torch.as_tensor(observations, dtype=torch.float32), torch.rand(20, env.action_space.shape[0])
    for ours, theirs in ((agent.critic, model.critic), (agent.critic_target, model.critic_target)):
        for one, other in zip(ours(x, a), theirs(x, a), strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    assert agent.num_timesteps == model.num_timesteps
    assert agent.gamma == model.gamma
    assert float(agent.log_ent_coef.detach()) == float(model.log_ent_coef.detach())
    assert agent.replay_buffer.size() == model.replay_buffer.size() == 60
    ours, theirs = (each.replay_buffer for each in (agent, model))
    for name in ("observations", "next_observations", "actions", "rewards"):
        np.testing.assert_allclose(getattr(ours, name)[:60], getattr(theirs, name)[:60], rtol=1e-6)
    np.testing.assert_array_equal(ours.dones[:60], (theirs.dones * (1 - theirs.timeouts))[:60])
    agent.learn(30, reset_num_timesteps=False)
    assert agent.num_timesteps == 90
    assert model.replay_buffer.size() == 60


def test_a_report_says_how_symmetric_each_layer_is(capsys):
    agent = RPPSAC.from_sac(trained(), verbose=1)
    printed = capsys.readouterr().out
    for layer in ("actor.latent_pi.0", "actor.mu", "critic.qf1.4"):
        assert f"{layer}: 0." in printed and "breaks the symmetry" in printed
    found = layer_symmetry(agent.actor)
    assert list(found) == ["latent_pi.0", "latent_pi.2", "mu", "log_std"]
    assert all(0 < one.residual < 1 and 0 < one.random < 1 for one in found.values())
    assert agent.policy.residual_priors["actor"].kind == "none"
    held = RPPSAC.from_sac(trained(), residual_budget=0.2)
    (group,) = (g for g in held.actor.optimizer.param_groups if g["pathway"] == "basic")
    first = held.actor.latent_pi[0].merged()[0].detach()
    assert group["initial_rms"][0] == pytest.approx(float(first.square().mean().sqrt()))
    assert held.policy.residual_priors["actor"].budget == 0.2


def test_a_symmetric_agent_is_recognised_in_any_order_of_its_units():
    exact = RPPSAC("EquivariantPolicy", bicycle(), policy_kwargs={"net_arch": [16, 8]}, seed=0, device="cpu")
    plain = SAC("MlpPolicy", bicycle(), policy_kwargs={"net_arch": [16, 8]}, seed=0, device="cpu")
    shuffle = torch.Generator().manual_seed(1)
    first, second = (m.to_linear() for m in exact.actor.latent_pi if hasattr(m, "to_linear"))
    one, two = torch.randperm(16, generator=shuffle), torch.randperm(8, generator=shuffle)
    with torch.no_grad():
        plain.actor.latent_pi[0].weight.copy_(first.weight[one])
        plain.actor.latent_pi[0].bias.copy_(first.bias[one])
        plain.actor.latent_pi[2].weight.copy_(second.weight[two][:, one])
        plain.actor.latent_pi[2].bias.copy_(second.bias[two])
        for name in ("mu", "log_std"):
            head = getattr(exact.actor, name).to_linear()
            getattr(plain.actor, name).weight.copy_(head.weight[:, two])
            getattr(plain.actor, name).bias.copy_(head.bias)
    found = layer_symmetry(RPPSAC.from_sac(plain).actor)
    assert max(layer.residual for layer in found.values()) < 1e-6
    assert layer_symmetry(RPPSAC.from_sac(trained()).actor)["latent_pi.0"].residual > 0.1


def test_units_of_a_larger_group_are_sorted():
    group = rpp_rl.dihedral_group(4)
    rep_in, hidden = regular_representation(group) + trivial_representation(group), 3 * regular_representation(group)
    layer = EquivariantMLP(rep_in, None, (24,))[0]
    torch.manual_seed(0)
    layer.reset_parameters()
    weight, bias = (x.detach().numpy() for x in layer.merged())
    order = np.random.default_rng(0).permutation(24)
    found = sorted_units(weight[order], bias[order], rep_in, layer.rep_out)
    assert sorted(found) == list(range(24))
    again = rpp_rl.RPPMLP(rep_in, None, (24,))[0]
    again.take(torch.from_numpy(weight[order][found]), torch.from_numpy(bias[order][found]))
    assert layer_symmetry(nn.Sequential(again))["0"].residual < 1e-5
    assert hidden.size == 24


def test_conversions_keep_the_merged_weights():
    rep = WHEELS.observation
    torch.manual_seed(0)
    x = torch.randn(10, rep.size)
    for kind in ("plain", "rpp", "equivariant"):
        source = {"plain": MLP, "rpp": RPPMLP, "equivariant": EquivariantMLP}[kind](rep, rep, (16, 8), nn.Tanh)
        for target, options in (
            *(("plain", {}), ("rpp", {}), ("rpp", {"parametrization": "pathways", "steps": "published"})),
            *(("rpp", {"parametrization": "pathways", "steps": "orthonormal"}), ("equivariant", {})),
        ):
            if target == "equivariant" and kind != "equivariant":
                with pytest.raises(NetworkError, match="linear layer 1 is not equivariant"):
                    converted(source, target)
                continue
            made = converted(source, target, **options)
            assert made.kind == target
            torch.testing.assert_close(made(x), source(x), atol=1e-5, rtol=1e-4)
    trunk = converted(RPPMLP(rep, None, (16,)), "plain")
    assert isinstance(trunk[-1], nn.ReLU) and len(trunk) == 2


def test_the_center_of_a_symmetry_is_kept():
    model = trained()
    agent = RPPSAC.from_sac(model, symmetry=replace(WHEELS, center=(0.0, 0.0, 1.5, 0.0)))
    x, a = torch.randn(20, 4), torch.rand(20, 2)
    np.testing.assert_allclose(
        agent.predict(x.numpy(), deterministic=True)[0], model.predict(x.numpy(), deterministic=True)[0], atol=1e-5
    )
    for one, other in zip(agent.critic_target(x, a), model.critic_target(x, a), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_the_newest_transitions_are_copied_the_oldest_first():
    model = trained(buffer_size=40)
    whole, part = RPPSAC.from_sac(model), RPPSAC.from_sac(model, buffer_size=15)
    oldest = np.roll(model.replay_buffer.rewards, -model.replay_buffer.pos, axis=0)
    np.testing.assert_allclose(whole.replay_buffer.rewards, oldest, rtol=1e-6)
    np.testing.assert_allclose(part.replay_buffer.rewards, oldest[-15:], rtol=1e-6)
    assert part.replay_buffer.pos == 0
    assert part.replay_buffer.full
    agent = RPPSAC.from_sac(RPPSAC("PlainPolicy", bicycle(), augment=True, device="cpu", learning_starts=10).learn(20))
    assert agent.augment
    assert agent.replay_buffer.size() == 20


def test_options_join_those_of_the_agent():
    agent = RPPSAC.from_sac(trained(), policy_kwargs={"residual_init_scale": 0.5}, gamma=0.5)
    assert (agent.policy.residual_init_scale, agent.gamma) == (0.5, 0.5)
    assert agent.policy.net_arch == [16, 8]


def test_what_cannot_be_taken_over_is_refused():
    with pytest.raises(NetworkError, match="takes a SAC with plain networks"):
        RPPSAC.from_sac(RPPSAC("RPPPolicy", bicycle(), device="cpu"))
    with pytest.raises(NetworkError, match="got a TD3"):
        RPPSAC.from_sac(TD3("MlpPolicy", bicycle(), device="cpu"))
    for options in ({"actor": "plain"}, {"policy_kwargs": {"network": "emlp"}}):
        with pytest.raises(NetworkError, match="leave out"):
            RPPSAC.from_sac(trained(), **options)
    with pytest.raises(NetworkError, match="use_sde=False"):
        RPPSAC.from_sac(SAC("MlpPolicy", bicycle(), use_sde=True, device="cpu"))
    model = trained()
    model.env = None
    with pytest.raises(NetworkError, match="give one, as RPPSAC"):
        RPPSAC.from_sac(model)
