"""A replay buffer in single precision, on the host or on a GPU, that samples into preallocated tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor

from rpp_rl.errors import RunError

# The host waits for the GPU about once per environment step, so two slots would do; a few more cost nothing.
_SLOTS = 8


class Minibatch:
    """One minibatch for each agent, allocated once.

    Attributes:
        rows: all transitions, shape (agents, rows, width): observation, next observation, action, reward, done.
        observations: a view of `rows`, shape (agents, rows, entries), as are the next two.
        next_observations: the observations one step later.
        actions: in [-1, 1].
        rewards: shape (agents, rows).
        dones: 1 where an episode ended by other causes than its time limit, shape (agents, rows).
        discounts: one discount per row, shape (agents, rows); None if all rows have the same.

    Args:
        like: a tensor that gives dtype and device.
        agents: number of minibatches.
        rows: rows of each minibatch.
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
        """Copy a minibatch that a buffer of stable-baselines3 sampled."""
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
        """Return the weight of each row's next value: its discount, and zero where the episode ended."""
        continues: Tensor = 1 - self.dones
        return continues.mul_(gamma if self.discounts is None else self.discounts)


def transition_sizes(observation_size: int, action_size: int) -> list[int]:
    """Return the widths of observation, next observation, action, reward and done within a stored transition."""
    return [observation_size, observation_size, action_size, 1, 1]


class TransitionBuffer(ReplayBuffer):
    """stable-baselines3's `ReplayBuffer` with each transition as one row of float32, the dtype of the networks.

    MuJoCo's observations are float64, so a transition takes about half of the memory, and one gather fetches it. The
    buffer draws the same transitions as `ReplayBuffer`, from numpy's generator. On a GPU the rows live there, and the
    fast gradient step draws them there, from torch's generator: see `draw_on_device`.

    Args:
        buffer_size: number of transitions.
        observation_space: a box of one axis.
        action_space: a box of one axis.
        device: device of the rows.
        n_envs: number of environments.
        optimize_memory_usage: must be False.
        handle_timeout_termination: whether an episode cut off by a time limit is stored as not done, so that the next
            value is bootstrapped.

    Attributes:
        storage: the rows, shape (positions, environments, width).
        added: number of positions ever filled, also those overwritten since.
        filled: the number of stored transitions, as a tensor; on a GPU where the rows are.

    Raises:
        RunError: if `optimize_memory_usage` is True.
    """

    _device: torch.device

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Box,
        action_space: spaces.Box,
        device: torch.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
    ) -> None:
        if optimize_memory_usage:
            raise RunError("TransitionBuffer keeps whole transitions; with optimize_memory_usage use ReplayBuffer")
        # ReplayBuffer's own constructor would allocate its arrays.
        super(ReplayBuffer, self).__init__(buffer_size, observation_space, action_space, device, n_envs)
        self.buffer_size = max(buffer_size // n_envs, 1)
        self.optimize_memory_usage = False
        self.handle_timeout_termination = handle_timeout_termination
        self.added = 0
        self._sizes = transition_sizes(observation_space.shape[0], action_space.shape[0])
        self._allocate()

    def _allocate(self) -> None:
        width = sum(self._sizes)
        self._on_host = self.device.type == "cpu"
        shape = (self.buffer_size, self.n_envs, width)
        # numpy's zeros take no memory before they are written to.
        empty = (
            torch.from_numpy(np.zeros(shape, np.float32)) if self._on_host else torch.zeros(shape, device=self.device)
        )
        self.storage = empty
        # Only a GPU draws where the rows are; other accelerators may lack double precision.
        place = self.device if self.device.type == "cuda" else "cpu"
        self.filled = torch.zeros((), dtype=torch.float64, device=place)
        # On the host a row is written to its place directly, elsewhere to a slot of pinned memory first.
        on_gpu = self.device.type == "cuda"
        self._slots = torch.zeros(_SLOTS, self.n_envs, width, pin_memory=on_gpu)
        # Events that tell when the rows of a slot have arrived; the GPU may be many steps behind.
        self._arrived = [torch.cuda.Event() for _ in range(_SLOTS)] if on_gpu else []  # type: ignore[no-untyped-call]
        self._writable = (self.storage if self._on_host else self._slots).numpy()

    @property
    def device(self) -> torch.device:
        """The device of the rows; setting it moves them, as loading a saved buffer does."""
        return self._device

    @device.setter
    def device(self, device: torch.device) -> None:
        moved = getattr(self, "storage", None) is not None and device != self._device
        self._device = device
        if moved:
            stored = self.storage
            self._allocate()
            self.storage.copy_(stored)
            self.filled.fill_(self.size() * self.n_envs)

    @property
    def bytes_per_transition(self) -> int:
        """Memory of one transition."""
        return sum(self._sizes) * self.storage.element_size()

    @property
    def observations(self) -> NDArray[np.float32]:  # type: ignore[override]
        """Shape (positions, environments, entries); a view of the rows where they are on the host, else a copy."""
        return self._columns(0)

    @property
    def next_observations(self) -> NDArray[np.float32]:  # type: ignore[override]
        """The observations one step later, in the same form."""
        return self._columns(1)

    @property
    def actions(self) -> NDArray[np.float32]:  # type: ignore[override]
        """In [-1, 1], in the same form."""
        return self._columns(2)

    @property
    def rewards(self) -> NDArray[np.float32]:  # type: ignore[override]
        """Shape (positions, environments)."""
        return self._columns(3)[..., 0]

    @property
    def dones(self) -> NDArray[np.float32]:  # type: ignore[override]
        """1 where an episode ended by other causes than its time limit, shape (positions, environments)."""
        return self._columns(4)[..., 0]

    def _columns(self, part: int) -> NDArray[np.float32]:
        columns: NDArray[np.float32] = torch.split(self.storage, self._sizes, dim=-1)[part].cpu().numpy()
        return columns

    def size(self) -> int:
        """Positions that hold transitions."""
        return self.buffer_size if self.full else self.pos

    def add(
        self,
        obs: NDArray[Any],
        next_obs: NDArray[Any],
        action: NDArray[Any],
        reward: NDArray[Any],
        done: NDArray[Any],
        infos: list[dict[str, Any]],
    ) -> None:
        """Store one transition of each environment."""
        slot = self.pos if self._on_host else self.pos % _SLOTS
        if self._arrived:
            self._arrived[slot].synchronize()
        row, o, a = self._writable[slot], self._sizes[0], self._sizes[2]
        row[:, :o], row[:, o : 2 * o], row[:, 2 * o : 2 * o + a] = obs, next_obs, action
        row[:, -2], row[:, -1] = reward, done
        if self.handle_timeout_termination:
            for i, info in enumerate(infos):
                if info.get("TimeLimit.truncated", False):
                    row[i, -1] = 0.0
        if not self._on_host:
            self.storage[self.pos].copy_(self._slots[slot], non_blocking=True)
        if self._arrived:
            self._arrived[slot].record(torch.cuda.current_stream(self.storage.device))
        self.count(self.added + 1)

    def count(self, added: int) -> None:
        """Set the number of positions ever filled."""
        self.added = added
        self.full, self.pos = added >= self.buffer_size, added % self.buffer_size
        self.filled.fill_(self.size() * self.n_envs)

    def reset(self) -> None:
        """Forget all transitions."""
        self.count(0)

    def rows_between(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the `start`-th to the `stop`-th row added, without that, shape (rows, environments, width)."""
        places = slice(start % self.buffer_size, start % self.buffer_size + stop - start)
        wrapped = places.stop - self.buffer_size
        parts = [self.storage[places]] if wrapped <= 0 else [self.storage[places], self.storage[:wrapped]]
        rows: NDArray[np.float32] = torch.cat([part.cpu() for part in parts]).numpy()
        return rows

    def put_rows(self, start: int, rows: Tensor) -> None:
        """Write rows to the positions of the `start`-th and following rows."""
        places = torch.arange(start, start + len(rows), device=self.storage.device) % self.buffer_size
        self.storage[places] = rows.to(self.storage.device)

    def rows(self) -> Tensor:
        """Return all rows, filled or not, shape (transitions, width)."""
        return self.storage.view(-1, self.storage.shape[-1])

    def draw(self, rows: int, rng: np.random.RandomState | None = None) -> Tensor:
        """Draw positions of transitions as `ReplayBuffer` does, from `rng` or numpy's global generator."""
        randint = np.random.randint if rng is None else rng.randint
        transitions = randint(0, self.buffer_size if self.full else self.pos, size=rows)
        return torch.from_numpy(transitions * self.n_envs + randint(0, high=self.n_envs, size=(rows,)))

    def sample_into(self, batch: Minibatch, agent: int, rng: np.random.RandomState | None = None) -> None:
        """Draw a minibatch on the host, as `sample` does without normalization.

        Args:
            batch: the minibatches.
            agent: index of the minibatch.
            rng: the generator; None for numpy's global one.
        """
        places = self.draw(batch.rows.shape[1], rng).to(self.storage.device)
        torch.index_select(self.rows(), 0, places, out=batch.rows[agent])

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> ReplayBufferSamples:
        """Sample a minibatch, as `ReplayBuffer.sample` does."""
        rows = self.rows()[self.draw(batch_size).to(self.device)]
        observations, next_observations, actions, rewards, dones = torch.split(rows, self._sizes, dim=-1)
        if env is not None:
            observations, next_observations = (
                torch.as_tensor(env.normalize_obs(x.cpu().numpy()), device=self.device)
                for x in (observations, next_observations)
            )
            rewards = torch.as_tensor(
                env.normalize_reward(rewards.cpu().numpy()).astype(np.float32), device=self.device
            )
        return ReplayBufferSamples(observations, actions, next_observations, dones, rewards)

    def __getstate__(self) -> dict[str, Any]:
        state = {k: v for k, v in self.__dict__.items() if k not in ("_slots", "_arrived", "_writable", "filled")}
        state["storage"] = self.storage[: self.size()].cpu().numpy()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        stored = state.pop("storage")
        self.__dict__.update(state)
        if self._device.type == "cuda" and not torch.cuda.is_available():
            self._device = torch.device("cpu")
        self._allocate()
        self.storage[: len(stored)] = torch.from_numpy(stored)
        self.filled.fill_(self.size() * self.n_envs)


def draw_on_device(
    buffers: Sequence[TransitionBuffer], batch: Minibatch, generators: Sequence[torch.Generator] | None = None
) -> None:
    """Draw a minibatch for each agent on the device of the buffers; a CUDA graph can capture this.

    Args:
        buffers: one for each agent.
        batch: the minibatches.
        generators: one for each agent; None for the device's generator.
    """
    for k, (buffer, rows) in enumerate(zip(buffers, batch.rows, strict=True)):
        generator = None if generators is None else generators[k]
        # In double precision each of millions of rows is equally likely.
        uniform = torch.rand(len(rows), dtype=torch.float64, device=rows.device, generator=generator)
        torch.index_select(buffer.rows(), 0, (uniform * buffer.filled).long(), out=rows)
