"""What a policy is made of, as far as the fast gradient step depends on it; and what that step does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter

import torch
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.sac.policies import Actor, SACPolicy
from torch import nn

from rpp_rl.agents.common.actor_critic import SymmetricActor, SymmetricCritic
from rpp_rl.agents.common.pathway_optimizers import has_foreign_hooks
from rpp_rl.errors import NetworkError

_IS_LEARNT, _GRADIENT_HOOKS = attrgetter("requires_grad"), attrgetter("_backward_hooks")
# Subclasses may compute something else.
_KNOWN = (Actor, ContinuousCritic, SymmetricActor, SymmetricCritic)


def need_known(policy: SACPolicy) -> None:
    """Check that a policy is one of flat observations, whose networks share nothing and do what their classes say.

    Raises:
        NetworkError: if it is another.
    """
    if policy.actor.use_sde:
        raise NetworkError("the fast update does not know gSDE")
    if policy.share_features_extractor and list(policy.actor.features_extractor.parameters()):
        raise NetworkError("the fast update does not know shared features extractors")
    for network in (policy.actor, policy.critic, policy.critic_target):
        if type(network) not in _KNOWN:
            raise NetworkError(f"the fast update does not know the network {type(network).__name__}")
        extractor = network.features_extractor
        if type(extractor) is not FlattenExtractor:
            raise NetworkError(f"the fast update does not know the features extractor {type(extractor).__name__}")
    if not all(p.requires_grad for network in (policy.actor, policy.critic) for p in network.parameters()):
        raise NetworkError("the fast update does not know parameters that are not learnt (requires_grad=False)")
    if _has_hooks(policy):
        raise NetworkError("the fast update does not know hooks")


class PolicyForm:
    """What some policies are made of, as they are now: modules, optimisers, and which parameters are learnt.

    Looked at before every call of `train`, so whatever can be looked up is looked up once.

    Args:
        policies: let through by `need_known`.
    """

    def __init__(self, policies: Sequence[SACPolicy]) -> None:
        modules = [module for policy in policies for module in policy.modules()]
        networks = [network for policy in policies for network in (policy.actor, policy.critic)]
        self._parts = [(module._modules, tuple(module._modules.values())) for module in modules if module._modules]
        self._hooks = [hooks for module in modules for hooks in _hooks(module)]
        self._parameters = [p for network in networks for p in network.parameters()]
        self._optimizers = [(network, network.optimizer, _step_hooks(network.optimizer)) for network in networks]

    @property
    def is_current(self) -> bool:
        """Whether they still are, with no hook that was not there."""
        return (
            all(tuple(now.values()) == then for now, then in self._parts)
            and not any(self._hooks)
            and all(map(_IS_LEARNT, self._parameters))
            and not any(map(_GRADIENT_HOOKS, self._parameters))
            and all(n.optimizer is o and _step_hooks(o) == hooks for n, o, hooks in self._optimizers)
        )


def _has_hooks(policy: SACPolicy) -> bool:
    """Whether something is to be called in forward passes, backward passes or steps, or looks at gradients."""
    return (
        any(any(_hooks(module)) for module in policy.modules())
        or any(map(_GRADIENT_HOOKS, policy.parameters()))
        or any(has_foreign_hooks(network.optimizer) for network in (policy.actor, policy.critic))
    )


def _hooks(module: nn.Module) -> tuple[Mapping[int, object], ...]:
    return module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks


def _step_hooks(optimizer: torch.optim.Optimizer) -> tuple[int, ...]:
    return (*optimizer._optimizer_step_pre_hooks, *optimizer._optimizer_step_post_hooks)
