"""Sequences of operations on a GPU, captured once as a CUDA graph and replayed; run one by one elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")
# Libraries choose kernels and allocate workspaces in the first runs.
_WARM_UPS = 3


class Captured(Generic[Result]):
    """A function of tensors that always live in the same places.

    The first call on a GPU runs it a few times to warm up, puts back all that it changed, captures it, and replays it;
    so it changes what a plain call would change, with the same random numbers from the same state of the generator.

    Args:
        run: the function; what it returns is overwritten by the next replay.
        changed: the tensors that it writes to and reads again.
        device: where all of them are; a graph is captured on a CUDA device only.
    """

    def __init__(self, run: Callable[[], Result], changed: Sequence[Tensor], device: torch.device) -> None:
        self._run, self._changed, self._device = run, list(changed), device
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: Result | None = None

    def __call__(self) -> Result:
        """Run, or replay; on a GPU, the work is only started."""
        if self._device.type != "cuda":
            return self._run()
        if self._graph is None:
            self._capture()
        self._graph.replay()  # type: ignore[union-attr]
        return self._result  # type: ignore[return-value]

    def _capture(self) -> None:
        generator = torch.cuda.default_generators[self._device.index or 0]
        kept, state = [tensor.clone() for tensor in self._changed], generator.get_state()
        side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                self._run()
        torch.cuda.current_stream(self._device).wait_stream(side)
        for tensor, value in zip(self._changed, kept, strict=True):
            tensor.copy_(value)
        generator.set_state(state)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._result = self._run()
