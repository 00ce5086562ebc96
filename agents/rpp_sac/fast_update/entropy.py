"""The entropy terms of several SAC agents: squashed Gaussian policies, and temperatures that weigh their entropy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN
from torch import Tensor

from rpp_rl.agents.rpp_sac.fast_update.adam import Stepper, stepper
from rpp_rl.agents.rpp_sac.fast_update.stacked_layers import Learnt, Slot
from rpp_rl.errors import NetworkError

# stable-baselines3 adds this inside the logarithm of a squashed Gaussian's density.
_EPSILON = 1e-6
_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class SquashedGaussian:
    """Actions tanh(mean + std noise), their log-probabilities and their gradients, in preallocated tensors.

    Args:
        outputs: means and raw log-stds of the actors, side by side, shape (agents, 2 rows, 2 entries).
        upward: receives their gradients; has the same shape.

    Attributes:
        actions: shape (agents, 2 rows, entries), in [-1, 1].
        log_prob: their log pi, shape (agents, 2 rows).
        noise: their standard normal noise.
        learnt_actions: the actions of the upper half of the rows, from which the actor learns.
        next_actions: the actions of the lower half.
        learnt_log_prob: log pi of the upper half.
        next_log_prob: log pi of the lower half.
    """

    def __init__(self, outputs: Tensor, upward: Tensor) -> None:
        agents, rows, a = outputs.shape[0], outputs.shape[1], outputs.shape[2] // 2
        n = rows // 2
        self._means, self._raw_log_stds = outputs[..., :a], outputs[..., a:]
        self.noise, self.actions, self._log_stds, self._deviations, self._squash, self._terms = outputs.new_zeros(
            6, agents, rows, a
        ).unbind()
        self.log_prob = outputs.new_zeros(agents, rows)
        self._one = outputs.new_ones(())
        self._constant = a * _LOG_SQRT_2PI
        # On the host in two calls, as stable-baselines3 draws it; on a GPU in one.
        self._noises = [
            (part, agent)
            for agent, noise in enumerate(self.noise)
            for part in ((noise,) if noise.is_cuda else (noise[:n], noise[n:]))
        ]
        self.learnt_actions, self.next_actions = self.actions[:, :n], self.actions[:, n:]
        self.learnt_log_prob, self.next_log_prob = self.log_prob[:, :n], self.log_prob[:, n:]
        self._mean_gradient, self._log_std_gradient = upward[:, :n, :a], upward[:, :n, a:]
        self._learnt = [t[:, :n] for t in (self._raw_log_stds, self._log_stds, self._deviations, self._squash)]
        self._ratio, self._within = self._terms[:, :n], self._terms[:, n:]

    def draw(self, generators: Sequence[torch.Generator] | None) -> None:
        """Draw actions; on the host the upper half of the rows first, as stable-baselines3 does."""
        for noise, agent in self._noises:
            noise.normal_(generator=None if generators is None else generators[agent])
        self.squash()

    def squash(self) -> None:
        """Compute actions and their log-probabilities from the noise."""
        torch.clamp(self._raw_log_stds, LOG_STD_MIN, LOG_STD_MAX, out=self._log_stds)
        torch.exp(self._log_stds, out=self._deviations).mul_(self.noise)
        torch.add(self._means, self._deviations, out=self.actions).tanh_()
        torch.mul(self.actions, self.actions, out=self._squash)
        torch.sub(self._one, self._squash, out=self._squash)
        torch.add(self._squash, _EPSILON, out=self._terms).log_().add_(self._log_stds)
        self._terms.addcmul_(self.noise, self.noise, value=0.5)
        torch.sum(self._terms, dim=-1, out=self.log_prob).add_(self._constant).neg_()

    def backward(self, q_gradient: Tensor, alpha: Tensor) -> None:
        """Compute the gradient of mean(alpha log pi - Q) over the upper half of the rows.

        Args:
            q_gradient: gradient of -mean(Q) with respect to the actions, shape (agents, rows, entries).
            alpha: entropy coefficients, shape (agents, 1).
        """
        raw, log_stds, deviations, squash = self._learnt
        share = (alpha / raw.shape[1]).unsqueeze(-1)
        torch.add(squash, _EPSILON, out=self._ratio)
        torch.div(squash, self._ratio, out=self._ratio).mul_(self.learnt_actions)
        mean_gradient = torch.mul(q_gradient, squash, out=self._mean_gradient).addcmul_(self._ratio, share, value=2.0)
        # A log-std beyond its bounds has no gradient.
        torch.eq(log_stds, raw, out=self._within)
        torch.mul(mean_gradient, deviations, out=self._log_std_gradient).sub_(share).mul_(self._within)


class Temperature:
    """SAC's entropy coefficient alpha, one for each agent.

    Args:
        values: alpha of each agent where it is fixed, else its logarithm.
        optimizers: optimizers of the logarithms where they are learnt, else empty.
        target_entropy: the entropy at which alpha stays as it is.

    Raises:
        NetworkError: if some agents learn their alpha and others do not.
    """

    def __init__(
        self, values: Sequence[Tensor], optimizers: Sequence[torch.optim.Optimizer], target_entropy: float
    ) -> None:
        if optimizers and len(optimizers) != len(values):
            raise NetworkError("either all agents learn their temperature, or none does")
        self.is_learnt = bool(optimizers)
        self._target_entropy = target_entropy
        self._values = list(values)
        self._vector = torch.cat([value.detach().reshape(1) for value in values])
        self._gradient = torch.zeros_like(self._vector)
        slots = []
        for i, parameter in enumerate(values if optimizers else ()):
            place, gradient = self._vector[i : i + 1], self._gradient[i : i + 1]
            parameter.data, parameter.grad = place.view_as(parameter), gradient.view_as(parameter)
            slots.append(Slot(parameter, place, gradient, i))  # type: ignore[arg-type]
        self.stepper: Stepper = stepper(optimizers, [Learnt(self._vector, self._gradient, tuple(slots))])

    def follow(self) -> None:
        """Copy the fixed coefficients, which the user may have changed in place."""
        if not self.is_learnt:
            for place, value in zip(self._vector, self._values, strict=True):
                place.copy_(value.detach().reshape(()))

    @property
    def vectors(self) -> list[Tensor]:
        """The tensors that learning changes."""
        return [self._vector, *self.stepper.vectors]

    def learn(self, log_prob: Tensor) -> tuple[Tensor, Tensor | None]:
        """Take a step, and return alpha before it, shape (agents, 1), and the loss, shape (agents,) or None.

        Args:
            log_prob: log pi of actions of the present policy, shape (agents, rows).
        """
        if not self.is_learnt:
            return self._vector.unsqueeze(1), None
        surplus = (log_prob + self._target_entropy).mean(dim=1)
        alpha, loss = self._vector.exp().unsqueeze(1), -(self._vector * surplus)
        torch.neg(surplus, out=self._gradient)
        self.stepper.step()
        return alpha, loss
