"""Linear layers that are equivariant, exactly or up to a residual.

`EquivariantLinear` has weights in the span of an equivariant basis. `RPPLinear` adds an unconstrained residual to
weight and bias: y = x (A + B)^T + a + b (Finzi, Benton and Wilson 2021, section 4). The two pathways are added in
weight space, so each input is multiplied by one dense matrix, and either layer can be merged into a plain
`torch.nn.Linear`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rpp_rl.bases import BlockBasis, EquivariantBasis, OrbitBasis, equivariant_basis
from rpp_rl.errors import NetworkError
from rpp_rl.representations import Representation, trivial_representation


class OrbitAssembly(nn.Module):
    """Assemble W = coefficient * beta[orbit] with one gather, whatever the group."""

    orbit: Tensor
    coefficient: Tensor

    def __init__(self, basis: OrbitBasis) -> None:
        super().__init__()
        self.shape = basis.shape
        self.rank = basis.rank
        # The buffers are not saved, because the representations determine them.
        self.register_buffer("orbit", torch.from_numpy(basis.orbit.ravel().copy()), persistent=False)
        # Kept in float64 for changes of dtype: a buffer in float32 cannot become exact again.
        self._exact = basis.coefficient
        coefficient = torch.from_numpy(basis.coefficient.copy()).to(torch.get_default_dtype())
        self.register_buffer("coefficient", coefficient, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OrbitAssembly:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.coefficient = torch.from_numpy(self._exact.copy()).to(self.coefficient)
        return self

    def forward(self, beta: Tensor) -> Tensor:
        """The weight, shape (n_out, n_in), for coefficients of shape (rank,)."""
        if not self.rank:
            return torch.zeros_like(self.coefficient)
        return self.coefficient * beta.index_select(0, self.orbit).view(self.shape)


class BlockAssembly(nn.Module):
    """Assemble W from small dense bases: one matrix product per block type, then one gather."""

    position: Tensor

    def __init__(self, basis: BlockBasis) -> None:
        super().__init__()
        self.shape = basis.shape
        self.sizes = [t.rank for t in basis.types]
        size = self.shape[0] * self.shape[1]
        # Position 0 holds the zero for the entries that no block reaches.
        reached = np.concatenate([np.zeros(0, np.int64), *(t.entries.ravel() for t in basis.types)])
        position = np.zeros(size, np.int64)
        position[reached] = np.arange(1, len(reached) + 1)
        self.register_buffer("position", torch.from_numpy(position), persistent=False)
        self._exact = [t.basis for t in basis.types]
        for i, t in enumerate(basis.types):
            Q = torch.from_numpy(t.basis.copy()).to(torch.get_default_dtype())
            self.register_buffer(f"basis_{i}", Q, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> BlockAssembly:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for i, Q in enumerate(self._exact):
            setattr(self, f"basis_{i}", torch.from_numpy(Q.copy()).to(self.get_buffer(f"basis_{i}")))
        return self

    def forward(self, beta: Tensor) -> Tensor:
        """The weight, shape (n_out, n_in), for coefficients of shape (rank,)."""
        values = [beta.new_zeros(1)]
        for i, part in enumerate(torch.split(beta, self.sizes)):
            Q = self.get_buffer(f"basis_{i}")
            values.append((part.view(-1, Q.shape[1]) @ Q.T).flatten())
        return torch.cat(values).index_select(0, self.position).view(self.shape)


def assembly(basis: EquivariantBasis) -> OrbitAssembly | BlockAssembly:
    """The module that assembles weights from coefficients in a basis."""
    return OrbitAssembly(basis) if isinstance(basis, OrbitBasis) else BlockAssembly(basis)


class EquivariantLinear(nn.Module):
    """x -> x A^T + a with rho_out(g) A = A rho_in(g) and rho_out(g) a = a, for inputs of shape (..., n_in).

    The coefficients are initialized so that outputs have the variance that `torch.nn.Linear` gives them.

    Attributes:
        weight_equiv: coefficients of A in the orthonormal basis, shape (rank,).
        bias_equiv: coefficients of a, shape (rank of the invariant biases,), or None.

    Args:
        rep_in: representation on inputs.
        rep_out: representation on outputs.
        bias: whether the layer has a bias.

    Raises:
        RepresentationError: if the representations are of different groups.
    """

    weight_equiv: nn.Parameter
    bias_equiv: nn.Parameter | None

    def __init__(self, rep_in: Representation, rep_out: Representation, bias: bool = True) -> None:
        super().__init__()
        self.rep_in, self.rep_out = rep_in, rep_out
        self.in_features, self.out_features = rep_in.size, rep_out.size
        self._weight_basis = equivariant_basis(rep_in, rep_out)
        self._bias_basis = equivariant_basis(trivial_representation(rep_in.group), rep_out)
        self.assemble_weight = assembly(self._weight_basis)
        self.assemble_bias = assembly(self._bias_basis)
        self.weight_equiv = nn.Parameter(torch.empty(self._weight_basis.rank))
        if bias:
            self.bias_equiv = nn.Parameter(torch.empty(self._bias_basis.rank))
        else:
            self.register_parameter("bias_equiv", None)
        self._held: tuple[Tensor, Tensor | None] | None = None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw coefficients such that entries vary as in `torch.nn.Linear`, U(-k, k) with k = n_in^(-1/2)."""
        _uniform_coefficients(self.weight_equiv, self._weight_basis, self.in_features)
        if self.bias_equiv is not None:
            _uniform_coefficients(self.bias_equiv, self._bias_basis, self.in_features)

    @torch.no_grad()
    def reset_as_projection(self) -> None:
        """Draw the coefficients of P w, P the projector on equivariant matrices, w dense with entries N(0, 1 / n_in).

        The authors of EMLP initialize in this way. Outputs are smaller than those of a plain layer, because P shrinks
        w. This keeps deep networks finite if a bilinear layer follows, whose outputs are quadratic in these.
        """
        self.weight_equiv.normal_(std=1 / math.sqrt(self.in_features))

    @torch.no_grad()
    def correct_for(self, x: Tensor) -> None:
        """Rescale initial coefficients so that outputs have the second moment of a plain layer's, for inputs like `x`.

        Only layers that share coefficients within a row need this, such as the layer from the last hidden
        representation to the output. A layer between regular representations shares none and does not change.
        """
        moment = (x.T @ x / len(x)).double().cpu().numpy()
        wanted = np.full(self.out_features, np.trace(moment))
        if self.bias_equiv is not None:
            # A plain bias has the variance of one weight; where symmetry forbids a bias, the weights replace it.
            wanted += np.maximum(1.0 - self._bias_basis.row_moments(np.ones((1, 1))), 0.0)
        given = self._weight_basis.row_moments(moment)
        # Rows that symmetry (almost) forbids hold rounding errors only, and dead inputs give zero: these rows stay.
        correctable = given > 1e-4 * wanted
        factor = np.sqrt(np.divide(wanted, given, out=np.ones_like(wanted), where=correctable))
        self.weight_equiv.mul_(torch.from_numpy(self._weight_basis.per_coefficient(factor)).to(self.weight_equiv))

    def equivariant_weight(self) -> Tensor:
        """A, shape (n_out, n_in)."""
        return self.assemble_weight(self.weight_equiv)  # type: ignore[no-any-return]

    def equivariant_bias(self) -> Tensor | None:
        """a, shape (n_out,), or None."""
        return None if self.bias_equiv is None else self.assemble_bias(self.bias_equiv).flatten()

    def merged(self) -> tuple[Tensor, Tensor | None]:
        """Weight (n_out, n_in) and bias (n_out,) of the plain layer that computes the same function."""
        return self.equivariant_weight(), self.equivariant_bias()

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of shape (..., n_out)."""
        return functional.linear(x, *(self._held or self.merged()))

    def pathways(self) -> dict[str, tuple[nn.Parameter | None, ...]]:
        """The layer's own parameters by pathway."""
        return {"equiv": (self.weight_equiv, self.bias_equiv)}

    def pathway_weights(self) -> dict[str, Tensor]:
        """The weight of each pathway, shape (n_out, n_in)."""
        return {"equiv": self.equivariant_weight()}

    def to_linear(self) -> nn.Linear:
        """Make a plain layer that computes the same function."""
        with torch.no_grad():
            weight, bias = self.merged()
            linear = nn.Linear(self.in_features, self.out_features, bias is not None).to(weight)
            linear.weight.copy_(weight)
            if bias is not None:
                linear.bias.copy_(bias)
        return linear

    def extra_repr(self) -> str:
        """Sizes and ranks, for printing."""
        return f"{self.rep_in.name} -> {self.rep_out.name}, equivariant dimension {self.weight_equiv.numel()}"


class RPPLinear(EquivariantLinear):
    """x -> x (A + B)^T + a + b: an equivariant pathway (A, a) and an unconstrained residual (B, b).

    Attributes:
        weight_basic: B, shape (n_out, n_in).
        bias_basic: b, shape (n_out,), or None.

    Args:
        rep_in: representation on inputs.
        rep_out: representation on outputs.
        bias: whether the layer has a bias.
        residual_init_scale: B and b start at this multiple of the initialization of `torch.nn.Linear`.

    Raises:
        NetworkError: if `residual_init_scale` is negative or not finite.
    """

    bias_basic: nn.Parameter | None

    def __init__(
        self, rep_in: Representation, rep_out: Representation, bias: bool = True, residual_init_scale: float = 1e-3
    ) -> None:
        if not (math.isfinite(residual_init_scale) and residual_init_scale >= 0):
            raise NetworkError(f"residual_init_scale must be a number >= 0, got {residual_init_scale}")
        super().__init__(rep_in, rep_out, bias)
        self.residual_init_scale = residual_init_scale
        self.weight_basic = nn.Parameter(torch.empty(self.out_features, self.in_features))
        if bias:
            self.bias_basic = nn.Parameter(torch.empty(self.out_features))
        else:
            self.register_parameter("bias_basic", None)
        self.reset_residual()

    def reset_parameters(self) -> None:
        """Draw the parameters of both pathways."""
        super().reset_parameters()
        if "weight_basic" in self._parameters:
            self.reset_residual()

    def reset_residual(self) -> None:
        """Draw the residual from U(-k, k) with k = residual_init_scale * n_in^(-1/2)."""
        bound = self.residual_init_scale / math.sqrt(self.in_features)
        nn.init.uniform_(self.weight_basic, -bound, bound)
        if self.bias_basic is not None:
            nn.init.uniform_(self.bias_basic, -bound, bound)

    def pathways(self) -> dict[str, tuple[nn.Parameter | None, ...]]:
        """The layer's own parameters by pathway."""
        return {**super().pathways(), "basic": (self.weight_basic, self.bias_basic)}

    def pathway_weights(self) -> dict[str, Tensor]:
        """The weight of each pathway, shape (n_out, n_in)."""
        return {**super().pathway_weights(), "basic": self.weight_basic}

    def merged(self) -> tuple[Tensor, Tensor | None]:
        """A + B and a + b."""
        weight, bias = super().merged()
        if bias is not None and self.bias_basic is not None:
            bias = bias + self.bias_basic
        return weight + self.weight_basic, bias


@contextmanager
def merged_once(module: nn.Module) -> Iterator[None]:
    """Merge each equivariant layer of a module once, and use the merged weights for all calls within this context.

    Use it for a network that is called many times between two changes of its parameters, such as a vector field in an
    integrator. Gradients flow to the parameters as usual. Changes of parameters within the context affect outputs only
    after it. Do not use it from several threads at once.
    """
    layers = [m for m in module.modules() if isinstance(m, EquivariantLinear) and m._held is None]
    try:
        for layer in layers:
            layer._held = layer.merged()
        yield
    finally:
        for layer in layers:
            layer._held = None


def _uniform_coefficients(coefficients: Tensor, basis: EquivariantBasis, fan_in: int) -> None:
    scale = torch.from_numpy(basis.init_scale()).to(coefficients) / math.sqrt(fan_in)
    with torch.no_grad():
        coefficients.uniform_(-1.0, 1.0).mul_(scale)
