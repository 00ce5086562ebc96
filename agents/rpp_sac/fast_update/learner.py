"""Learn and act with one agent or several: gradient steps on drawn minibatches, and exploring actions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN
from torch import Tensor

from rpp_rl.agents.common.augmentation import Augmentation, move_rows
from rpp_rl.agents.common.transition_buffer import TransitionBuffer, draw_on_device
from rpp_rl.agents.rpp_sac.fast_update.cuda_graphs import Captured, graphs_on
from rpp_rl.agents.rpp_sac.fast_update.perceptrons import Passes, Workspace
from rpp_rl.agents.rpp_sac.fast_update.sac_update import FastUpdate, Losses


class Learner:
    """Draw minibatches and take gradient steps on them; on a GPU, drawing and step are one captured graph.

    Args:
        update: the gradient step.
        buffers: one for each agent.
        normalizers: normalizer of each agent's observations; None where there is none.
        rngs: for each agent the generator that draws its minibatches on the host; None for numpy's global one.
        augmentations: for each agent what moves its minibatches; empty where they stay as they are drawn.
    """

    def __init__(
        self,
        update: FastUpdate,
        buffers: Sequence[ReplayBuffer],
        normalizers: Sequence[VecNormalize | None],
        rngs: Sequence[np.random.RandomState] | None = None,
        augmentations: Sequence[Augmentation] = (),
    ) -> None:
        self.update, self._augmentations = update, tuple(augmentations)
        self._buffers, self._normalizers = list(buffers), list(normalizers)
        self._rngs = [None] * len(self._buffers) if rngs is None else list(rngs)
        self._device = update.batch.rows.device
        self._replays = graphs_on(self._device) is not None and update.replayable
        plain = [b for b, n in zip(buffers, normalizers, strict=True) if type(b) is TransitionBuffer and n is None]
        resident = [buffer for buffer in plain if buffer.storage.device == self._device]
        # Buffers on the GPU are drawn from within the graph; other minibatches are copied there.
        self._captured_buffers = resident if self._replays and len(resident) == len(self._buffers) else []
        self._captured: dict[tuple[object, ...], Captured[Losses]] = {}

    def take_steps(self, count: int, gamma: float, tau: float, target_update_interval: int) -> list[Losses]:
        """Take gradient steps.

        Args:
            count: number of steps.
            gamma: discount.
            tau: share by which the target critics move to the critics.
            target_update_interval: number of steps from one move to the next.

        Returns:
            The losses of each step; on a GPU those of the last step only, which the next call overwrites.
        """
        self.update.refresh()
        losses = []
        for i in range(count):
            tau_now = tau if i % target_update_interval == 0 else 0.0
            losses.append(self._step(gamma, tau_now))
        self.update.remember()
        return losses[-1:] if self._replays else losses

    def _step(self, gamma: float, tau: float) -> Losses:
        if not self._captured_buffers:
            self._draw()
        if self._replays:
            return self._replay(gamma, tau)
        return _moved_step(self.update, (), self._augmentations, gamma, tau)

    def _draw(self) -> None:
        batch = self.update.batch
        for k, (buffer, normalizer, rng) in enumerate(zip(self._buffers, self._normalizers, self._rngs, strict=True)):
            if type(buffer) is TransitionBuffer and normalizer is None and buffer.storage.device == self._device:
                buffer.sample_into(batch, k, rng)
            else:
                with _as_global_generator(rng):
                    drawn = buffer.sample(self.update.batch_size, env=normalizer)
                batch.load(k, drawn)

    def _replay(self, gamma: float, tau: float) -> Losses:
        # A graph reads the memory that buffers had when it was captured.
        places = [tensor.data_ptr() for buffer in self._captured_buffers for tensor in (buffer.storage, buffer.filled)]
        key = (gamma, tau, *places)
        if key not in self._captured:
            same = {old: captured for old, captured in self._captured.items() if (old[0], *old[2:]) == (gamma, *places)}
            self._captured = same
            run = partial(_moved_step, self.update, self._captured_buffers, self._augmentations, gamma, tau)
            # Minibatches that were copied here are moved where they are.
            changed = [*self.update.vectors, self.update.batch.rows]
            generators = [*(self.update.generators or ()), *(each.generator for each in self._augmentations)]
            self._captured[key] = Captured(run, changed, self._device, generators)
        return self._captured[key]()


class StackedActor:
    """Draw exploring actions for several agents in one pass; on a GPU it is a captured graph.

    Args:
        update: its merged weights are used, which it keeps up to date.
        rows: number of observations of each agent, one for each of its environments.

    Attributes:
        update: the update.
    """

    def __init__(self, update: FastUpdate, rows: int) -> None:
        self.update = update
        # Only the gradient step may have another precision.
        stack = update.actor.stack.in_full_precision()
        actions = stack.layers.sizes[-1][0] // 2
        # Means and log-stds are computed one by one, as by an agent that acts alone.
        self._passes = Passes(stack, rows, Workspace(), (actions, actions))
        outputs = self._passes.outputs
        self._generators = update.generators
        self._device = outputs.device
        pinned = self._device.type == "cuda"
        self._noise = torch.zeros(*outputs.shape[:2], actions, device=self._device)
        size = self._passes.inputs.shape[-1]
        self._observations = torch.zeros(*outputs.shape[:2], size, device=self._device)
        self._observations_host = torch.zeros(self._observations.shape, pin_memory=pinned)
        self._actions_host = torch.zeros(self._noise.shape, pin_memory=pinned)
        draw = partial(_draw_actions, self._passes, self._observations, self._noise, self._generators)
        self._captured = Captured(draw, [], self._device, self._generators)

    @torch.no_grad()
    def act(self, observations: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Return actions in [-1, 1], shape (agents, rows, entries).

        Args:
            observations: for each agent an array of shape (rows, entries).
        """
        for row, observation in zip(self._observations_host.numpy(), observations, strict=True):
            row[:] = observation
        self._observations.copy_(self._observations_host, non_blocking=True)
        actions = self._captured()
        if graphs_on(self._device) is None:
            return actions.numpy()
        self._actions_host.copy_(actions, non_blocking=True)
        self._captured.wait()
        # The next call overwrites the pinned copy, while these actions are still needed.
        return self._actions_host.numpy().copy()


def _moved_step(
    update: FastUpdate,
    buffers: Sequence[TransitionBuffer],
    augmentations: Sequence[Augmentation],
    gamma: float,
    tau: float,
) -> Losses:
    if buffers:
        draw_on_device(buffers, update.batch, update.generators)
    if augmentations:
        move_rows(update.batch.rows, augmentations)
    return update.step(gamma, tau)


@contextmanager
def _as_global_generator(rng: np.random.RandomState | None) -> Iterator[None]:
    """Let stable-baselines3's buffers, which draw from numpy's global generator, draw from this one."""
    if rng is None:
        yield
        return
    kept = np.random.get_state()
    np.random.set_state(rng.get_state())
    try:
        yield
        rng.set_state(np.random.get_state())
    finally:
        np.random.set_state(kept)


def _draw_actions(
    passes: Passes, observations: Tensor, noise: Tensor, generators: Sequence[torch.Generator] | None
) -> Tensor:
    passes.write(passes.inputs, observations)
    passes.forward()
    if generators is None:
        noise.normal_()
    else:
        for each, generator in zip(noise, generators, strict=True):
            each.normal_(generator=generator)
    mean, log_std = passes.outputs.chunk(2, dim=-1)
    return log_std.clamp(LOG_STD_MIN, LOG_STD_MAX).exp_().mul_(noise).add_(mean).tanh_()
