"""Optimisers that step the flat parameter vectors of several agents at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from rpp_rl.agents.rpp_sac.fast_update.cuda_graphs import graphs_on
from rpp_rl.agents.rpp_sac.fast_update.stacked_layers import Learnt, Slot
from rpp_rl.errors import NetworkError
from rpp_rl.pathway_optimizers import rules_of

Group = dict[str, Any]
# The settings that all parameters of a vector must share, beside the learning rate, and what they are where missing.
_SHARED = {"betas": None, "eps": None, "weight_decay": 0.0, "decoupled_weight_decay": False, "lr_ratio": 1.0}
# The settings of torch's Adam that are not supported here.
_UNSUPPORTED = ("amsgrad", "maximize", "differentiable")
# All settings of a group that the step depends on, other than the learning rate.
SETTINGS = (*_SHARED, *_UNSUPPORTED, "initial_rms")
# A GPU gives up to 2^16 numbers of a tensor to one processor, which leaves most processors idle. So a vector is split
# into as many pieces as one call takes, but not into shorter ones than pays.
_PIECES, _SHORTEST_PIECE = 32, 2048


class _Stepped:
    """A vector of parameters with its state of Adam.

    Args:
        pathway: values and gradients.
        optimizers: one for each agent.
        slots: the parameters that have entries.
    """

    def __init__(self, pathway: Learnt, optimizers: Sequence[torch.optim.Optimizer], slots: Sequence[Slot]) -> None:
        self.vector, self.group, count = pathway.vector, _group(optimizers, slots[0]), len(slots)
        self._gradient = pathway.gradient
        self._factors = _prior_factors(pathway.vector, optimizers, slots)
        self.pathways = {_group(optimizers, slot).get("pathway") for slot in slots}
        inverse_squares = _inverse_squares(pathway.vector, optimizers, slots)
        # Residuals lie at the end of the vector.
        start = 0 if inverse_squares is None else int(inverse_squares.nonzero()[0])
        self._inverse_squares = None if inverse_squares is None else inverse_squares[start:]
        self._decaying = self.vector[start:]
        self._share_kept = torch.ones_like(self._decaying) if self._inverse_squares is not None else None
        decoupled = self.group.get("decoupled_weight_decay", False)
        self._adam = torch._fused_adamw_ if decoupled else torch._fused_adam_
        self.mean, self.square = torch.zeros_like(self.vector), torch.zeros_like(self.vector)
        self.steps = torch.zeros(count, dtype=torch.float32, device=self.vector.device)
        self._lists = [_pieces(t) for t in (self.vector, pathway.gradient, self.mean, self.square)]
        # All parameters have taken the same number of steps.
        self._counts = [self.steps[0]] * len(self._lists[0])

    def set_decay(self, rate: float) -> None:
        """Set what residuals keep at a step of this size."""
        if self._inverse_squares is not None and self._share_kept is not None:
            torch.mul(self._inverse_squares, -(rate**2) / 2, out=self._share_kept).add_(1).clamp_min_(0)

    def add_prior(self) -> None:
        """Add the gradient of the prior of scaled parameters."""
        if self._factors is not None:
            self._gradient.addcmul_(self._factors, self.vector)

    def step(self, rate: float | Tensor) -> None:
        """Let residuals decay, and take a step of Adam of this size."""
        if self._share_kept is not None:
            self._decaying.mul_(self._share_kept)
        self.steps.add_(1)
        self._adam(
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
        for pathway in _joined(optimizers, learnt):
            slots = [slot for slot in pathway.slots if slot.parameter.numel()]
            if not slots:
                continue
            stepped = _Stepped(pathway, optimizers, slots)
            for i, slot in enumerate(slots):
                self._bind(_state(optimizers, slot), slot, stepped, stepped.steps[i])
            self._stepped.append(stepped)
        self._ruled = [optimizer for optimizer in optimizers if rules_of(optimizer).kind in ("dual", "projection")]
        # Groups whose decay has multipliers, with the number of their vector.
        self._dual: list[tuple[torch.optim.Optimizer, Group, int]] = []
        for optimizer, group in ((o, g) for o in optimizers for g in o.param_groups):
            rules = rules_of(optimizer)
            residuals = [p for p, _ in rules.residuals_of(group)] if rules.kind == "dual" else []
            for p in residuals:
                optimizer.state[p].setdefault("multiplier", p.new_ones(()))
            if residuals:
                number = next(i for i, s in enumerate(self._stepped) if group["pathway"] in s.pathways)
                self._dual.append((optimizer, group, number))
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
            if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW) or any(flags):
                return False
        for pathway in learnt:
            slots = [slot for slot in pathway.slots if slot.parameter.numel()]
            if len({_settings(optimizers, slot) for slot in slots}) > 1:
                return False
        return True

    @property
    def vectors(self) -> list[Tensor]:
        """The tensors of the state."""
        multipliers = [
            optimizer.state[p]["multiplier"]
            for optimizer, group, _ in self._dual
            for p, _ in rules_of(optimizer).residuals_of(group)
        ]
        return [*multipliers, *(tensor for s in self._stepped for tensor in (s.mean, s.square, s.steps))]

    def follow_schedule(self) -> None:
        """Copy what depends on the learning rates of the first agent's optimiser to the tensors that a step reads."""
        for i, stepped in enumerate(self._stepped):
            value = _rate(stepped.group)
            if value != self._rates_written[i]:
                self._rates_written[i] = value
                stepped.set_decay(value)
                if self._rates is not None:
                    self._rates[i].fill_(value)

    def step(self) -> None:
        """Take a step at the learning rates of the first agent's optimiser."""
        rates: Sequence[float | Tensor] = self._rates or [_rate(s.group) for s in self._stepped]
        for stepped in self._stepped:
            stepped.add_prior()
        for optimizer, group, number in self._dual:
            rules_of(optimizer).decay_dually(optimizer, group, rates[number])
        for stepped, rate in zip(self._stepped, rates, strict=True):
            stepped.step(rate)
        for optimizer in self._ruled:
            rules_of(optimizer).hold(optimizer)

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


def _prior_factors(vector: Tensor, optimizers: Sequence[torch.optim.Optimizer], slots: Sequence[Slot]) -> Tensor | None:
    """The factors by which scaled parameters join their gradients, see `StepRules`; None where there are none."""
    given = {p: factor for optimizer in optimizers for p, factor in rules_of(optimizer).factors.items()}
    found = [(slot, given[slot.parameter]) for slot in slots if slot.parameter in given]
    return _spread(vector, [(slot, factor.to(vector).view_as(slot.value)) for slot, factor in found])


def _inverse_squares(
    vector: Tensor, optimizers: Sequence[torch.optim.Optimizer], slots: Sequence[Slot]
) -> Tensor | None:
    """1 / allowed^2 for residuals that decay without a multiplier; None where there are none."""
    plain = [optimizer for optimizer in optimizers if rules_of(optimizer).kind == "decay"]
    groups = [(rules_of(optimizer), group) for optimizer in plain for group in optimizer.param_groups]
    given = {p: rms for rules, group in groups for p, rms in rules.residuals_of(group)}
    found = [(slot, given[slot.parameter]) for slot in slots if slot.parameter in given]
    return _spread(vector, [(slot, torch.full_like(slot.value, 1 / rms**2)) for slot, rms in found])


def _spread(vector: Tensor, values: Sequence[tuple[Slot, Tensor]]) -> Tensor | None:
    """Values at the places of their parameters, zero elsewhere; None without values."""
    if not values:
        return None
    spread = torch.zeros_like(vector)
    for slot, value in values:
        spread[slot.start : slot.start + value.numel()] = value.flatten()
    return spread


def _joined(optimizers: Sequence[torch.optim.Optimizer], learnt: Sequence[Learnt]) -> list[Learnt]:
    """Join vectors that lie side by side in memory and whose parameters take equal steps: one call serves both."""
    joined: list[Learnt] = []
    for pathway in learnt:
        last = joined[-1] if joined else None
        if last is None or not _adjacent(last, pathway):
            joined.append(pathway)
            continue
        slots = [slot for slot in (*last.slots, *pathway.slots) if slot.parameter.numel()]
        if len({_settings(optimizers, slot) for slot in slots}) > 1:
            joined.append(pathway)
            continue
        size, first = len(last.vector) + len(pathway.vector), last.vector
        vector = first.as_strided((size,), (1,), first.storage_offset())
        gradient = last.gradient.as_strided((size,), (1,), last.gradient.storage_offset())
        moved = [replace(slot, start=slot.start + len(first)) for slot in pathway.slots]
        joined[-1] = Learnt(vector, gradient, (*last.slots, *moved))
    return joined


def _adjacent(one: Learnt, other: Learnt) -> bool:
    """Whether the vectors and gradients of one follow those of the other in the same memory."""
    return all(
        a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()
        and a.storage_offset() + len(a) == b.storage_offset()
        for a, b in ((one.vector, other.vector), (one.gradient, other.gradient))
    )


def _settings(optimizers: Sequence[torch.optim.Optimizer], slot: Slot) -> tuple[object, ...]:
    """What parameters that are stepped by one call must share."""
    group = _group(optimizers, slot)
    shared = (group.get(name, default) for name, default in _SHARED.items())
    return (*shared, float(_state(optimizers, slot).get("step", 0.0)))


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
