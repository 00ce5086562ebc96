"""A linear layer in orthogonal coordinates: as many parameters as a plain layer, sorted by what the symmetry allows."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from rpp_rl.assemblies import OrthogonalAssembly
from rpp_rl.coordinates import orthogonal_coordinates
from rpp_rl.groups import Matrix
from rpp_rl.layers import EquivariantLinear, need_init_scale
from rpp_rl.representations import Representation


class OrthogonalLinear(EquivariantLinear):
    """x -> x W^T + w with W = E beta + R gamma: coordinates in the equivariant matrices and in their complement.

    It has as many parameters as a plain layer, and the same functions. A steady gradient along the equivariant
    matrices moves their entries by Adam's learning rate lr, one along the complement by lr too, in root mean square
    (rms). A gradient along both moves an orbit of entries by sqrt(2) lr (rms; in a pair one entry by 2 lr, its
    image by nothing), where a plain layer moves by lr. To compare fairly, also train this layer without a prior and
    from a plain start, `residual_init_scale` = 1.

    Source: the covariance of Finzi, Benton and Wilson 2021, section 4; compare Berndt and Stuehmer 2026
    (arXiv 2601.05028), who penalize both projections of one weight.

    Attributes:
        weight_basic: gamma, shape (n_out * n_in - rank,).
        bias_basic: that of the bias, or None.

    Args:
        rep_in: representation on inputs.
        rep_out: representation on outputs.
        bias: whether the layer has a bias.
        residual_init_scale: W starts with this multiple of a plain layer's residual, and with the variance of a plain
            layer; at 1 its variance is that of a plain layer in every direction.

    Raises:
        NetworkError: if `residual_init_scale` is negative or not finite.
    """

    bias_basic: nn.Parameter | None

    def __init__(
        self, rep_in: Representation, rep_out: Representation, bias: bool = True, residual_init_scale: float = 1e-3
    ) -> None:
        self.residual_init_scale = need_init_scale(residual_init_scale)
        super().__init__(rep_in, rep_out, bias)

    def _lay_out(self, bias: bool) -> None:
        super()._lay_out(bias)
        self.compose_weight = OrthogonalAssembly(orthogonal_coordinates(self._weight_basis))
        self.compose_bias = OrthogonalAssembly(orthogonal_coordinates(self._bias_basis))
        self.weight_basic = nn.Parameter(torch.empty(self.compose_weight.coordinates.residual_rank))
        if bias:
            self.bias_basic = nn.Parameter(torch.empty(self.compose_bias.coordinates.residual_rank))
        else:
            self.register_parameter("bias_basic", None)

    def reset_parameters(self) -> None:
        """Draw all coordinates; the equivariant ones have what variance the residual leaves."""
        self._draw_equivariant(min(1.0, self.residual_init_scale**2))
        self.reset_residual()

    @torch.no_grad()
    def reset_residual(self) -> None:
        """Draw orthonormal coordinates of the residual from U(-k, k) with k = residual_init_scale * n_in^(-1/2)."""
        bound = self.residual_init_scale / math.sqrt(self.in_features)
        for residual, scale in self._residual_parts():
            residual.uniform_(-bound, bound).div_(scale)

    def _residual_parts(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Residual coordinates and their scale, for weight and bias."""
        yield self.weight_basic, self.compose_weight.residual_scale
        if self.bias_basic is not None:
            yield self.bias_basic, self.compose_bias.residual_scale

    def _corrected(self, factor: Matrix) -> Matrix:
        plain = min(1.0, self.residual_init_scale**2)
        start = self._weight_basis.init_scale() ** 2
        variance = (1 - plain) * start + plain
        return np.asarray(np.sqrt(((1 - plain) * start * factor**2 + plain) / variance))

    @torch.no_grad()
    def _take(self, weight: Matrix, bias: Matrix) -> None:
        super()._take(weight, bias)
        self.weight_basic.copy_(torch.from_numpy(self.compose_weight.coordinates.of(weight)[1]))
        if self.bias_basic is not None:
            self.bias_basic.copy_(torch.from_numpy(self.compose_bias.coordinates.of(bias)[1]))

    def pathways(self) -> dict[str, tuple[nn.Parameter | None, ...]]:
        """The layer's own parameters: the equivariant coordinates, and the residual ones."""
        return {**super().pathways(), "basic": (self.weight_basic, self.bias_basic)}

    def coordinate_scales(self) -> dict[nn.Parameter, Tensor]:
        """For each parameter its scale: orthonormal coordinate = scale * parameter."""
        return {**super().coordinate_scales(), **dict(self._residual_parts())}

    def pathway_weights(self) -> dict[str, Tensor]:
        """The equivariant part E beta and the residual R gamma of W, shape (n_out, n_in) each."""
        nothing = torch.zeros_like(self.weight_equiv)
        return {**super().pathway_weights(), "basic": self.compose_weight(nothing, self.weight_basic)}

    def merged(self) -> tuple[Tensor, Tensor | None]:
        """W and w."""
        weight = self.compose_weight(self.weight_equiv, self.weight_basic)
        if self.bias_equiv is None:
            return weight, None
        return weight, self.compose_bias(self.bias_equiv, self.bias_basic).flatten()
