"""The tensors from which a gradient step learns."""

from __future__ import annotations

import torch
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from torch import Tensor


class Minibatch:
    """One minibatch for each agent, allocated once.

    Attributes:
        rows: of all agents, shape (agents, rows, width): observation, next observation, action, reward, done.
        observations: shape (agents, rows, entries), as are the following; views of `rows`.
        next_observations: what came after.
        actions: in [-1, 1].
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
        sizes = transition_sizes(observation_size, action_size)
        self.rows = like.new_zeros(agents, rows, sum(sizes))
        self.observations, self.next_observations, self.actions, rewards, dones = torch.split(self.rows, sizes, -1)
        self.rewards, self.dones = rewards.squeeze(-1), dones.squeeze(-1)
        self.discounts: Tensor | None = None

    def load(self, agent: int, data: ReplayBufferSamples) -> None:
        """Take over what a buffer of stable-baselines3 has sampled."""
        self.observations[agent], self.next_observations[agent] = data.observations, data.next_observations
        self.actions[agent] = data.actions
        self.rewards[agent], self.dones[agent] = data.rewards.flatten(), data.dones.flatten()
        discounts = getattr(data, "discounts", None)
        if discounts is None:
            self.discounts = None
        else:
            if self.discounts is None:
                self.discounts = torch.zeros_like(self.rewards, memory_format=torch.contiguous_format)
            self.discounts[agent] = discounts.flatten()

    def discounted(self, gamma: float) -> Tensor:
        """The weight of each row's next value: its discount, and zero where the episode ended."""
        going_on: Tensor = 1 - self.dones
        return going_on.mul_(gamma if self.discounts is None else self.discounts)


def transition_sizes(observation_size: int, action_size: int) -> list[int]:
    """The widths of observation, next observation, action, reward and done within a stored transition."""
    return [observation_size, observation_size, action_size, 1, 1]
