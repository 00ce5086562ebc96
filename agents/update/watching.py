"""What a policy is made of, as far as the fast gradient step depends on it; and what that step does not know."""

from __future__ import annotations

from collections.abc import Iterator

from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.sac.policies import Actor, SACPolicy
from torch import nn

from rpp_rl.agents.actor_critic import SymmetricActor, SymmetricCritic
from rpp_rl.agents.pathway_optimizers import has_foreign_hooks
from rpp_rl.errors import NetworkError

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
    if has_hooks(policy):
        raise NetworkError("the fast update does not know hooks")


def parts(policy: SACPolicy) -> tuple[int, ...]:
    """The identities of all that the step works on; they change when something is put in the place of a part.

    Beside modules and optimisers they say which parameters are learnt.
    """
    modules = tuple(map(id, _modules(policy)))
    learnt = tuple(p.requires_grad for network in (policy.actor, policy.critic) for p in _parameters(network))
    return (id(policy.actor.optimizer), id(policy.critic.optimizer), *modules, *learnt)


def has_hooks(policy: SACPolicy) -> bool:
    """Whether something is to be called in forward passes, backward passes or steps, or looks at gradients."""
    for module in _modules(policy):
        if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks:
            return True
        if any(p is not None and p._backward_hooks for p in module._parameters.values()):
            return True
    return any(has_foreign_hooks(network.optimizer) for network in (policy.actor, policy.critic))


def _modules(policy: SACPolicy) -> Iterator[nn.Module]:
    """Actor, critics and targets with all below; `Module.modules` takes three times as long."""
    open_ends: list[nn.Module | None] = [policy.actor, policy.critic, policy.critic_target]
    while open_ends:
        module = open_ends.pop()
        if module is not None:
            yield module
            open_ends.extend(module._modules.values())


def _parameters(network: nn.Module) -> Iterator[nn.Parameter]:
    open_ends: list[nn.Module | None] = [network]
    while open_ends:
        module = open_ends.pop()
        if module is not None:
            yield from (p for p in module._parameters.values() if p is not None)
            open_ends.extend(module._modules.values())
