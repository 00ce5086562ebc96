"""The bare matrix products of a gradient step: what no implementation of it can do without."""

from __future__ import annotations

from collections.abc import Callable

import torch

from rpp_rl.agents.rpp_sac.fast_update import FastUpdate
from rpp_rl.agents.rpp_sac.fast_update.captured import Captured


def floor(update: FastUpdate) -> Callable[[], None]:
    """A function that computes the products of one step, in float32, on tensors of their own.

    The actor passes once over both observations of a transition, forward and back; each critic passes over the stored
    action forward and back, over the policy's action forward and back to the action; each target passes once. On a GPU
    they are one graph, as the step is, so that launching them takes no time of its own.
    """
    batch, critics = update.batch_size, update.critics.stack.layers
    products: list[tuple[int, int, int]] = []
    for layers, forward_rows in ((update.actor.stack.layers, 2 * batch), *[(critics, batch)] * critics.count):
        products += [(forward_rows, n_in, n_out) for n_out, n_in in layers.sizes]
        products += [(n_out, batch, n_in) for n_out, n_in in layers.sizes]
        products += [(batch, n_out, n_in) for n_out, n_in in layers.sizes[1:]]
    action_size = update.batch.actions.shape[-1]
    for _ in range(critics.count):
        products += 2 * [(batch, n_in, n_out) for n_out, n_in in critics.sizes]
        products += [(batch, n_out, n_in) for n_out, n_in in critics.sizes[1:]]
        products.append((batch, critics.sizes[0][0], action_size))
    device = update.batch.rows.device
    operands = [
        (torch.randn(m, k, device=device), torch.randn(k, n, device=device), torch.empty(m, n, device=device))
        for m, k, n in products
    ]

    def run() -> None:
        for a, b, out in operands:
            torch.mm(a, b, out=out)

    return Captured(run, [], device)
