"""CUDA graphs: the kernels that a function starts, captured once and started again with one call."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

Result = TypeVar("Result")
# Libraries choose kernels and allocate workspaces in the first runs.
_WARM_UPS = 3


class CudaGraphs:
    """Captures functions on one CUDA device.

    Args:
        device: the device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def default_generator(self) -> torch.Generator:
        """What is drawn from where no generator is named."""
        index = torch.cuda.current_device() if self._device.index is None else self._device.index
        return torch.cuda.default_generators[index]

    def wait(self) -> None:
        """Until all that was started in the current stream has been done."""
        torch.cuda.current_stream(self._device).synchronize()

    def capture(
        self, run: Callable[[], Result], generators: Sequence[torch.Generator], put_back: Callable[[], None]
    ) -> tuple[Callable[[], None], Result]:
        """Warm up, and capture.

        Args:
            run: the function.
            generators: what it draws from, beside the device's own generator.
            put_back: called between the two, to undo what warming up has changed, also where that fails.

        Returns:
            What starts the kernels again, and where they leave what the function returns.
        """
        # A graph is captured on the current device, whichever the tensors are on.
        with torch.cuda.device(self._device):
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            try:
                side.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(side):
                    for _ in range(_WARM_UPS):
                        run()
            finally:
                torch.cuda.synchronize()
                put_back()
            graph = torch.cuda.CUDAGraph()
            for generator in generators:
                graph.register_generator_state(generator)
            # Other threads, TensorBoard's writer for one, go on meanwhile.
            with _workspace_of_its_own(), torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
                result = run()
        return graph.replay, result


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
