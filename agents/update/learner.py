"""Gradient steps one after the other, each on a minibatch drawn for it, for one agent or several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import VecNormalize

from rpp_rl.agents.update.captured import Captured
from rpp_rl.agents.update.sac_update import FastUpdate, Losses
from rpp_rl.agents.update.transition_buffer import TransitionBuffer, draw_on_device


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
        plain = [b for b, n in zip(buffers, normalizers, strict=True) if isinstance(b, TransitionBuffer) and n is None]
        on_device = len(plain) == len(self._buffers) and plain[0].device.type == "cuda" and update.replayable
        self._on_device = plain if on_device else []
        self._captured: dict[tuple[float, float], Captured[Losses]] = {}

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
            losses.append(self._replay(gamma, towards) if self._on_device else self._step(gamma, towards))
        return losses[-1:] if self._on_device else losses

    def _step(self, gamma: float, tau: float) -> Losses:
        self._draw()
        return self.update.step(gamma, tau)

    def _draw(self) -> None:
        batch = self.update.batch
        for k, (buffer, normalizer, rng) in enumerate(zip(self._buffers, self._normalizers, self._rngs, strict=True)):
            if isinstance(buffer, TransitionBuffer) and normalizer is None and buffer.device == batch.rows.device:
                buffer.sample_into(batch, k, rng)
            else:
                batch.load(k, buffer.sample(self.update.batch_size, env=normalizer))

    def _replay(self, gamma: float, tau: float) -> Losses:
        if (gamma, tau) not in self._captured:

            def run() -> Losses:
                draw_on_device(self._on_device, self.update.batch)
                return self.update.step(gamma, tau)

            self._captured[gamma, tau] = Captured(run, self.update.vectors, self.update.batch.rows.device)
        return self._captured[gamma, tau]()
