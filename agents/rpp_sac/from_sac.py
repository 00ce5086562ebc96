"""Turn a trained plain agent of stable-baselines3 into one in orthogonal coordinates."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from torch import Tensor, nn

from rpp_rl.agents.common.transition_buffer import TransitionBuffer
from rpp_rl.conversion import Layer, layer_symmetry, reordered, take, unit_orders
from rpp_rl.errors import NetworkError
from rpp_rl.representations import Representation

if TYPE_CHECKING:
    from rpp_rl.agents.rpp_sac.rpp_sac import RPPSAC

Agent = TypeVar("Agent", bound="RPPSAC")

# Arguments that the new agent takes from the old one.
_ARGUMENTS = (
    *("learning_rate", "buffer_size", "learning_starts", "batch_size", "tau", "gamma", "gradient_steps"),
    *("action_noise", "optimize_memory_usage", "n_steps", "ent_coef", "target_update_interval", "target_entropy"),
    *("tensorboard_log", "verbose", "seed", "device"),
)
# Those that decide which networks there are: all are in orthogonal coordinates.
_OF_NETWORKS = ("policy", "actor", "critic", "network", "parametrization", "steps")
# Counters of progress.
_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num")


def from_sac(cls: type[Agent], model: SAC, env: Any, options: Mapping[str, Any]) -> Agent:
    """See `RPPSAC.from_sac`."""
    if not isinstance(model, SAC) or any(hasattr(layer, "pathways") for layer in model.policy.modules()):
        raise NetworkError(f"from_sac takes a SAC with plain networks, got a {type(model).__name__} with others")
    if model.use_sde:
        raise NetworkError("RPPSAC has no gSDE, whose noise has no symmetry; train the plain agent with use_sde=False")
    refused = [name for name in _OF_NETWORKS if name in {*options, *options.get("policy_kwargs", {})}]
    if refused:
        raise NetworkError(f"from_sac builds RPP networks in orthogonal coordinates; leave out {', '.join(refused)}")
    environment = env if env is not None else model.get_env()
    if environment is None:
        raise NetworkError("the agent has no environment; give one, as RPPSAC.from_sac(model, env)")
    agent = cls("RPPPolicy", environment, **_arguments(model, options))
    _take_networks(agent, model)
    if model.log_ent_coef is not None and agent.log_ent_coef is not None:
        with torch.no_grad():
            agent.log_ent_coef.copy_(model.log_ent_coef)
    for name in _COUNTERS:
        setattr(agent, name, getattr(model, name))
    _copy_transitions(agent, model)
    _report(agent)
    return agent


def _arguments(model: SAC, options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the new agent: those of the old one, and the options over them."""
    given = {name: getattr(model, name) for name in _ARGUMENTS}
    given |= {name: getattr(model, name) for name in ("augment", "precision", "fast_update") if hasattr(model, name)}
    train_freq: Any = model.train_freq
    given["train_freq"] = (train_freq.frequency, train_freq.unit.value)
    policy: Any = model.policy
    policy_kwargs = {
        **{"net_arch": policy.net_arch, "activation_fn": policy.activation_fn},
        **{"n_critics": policy.critic.n_critics, "optimizer_class": policy.optimizer_class},
        **{"optimizer_kwargs": policy.optimizer_kwargs, **options.get("policy_kwargs", {})},
    }
    wanted = {*options, *policy_kwargs}
    free = {} if wanted & {"residual_prior", "residual_budget"} else {"residual_prior": "none"}
    return {**given, **free, **options, "policy_kwargs": policy_kwargs}


def _copy_transitions(agent: RPPSAC, model: SAC) -> None:
    """Copy the newest transitions that fit into the new agent's buffer, the oldest first."""
    old, new = model.replay_buffer, agent.replay_buffer
    if old is None or not old.size() or old.n_envs != agent.n_envs:
        return
    if type(old) is not ReplayBuffer or old.optimize_memory_usage or not isinstance(new, TransitionBuffer):
        agent.replay_buffer = copy.deepcopy(old)
        return
    order = (np.arange(old.size()) + (old.pos if old.full else 0))[-new.buffer_size :] % old.buffer_size
    dones = old.dones * (1 - old.timeouts)
    columns = (old.observations, old.next_observations, old.actions, old.rewards[..., None], dones[..., None])
    rows = np.concatenate([column[order] for column in columns], axis=-1).astype(np.float32)
    new.put_rows(0, torch.from_numpy(rows))
    new.count(len(rows))


@torch.no_grad()
def _take_networks(agent: RPPSAC, model: SAC) -> None:
    """Take the weights of all networks; optimisers are new, with budgets for the new weights."""
    policy: Any = agent.policy
    actor, trained = policy.actor, model.policy
    center = torch.tensor(agent.symmetry.center if agent.symmetry is not None else (), device=agent.device)
    hidden = _linear(actor.latent_pi)
    heads = [_plain(head) for head in (trained.actor.mu, trained.actor.log_std)]
    both = torch.cat([weight for weight, _ in heads]), torch.cat([bias for _, bias in heads])
    found = _about(center, [*map(_plain, _linear(trained.actor.latent_pi)), both])
    *found, (weight, bias) = reordered(found, unit_orders(found, _representations(hidden)))
    rows = actor.mu.out_features
    _give([*hidden, actor.mu, actor.log_std], [*found, (weight[:rows], bias[:rows]), (weight[rows:], bias[rows:])])
    for i, network in enumerate(trained.critic.q_networks):
        online = _about(center, [_plain(m) for m in _linear(network)])
        target = _about(center, [_plain(m) for m in _linear(trained.critic_target.q_networks[i])])
        layers = _linear(policy.critic.q_networks[i])
        orders = unit_orders(online, _representations(layers[:-1]))
        _give(layers, reordered(online, orders))
        _give(_linear(policy.critic_target.q_networks[i]), reordered(target, orders))
    policy.make_optimizers()


def _about(center: Tensor, layers: Sequence[Layer]) -> list[Layer]:
    """The layers of the same function of inputs relative to a center: W x + b = W (x - c) + b + W c."""
    (weight, bias), *rest = layers
    return [(weight, bias + weight[:, : len(center)] @ center.to(weight)), *rest]


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
