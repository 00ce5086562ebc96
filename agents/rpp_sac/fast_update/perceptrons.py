"""Forward and backward passes of several perceptrons at once, written by hand, into preallocated tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor, nn

from rpp_rl.agents.rpp_sac.fast_update.stacked_layers import Side, StackedLayers
from rpp_rl.errors import NetworkError
from rpp_rl.networks import Shift

_aten = torch.ops.aten
Calls = list[Callable[[], object]]
# Below this size a batched product on a CPU uses loops that are slower than one call for each matrix.
_THIN = 16


def _relu_backward(gradient: Tensor, y: Tensor) -> None:
    _aten.threshold_backward.grad_input(gradient, y, 0, grad_input=gradient)


def _tanh_backward(gradient: Tensor, y: Tensor) -> None:
    _aten.tanh_backward.grad_input(gradient, y, grad_input=gradient)


def _leaky_backward(gradient: Tensor, y: Tensor) -> None:
    _aten.leaky_relu_backward.grad_input(gradient, y, 0.01, True, grad_input=gradient)


def _elu_backward(gradient: Tensor, y: Tensor) -> None:
    _aten.elu_backward.grad_input(gradient, 1.0, 1.0, 1.0, True, y, grad_input=gradient)


# Forward passes are in place; backward passes need the output alone.
ACTIVATIONS: MappingProxyType[type[nn.Module], tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], None]]]
ACTIVATIONS = MappingProxyType(
    {
        nn.ReLU: (torch.relu_, _relu_backward),
        nn.Tanh: (torch.tanh_, _tanh_backward),
        nn.LeakyReLU: (nn.functional.leaky_relu_, _leaky_backward),
        nn.ELU: (nn.functional.elu_, _elu_backward),
    }
)


def product(a: Tensor, b: Tensor, out: Tensor, bias: Tensor | None = None) -> Calls:
    """Return calls that write a b + bias into `out`, for stacks of k matrices, in the way that is fastest there.

    Args:
        a: shape (k, m, l).
        b: shape (k, l, n).
        out: shape (k, m, n).
        bias: shape (k, n).
    """
    if a.shape[2] == 1 and bias is None:
        return [partial(torch.mul, a, b, out=out)]
    thin = min(*a.shape[1:], b.shape[2]) < _THIN
    if len(out) == 1 or (out.device.type == "cpu" and thin):
        if bias is None:
            return [partial(torch.mm, x, y, out=z) for x, y, z in zip(a, b, out, strict=True)]
        return [partial(torch.addmm, c, x, y, out=z) for c, x, y, z in zip(bias, a, b, out, strict=True)]
    if bias is None:
        return [partial(torch.bmm, a, b, out=out)]
    return [partial(torch.baddbmm, bias.unsqueeze(1), a, b, out=out)]


class Workspace:
    """Tensors that several passes use in turn; the fewer there are, the longer they stay in the processor's cache."""

    def __init__(self) -> None:
        self._tensors: dict[tuple[str, tuple[int, ...], torch.dtype], Tensor] = {}

    def zeros(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Return the tensor of a name and shape, made at the first call."""
        return self._tensors.setdefault((name, shape, like.dtype), like.new_zeros(shape))


class NetworkStack:
    """Networks of one form with their weights in the dtype of the matrix products.

    Args:
        bodies: for each network its modules in order; a `Shift` may come first.
        heads: for each network the layers on its last hidden layer; empty where the body ends with a linear layer.
        dtype: dtype of the products; None for that of the parameters.

    Attributes:
        layers: the linear layers.
        center: the point of the input space that the group fixes; None for the origin.
        activation: its forward and backward pass, in place.
        weights: merged weights and biases in the dtype of the products.
        gradient: their gradients, in the same dtype.

    Raises:
        NetworkError: if a module is not supported, or the networks differ.
    """

    def __init__(
        self, bodies: Sequence[Sequence[nn.Module]], heads: Sequence[Side], dtype: torch.dtype | None = None
    ) -> None:
        parsed = [_parse(body, head) for body, head in zip(bodies, heads, strict=True)]
        self.center, self.activation = parsed[0][1:]
        if any(activation != self.activation for *_, activation in parsed):
            raise NetworkError("the fast update supports only networks of one activation")
        self.layers = StackedLayers([sides for sides, *_ in parsed])
        merged = self.layers.merged
        self.is_cast = dtype is not None and dtype != merged.vector.dtype
        self.weights = merged.like(dtype) if self.is_cast else merged
        self.gradient = merged.like(dtype) if self.is_cast else self.layers.gradient
        self.recast()

    @property
    def vectors(self) -> list[Tensor]:
        """The tensors that learning changes."""
        return [*self.layers.vectors, self.weights.vector] if self.is_cast else self.layers.vectors

    def in_full_precision(self) -> NetworkStack:
        """Return the same networks, with products in the dtype of the parameters."""
        full = copy.copy(self)
        full.weights, full.gradient, full.is_cast = self.layers.merged, self.layers.gradient, False
        return full

    def weight(self, layer: int) -> Tensor:
        """Return the weights of a layer, shape (networks, n_out, n_in)."""
        return self.layers.stacked(self.weights, layer, "weight")

    def bias(self, layer: int) -> Tensor:
        """Return the biases of a layer, shape (networks, n_out)."""
        return self.layers.stacked(self.weights, layer, "bias")

    def merged(self, network: int) -> list[tuple[Tensor, Tensor]]:
        """Return views of the merged weight and bias of each layer of a network."""
        merged, stacked = self.layers.merged, self.layers.stacked
        layers = range(len(self.layers.sizes))
        return [(stacked(merged, i, "weight")[network], stacked(merged, i, "bias")[network]) for i in layers]

    def assemble(self) -> None:
        """Merge the pathways of all layers."""
        self.layers.assemble()
        self.recast()

    def recast(self) -> None:
        """Copy the merged weights to the dtype of the products."""
        if self.is_cast:
            self.weights.vector.copy_(self.layers.merged.vector)


class Passes:
    """Forward and backward passes of a stack of networks.

    Args:
        stack: the networks.
        rows: rows of each network's input.
        workspace: holds the values between the layers.
        parts: sizes of parts of the output that are computed one by one, which affects rounding; by default there is
            one part.

    Attributes:
        inputs: shape (networks, rows, n_in), relative to the center; the caller writes them before a pass.
        outputs: shape (networks, rows, n_out), in the dtype of the parameters.
        upward: gradient of the outputs, in the same form; the caller writes it before a backward pass.
    """

    def __init__(self, stack: NetworkStack, rows: int, workspace: Workspace, parts: Sequence[int] = ()) -> None:
        self.stack = stack
        self._parts = list(parts) or [stack.layers.sizes[-1][0]]
        sizes, like, k = stack.layers.sizes, stack.weights.vector, stack.layers.count
        self.inputs = like.new_zeros(k, rows, sizes[0][1])
        self._values = [workspace.zeros(f"h{i}", (k, rows, n), like) for i, (n, _) in enumerate(sizes[:-1])]
        self._down = [workspace.zeros(f"d{i}", (k, rows, n), like) for i, (n, _) in enumerate(sizes[:-1])]
        self.outputs = stack.layers.merged.vector.new_zeros(k, rows, sizes[-1][0])
        self.upward = torch.zeros_like(self.outputs)
        self._output = torch.zeros_like(self.outputs, dtype=like.dtype) if stack.is_cast else self.outputs
        self._up = torch.zeros_like(self._output) if stack.is_cast else self.upward
        self._forward = self._forward_calls()
        self._backward: dict[int, Calls] = {}
        self._downward: dict[int, tuple[Tensor, Calls]] = {}

    def write(self, inputs: Tensor, values: Tensor) -> None:
        """Write values to (a part of) the inputs that starts with the first column, relative to the center."""
        inputs.copy_(values)
        if self.stack.center is not None:
            inputs.sub_(self.stack.center[: inputs.shape[-1]])

    def forward(self) -> Tensor:
        """Compute the outputs, which the next pass overwrites."""
        for call in self._forward:
            call()
        return self.outputs

    def backward(self, rows: int) -> None:
        """Compute the gradients of all parameters, given `upward` in the first rows."""
        if rows not in self._backward:
            self._backward[rows] = self._backward_calls(rows)
        for call in self._backward[rows]:
            call()
        self.stack.layers.differentiate()

    def backward_to_input(self, first: int) -> Tensor:
        """Compute the gradient of the inputs from column `first`, given `upward`."""
        if first not in self._downward:
            gradient = torch.zeros_like(self.inputs[..., first:], memory_format=torch.contiguous_format)
            self._downward[first] = gradient, self._downward_calls(first, gradient)
        gradient, calls = self._downward[first]
        for call in calls:
            call()
        return gradient

    def _forward_calls(self) -> Calls:
        calls: Calls = []
        x = self.inputs
        for i, value in enumerate(self._values):
            calls += product(x, self.stack.weight(i).transpose(1, 2), value, self.stack.bias(i))
            calls.append(partial(self.stack.activation[0], value))
            x = value
        last, start = len(self._values), 0
        for size in self._parts:
            part = slice(start, start + size)
            weight, bias = self.stack.weight(last)[:, part], self.stack.bias(last)[:, part]
            calls += product(x, weight.transpose(1, 2), self._output[..., part], bias)
            start += size
        if self.stack.is_cast:
            calls.append(partial(self.outputs.copy_, self._output))
        return calls

    def _step_down(self, i: int, above: Tensor, rows: int) -> Calls:
        """Return calls from the gradient of layer i's output to that of layer i - 1's output before its activation."""
        down, value = self._down[i - 1][:, :rows], self._values[i - 1][:, :rows]
        return [*product(above, self.stack.weight(i), down), partial(self.stack.activation[1], down, value)]

    def _backward_calls(self, rows: int) -> Calls:
        gradient = partial(self.stack.layers.stacked, self.stack.gradient)
        above = self._up[:, :rows]
        calls: Calls = [partial(above.copy_, self.upward[:, :rows])] if self.stack.is_cast else []
        for i in range(len(self._values), -1, -1):
            below = (self._values[i - 1] if i else self.inputs)[:, :rows]
            calls += product(above.transpose(1, 2), below, gradient(i, "weight"))
            calls.append(partial(torch.sum, above, dim=1, out=gradient(i, "bias")))
            if i:
                calls += self._step_down(i, above, rows)
                above = self._down[i - 1][:, :rows]
        if self.stack.is_cast:
            calls.append(partial(self.stack.layers.gradient.vector.copy_, self.stack.gradient.vector))
        return calls

    def _downward_calls(self, first: int, gradient: Tensor) -> Calls:
        above = self._up
        calls: Calls = [partial(above.copy_, self.upward)] if self.stack.is_cast else []
        for i in range(len(self._values), 0, -1):
            calls += self._step_down(i, above, above.shape[1])
            above = self._down[i - 1]
        return [*calls, *product(above, self.stack.weight(0)[..., first:], gradient)]


def _parse(
    body: Sequence[nn.Module], heads: Side
) -> tuple[list[Side], Tensor | None, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], None]]]:
    """Return layers, center and activation of a network."""
    modules = list(body)
    center = None
    if modules and isinstance(modules[0], Shift):
        center = modules[0].center
        del modules[0]
    layers = [(m,) for m in modules[::2]]
    kinds = {(type(m), str(m)) for m in modules[1::2]}
    if len(kinds) > 1 or len(modules) != 2 * len(layers) - (0 if heads else 1):
        raise NetworkError("the fast update supports only chains of linear layers with one kind of activation")
    (kind, text), *_ = kinds or {(nn.ReLU, "ReLU()")}
    if kind not in ACTIVATIONS or text.replace("inplace=True", "") != str(kind()):
        raise NetworkError(f"the fast update does not support the activation {text}")
    return [*layers, heads] if heads else layers, center, ACTIVATIONS[kind]  # type: ignore[return-value]
