"""What a CUDA graph does to a function, done on the CPU: its operations are recorded, and replayed without it.

A replay runs the recorded operations of torch on the very tensors that they had, and nothing of Python: numbers that
were computed outside torch stay what they were, and results stay where they were. While it records, it refuses what
capturing refuses or what a graph cannot repeat: numbers that the host reads, and tensors that are made on the host.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
# The host waits for what the first ones find, and brings the tensors of the last ones.
REFUSED = {
    aten._local_scalar_dense,
    aten.equal,
    aten.is_nonzero,
    aten.nonzero,
    aten.masked_select,
    aten._unique2,
    aten.lift_fresh,
    aten.lift_fresh_copy,
}


def tensors_in(*trees):
    return [leaf for leaf in tree_leaves(trees) if isinstance(leaf, torch.Tensor)]


class Recorded(TorchDispatchMode):
    """Records the operations that run within it; nothing that was there before is changed."""

    def __init__(self):
        super().__init__()
        self._calls = []
        self._before = {}
        self._made = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        counts_first = func.overloadpacket is aten.index and any(t.dtype == torch.bool for t in tensors_in(args[1]))
        if counts_first or func.overloadpacket in REFUSED:
            raise RuntimeError(f"operation not permitted when stream is capturing: {func}")
        given = tensors_in(args, kwargs)
        for tensor in given:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self._made and storage.data_ptr() not in self._before:
                self._before[storage.data_ptr()] = storage, storage.clone()
        result = func(*args, **kwargs)
        if any(tensor.device.type == "meta" for tensor in tensors_in(result)):
            raise RuntimeError(f"{func} made a tensor on the host, not where the others are")
        if not func.is_view:
            known = {id(tensor) for tensor in given}
            new = [(k, tensor) for k, tensor in enumerate(tensors_in(result)) if id(tensor) not in known]
            self._made |= {tensor.untyped_storage().data_ptr(): tensor for _, tensor in new}
            self._calls.append((func, args, kwargs, new))
        return result

    def __exit__(self, *exception):
        super().__exit__(*exception)
        for storage, before in self._before.values():
            storage.copy_(before)
        # Capturing computes nothing.
        for tensor in self._made.values():
            tensor.fill_(float("nan") if tensor.is_floating_point() else -1)

    @torch.no_grad()
    def replay(self):
        for func, args, kwargs, new in self._calls:
            again = tensors_in(func(*args, **kwargs))
            for k, tensor in new:
                tensor.copy_(again[k])


class RecordedGraphs:
    """Stands on the CPU in the place of `CudaGraphs`."""

    def __init__(self, device):
        self.device = device

    def default_generator(self):
        return torch.default_generator

    def wait(self):
        pass

    def capture(self, run, generators, put_back):
        try:
            for _ in range(3):
                run()
        finally:
            put_back()
        drawn_from = (torch.default_generator, *generators)
        states = [generator.get_state() for generator in drawn_from]
        recorded = Recorded()
        # What is made without naming a device is made on the host: here, nowhere.
        with torch.device("meta"), recorded:
            result = run()
        for generator, state in zip(drawn_from, states, strict=True):
            generator.set_state(state)
        return recorded.replay, result
