"""CUDA graphs: a sequence of kernels that is captured once and replayed with one call.

Elsewhere than on CUDA devices the operations run one by one.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")
# In its first runs a library chooses kernels and allocates workspaces.
_WARM_UPS = 3


class Graphs(Protocol):
    """Capture functions of tensors that stay in the same places; see `CudaGraphs`."""

    def default_generator(self) -> torch.Generator:
        """Return the generator that is used where none is named."""

    def wait(self) -> None:
        """Wait until all started work is done."""

    def capture(
        self, run: Callable[[], Result], generators: Sequence[torch.Generator], put_back: Callable[[], None]
    ) -> tuple[Callable[[], None], Result]:
        """Return a function that replays `run`, and the result that each replay overwrites."""


class CudaGraphs:
    """Capture functions on one CUDA device.

    Args:
        device: the device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def default_generator(self) -> torch.Generator:
        """Return the generator that is used where none is named."""
        index = torch.cuda.current_device() if self._device.index is None else self._device.index
        return torch.cuda.default_generators[index]

    def wait(self) -> None:
        """Wait until all work in the current stream is done."""
        torch.cuda.current_stream(self._device).synchronize()

    def capture(
        self, run: Callable[[], Result], generators: Sequence[torch.Generator], put_back: Callable[[], None]
    ) -> tuple[Callable[[], None], Result]:
        """Warm up, and capture.

        Args:
            run: the function.
            generators: the generators that it draws from, beside the device's own.
            put_back: undoes the changes of the warm-up; it is called even if that fails.

        Returns:
            A function that replays the kernels, and the result that each replay overwrites.
        """
        # A graph is captured on the current device, whichever device the tensors are on.
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
            # Other threads, such as TensorBoard's writer, continue meanwhile.
            with _separate_workspace(), torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
                result = run()
        return graph.replay, result


# For each type of device the class that captures functions there.
_GRAPHS: Mapping[str, Callable[[torch.device], Graphs]] = MappingProxyType({"cuda": CudaGraphs})


def graphs_on(device: torch.device) -> Graphs | None:
    """Return the object that captures functions on a device; None where operations run one by one."""
    return _GRAPHS[device.type](device) if device.type in _GRAPHS else None


class Captured(Generic[Result]):
    """A function of tensors that stay in the same places.

    On a CUDA device the first call runs it a few times to warm up, undoes the changes, captures it, and replays it. So
    that call has the same effect as a plain one, with the same random numbers.

    Args:
        run: the function; each replay overwrites its result.
        changed: the tensors that it writes to and reads again.
        device: the device of all tensors.
        generators: the generators that it draws from, beside the device's own.
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
        """Run the function, or start its replay without waiting for the end."""
        if self._graphs is None:
            return self._run()
        if self._captured is None:
            put_back = self._keep([*self._generators, self._graphs.default_generator()])
            self._captured = self._graphs.capture(self._run, self._generators, put_back)
        replay, result = self._captured
        replay()
        return result

    def wait(self) -> None:
        """Wait until the work is done."""
        if self._graphs is not None:
            self._graphs.wait()

    def _keep(self, generators: Sequence[torch.Generator]) -> Callable[[], None]:
        """Copy the state that runs change; the returned function puts it back."""
        values = [tensor.clone() for tensor in self._changed]
        states = [generator.get_state() for generator in generators]

        def put_back() -> None:
            for tensor, value in zip(self._changed, values, strict=True):
                tensor.copy_(value)
            for generator, state in zip(generators, states, strict=True):
                generator.set_state(state)

        return put_back


@contextmanager
def _separate_workspace() -> Iterator[None]:
    """Give cuBLAS a workspace that lives as long as the graph that is captured.

    torch keeps one workspace for each stream and frees it with any graph that was captured there, although other graphs
    may still use it. Garbage is collected before the capture, since freeing a graph in its middle would break it.
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
