"""SAC's gradient step on merged weights, differentiated by hand, with the same result as stable-baselines3's.

Haarnoja et al. 2018, as stable-baselines3 implements it: temperature, critics, actor and target take their steps in
this order, each with the parameters that the former steps left. Several agents take their steps together: the first
axis of every tensor is the agent, and agents do not affect each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from stable_baselines3.sac.policies import SACPolicy
from torch import Tensor, nn

from rpp_rl.agents.common.transition_buffer import Minibatch
from rpp_rl.agents.rpp_sac.actor import SymmetricActor, version_of
from rpp_rl.agents.rpp_sac.fast_update.adam import FlatAdam, stepper
from rpp_rl.agents.rpp_sac.fast_update.entropy import SquashedGaussian, Temperature
from rpp_rl.agents.rpp_sac.fast_update.perceptrons import NetworkStack, Passes, Workspace
from rpp_rl.agents.rpp_sac.fast_update.support import UncountedWrites, need_known
from rpp_rl.errors import NetworkError


@dataclass(frozen=True)
class Losses:
    """The losses of one gradient step; each of shape (agents,).

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

    def of(self, agent: int) -> Losses:
        """Return views of the losses of one agent, of shape (1,) each."""
        one = slice(agent, agent + 1)
        ent_coef = None if self.ent_coef is None else self.ent_coef[one]
        return Losses(self.actor[one], self.critic[one], ent_coef, self.temperature[one])


def mean_losses(losses: Sequence[Losses]) -> list[dict[str, float]]:
    """Return the mean losses of some steps, for each agent, by the names under which stable-baselines3 logs them."""
    names = {"ent_coef": "temperature", "actor_loss": "actor", "critic_loss": "critic", "ent_coef_loss": "ent_coef"}
    found = {name: [getattr(x, attribute) for x in losses] for name, attribute in names.items()}
    known = {name: values for name, values in found.items() if values[0] is not None}
    means = [values[0] if len(values) == 1 else torch.stack(values).mean(dim=0) for values in known.values()]
    table = torch.stack(means, dim=1).tolist()
    return [dict(zip(known, row, strict=True)) for row in table]


class FastUpdate:
    """The gradient step of one agent, or of several agents of one form.

    Args:
        policies: policies of the agents, whose networks are chains of linear layers on flat observations.
        temperature: their entropy coefficients.
        batch_size: rows of a minibatch.
        dtype: dtype of the matrix products; None for that of the parameters.
        generators: for each agent the generator of its noise; None for torch's own.

    Attributes:
        batch: the minibatches; the caller writes them before a step.
        actor: passes of the actors.
        critics: passes of the critics, ordered by agent.
        targets: passes of the target critics.
        pi: the distribution of actions.
        steppers: optimisers of the actors' and the critics' parameters.

    Raises:
        NetworkError: if a policy is not supported; stable-baselines3's own step is then needed.
    """

    def __init__(
        self,
        policies: Sequence[SACPolicy],
        temperature: Temperature,
        batch_size: int,
        dtype: torch.dtype | None = None,
        generators: Sequence[torch.Generator] | None = None,
    ) -> None:
        for policy in policies:
            need_known(policy)
        self.policies, self.temperature = list(policies), temperature
        self.batch_size, self.dtype, self.generators = batch_size, dtype, generators
        actors = [policy.actor for policy in policies]
        heads = [(actor.mu, cast(nn.Module, actor.log_std)) for actor in actors]
        stack = NetworkStack([_modules(a.latent_pi) for a in actors], heads, dtype)
        self.actor = Passes(stack, 2 * batch_size, Workspace())
        # The targets' pass ends before that of the critics, so both use the same tensors.
        workspace = Workspace()
        self.critics = self._critics(workspace, [q for p in policies for q in p.critic.q_networks])
        self.targets = self._critics(workspace, [q for p in policies for q in p.critic_target.q_networks])
        self._stacks = tuple(passes.stack for passes in (self.actor, self.critics, self.targets))
        self.steppers = (
            stepper([a.optimizer for a in actors], self.actor.stack.layers.learnt),
            stepper([p.critic.optimizer for p in policies], self.critics.stack.layers.learnt),
        )
        self.parameters = [slot.parameter for s in self._stacks for slot in s.layers.slots]
        self._places = self._present_places()
        self._versions: tuple[int, ...] = ()
        # Plain networks have no merged copy of their parameters.
        copied = [[stack] if stack.is_cast or stack.layers.kind is not nn.Linear else [] for stack in self._stacks]
        self._uncounted_actor_writes, self._uncounted_critic_writes = (
            UncountedWrites([pathway for stack in stacks for pathway in stack.layers.learnt])
            for stacks in (copied[0], copied[1] + copied[2])
        )
        self._allocate(policies[0].observation_space.shape[0], policies[0].action_space.shape[0])  # type: ignore[index]
        self.refresh()

    def _critics(self, workspace: Workspace, networks: Sequence[nn.Module]) -> Passes:
        bodies = [_modules(network) for network in networks]
        return Passes(NetworkStack(bodies, [()] * len(bodies), self.dtype), self.batch_size, workspace)

    def _allocate(self, observations: int, actions: int) -> None:
        agents, n = len(self.policies), self.batch_size
        self.batch = Minibatch(self.actor.outputs, agents, n, observations, actions)
        self.pi = SquashedGaussian(self.actor.outputs, self.actor.upward)
        by_agent = (agents, self.critics.stack.layers.count // agents, n)
        inputs = [network.inputs.view(*by_agent, -1) for network in (self.critics, self.targets)]
        (self._critic_observations, self._target_observations) = (x[..., :observations] for x in inputs)
        (self._critic_actions, self._target_actions) = (x[..., observations:] for x in inputs)
        self._q, self._next_q, self._q_gradient = (
            x.view(by_agent) for x in (self.critics.outputs, self.targets.outputs, self.critics.upward)
        )
        self._error = torch.zeros_like(self._q)

    @property
    def has_parameters(self) -> bool:
        """Whether the parameters are still in the vectors of this update."""
        return self._places == self._present_places()

    def _present_places(self) -> tuple[int, ...]:
        return tuple(map(Tensor.data_ptr, self.parameters))

    @property
    def vectors(self) -> list[Tensor]:
        """The tensors that a step changes and the next one reads."""
        parts = [*self._stacks, *self.steppers, self.temperature]
        return [vector for part in parts for vector in part.vectors]

    @property
    def replayable(self) -> bool:
        """Whether a graph can capture a step, which must then be a function of tensors alone."""
        return all(isinstance(s, FlatAdam) for s in (*self.steppers, self.temperature.stepper))

    def refresh(self) -> None:
        """Prepare for some steps: read the learning rates, and merge the weights if a user wrote to parameters.

        Merging at every call would cost 4 to 5 % of a step (HalfCheetah-v5, 256 x 256, batch 256, one thread); looking
        for writes costs 0.5 %.
        """
        for s in (*self.steppers, self.temperature.stepper):
            s.follow_schedule()
        self.temperature.follow()
        if self._versions == tuple(map(version_of, self.parameters)) and self._no_uncounted_writes():
            return
        for stack in self._stacks:
            stack.assemble()
        self.remember()
        self._versions = tuple(map(version_of, self.parameters))
        for k, policy in enumerate(self.policies):
            if isinstance(policy.actor, SymmetricActor):
                policy.actor.act_from(*self.acting(k), self._uncounted_actor_writes.are_absent)

    def remember(self) -> None:
        """Note after some steps that the merged weights are those of the parameters."""
        self._uncounted_actor_writes.remember()
        self._uncounted_critic_writes.remember()

    def _no_uncounted_writes(self) -> bool:
        return self._uncounted_actor_writes.are_absent() and self._uncounted_critic_writes.are_absent()

    def acting(self, agent: int) -> tuple[list[tuple[Tensor, Tensor]], list[tuple[Tensor, Tensor]]]:
        """Return views of the merged weight and bias of an agent's hidden layers, and of its mean and log-std."""
        *trunk, (weight, bias) = self.actor.stack.merged(agent)
        actions = len(bias) // 2
        return trunk, [(weight[:actions], bias[:actions]), (weight[actions:], bias[actions:])]

    def merged_targets(self, agent: int) -> list[Tensor]:
        """Return views of the merged weights and biases of an agent's target critics.

        They are averages of merged weights; merging the averaged pathways would differ in the last bit.
        """
        critics = self.targets.stack.layers.count // len(self.policies)
        networks = range(agent * critics, (agent + 1) * critics)
        return [tensor for k in networks for layer in self.targets.stack.merged(k) for tensor in layer]

    @torch.no_grad()
    def restore_targets(self, agent: int, merged: Sequence[Tensor]) -> None:
        """Put merged weights and biases of an agent's target critics back; an empty list changes nothing.

        Args:
            agent: index of the agent.
            merged: the result of `merged_targets`.
        """
        if not merged:
            return
        self.refresh()
        for tensor, value in zip(self.merged_targets(agent), merged, strict=True):
            tensor.copy_(value)
        self.targets.stack.recast()

    @torch.no_grad()
    def step(self, gamma: float, tau: float) -> Losses:
        """Take one gradient step on the minibatches in `batch`.

        Args:
            gamma: discount, for minibatches without discounts of their own.
            tau: share by which the target critics move to the critics; 0 leaves them unchanged.
        """
        pi = self.pi
        n = self.batch_size
        self.actor.write(self.actor.inputs[:, :n], self.batch.observations)
        self.actor.write(self.actor.inputs[:, n:], self.batch.next_observations)
        self.actor.forward()
        pi.draw(self.generators)
        alpha, ent_coef_loss = self.temperature.learn(pi.learnt_log_prob)
        critic_loss = self._learn_critics(gamma, alpha)
        q_gradient, least = self._evaluate_actions(pi.learnt_actions)
        actor_loss = (alpha * pi.learnt_log_prob).sub_(least).mean(dim=1)
        pi.backward(q_gradient, alpha)
        self.actor.backward(n)
        self.steppers[0].step()
        self.actor.stack.assemble()
        if tau:
            self.move_targets(tau)
        return Losses(actor_loss, critic_loss, ent_coef_loss, alpha.squeeze(1))

    def move_targets(self, tau: float) -> None:
        """Move the target critics by Polyak averaging."""
        # Merging is linear, so the average of merged weights is the merge of averaged pathways.
        torch._foreach_lerp_(self.targets.stack.layers.vectors, self.critics.stack.layers.vectors, tau)
        self.targets.stack.recast()

    def _learn_critics(self, gamma: float, alpha: Tensor) -> Tensor:
        """Take the critics' step and return their loss."""
        batch, pi = self.batch, self.pi
        self.targets.write(self._target_observations, batch.next_observations.unsqueeze(1))
        self._target_actions.copy_(pi.next_actions.unsqueeze(1))
        self.targets.forward()
        soft = self._next_q.amin(dim=1).sub_(alpha * pi.next_log_prob)
        wanted = torch.addcmul(batch.rewards, batch.discounted(gamma), soft)
        self.critics.write(self._critic_observations, batch.observations.unsqueeze(1))
        self._critic_actions.copy_(batch.actions.unsqueeze(1))
        self.critics.forward()
        torch.sub(self._q, wanted.unsqueeze(1), out=self._error)
        torch.mul(self._error, 1 / self.batch_size, out=self._q_gradient)
        self.critics.backward(self.batch_size)
        self.steppers[1].step()
        self.critics.stack.assemble()
        return self._error.square_().sum(dim=(1, 2)).mul_(0.5 / self.batch_size)

    def _evaluate_actions(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient of -mean(min Q) with respect to the actions, and min Q, for the present critics."""
        self._critic_actions.copy_(actions.unsqueeze(1))
        self.critics.forward()
        least, which = self._q.min(dim=1, keepdim=True)
        self._q_gradient.zero_().scatter_(1, which, -1.0 / self.batch_size)
        gradient = self.critics.backward_to_input(self._critic_observations.shape[-1])
        return gradient.view(*self._q.shape, -1).sum(dim=1), least.squeeze(1)


def _modules(network: nn.Module) -> list[nn.Module]:
    if not isinstance(network, nn.Sequential):
        raise NetworkError(f"the fast update does not support the network {type(network).__name__}")
    return list(network)
