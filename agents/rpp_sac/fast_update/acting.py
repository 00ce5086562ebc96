"""Acting for several agents at once, from the merged weights that a `FastUpdate` keeps up to date."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN
from torch import Tensor

from rpp_rl.agents.rpp_sac.fast_update.captured import Captured, graphs_on
from rpp_rl.agents.rpp_sac.fast_update.perceptrons import Passes, Workspace
from rpp_rl.agents.rpp_sac.fast_update.sac_update import FastUpdate


class StackedActor:
    """Draws exploring actions: one pass for all agents, on a GPU one small graph between two copies.

    Args:
        update: whose actors act.
        rows: observations of each agent, one for each of its environments.

    Attributes:
        update: whose actors act.
    """

    def __init__(self, update: FastUpdate, rows: int) -> None:
        self.update = update
        # Only the gradient step may be of another precision.
        stack = update.actor.stack.in_full_precision()
        actions = stack.layers.sizes[-1][0] // 2
        # Means and log-stds apart, as an agent that acts alone computes them.
        self._passes = Passes(stack, rows, Workspace(), (actions, actions))
        outputs = self._passes.outputs
        self._generators = update.generators
        self._device = outputs.device
        pinned = self._device.type == "cuda"
        self._noise = torch.zeros(*outputs.shape[:2], actions, device=self._device)
        size = self._passes.inputs.shape[-1]
        self._seen = torch.zeros(*outputs.shape[:2], size, device=self._device)
        self._seen_host = torch.zeros(self._seen.shape, pin_memory=pinned)
        self._acted_host = torch.zeros(self._noise.shape, pin_memory=pinned)
        draw = partial(_draw, self._passes, self._seen, self._noise, self._generators)
        self._captured = Captured(draw, [], self._device, self._generators)

    @torch.no_grad()
    def act(self, observations: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Actions in [-1, 1], shape (agents, rows, entries), for observations of shape (rows, entries) each."""
        for row, observation in zip(self._seen_host.numpy(), observations, strict=True):
            row[:] = observation
        self._seen.copy_(self._seen_host, non_blocking=True)
        acted = self._captured()
        if graphs_on(self._device) is None:
            return acted.numpy()
        self._acted_host.copy_(acted, non_blocking=True)
        self._captured.wait()
        # The pinned copy is overwritten by the next actions, while these are on their way into a buffer.
        return self._acted_host.numpy().copy()


def _draw(passes: Passes, seen: Tensor, noise: Tensor, generators: Sequence[torch.Generator] | None) -> Tensor:
    passes.write(passes.inputs, seen)
    passes.forward()
    if generators is None:
        noise.normal_()
    else:
        for each, generator in zip(noise, generators, strict=True):
            each.normal_(generator=generator)
    mean, log_std = passes.outputs.chunk(2, dim=-1)
    return log_std.clamp(LOG_STD_MIN, LOG_STD_MAX).exp_().mul_(noise).add_(mean).tanh_()
