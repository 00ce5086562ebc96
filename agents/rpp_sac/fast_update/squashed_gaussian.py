"""Actions tanh(mean + std noise) of several agents: drawn, judged and differentiated by hand, in tensors made once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN
from torch import Tensor

# stable-baselines3's guard of the logarithm in a squashed Gaussian's density.
_EPSILON = 1e-6
_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class SquashedGaussian:
    """The distribution that the rows of an actor's outputs describe.

    Args:
        outputs: means and, beside them, raw log-stds, shape (agents, 2 rows, 2 entries).
        upward: where their gradients are written, of the same shape.

    Attributes:
        actions: shape (agents, 2 rows, entries), in [-1, 1].
        log_prob: log pi of them, shape (agents, 2 rows).
        noise: what they were drawn with.
        learnt_actions: the actions of the upper half of the rows, from which the actor learns.
        next_actions: those of the lower half.
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
        # On the host in the two calls in which stable-baselines3 draws it, on a GPU in one.
        self._noises = [
            (part, agent)
            for agent, noise in enumerate(self.noise)
            for part in ((noise,) if noise.is_cuda else (noise[:n], noise[n:]))
        ]
        self.learnt_actions, self.next_actions = self.actions[:, :n], self.actions[:, n:]
        self.learnt_log_prob, self.next_log_prob = self.log_prob[:, :n], self.log_prob[:, n:]
        self._towards_mean, self._towards_log_std = upward[:, :n, :a], upward[:, :n, a:]
        self._learnt = [t[:, :n] for t in (self._raw_log_stds, self._log_stds, self._deviations, self._squash)]
        self._ratio, self._within = self._terms[:, :n], self._terms[:, n:]

    def draw(self, generators: Sequence[torch.Generator] | None) -> None:
        """Draw actions: the upper half of the rows first, as stable-baselines3 does."""
        for noise, agent in self._noises:
            noise.normal_(generator=None if generators is None else generators[agent])
        self.squash()

    def squash(self) -> None:
        """Actions and their log-probabilities, given the noise."""
        torch.clamp(self._raw_log_stds, LOG_STD_MIN, LOG_STD_MAX, out=self._log_stds)
        torch.exp(self._log_stds, out=self._deviations).mul_(self.noise)
        torch.add(self._means, self._deviations, out=self.actions).tanh_()
        torch.mul(self.actions, self.actions, out=self._squash)
        torch.sub(self._one, self._squash, out=self._squash)
        torch.add(self._squash, _EPSILON, out=self._terms).log_().add_(self._log_stds)
        self._terms.addcmul_(self.noise, self.noise, value=0.5)
        torch.sum(self._terms, dim=-1, out=self.log_prob).add_(self._constant).neg_()

    def backward(self, q_gradient: Tensor, alpha: Tensor) -> None:
        """Write the gradient of mean(alpha log pi - Q) over the upper half of the rows.

        Args:
            q_gradient: that of -mean(Q) with respect to the actions, shape (agents, rows, entries).
            alpha: the entropy coefficients, shape (agents, 1).
        """
        raw, log_stds, deviations, squash = self._learnt
        share = (alpha / raw.shape[1]).unsqueeze(-1)
        torch.add(squash, _EPSILON, out=self._ratio)
        torch.div(squash, self._ratio, out=self._ratio).mul_(self.learnt_actions)
        towards = torch.mul(q_gradient, squash, out=self._towards_mean).addcmul_(self._ratio, share, value=2.0)
        # A log-std beyond its bounds is not learnt.
        torch.eq(log_stds, raw, out=self._within)
        torch.mul(towards, deviations, out=self._towards_log_std).sub_(share).mul_(self._within)
