"""The tensors from which a gradient step learns."""

from __future__ import annotations

from stable_baselines3.common.type_aliases import ReplayBufferSamples
from torch import Tensor


class Minibatch:
    """One minibatch for each agent, allocated once.

    Attributes:
        joint: observations and, below them, next observations, shape (agents, 2 rows, entries).
        observations: the upper half of it.
        next_observations: the lower half.
        actions: in [-1, 1], shape (agents, rows, entries).
        rewards: shape (agents, rows).
        dones: 1 where an episode ended other than by running out of time, shape (agents, rows).
        discounts: one discount per row, shape (agents, rows); None where there is one for all.

    Args:
        like: whose dtype and device the tensors get.
        agents: number of minibatches.
        rows: of each.
        observation_size: entries of an observation.
        action_size: entries of an action.
    """

    def __init__(self, like: Tensor, agents: int, rows: int, observation_size: int, action_size: int) -> None:
        self.joint = like.new_zeros(agents, 2 * rows, observation_size)
        self.observations, self.next_observations = self.joint[:, :rows], self.joint[:, rows:]
        self.actions = like.new_zeros(agents, rows, action_size)
        self.rewards, self.dones = like.new_zeros(2, agents, rows).unbind()
        self.discounts: Tensor | None = None

    def load(self, agent: int, data: ReplayBufferSamples) -> None:
        """Take over what a buffer of stable-baselines3 has sampled."""
        self.observations[agent], self.next_observations[agent] = data.observations, data.next_observations
        self.actions[agent] = data.actions
        self.rewards[agent], self.dones[agent] = data.rewards.flatten(), data.dones.flatten()
        discounts = getattr(data, "discounts", None)
        if discounts is not None:
            if self.discounts is None:
                self.discounts = self.rewards.new_zeros(self.rewards.shape)
            self.discounts[agent] = discounts.flatten()

    def discounted(self, gamma: float) -> Tensor:
        """The weight of each row's next value: its discount, and zero where the episode ended."""
        return (1 - self.dones).mul_(gamma if self.discounts is None else self.discounts)
