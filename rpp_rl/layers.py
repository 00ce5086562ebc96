"""Linear layers that are equivariant, exactly or up to a residual.

`EquivariantLinear` has weights in the span of an equivariant basis. Two layers add a residual to weight and bias, each
with a prior of its own (Finzi, Benton and Wilson 2021, section 4): `RPPLinear` as an unconstrained second pathway,
y = x (A + B)^T + a + b, and `rpp_rl.orthogonal_layers.OrthogonalLinear` as coordinates in the orthogonal complement of
the equivariant matrices.
The parts are added in weight space, so each input is multiplied by one dense matrix, and every layer can be merged into
a plain `torch.nn.Linear`.

How far an optimiser moves the merged weight depends on how its coordinates are scaled. Adam moves every parameter by
its learning rate lr, if gradients are steady. The entries of a plain layer's weight then move by lr; with ``steps``

- ``"equal"``, so do the entries of the equivariant part of every layer here (`RPPLinear` needs an optimiser that shares
  lr between the pathways, see `rpp_rl.pathway_optimizers.step_ratios`);
- ``"published"``, each pathway of `RPPLinear` moves by lr, and their sum by up to 2 lr, as in the authors' code;
- ``"orthonormal"``, the parameters are coefficients of an orthonormal basis, and entries in an orbit of m entries move
  by lr / sqrt(m): 0.71 lr for a reflection. This library did so before it had ``steps``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rpp_rl.assemblies import assembly
from rpp_rl.bases import EquivariantBasis, equivariant_basis
from rpp_rl.errors import NetworkError, UnknownNameError
from rpp_rl.groups import Matrix
from rpp_rl.representations import Representation, trivial_representation

STEPS = ("equal", "published", "orthonormal")


class EquivariantLinear(nn.Module):
    """x -> x A^T + a with rho_out(g) A = A rho_in(g) and rho_out(g) a = a, for inputs of shape (..., n_in).

    The coefficients are initialized so that outputs have the variance that `torch.nn.Linear` gives them.

    Attributes:
        weight_equiv: coefficients of A in the basis, shape (rank,), scaled for `steps`.
        bias_equiv: coefficients of a, shape (rank of the invariant biases,), or None.

    Args:
        rep_in: representation on inputs.
        rep_out: representation on outputs.
        bias: whether the layer has a bias.
        steps: ``"equal"`` or ``"published"`` (the same here) for coefficients whose unit steps move the entries of A by
            one, ``"orthonormal"`` for those of an orthonormal basis.

    Raises:
        RepresentationError: if the representations are of different groups.
        UnknownNameError: if `steps` is unknown.
    """

    weight_equiv: nn.Parameter
    bias_equiv: nn.Parameter | None

    def __init__(
        self, rep_in: Representation, rep_out: Representation, bias: bool = True, steps: str = "equal"
    ) -> None:
        if steps not in STEPS:
            raise UnknownNameError("kind of steps", steps, STEPS)
        super().__init__()
        self.steps = steps
        self.rep_in, self.rep_out = rep_in, rep_out
        self.in_features, self.out_features = rep_in.size, rep_out.size
        self._weight_basis = equivariant_basis(rep_in, rep_out)
        self._bias_basis = equivariant_basis(trivial_representation(rep_in.group), rep_out)
        self.assemble_weight = assembly(self._weight_basis, scaled=steps != "orthonormal")
        self.assemble_bias = assembly(self._bias_basis, scaled=steps != "orthonormal")
        self._held: tuple[Tensor, Tensor | None] | None = None
        self._lay_out(bias)
        self.reset_parameters()

    def _lay_out(self, bias: bool) -> None:
        """Make the parameters."""
        self.weight_equiv = nn.Parameter(torch.empty(self._weight_basis.rank))
        if bias:
            self.bias_equiv = nn.Parameter(torch.empty(self._bias_basis.rank))
        else:
            self.register_parameter("bias_equiv", None)

    def reset_parameters(self) -> None:
        """Draw coefficients such that entries vary as in `torch.nn.Linear`, U(-k, k) with k = n_in^(-1/2)."""
        self._draw_equivariant(0.0)

    @torch.no_grad()
    def _draw_equivariant(self, plain: float) -> None:
        """Draw coefficients; `plain` is the share of variance at which a plain layer's weight would have them."""
        for coefficients, basis, scale in self._equivariant_parts():
            bound = np.sqrt((1 - plain) * basis.init_scale() ** 2 + plain) / math.sqrt(self.in_features)
            coefficients.uniform_(-1.0, 1.0).mul_(torch.from_numpy(bound).to(coefficients)).div_(scale)

    def _equivariant_parts(self) -> Iterator[tuple[nn.Parameter, EquivariantBasis, Tensor]]:
        """Coefficients, their basis, and their scale, for weight and bias."""
        yield self.weight_equiv, self._weight_basis, self.assemble_weight.scale
        if self.bias_equiv is not None:
            yield self.bias_equiv, self._bias_basis, self.assemble_bias.scale

    @torch.no_grad()
    def reset_as_projection(self) -> None:
        """Draw the coefficients of P w, P the projector on equivariant matrices, w dense with entries N(0, 1 / n_in).

        The authors of EMLP initialize in this way. Outputs are smaller than those of a plain layer, because P shrinks
        w. This keeps deep networks finite if a bilinear layer follows, whose outputs are quadratic in these.
        """
        self.weight_equiv.normal_(std=1 / math.sqrt(self.in_features)).div_(self.assemble_weight.scale)

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
        corrected = self._corrected(self._weight_basis.per_coefficient(factor))
        self.weight_equiv.mul_(torch.from_numpy(corrected).to(self.weight_equiv))

    def _corrected(self, factor: Matrix) -> Matrix:
        """The factors of the coefficients by which `correct_for` rescales them."""
        return factor

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

    def take(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """Set the parameters such that the merged weight and bias are the nearest ones of this layer.

        Args:
            weight: shape (n_out, n_in).
            bias: shape (n_out,); None for zero.
        """
        self._take(weight.detach().double().cpu().numpy(), self._vector(bias))

    @torch.no_grad()
    def _take(self, weight: Matrix, bias: Matrix) -> None:
        for (coefficients, basis, scale), target in zip(self._equivariant_parts(), (weight, bias), strict=False):
            coefficients.copy_(torch.from_numpy(basis.coordinates(target)) / scale.double().cpu())

    def _vector(self, bias: Tensor | None) -> Matrix:
        """A bias as a matrix of one column."""
        if bias is None:
            return np.zeros((self.out_features, 1))
        return bias.detach().double().cpu().numpy()[:, None]

    def pathways(self) -> dict[str, tuple[nn.Parameter | None, ...]]:
        """The layer's own parameters by pathway."""
        return {"equiv": (self.weight_equiv, self.bias_equiv)}

    def coordinate_scales(self) -> dict[nn.Parameter, Tensor]:
        """For each parameter that is not an orthonormal coordinate, its scale: coordinate = scale * parameter."""
        if self.steps == "orthonormal":
            return {}
        return {coefficients: scale for coefficients, _, scale in self._equivariant_parts()}

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
        steps: see the module.

    Raises:
        NetworkError: if `residual_init_scale` is negative or not finite.
    """

    bias_basic: nn.Parameter | None

    def __init__(
        self,
        rep_in: Representation,
        rep_out: Representation,
        bias: bool = True,
        residual_init_scale: float = 1e-3,
        steps: str = "equal",
    ) -> None:
        self.residual_init_scale = need_init_scale(residual_init_scale)
        super().__init__(rep_in, rep_out, bias, steps)

    def _lay_out(self, bias: bool) -> None:
        super()._lay_out(bias)
        self.weight_basic = nn.Parameter(torch.empty(self.out_features, self.in_features))
        if bias:
            self.bias_basic = nn.Parameter(torch.empty(self.out_features))
        else:
            self.register_parameter("bias_basic", None)

    def reset_parameters(self) -> None:
        """Draw the parameters of both pathways."""
        super().reset_parameters()
        self.reset_residual()

    def reset_residual(self) -> None:
        """Draw the residual from U(-k, k) with k = residual_init_scale * n_in^(-1/2)."""
        bound = self.residual_init_scale / math.sqrt(self.in_features)
        nn.init.uniform_(self.weight_basic, -bound, bound)
        if self.bias_basic is not None:
            nn.init.uniform_(self.bias_basic, -bound, bound)

    @torch.no_grad()
    def _take(self, weight: Matrix, bias: Matrix) -> None:
        super()._take(weight, bias)
        merged = EquivariantLinear.merged(self)
        for residual, target, part in zip((self.weight_basic, self.bias_basic), (weight, bias), merged, strict=True):
            if residual is not None and part is not None:
                residual.copy_(torch.from_numpy(target).view(part.shape) - part.double().cpu())

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


def need_init_scale(residual_init_scale: float) -> float:
    """Check the scale of a residual at the start, and return it.

    Raises:
        NetworkError: if it is negative or not finite.
    """
    if not (math.isfinite(residual_init_scale) and residual_init_scale >= 0):
        raise NetworkError(f"residual_init_scale must be a number >= 0, got {residual_init_scale}")
    return residual_init_scale
