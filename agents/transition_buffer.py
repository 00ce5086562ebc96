"""A replay buffer in single precision that samples into tensors which are already there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from torch import Tensor

from rpp_rl.agents.update.minibatch import Minibatch


class TransitionBuffer(ReplayBuffer):
    """stable-baselines3's `ReplayBuffer` with observations stored in float32, which is how networks see them.

    MuJoCo's observations are float64, so a transition takes about half of the memory. It draws the same transitions
    as `ReplayBuffer` does.

    Args:
        buffer_size: number of transitions.
        observation_space: a box.
        action_space: a box.
        *args: as for `ReplayBuffer`.
        **kwargs: as for `ReplayBuffer`.
    """

    def __init__(
        self, buffer_size: int, observation_space: spaces.Box, action_space: spaces.Box, *args: Any, **kwargs: Any
    ) -> None:
        if observation_space.dtype == np.float64:
            single = np.float32
            # Bounds of float64 can be infinite in float32, which is meant.
            low, high = (
                np.clip(b, -np.inf, np.inf).astype(single) for b in (observation_space.low, observation_space.high)
            )
            observation_space = spaces.Box(low, high, observation_space.shape, single)
        super().__init__(buffer_size, observation_space, action_space, *args, **kwargs)

    @property
    def bytes_per_transition(self) -> float:
        """Memory of one transition."""
        arrays = (self.observations, self.next_observations, self.actions, self.rewards, self.dones, self.timeouts)
        return sum(array.nbytes for array in arrays) / (self.buffer_size * self.n_envs)

    def sample_into(self, batch: Minibatch, agent: int, rng: np.random.RandomState | None = None) -> None:
        """Draw a minibatch, as `sample` does without normalisation.

        Args:
            batch: where to write it.
            agent: whose minibatch it is.
            rng: where to draw from; None for numpy's global generator.
        """
        randint = np.random.randint if rng is None else rng.randint
        rows = batch.actions.shape[1]
        transitions = randint(0, self.buffer_size if self.full else self.pos, size=rows)
        places = torch.from_numpy(transitions * self.n_envs + randint(0, high=self.n_envs, size=(rows,)))
        torch.index_select(_rows(self.observations), 0, places, out=batch.observations[agent])
        torch.index_select(_rows(self.next_observations), 0, places, out=batch.next_observations[agent])
        torch.index_select(_rows(self.actions), 0, places, out=batch.actions[agent])
        torch.index_select(_flat(self.rewards), 0, places, out=batch.rewards[agent])
        dones = torch.index_select(_flat(self.dones), 0, places, out=batch.dones[agent])
        dones.mul_(1 - _flat(self.timeouts)[places])


def _rows(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(array).view(-1, array.shape[-1])


def _flat(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(array).view(-1)
