"""Sequences of operations on a GPU, captured once as a CUDA graph and replayed; run one by one elsewhere."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")
# Libraries choose kernels and allocate workspaces in the first runs.
_WARM_UPS = 3


class Captured(Generic[Result]):
    """A function of tensors that always live in the same places.

    The first call on a GPU runs it a few times to warm up, puts back all that it changed, captures it, and replays it;
    so it changes what a plain call would change, with the same random numbers from the same state of the generators.

    Args:
        run: the function; what it returns is overwritten by the next replay.
        changed: the tensors that it writes to and reads again.
        device: where all of them are; a graph is captured on a CUDA device only.
        generators: what it draws from; none stands for the device's own generator.
    """

    def __init__(
        self,
        run: Callable[[], Result],
        changed: Sequence[Tensor],
        device: torch.device,
        generators: Sequence[torch.Generator] | None = None,
    ) -> None:
        self._run, self._changed, self._device = run, list(changed), device
        self._generators = list(generators or ())
        self._captured: tuple[torch.cuda.CUDAGraph, Result] | None = None

    def __call__(self) -> Result:
        """Run, or replay; on a GPU, the work is only started."""
        if self._device.type != "cuda":
            return self._run()
        if self._captured is None:
            # A graph is captured on the current device, whichever the tensors are on.
            with torch.cuda.device(self._device):
                self._captured = self._capture()
        graph, result = self._captured
        graph.replay()
        return result

    def _capture(self) -> tuple[torch.cuda.CUDAGraph, Result]:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        with self._put_back():
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UPS):
                    self._run()
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        # Other threads, TensorBoard's writer for one, go on meanwhile.
        with _workspace_of_its_own(), torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
            result = self._run()
        return graph, result

    @contextmanager
    def _put_back(self) -> Iterator[None]:
        """Put back what runs have changed, also when one of them is interrupted."""
        generators = self._generators or [torch.cuda.default_generators[torch.cuda.current_device()]]
        kept = [tensor.clone() for tensor in self._changed]
        states = [generator.get_state() for generator in generators]
        try:
            yield
        finally:
            torch.cuda.synchronize()
            for tensor, value in zip(self._changed, kept, strict=True):
                tensor.copy_(value)
            for generator, state in zip(generators, states, strict=True):
                generator.set_state(state)


@contextmanager
def _workspace_of_its_own() -> Iterator[None]:
    """While a graph is captured, cuBLAS gets a workspace in memory that lives as long as the graph.

    torch keeps one workspace for each stream and frees it with any graph that was captured there, while other graphs
    may go on using it. Graphs that are garbage are let go of before, not in the middle of the capture.
    """
    gc.collect()
    torch.cuda.synchronize()
    torch._C._cuda_clearCublasWorkspaces()
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        torch._C._cuda_clearCublasWorkspaces()
        if collects:
            gc.enable()
