"""SAC's gradient step on merged weights, differentiated by hand; the same numbers as stable-baselines3's own.

Haarnoja et al. 2018, as stable-baselines3 implements it: temperature, critics, actor, target, in this order, each with
the parameters that the one before has left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN, SACPolicy
from torch import Tensor, nn

from rpp_rl.agents.actor_critic import SymmetricActor
from rpp_rl.agents.update.chain import Chain
from rpp_rl.errors import NetworkError

# stable-baselines3's guard of the logarithm in a squashed Gaussian's density.
_EPSILON = 1e-6
_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class Losses:
    """What one gradient step leaves to be logged, as tensors without an axis.

    Attributes:
        actor: mean(alpha log pi - min Q).
        critic: half the sum of the critics' mean squared errors.
        ent_coef: -mean(log alpha (log pi + target entropy)); None where the temperature is fixed.
        temperature: alpha.
    """

    actor: Tensor
    critic: Tensor
    ent_coef: Tensor | None
    temperature: Tensor


@dataclass(frozen=True)
class Temperature:
    """SAC's entropy coefficient alpha.

    Attributes:
        value: alpha where it is fixed, else None.
        log: its logarithm where it is learnt, else None.
        optimizer: of `log`.
        target_entropy: at which alpha stays as it is.
    """

    value: Tensor | None
    log: Tensor | None
    optimizer: torch.optim.Optimizer | None
    target_entropy: float


class FastUpdate:
    """The gradient step of one policy.

    Args:
        policy: with networks that are chains of linear layers on flat observations.
        batch_size: rows of a minibatch.

    Raises:
        NetworkError: if the policy is of another kind; then stable-baselines3's own step must do.
    """

    def __init__(self, policy: SACPolicy, batch_size: int) -> None:
        actor, critic, target = policy.actor, policy.critic, policy.critic_target
        _need_flat(policy)
        self.policy, self.batch_size = policy, batch_size
        heads = [actor.mu, cast(nn.Module, actor.log_std)]
        self.actor = Chain(_modules(actor.latent_pi), heads, 2 * batch_size)
        self.critics = [Chain(_modules(q), [], batch_size) for q in critic.q_networks]
        self.targets = [Chain(_modules(q), [], batch_size) for q in target.q_networks]
        self.parameters = [p for network in (actor, critic, target) for p in network.parameters()]
        self._places = tuple(p.data_ptr() for p in self.parameters)
        self._learnt = {name: list(getattr(policy, name).parameters()) for name in ("actor", "critic")}
        self._gradients = {name: [p.grad for p in learnt] for name, learnt in self._learnt.items()}
        self._online, self._averaged = (
            [*(p.detach() for p in net.parameters()), *(t for chain in chains for t in chain.merged_tensors())]
            for net, chains in ((critic, self.critics), (target, self.targets))
        )
        self._versions: tuple[int, ...] = ()
        self._allocate(policy.observation_space.shape[0], policy.action_space.shape[0])  # type: ignore[index]

    def _allocate(self, observations: int, actions: int) -> None:
        n, like = self.batch_size, self.parameters[0]
        self.observation_size = observations
        self.joint = like.new_zeros(2 * n, observations)
        self.noise = like.new_zeros(2 * n, actions)
        self.critic_input, self.next_input, self.actor_input = like.new_zeros(3, n, observations + actions).unbind()
        self.q, self.next_q = like.new_zeros(2, n, len(self.critics)).unbind()

    @property
    def is_current(self) -> bool:
        """Whether the parameters are still the tensors for which this was built."""
        return self._places == tuple(p.data_ptr() for p in self.parameters)

    def refresh(self) -> None:
        """Merge the pathways again if anything else has written to the parameters."""
        if self._versions != tuple(p._version for p in self.parameters):
            for chain in (self.actor, *self.critics, *self.targets):
                chain.assemble()
            self._remember()

    def _remember(self) -> None:
        self._versions = tuple(p._version for p in self.parameters)

    @torch.no_grad()
    def step(self, data: ReplayBufferSamples, gamma: float | Tensor, temperature: Temperature, tau: float) -> Losses:
        """One gradient step on a minibatch.

        Args:
            data: the minibatch.
            gamma: the discount, one number or one per row.
            temperature: the entropy coefficient, which is learnt first.
            tau: how far the target critics move towards the critics; 0 leaves them.
        """
        self.refresh()
        n = self.batch_size
        self.joint[:n], self.joint[n:] = data.observations, data.next_observations
        means, raw_log_stds = self.actor.forward(self.joint)
        self.noise[:n].normal_()
        self.noise[n:].normal_()
        log_stds = raw_log_stds.clamp(LOG_STD_MIN, LOG_STD_MAX)
        deviations = log_stds.exp().mul_(self.noise)
        actions = torch.tanh(means + deviations)
        squash = 1 - actions.square()
        log_prob = _log_prob(self.noise, log_stds, squash)
        alpha, ent_coef_loss = self._learn_temperature(temperature, log_prob[:n])
        critic_loss = self._learn_critics(data, gamma, actions[n:], alpha * log_prob[n:])
        q_gradient, least = self._judge(data, actions[:n])
        actor_loss = (alpha * log_prob[:n] - least).mean()
        share = alpha / n
        towards_u = squash[:n] * (q_gradient + share * 2 * actions[:n] / (squash[:n] + _EPSILON))
        raw = raw_log_stds[:n]
        inside = (raw >= LOG_STD_MIN) & (raw <= LOG_STD_MAX)
        towards_log_std = (towards_u * deviations[:n] - share) * inside
        self.actor.backward([towards_u, towards_log_std], n)
        self._apply("actor")
        self.actor.assemble()
        if tau:
            # Merging is linear, so the average of merged weights is the merge of averaged pathways.
            torch._foreach_lerp_(self._averaged, self._online, tau)
        self._remember()
        if isinstance(self.policy.actor, SymmetricActor):
            trunk, heads = ([(m.weight, m.bias) for m in part] for part in (self.actor.layers, self.actor.heads))
            self.policy.actor.act_from(trunk, heads)
        return Losses(actor_loss, critic_loss, ent_coef_loss, alpha)

    def _learn_temperature(self, temperature: Temperature, log_prob: Tensor) -> tuple[Tensor, Tensor | None]:
        """Alpha before the step, and the loss; takes the step."""
        log = temperature.log
        if log is None or temperature.optimizer is None:
            if temperature.value is None:
                raise NetworkError("a temperature is either fixed or learnt")
            return temperature.value, None
        surplus = (log_prob + temperature.target_entropy).mean()
        alpha, loss = log.detach().exp(), -(log.detach() * surplus).mean()
        log.grad = torch.full_like(log, 0.0).sub_(surplus)
        temperature.optimizer.step()
        return alpha, loss

    def _learn_critics(
        self, data: ReplayBufferSamples, gamma: float | Tensor, next_actions: Tensor, bonus: Tensor
    ) -> Tensor:
        """The loss of the critics; takes the step."""
        n, size = self.batch_size, self.observation_size
        self.next_input[:, :size], self.next_input[:, size:] = data.next_observations, next_actions
        for i, target in enumerate(self.targets):
            self.next_q[:, i : i + 1] = target.forward(self.next_input)[0]
        soft = self.next_q.amin(dim=1, keepdim=True) - bonus.unsqueeze(1)
        wanted = data.rewards + (1 - data.dones) * gamma * soft
        self.critic_input[:, :size], self.critic_input[:, size:] = data.observations, data.actions
        loss = torch.zeros((), dtype=wanted.dtype, device=wanted.device)
        for critic in self.critics:
            error = critic.forward(self.critic_input)[0] - wanted
            loss += error.square().mean()
            critic.backward([error / n], n)
        self._apply("critic")
        for critic in self.critics:
            critic.assemble()
        return 0.5 * loss

    def _judge(self, data: ReplayBufferSamples, actions: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient of -mean(min Q) with respect to the actions, and min Q, of the critics as they are now."""
        n, size = self.batch_size, self.observation_size
        self.actor_input[:, :size], self.actor_input[:, size:] = data.observations, actions
        for i, critic in enumerate(self.critics):
            self.q[:, i : i + 1] = critic.forward(self.actor_input)[0]
        least, which = self.q.min(dim=1)
        gradient = torch.zeros_like(actions)
        for i, critic in enumerate(self.critics):
            chosen = (which == i).to(actions.dtype).div_(-n).unsqueeze(1)
            gradient += critic.backward_to_input(chosen, size)
        return gradient, least

    def _apply(self, name: str) -> None:
        """Step an optimiser; a gradient that something else has put in the place of ours is put back."""
        for p, gradient in zip(self._learnt[name], self._gradients[name], strict=True):
            p.grad = gradient
        optimizer: torch.optim.Optimizer = getattr(self.policy, name).optimizer
        optimizer.step()


def mean_losses(losses: Sequence[Losses]) -> dict[str, float]:
    """The means of what some steps left, by the names under which stable-baselines3 logs them."""
    means = {
        "ent_coef": torch.stack([x.temperature.reshape(()) for x in losses]),
        "actor_loss": torch.stack([x.actor for x in losses]),
        "critic_loss": torch.stack([x.critic for x in losses]),
    }
    learnt = [x.ent_coef.reshape(()) for x in losses if x.ent_coef is not None]
    if learnt:
        means["ent_coef_loss"] = torch.stack(learnt)
    return {name: float(values.mean()) for name, values in means.items()}


def _log_prob(noise: Tensor, log_stds: Tensor, squash: Tensor) -> Tensor:
    """Log pi(tanh(mean + std noise)), shape (rows,)."""
    terms = noise.square().mul_(-0.5).sub_(log_stds).sub_(_LOG_SQRT_2PI).sub_((squash + _EPSILON).log())
    return terms.sum(dim=1)


def _modules(network: nn.Module) -> list[nn.Module]:
    if not isinstance(network, nn.Sequential):
        raise NetworkError(f"the fast update does not know the network {type(network).__name__}")
    return list(network)


def _need_flat(policy: SACPolicy) -> None:
    """The step knows flat observations, actors without gSDE, and networks that share nothing.

    Raises:
        NetworkError: for others.
    """
    if policy.actor.use_sde:
        raise NetworkError("the fast update does not know gSDE")
    if policy.share_features_extractor and list(policy.actor.features_extractor.parameters()):
        raise NetworkError("the fast update does not know shared features extractors")
    for network in (policy.actor, policy.critic, policy.critic_target):
        extractor = network.features_extractor
        if type(extractor) is not FlattenExtractor:
            raise NetworkError(f"the fast update does not know the features extractor {type(extractor).__name__}")
