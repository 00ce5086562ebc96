"""Sequences of operations, captured once and replayed where a device can do that; run one by one elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from rpp_rl.agents.rpp_sac.fast_update.cuda_graphs import CudaGraphs

Result = TypeVar("Result")


class Graphs(Protocol):
    """What captures functions of tensors that always live in the same places; see `CudaGraphs`."""

    def default_generator(self) -> torch.Generator:
        """What is drawn from where no generator is named."""

    def wait(self) -> None:
        """Until all that was started has been done."""

    def capture(
        self, run: Callable[[], Result], generators: Sequence[torch.Generator], put_back: Callable[[], None]
    ) -> tuple[Callable[[], None], Result]:
        """What replays a function, and where it leaves what that returns; `put_back` undoes what warming up changes."""


# What captures functions on the devices of a type.
_GRAPHS: Mapping[str, Callable[[torch.device], Graphs]] = MappingProxyType({"cuda": CudaGraphs})


def graphs_on(device: torch.device) -> Graphs | None:
    """What captures functions on a device; None where operations run one by one."""
    return _GRAPHS[device.type](device) if device.type in _GRAPHS else None


class Captured(Generic[Result]):
    """A function of tensors that always live in the same places.

    Where it can be captured, the first call runs it a few times to warm up, puts back all that it changed, captures
    it, and replays it; so it changes what a plain call would change, with the same random numbers from the same state
    of the generators.

    Args:
        run: the function; what it returns is overwritten by the next replay.
        changed: the tensors that it writes to and reads again.
        device: where all of them are.
        generators: what it draws from; none stands for the device's own generator.
    """

    def __init__(
        self,
        run: Callable[[], Result],
        changed: Sequence[Tensor],
        device: torch.device,
        generators: Sequence[torch.Generator] | None = None,
    ) -> None:
        self._run, self._changed = run, list(changed)
        self._generators = list(generators or ())
        self._graphs = graphs_on(device)
        self._captured: tuple[Callable[[], None], Result] | None = None

    def __call__(self) -> Result:
        """Run; or replay, which may only start the work."""
        if self._graphs is None:
            return self._run()
        if self._captured is None:
            put_back = self._keep(self._generators or [self._graphs.default_generator()])
            self._captured = self._graphs.capture(self._run, self._generators, put_back)
        replay, result = self._captured
        replay()
        return result

    def wait(self) -> None:
        """Until the work is done."""
        if self._graphs is not None:
            self._graphs.wait()

    def _keep(self, generators: Sequence[torch.Generator]) -> Callable[[], None]:
        """Keep what runs change; what is returned puts it back."""
        values = [tensor.clone() for tensor in self._changed]
        states = [generator.get_state() for generator in generators]

        def put_back() -> None:
            for tensor, value in zip(self._changed, values, strict=True):
                tensor.copy_(value)
            for generator, state in zip(generators, states, strict=True):
                generator.set_state(state)

        return put_back
