"""Turn a trained plain agent of stable-baselines3 into one in orthogonal coordinates."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from stable_baselines3 import SAC
from torch import nn

from rpp_rl.conversion import Layer, layer_symmetry, reordered, take, unit_orders
from rpp_rl.errors import NetworkError
from rpp_rl.representations import Representation

if TYPE_CHECKING:
    from rpp_rl.agents.rpp_sac.rpp_sac import RPPSAC

Agent = TypeVar("Agent", bound="RPPSAC")

# Arguments that the new agent takes from the old one.
_KEPT = (
    *("learning_rate", "buffer_size", "learning_starts", "batch_size", "tau", "gamma", "gradient_steps"),
    *("action_noise", "replay_buffer_class", "replay_buffer_kwargs", "optimize_memory_usage", "n_steps", "ent_coef"),
    *("target_update_interval", "target_entropy", "tensorboard_log", "verbose", "seed", "device"),
)
# What tells how far it was.
_PLACES = ("num_timesteps", "_n_updates", "_episode_num")


def from_sac(cls: type[Agent], model: SAC, env: Any, options: Mapping[str, Any]) -> Agent:
    """See `RPPSAC.from_sac`."""
    if any(hasattr(layer, "pathways") for layer in model.policy.modules()):
        raise NetworkError("the agent's networks are not plain; load it with RPPSAC.load instead")
    if model.use_sde:
        raise NetworkError("RPPSAC has no gSDE, whose noise has no symmetry; train the plain agent with use_sde=False")
    environment = env if env is not None else model.get_env()
    if environment is None:
        raise NetworkError("the agent has no environment; give one, as RPPSAC.from_sac(model, env)")
    given = {name: getattr(model, name) for name in _KEPT}
    train_freq: Any = model.train_freq
    given["train_freq"] = (train_freq.frequency, train_freq.unit.value)
    policy: Any = model.policy
    kwargs = {
        **{"net_arch": policy.net_arch, "activation_fn": policy.activation_fn},
        **{"n_critics": policy.critic.n_critics, "optimizer_class": policy.optimizer_class},
        "optimizer_kwargs": policy.optimizer_kwargs,
    }
    free = {"residual_prior": "none"} if "residual_prior" not in options and "residual_budget" not in options else {}
    agent = cls("RPPPolicy", environment, **{**given, "policy_kwargs": kwargs, **free, **options})
    _take_networks(agent, model)
    if model.log_ent_coef is not None and agent.log_ent_coef is not None:
        with torch.no_grad():
            agent.log_ent_coef.copy_(model.log_ent_coef)
    for name in _PLACES:
        setattr(agent, name, getattr(model, name))
    if model.replay_buffer is not None and model.replay_buffer.size():
        agent.replay_buffer = model.replay_buffer
    _report(agent)
    return agent


@torch.no_grad()
def _take_networks(agent: RPPSAC, model: SAC) -> None:
    """Take the weights of all networks; optimisers are new, with budgets for the new weights."""
    policy: Any = agent.policy
    actor, trained = policy.actor, model.policy
    hidden = _linear(actor.latent_pi)
    heads = [_plain(head) for head in (trained.actor.mu, trained.actor.log_std)]
    both = torch.cat([weight for weight, _ in heads]), torch.cat([bias for _, bias in heads])
    found = [*map(_plain, _linear(trained.actor.latent_pi)), both]
    *found, (weight, bias) = reordered(found, unit_orders(found, _representations(hidden)))
    rows = actor.mu.out_features
    _give([*hidden, actor.mu, actor.log_std], [*found, (weight[:rows], bias[:rows]), (weight[rows:], bias[rows:])])
    for i, network in enumerate(trained.critic.q_networks):
        online = [_plain(m) for m in _linear(network)]
        target = [_plain(m) for m in _linear(trained.critic_target.q_networks[i])]
        layers = _linear(policy.critic.q_networks[i])
        orders = unit_orders(online, _representations(layers[:-1]))
        _give(layers, reordered(online, orders))
        _give(_linear(policy.critic_target.q_networks[i]), reordered(target, orders))
    policy.make_optimizers()


def _linear(network: Any) -> list[nn.Module]:
    return [m for m in network if hasattr(m, "in_features")]


def _plain(layer: Any) -> Layer:
    return layer.weight, layer.bias


def _representations(hidden: Sequence[Any]) -> list[Representation]:
    """Representations on the inputs and on each hidden layer."""
    return [hidden[0].rep_in, *(layer.rep_out for layer in hidden)] if hidden else []


def _give(layers: Sequence[nn.Module], values: Sequence[Layer]) -> None:
    for layer, (weight, bias) in zip(layers, values, strict=True):
        take(layer, weight, bias)


def _report(agent: RPPSAC) -> None:
    lines = [
        f"{network}.{layer}: {found.residual:.2f} of the weight breaks the symmetry ({found.random:.2f} if random)"
        for network in ("actor", "critic")
        for layer, found in layer_symmetry(getattr(agent.policy, network)).items()
    ]
    for line in lines:
        logging.getLogger(__name__).info(line)
        if agent.verbose:
            print(line)
