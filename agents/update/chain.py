"""Forward and backward passes of a perceptron by hand, into tensors that are allocated once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType

import torch
from torch import Tensor, nn

from rpp_rl.agents.update.merged import MergedLayer
from rpp_rl.errors import NetworkError
from rpp_rl.networks import Shift

_aten = torch.ops.aten


def _relu(x: Tensor) -> None:
    x.relu_()


def _relu_backward(gradient: Tensor, y: Tensor) -> None:
    _aten.threshold_backward.grad_input(gradient, y, 0, grad_input=gradient)


def _tanh(x: Tensor) -> None:
    x.tanh_()


def _tanh_backward(gradient: Tensor, y: Tensor) -> None:
    _aten.tanh_backward.grad_input(gradient, y, grad_input=gradient)


def _leaky(x: Tensor) -> None:
    nn.functional.leaky_relu_(x)


def _leaky_backward(gradient: Tensor, y: Tensor) -> None:
    _aten.leaky_relu_backward.grad_input(gradient, y, 0.01, True, grad_input=gradient)


def _elu(x: Tensor) -> None:
    nn.functional.elu_(x)


def _elu_backward(gradient: Tensor, y: Tensor) -> None:
    _aten.elu_backward.grad_input(gradient, 1.0, 1.0, 1.0, True, y, grad_input=gradient)


# In place, and backward from the output alone.
ACTIVATIONS: MappingProxyType[type[nn.Module], tuple[Callable[[Tensor], None], Callable[[Tensor, Tensor], None]]]
ACTIVATIONS = MappingProxyType(
    {
        nn.ReLU: (_relu, _relu_backward),
        nn.Tanh: (_tanh, _tanh_backward),
        nn.LeakyReLU: (_leaky, _leaky_backward),
        nn.ELU: (_elu, _elu_backward),
    }
)


class Chain:
    """Linear layers with one pointwise activation between them.

    Args:
        modules: the layers and activations, in order; a `Shift` may come first, an activation last.
        heads: layers that share the last hidden layer; their outputs stand side by side.
        batch: the greatest number of rows.

    Raises:
        NetworkError: if there is a module that it does not know.
    """

    def __init__(self, modules: Sequence[nn.Module], heads: Sequence[nn.Module], batch: int) -> None:
        modules = list(modules)
        self.center: Tensor | None = None
        if modules and isinstance(modules[0], Shift):
            self.center = modules[0].center
            del modules[0]
        self.layers = [MergedLayer(m) for m in modules[::2]]
        kinds = {(type(m), str(m)) for m in modules[1::2]}
        expected = len(self.layers) if heads else len(self.layers) - 1
        if len(kinds) > 1 or len(modules) != len(self.layers) + expected:
            raise NetworkError("the fast update knows chains of linear layers with one kind of activation only")
        (kind, text), *_ = kinds or {(nn.ReLU, "ReLU()")}
        if kind not in ACTIVATIONS or text != str(kind()).replace("inplace=True", ""):
            raise NetworkError(f"the fast update does not know the activation {text}")
        self.activate, self.differentiate_activation = ACTIVATIONS[kind]
        self.heads = [MergedLayer(m) for m in heads]
        self._allocate(batch)

    def _allocate(self, batch: int) -> None:
        like = (self.layers or self.heads)[0].weight
        widths = [layer.weight.shape[0] for layer in self.layers]
        self._values = [like.new_zeros(batch, width) for width in widths]
        self._gradients = [like.new_zeros(batch, width) for width in widths]
        self._outputs = [like.new_zeros(batch, head.weight.shape[0]) for head in self.heads]
        self._views: dict[int, tuple[list[Tensor], list[Tensor], list[Tensor]]] = {}

    def _of(self, rows: int) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """The first rows of values, their gradients and outputs; views made once."""
        if rows not in self._views:
            whole = (self._values, self._gradients, self._outputs)
            values, gradients, outputs = ([tensor[:rows] for tensor in tensors] for tensors in whole)
            self._views[rows] = values, gradients, outputs
        return self._views[rows]

    def assemble(self) -> None:
        """Merge the pathways of all layers."""
        for layer in (*self.layers, *self.heads):
            layer.assemble()

    def merged_tensors(self) -> list[Tensor]:
        """The weights and biases that are merged from pathways, and no parameters themselves."""
        layers = [layer for layer in (*self.layers, *self.heads) if layer.pathways or layer.residuals]
        return [tensor for layer in layers for tensor in (layer.weight, layer.bias)]

    def forward(self, x: Tensor) -> list[Tensor]:
        """The outputs of the heads, or of the last layer, each of shape (rows, size); the next pass overwrites them."""
        values, _, outputs = self._of(len(x))
        self.x = h = x if self.center is None else x - self.center
        last = len(self.layers) - 1
        for i, (layer, out) in enumerate(zip(self.layers, values, strict=True)):
            torch.addmm(layer.bias, h, layer.transposed, out=out)
            if i < last or self.heads:
                self.activate(out)
            h = out
        if not self.heads:
            return [h]
        for head, output in zip(self.heads, outputs, strict=True):
            torch.addmm(head.bias, h, head.transposed, out=output)
        return outputs

    def backward(self, gradients: Sequence[Tensor], rows: int) -> None:
        """Write the gradients of all parameters, given those of the outputs of the first `rows` rows."""
        values, downward, _ = self._of(rows)
        top = len(self.layers) - 1
        if self.heads:
            self._through_heads(gradients, values[-1], downward[-1])
        else:
            downward[top].copy_(gradients[0])
        for i in range(top, 0, -1):
            self._weights(self.layers[i], downward[i], values[i - 1])
            self._down(i, values, downward)
        self._weights(self.layers[0], downward[0], self.x[:rows])
        for layer in (*self.layers, *self.heads):
            layer.differentiate()

    def backward_to_input(self, gradient: Tensor, first: int = 0) -> Tensor:
        """The gradient of the input, from column `first` on, without those of the parameters."""
        values, downward, _ = self._of(len(gradient))
        top = len(self.layers) - 1
        downward[top].copy_(gradient)
        for i in range(top, 0, -1):
            self._down(i, values, downward)
        return downward[0] @ self.layers[0].weight[:, first:]

    def _through_heads(self, gradients: Sequence[Tensor], hidden: Tensor, down: Tensor) -> None:
        for i, (head, gradient) in enumerate(zip(self.heads, gradients, strict=True)):
            self._weights(head, gradient, hidden)
            if i == 0:
                torch.mm(gradient, head.weight, out=down)
            else:
                torch.addmm(down, gradient, head.weight, out=down)
        self.differentiate_activation(down, hidden)

    def _down(self, i: int, values: list[Tensor], downward: list[Tensor]) -> None:
        """From the gradient of layer i's values to that of the values below."""
        torch.mm(downward[i], self.layers[i].weight, out=downward[i - 1])
        self.differentiate_activation(downward[i - 1], values[i - 1])

    @staticmethod
    def _weights(layer: MergedLayer, gradient: Tensor, below: Tensor) -> None:
        torch.mm(gradient.t(), below, out=layer.weight_gradient)
        torch.sum(gradient, dim=0, out=layer.bias_gradient)
