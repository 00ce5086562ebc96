"""SAC's gradient step on merged weights, differentiated by hand; the same numbers as stable-baselines3's own.

Haarnoja et al. 2018, as stable-baselines3 implements it: temperature, critics, actor, target, in this order, each with
the parameters that the one before has left. Several agents take their steps together: every tensor has the agents as
its first axis, and no number ever crosses from one agent to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from stable_baselines3.sac.policies import SACPolicy
from torch import Tensor, nn

from rpp_rl.agents.common.actor_critic import SymmetricActor, version_of
from rpp_rl.agents.common.transition_buffer import Minibatch
from rpp_rl.agents.rpp_sac.fast_update.adam import FlatAdam, stepper
from rpp_rl.agents.rpp_sac.fast_update.perceptrons import NetworkStack, Passes, Workspace
from rpp_rl.agents.rpp_sac.fast_update.policy_form import PolicyForm, need_known
from rpp_rl.agents.rpp_sac.fast_update.probes import Probes
from rpp_rl.agents.rpp_sac.fast_update.squashed_gaussian import SquashedGaussian
from rpp_rl.agents.rpp_sac.fast_update.temperature import Temperature
from rpp_rl.errors import NetworkError


@dataclass(frozen=True)
class Losses:
    """What one gradient step leaves to be logged; each of shape (agents,).

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
        """Those of one agent, of shape (1,) each; views."""
        one = slice(agent, agent + 1)
        ent_coef = None if self.ent_coef is None else self.ent_coef[one]
        return Losses(self.actor[one], self.critic[one], ent_coef, self.temperature[one])


def mean_losses(losses: Sequence[Losses]) -> list[dict[str, float]]:
    """The means of what some steps left, for each agent, by the names under which stable-baselines3 logs them."""
    names = {"ent_coef": "temperature", "actor_loss": "actor", "critic_loss": "critic", "ent_coef_loss": "ent_coef"}
    found = {name: [getattr(x, attribute) for x in losses] for name, attribute in names.items()}
    known = {name: values for name, values in found.items() if values[0] is not None}
    means = [values[0] if len(values) == 1 else torch.stack(values).mean(dim=0) for values in known.values()]
    table = torch.stack(means, dim=1).tolist()
    return [dict(zip(known, row, strict=True)) for row in table]


class FastUpdate:
    """The gradient step of one agent, or of several of one form at once.

    Args:
        policies: of the agents, with networks that are chains of linear layers on flat observations.
        temperature: their entropy coefficients.
        batch_size: rows of a minibatch.
        dtype: of the products within the networks; None for that of the parameters.
        generators: one for each agent, of its noise; None draws from torch's own.

    Attributes:
        batch: the minibatches, to be written to before a step.
        actor: passes of the actors.
        critics: passes of the critics, those of one agent next to one another.
        targets: passes of the target critics.
        pi: the distribution of actions.
        steppers: of actors' and critics' parameters.

    Raises:
        NetworkError: if a policy is of another kind; then stable-baselines3's own step must do.
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
        # The target's pass is over before the critics', so both use the same tensors.
        workspace = Workspace()
        self.critics = self._critics(workspace, [q for p in policies for q in p.critic.q_networks])
        self.targets = self._critics(workspace, [q for p in policies for q in p.critic_target.q_networks])
        self._stacks = tuple(passes.stack for passes in (self.actor, self.critics, self.targets))
        self.steppers = (
            stepper([a.optimizer for a in actors], self.actor.stack.layers.learnt),
            stepper([p.critic.optimizer for p in policies], self.critics.stack.layers.learnt),
        )
        self.parameters = [slot.parameter for s in self._stacks for slot in s.layers.slots]
        self._form = PolicyForm(policies)
        self._places = self._now_at()
        self._versions: tuple[int, ...] = ()
        # Plain networks are multiplied with their parameters themselves.
        copied = [[stack] if stack.is_cast or stack.layers.kind is not nn.Linear else [] for stack in self._stacks]
        self._actor_probes, self._critic_probes = (
            Probes([pathway for stack in stacks for pathway in stack.layers.learnt])
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
        (self._seen, self._next_seen) = (x[..., :observations] for x in inputs)
        (self._judged, self._next_judged) = (x[..., observations:] for x in inputs)
        self._q, self._next_q, self._towards_q = (
            x.view(by_agent) for x in (self.critics.outputs, self.targets.outputs, self.critics.upward)
        )
        self._error = torch.zeros_like(self._q)

    @property
    def is_current(self) -> bool:
        """Whether all is still as it was when this was built, but for the numbers in the parameters."""
        return self.has_parameters and all(part.is_current for part in (self._form, *self.steppers, self.temperature))

    @property
    def has_parameters(self) -> bool:
        """Whether the parameters are where they were put."""
        return self._places == self._now_at()

    def _now_at(self) -> tuple[int, ...]:
        return tuple(map(Tensor.data_ptr, self.parameters))

    @property
    def vectors(self) -> list[Tensor]:
        """All that a step changes and reads again."""
        parts = [*self._stacks, *self.steppers, self.temperature]
        return [vector for part in parts for vector in part.vectors]

    @property
    def replayable(self) -> bool:
        """Whether a step is a function of tensors alone, which a graph can capture."""
        return all(isinstance(s, FlatAdam) for s in (*self.steppers, self.temperature.stepper))

    def refresh(self) -> None:
        """Before some steps: take over learning rates, and parameters if anything else has written to them."""
        for s in (*self.steppers, self.temperature.stepper):
            s.follow_schedule()
        self.temperature.follow()
        if self._versions == tuple(map(version_of, self.parameters)) and self._are_unchanged():
            return
        for stack in self._stacks:
            stack.assemble()
        self.remember()
        self._versions = tuple(map(version_of, self.parameters))
        for k, policy in enumerate(self.policies):
            if isinstance(policy.actor, SymmetricActor):
                policy.actor.act_from(*self.acting(k), self._actor_probes.are_unchanged)

    def remember(self) -> None:
        """After some steps: take the parameters as what was merged."""
        self._actor_probes.remember()
        self._critic_probes.remember()

    def _are_unchanged(self) -> bool:
        return self._actor_probes.are_unchanged() and self._critic_probes.are_unchanged()

    def acting(self, agent: int) -> tuple[list[tuple[Tensor, Tensor]], list[tuple[Tensor, Tensor]]]:
        """Merged weight and bias of an agent's hidden layers, and of its mean and log-std; they stay up to date."""
        *trunk, (weight, bias) = self.actor.stack.merged(agent)
        actions = len(bias) // 2
        return trunk, [(weight[:actions], bias[:actions]), (weight[actions:], bias[actions:])]

    def merged_targets(self, agent: int) -> list[Tensor]:
        """The merged weights and biases of an agent's target critics, which stay up to date.

        They are averages of merged weights; what averaged pathways merge to differs in the last bit.
        """
        critics = self.targets.stack.layers.count // len(self.policies)
        networks = range(agent * critics, (agent + 1) * critics)
        return [tensor for k in networks for layer in self.targets.stack.merged(k) for tensor in layer]

    @torch.no_grad()
    def take_over_targets(self, agent: int, merged: Sequence[Tensor]) -> None:
        """Put merged weights and biases of an agent's target critics back; an empty list changes nothing.

        Args:
            agent: its number.
            merged: what `merged_targets` gave.
        """
        if not merged:
            return
        self.refresh()
        for tensor, value in zip(self.merged_targets(agent), merged, strict=True):
            tensor.copy_(value)
        self.targets.stack.recast()

    @torch.no_grad()
    def step(self, gamma: float, tau: float) -> Losses:
        """One gradient step on the minibatches in `batch`.

        Args:
            gamma: the discount, where the minibatches do not bring their own.
            tau: how far the target critics move towards the critics; 0 leaves them.
        """
        pi = self.pi
        n = self.batch_size
        self.actor.write(self.actor.inputs[:, :n], self.batch.observations)
        self.actor.write(self.actor.inputs[:, n:], self.batch.next_observations)
        self.actor.forward()
        pi.draw(self.generators)
        alpha, ent_coef_loss = self.temperature.learn(pi.learnt_log_prob)
        critic_loss = self._learn_critics(gamma, alpha)
        q_gradient, least = self._judge(pi.learnt_actions)
        actor_loss = (alpha * pi.learnt_log_prob).sub_(least).mean(dim=1)
        pi.backward(q_gradient, alpha)
        self.actor.backward(n)
        self.steppers[0].step()
        self.actor.stack.assemble()
        if tau:
            self.move_targets(tau)
        return Losses(actor_loss, critic_loss, ent_coef_loss, alpha.squeeze(1))

    def move_targets(self, tau: float) -> None:
        """Polyak averaging."""
        # Merging is linear, so the average of merged weights is the merge of averaged pathways.
        for target, critic in zip(self.targets.stack.layers.vectors, self.critics.stack.layers.vectors, strict=True):
            target.lerp_(critic, tau)
        self.targets.stack.recast()

    def _learn_critics(self, gamma: float, alpha: Tensor) -> Tensor:
        """The loss of the critics; takes the step."""
        batch, pi = self.batch, self.pi
        self.targets.write(self._next_seen, batch.next_observations.unsqueeze(1))
        self._next_judged.copy_(pi.next_actions.unsqueeze(1))
        self.targets.forward()
        soft = self._next_q.amin(dim=1).sub_(alpha * pi.next_log_prob)
        wanted = torch.addcmul(batch.rewards, batch.discounted(gamma), soft)
        self.critics.write(self._seen, batch.observations.unsqueeze(1))
        self._judged.copy_(batch.actions.unsqueeze(1))
        self.critics.forward()
        torch.sub(self._q, wanted.unsqueeze(1), out=self._error)
        torch.mul(self._error, 1 / self.batch_size, out=self._towards_q)
        self.critics.backward(self.batch_size)
        self.steppers[1].step()
        self.critics.stack.assemble()
        return self._error.square_().sum(dim=(1, 2)).mul_(0.5 / self.batch_size)

    def _judge(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient of -mean(min Q) with respect to the actions, and min Q, of the critics as they are now."""
        self._judged.copy_(actions.unsqueeze(1))
        self.critics.forward()
        least, which = self._q.min(dim=1, keepdim=True)
        self._towards_q.zero_().scatter_(1, which, -1.0 / self.batch_size)
        gradient = self.critics.backward_to_input(self._seen.shape[-1])
        return gradient.view(*self._q.shape, -1).sum(dim=1), least.squeeze(1)


def _modules(network: nn.Module) -> list[nn.Module]:
    if not isinstance(network, nn.Sequential):
        raise NetworkError(f"the fast update does not know the network {type(network).__name__}")
    return list(network)
