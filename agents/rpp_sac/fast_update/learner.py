"""Gradient steps one after the other, each on a minibatch drawn for it, for one agent or several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import VecNormalize

from rpp_rl.agents.common.transition_buffer import TransitionBuffer, draw_on_device
from rpp_rl.agents.rpp_sac.fast_update.captured import Captured, graphs_on
from rpp_rl.agents.rpp_sac.fast_update.sac_update import FastUpdate, Losses


class Learner:
    """Draws minibatches and takes steps; on a GPU, drawing and step are one captured graph.

    Args:
        update: the gradient step.
        buffers: one for each agent.
        normalizers: of each agent's observations; None where there is none.
        rngs: for each agent where its minibatches are drawn from on the host; None for numpy's global generator.
    """

    def __init__(
        self,
        update: FastUpdate,
        buffers: Sequence[ReplayBuffer],
        normalizers: Sequence[VecNormalize | None],
        rngs: Sequence[np.random.RandomState] | None = None,
    ) -> None:
        self.update = update
        self._buffers, self._normalizers = list(buffers), list(normalizers)
        self._rngs = [None] * len(self._buffers) if rngs is None else list(rngs)
        self._device = update.batch.rows.device
        self._replays = graphs_on(self._device) is not None and update.replayable
        plain = [b for b, n in zip(buffers, normalizers, strict=True) if type(b) is TransitionBuffer and n is None]
        there = [buffer for buffer in plain if buffer.storage.device == self._device]
        # What draws where it learns; the others draw one by one, and bring what they have drawn.
        self._drawn_there = there if self._replays and len(there) == len(self._buffers) else []
        self._captured: dict[tuple[object, ...], Captured[Losses]] = {}

    def serves(
        self, update: FastUpdate, buffers: Sequence[ReplayBuffer], normalizers: Sequence[VecNormalize | None]
    ) -> bool:
        """Whether this was made for these very objects."""
        mine, asked = (self.update, *self._buffers, *self._normalizers), (update, *buffers, *normalizers)
        return len(mine) == len(asked) and all(one is other for one, other in zip(mine, asked, strict=True))

    def take_steps(self, count: int, gamma: float, tau: float, target_update_interval: int) -> list[Losses]:
        """Take gradient steps.

        Args:
            count: how many.
            gamma: the discount.
            tau: how far the target critics move towards the critics, in every `target_update_interval`-th step.
            target_update_interval: see `tau`.

        Returns:
            What each step leaves to be logged; on a GPU that of the last one only, which the next call overwrites.
        """
        self.update.refresh()
        losses = []
        for i in range(count):
            towards = tau if i % target_update_interval == 0 else 0.0
            losses.append(self._step(gamma, towards))
        self.update.remember()
        return losses[-1:] if self._replays else losses

    def _step(self, gamma: float, tau: float) -> Losses:
        if not self._drawn_there:
            self._draw()
        return self._replay(gamma, tau) if self._replays else self.update.step(gamma, tau)

    def _draw(self) -> None:
        batch = self.update.batch
        for k, (buffer, normalizer, rng) in enumerate(zip(self._buffers, self._normalizers, self._rngs, strict=True)):
            if type(buffer) is TransitionBuffer and normalizer is None and buffer.storage.device == self._device:
                buffer.sample_into(batch, k, rng)
            else:
                with _in_place_of_numpys(rng):
                    drawn = buffer.sample(self.update.batch_size, env=normalizer)
                batch.load(k, drawn)

    def _replay(self, gamma: float, tau: float) -> Losses:
        # A graph reads where buffers were when it was captured.
        places = [tensor.data_ptr() for buffer in self._drawn_there for tensor in (buffer.storage, buffer.filled)]
        key = (gamma, tau, *places)
        if key not in self._captured:
            same = {old: captured for old, captured in self._captured.items() if (old[0], *old[2:]) == (gamma, *places)}
            self._captured = same
            run = partial(_drawn_step, self.update, self._drawn_there, gamma, tau)
            self._captured[key] = Captured(run, self.update.vectors, self._device, self.update.generators)
        return self._captured[key]()


def _drawn_step(update: FastUpdate, buffers: Sequence[TransitionBuffer], gamma: float, tau: float) -> Losses:
    if buffers:
        draw_on_device(buffers, update.batch, update.generators)
    return update.step(gamma, tau)


@contextmanager
def _in_place_of_numpys(rng: np.random.RandomState | None) -> Iterator[None]:
    """While stable-baselines3's buffers draw from numpy's global generator, it is this one."""
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
