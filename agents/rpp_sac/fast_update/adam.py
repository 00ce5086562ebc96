"""Optimisers that step the flat parameter vectors of several agents at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from rpp_rl.agents.rpp_sac.fast_update.cuda_graphs import graphs_on
from rpp_rl.agents.rpp_sac.fast_update.stacked_layers import Learnt, Slot
from rpp_rl.errors import NetworkError

Group = dict[str, Any]
# The settings that all parameters of a vector must share, beside the learning rate.
_SHARED = ("betas", "eps", "weight_decay")
# The settings of torch's Adam that are not supported here.
_UNSUPPORTED = ("amsgrad", "maximize", "decoupled_weight_decay", "differentiable")
# All settings of a group that the step depends on, other than the learning rate.
SETTINGS = (*_SHARED, *_UNSUPPORTED, "lr_ratio")
# A GPU gives up to 2^16 numbers of a tensor to one processor, which leaves most processors idle. So a vector is split
# into as many pieces as one call takes, but not into shorter ones than pays.
_PIECES, _SHORTEST_PIECE = 32, 2048


class _Stepped:
    """A vector of parameters with its state of Adam.

    Args:
        pathway: values and gradients.
        group: settings.
        count: number of parameters.
    """

    def __init__(self, pathway: Learnt, group: Group, count: int) -> None:
        self.vector, self.group = pathway.vector, group
        self.mean, self.square = torch.zeros_like(self.vector), torch.zeros_like(self.vector)
        self.steps = torch.zeros(count, dtype=torch.float32, device=self.vector.device)
        self._lists = [_pieces(t) for t in (self.vector, pathway.gradient, self.mean, self.square)]
        # All parameters have taken the same number of steps.
        self._counts = [self.steps[0]] * len(self._lists[0])

    def step(self, rate: float | Tensor) -> None:
        self.steps.add_(1)
        torch._fused_adam_(
            *(*self._lists, [], self._counts),
            lr=rate,
            beta1=self.group["betas"][0],
            beta2=self.group["betas"][1],
            weight_decay=self.group["weight_decay"],
            eps=self.group["eps"],
            amsgrad=False,
            maximize=False,
        )


class FlatAdam:
    """Adam on one vector for each pathway; the optimisers' own state consists of views of its vectors.

    Args:
        optimizers: one for each agent; all have the same learning rate and settings.
        learnt: the vectors of all agents.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], learnt: Sequence[Learnt]) -> None:
        self._stepped: list[_Stepped] = []
        for pathway in learnt:
            slots = [slot for slot in pathway.slots if slot.parameter.numel()]
            if not slots:
                continue
            stepped = _Stepped(pathway, _group(optimizers, slots[0]), len(slots))
            for i, slot in enumerate(slots):
                self._bind(_state(optimizers, slot), slot, stepped, stepped.steps[i])
            self._stepped.append(stepped)
        # A captured graph keeps its numbers, so the rates are tensors there.
        replayed = any(graphs_on(s.vector.device) is not None for s in self._stepped)
        self._rates = [torch.zeros((), device=s.vector.device) for s in self._stepped] if replayed else None
        self._rates_written = [math.nan] * len(self._stepped)
        self.follow_schedule()

    @staticmethod
    def fits(optimizers: Sequence[torch.optim.Optimizer], learnt: Sequence[Learnt]) -> bool:
        """Whether the optimisers are Adam, with one set of settings and one number of steps for each vector."""
        for optimizer in optimizers:
            flags = (group.get(name) for group in optimizer.param_groups for name in _UNSUPPORTED)
            if type(optimizer) is not torch.optim.Adam or any(flags):
                return False
        for pathway in learnt:
            slots = [slot for slot in pathway.slots if slot.parameter.numel()]
            groups = [_group(optimizers, slot) for slot in slots]
            settings = {(*(group[name] for name in _SHARED), group.get("lr_ratio", 1.0)) for group in groups}
            counts = {float(_state(optimizers, slot).get("step", 0.0)) for slot in slots}
            if len(settings) > 1 or len(counts) > 1:
                return False
        return True

    @property
    def vectors(self) -> list[Tensor]:
        """The tensors of the state."""
        return [tensor for s in self._stepped for tensor in (s.mean, s.square, s.steps)]

    def follow_schedule(self) -> None:
        """Copy the learning rates of the first agent's optimiser to the tensors that a graph reads."""
        for i, rate in enumerate(self._rates or ()):
            value = _rate(self._stepped[i].group)
            if value != self._rates_written[i]:
                self._rates_written[i] = value
                rate.fill_(value)

    def step(self) -> None:
        """Take a step at the learning rates of the first agent's optimiser."""
        for i, stepped in enumerate(self._stepped):
            stepped.step(_rate(stepped.group) if self._rates is None else self._rates[i])

    @staticmethod
    def _bind(state: dict[str, Any], slot: Slot, stepped: _Stepped, step: Tensor) -> None:
        stop = slot.start + slot.parameter.numel()
        for name, vector in (("exp_avg", stepped.mean), ("exp_avg_sq", stepped.square)):
            view = vector[slot.start : stop].view_as(slot.parameter)
            if name in state:
                view.copy_(state[name])
            state[name] = view
        step.copy_(torch.as_tensor(state.get("step", 0.0)))
        state["step"] = step


class OwnSteps:
    """Optimisers other than `FlatAdam` supports, which take their own steps.

    Args:
        optimizers: one for each agent.
        learnt: the vectors of all agents.
    """

    vectors: ClassVar[list[Tensor]] = []

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], learnt: Sequence[Learnt]) -> None:
        self._optimizers = optimizers
        self._slots = [slot for pathway in learnt for slot in pathway.slots]

    def follow_schedule(self) -> None:
        """Do nothing: the optimisers read their learning rates themselves."""

    def step(self) -> None:
        """Take a step, with the gradients of the fast update even where other code has replaced them."""
        for slot in self._slots:
            slot.parameter.grad = slot.gradient
        for optimizer in self._optimizers:
            optimizer.step()


Stepper = FlatAdam | OwnSteps


def stepper(optimizers: Sequence[torch.optim.Optimizer], learnt: Sequence[Learnt]) -> Stepper:
    """Return the fastest stepper that supports these optimisers."""
    return (FlatAdam if FlatAdam.fits(optimizers, learnt) else OwnSteps)(optimizers, learnt)


def _pieces(vector: Tensor) -> list[Tensor]:
    """Split a vector into the tensors that are stepped fastest: pieces on a GPU, the whole elsewhere."""
    if not vector.is_cuda:
        return [vector]
    size = max(_SHORTEST_PIECE, -(-len(vector) // (16 * _PIECES)) * 16)
    return list(torch.split(vector, size))


def _group(optimizers: Sequence[torch.optim.Optimizer], slot: Slot) -> Group:
    groups = (group for optimizer in optimizers for group in optimizer.param_groups)
    for group in groups:
        if any(p is slot.parameter for p in group["params"]):
            return group
    raise NetworkError("the fast update does not support parameters that no optimiser steps")


def _rate(group: Group) -> float:
    # Saved states of the first version have no ratio.
    return float(group["lr"] * group.get("lr_ratio", 1.0))


def _state(optimizers: Sequence[torch.optim.Optimizer], slot: Slot) -> dict[str, Any]:
    for optimizer in optimizers:
        if any(p is slot.parameter for group in optimizer.param_groups for p in group["params"]):
            return optimizer.state[slot.parameter]  # type: ignore[no-any-return]
    raise NetworkError("the fast update does not support parameters that no optimiser steps")
