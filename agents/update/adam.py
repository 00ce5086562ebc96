"""Optimisers that step the flat vectors of several agents' parameters at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from rpp_rl.agents.update.layers import Learnt, Slot

Group = dict[str, Any]
# What must be alike for all parameters of a vector, beside the learning rate.
_SHARED = ("betas", "eps", "weight_decay")


class FlatAdam:
    """Adam on one vector for each pathway; the state of each parameter lives in the optimiser's own place, as views.

    Args:
        optimizers: one for each agent; all have the same learning rate and settings.
        learnt: the vectors of all agents.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], learnt: Sequence[Learnt]) -> None:
        self._vectors: list[tuple[Learnt, Group, Tensor, Tensor, Tensor]] = []
        # Loading another state replaces the dictionary that holds it.
        self._states = [(optimizer, optimizer.state) for optimizer in optimizers]
        for pathway in learnt:
            slots = [slot for slot in pathway.slots if slot.parameter.numel()]
            if not slots:
                continue
            mean, square = torch.zeros_like(pathway.vector), torch.zeros_like(pathway.vector)
            steps = torch.zeros(len(slots), dtype=torch.float32, device=mean.device)
            for i, slot in enumerate(slots):
                state = _state(optimizers, slot)
                self._bind(state, slot, mean, square, steps[i])
            self._vectors.append((pathway, _group(optimizers, slots[0]), mean, square, steps))
        # A graph of operations keeps the numbers that it was captured with, so there the rates are tensors.
        on_gpu = any(pathway.vector.is_cuda for pathway, *_ in self._vectors)
        self._rates = [torch.zeros((), device=p.vector.device) for p, *_ in self._vectors] if on_gpu else None
        self._rates_written = [math.nan] * len(self._vectors)
        self.follow_schedule()

    @staticmethod
    def fits(optimizers: Sequence[torch.optim.Optimizer], learnt: Sequence[Learnt]) -> bool:
        """Whether the optimisers are Adam, with one set of settings and one count of steps for each vector."""
        for optimizer in optimizers:
            unknown = ("amsgrad", "maximize", "decoupled_weight_decay", "differentiable")
            if type(optimizer) is not torch.optim.Adam or any(optimizer.defaults.get(name) for name in unknown):
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
    def is_current(self) -> bool:
        """Whether the optimisers still hold the state that is stepped here, and not one that was loaded."""
        return all(optimizer.state is state for optimizer, state in self._states)

    @property
    def vectors(self) -> list[Tensor]:
        """The state."""
        return [tensor for _, _, *state in self._vectors for tensor in state]

    def follow_schedule(self) -> None:
        """Take over the learning rates of the first agent's optimiser, before steps that a graph replays."""
        for i, rate in enumerate(self._rates or ()):
            value = _rate(self._vectors[i][1])
            if value != self._rates_written[i]:
                self._rates_written[i] = value
                rate.fill_(value)

    def step(self) -> None:
        """Take a step; the learning rates are those of the first agent's optimiser."""
        for i, (pathway, group, mean, square, steps) in enumerate(self._vectors):
            steps.add_(1)
            torch._fused_adam_(
                [pathway.vector],
                [pathway.gradient],
                [mean],
                [square],
                [],
                [steps[0]],
                lr=_rate(group) if self._rates is None else self._rates[i],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )

    def _bind(self, state: dict[str, Any], slot: Slot, mean: Tensor, square: Tensor, step: Tensor) -> None:
        stop = slot.start + slot.parameter.numel()
        for name, vector in (("exp_avg", mean), ("exp_avg_sq", square)):
            view = vector[slot.start : stop].view_as(slot.parameter)
            if name in state:
                view.copy_(state[name])
            state[name] = view
        step.copy_(torch.as_tensor(state.get("step", 0.0)))
        state["step"] = step


class OwnSteps:
    """Any other optimisers, given the gradients and told to step.

    Args:
        optimizers: one for each agent.
        learnt: the vectors of all agents.
    """

    is_current = True
    vectors: ClassVar[list[Tensor]] = []

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], learnt: Sequence[Learnt]) -> None:
        self._optimizers = optimizers
        self._slots = [slot for pathway in learnt for slot in pathway.slots]

    def follow_schedule(self) -> None:
        """Nothing to do: the optimisers have their learning rates themselves."""

    def step(self) -> None:
        """Take a step; a gradient that something else has put in the place of ours is put back."""
        for slot in self._slots:
            slot.parameter.grad = slot.gradient
        for optimizer in self._optimizers:
            optimizer.step()


Stepper = FlatAdam | OwnSteps


def stepper(optimizers: Sequence[torch.optim.Optimizer], learnt: Sequence[Learnt]) -> Stepper:
    """The fastest way to step these optimisers."""
    return (FlatAdam if FlatAdam.fits(optimizers, learnt) else OwnSteps)(optimizers, learnt)


def _group(optimizers: Sequence[torch.optim.Optimizer], slot: Slot) -> Group:
    groups = (group for optimizer in optimizers for group in optimizer.param_groups)
    return next(group for group in groups if any(p is slot.parameter for p in group["params"]))


def _rate(group: Group) -> float:
    """Saved states from before there was a ratio have none."""
    return float(group["lr"] * group.get("lr_ratio", 1.0))


def _state(optimizers: Sequence[torch.optim.Optimizer], slot: Slot) -> dict[str, Any]:
    holder = next(o for o in optimizers if any(p is slot.parameter for g in o.param_groups for p in g["params"]))
    return holder.state[slot.parameter]  # type: ignore[no-any-return]
