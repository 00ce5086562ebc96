"""Networks as chains of merged weights: assembled from their pathways once per change, and differentiated by hand.

A layer y = x (A + B)^T + (a + b) meets its inputs as one dense matrix. The gradient of that matrix is that of B, and,
summed over each orbit of entries, that of the coefficients of A.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rpp_rl.assembly import OrbitAssembly
from rpp_rl.errors import NetworkError
from rpp_rl.layers import EquivariantLinear, RPPLinear


class Pathway:
    """The coefficients of one equivariant weight or bias, and the matrix that they span.

    Args:
        beta: the coefficients; its `grad` is set to a tensor that `differentiate` writes.
        assembly: from coefficients to the matrix.
    """

    def __init__(self, beta: nn.Parameter, assembly: OrbitAssembly) -> None:
        self.beta = beta.detach()
        self.orbit, self.coefficient = assembly.orbit, assembly.coefficient.flatten()
        self.gradient = torch.zeros_like(self.beta)
        beta.grad = self.gradient
        members, weights = _members(self.orbit, self.coefficient, assembly.rank)
        self._members, self._weights = members.flatten(), weights
        self._gathered = torch.zeros_like(weights)
        self._flat = self._gathered.view(-1)

    def assemble(self, out: Tensor) -> None:
        """Write the matrix, flat, into `out`."""
        torch.index_select(self.beta, 0, self.orbit, out=out)
        out.mul_(self.coefficient)

    def differentiate(self, gradient: Tensor) -> None:
        """Write the gradient of the coefficients, given that of the matrix, flat."""
        torch.index_select(gradient, 0, self._members, out=self._flat)
        torch.sum(self._gathered.mul_(self._weights), dim=0, out=self.gradient)


def _members(orbit: Tensor, coefficient: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The entries of each orbit and their coefficients, shape (size of the largest, rank); the rest weighs zero."""
    used = torch.nonzero(coefficient).flatten()
    order = used[torch.argsort(orbit[used], stable=True)]
    counts = torch.bincount(orbit[used], minlength=rank)
    place = torch.arange(len(order), device=orbit.device) - (counts.cumsum(0) - counts)[orbit[order]]
    members = torch.zeros((int(counts.max()), rank), dtype=torch.int64, device=orbit.device)
    weights = torch.zeros(members.shape, dtype=coefficient.dtype, device=orbit.device)
    members[place, orbit[order]] = order
    weights[place, orbit[order]] = coefficient[order]
    return members, weights


class MergedLayer:
    """One linear layer: its merged weight and bias, and their gradients.

    Args:
        layer: an `nn.Linear`, `EquivariantLinear` or `RPPLinear`, with a bias.

    Raises:
        NetworkError: for any other layer, or an equivariant one whose basis is no signed permutation's.
    """

    def __init__(self, layer: nn.Module) -> None:
        self.pathways: list[tuple[Pathway, Tensor, Tensor]] = []
        self.residuals: list[tuple[Tensor, Tensor]] = []
        if isinstance(layer, EquivariantLinear):
            self._of_pathways(layer)
        elif type(layer) is nn.Linear and layer.bias is not None:
            self.weight, self.bias = layer.weight.detach(), layer.bias.detach()
            self.weight_gradient, self.bias_gradient = torch.zeros_like(self.weight), torch.zeros_like(self.bias)
            layer.weight.grad, layer.bias.grad = self.weight_gradient, self.bias_gradient
        else:
            raise NetworkError(f"the fast update does not know the layer {type(layer).__name__}")
        self.transposed = self.weight.t()

    def _of_pathways(self, layer: EquivariantLinear) -> None:
        assemblies = (layer.assemble_weight, layer.assemble_bias)
        if layer.bias_equiv is None or not all(isinstance(a, OrbitAssembly) for a in assemblies):
            raise NetworkError("the fast update knows equivariant layers of signed permutations only")
        like = layer.weight_equiv
        self.weight = torch.zeros(layer.out_features, layer.in_features, dtype=like.dtype, device=like.device)
        self.bias = torch.zeros(layer.out_features, dtype=like.dtype, device=like.device)
        self.weight_gradient, self.bias_gradient = torch.zeros_like(self.weight), torch.zeros_like(self.bias)
        for beta, assembly, merged, gradient in (
            (layer.weight_equiv, layer.assemble_weight, self.weight, self.weight_gradient),
            (layer.bias_equiv, layer.assemble_bias, self.bias, self.bias_gradient),
        ):
            if beta.numel():
                self.pathways.append((Pathway(beta, assembly), merged.view(-1), gradient.view(-1)))  # type: ignore[arg-type]
            else:
                beta.grad = torch.zeros_like(beta)
        if isinstance(layer, RPPLinear) and layer.bias_basic is not None:
            # The residual's gradient is that of the merged weight itself.
            layer.weight_basic.grad, layer.bias_basic.grad = self.weight_gradient, self.bias_gradient
            self.residuals = [(layer.weight_basic.detach(), self.weight), (layer.bias_basic.detach(), self.bias)]

    def assemble(self) -> None:
        """Merge the pathways."""
        for pathway, merged, _ in self.pathways:
            pathway.assemble(merged)
        for residual, merged in self.residuals:
            merged.add_(residual)

    def differentiate(self) -> None:
        """Write the gradients of the pathways, given those of the merged weight and bias."""
        for pathway, _, gradient in self.pathways:
            pathway.differentiate(gradient)
