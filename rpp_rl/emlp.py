"""EMLP and RPP-EMLP: networks for any matrix group and any representations.

A block is x -> linear -> x + c B(x, x) -> gated nonlinearity; a last linear layer follows. With `rpp` every linear map
and every nonlinearity has an unconstrained residual beside it (Finzi, Welling and Wilson 2021, section 5; Finzi, Benton
and Wilson 2021, section 4).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rpp_rl.emlp_layers import Bilinear, GatedNonlinearity
from rpp_rl.errors import NetworkError
from rpp_rl.layers import EquivariantLinear
from rpp_rl.networks import LinearLayers, standard_inputs
from rpp_rl.representations import Representation, gated, uniform_rep

Hidden = int | Representation


class EMLPBlock(nn.Module):
    """Linear map, bilinear layer and gated nonlinearity: from `rep_in` to `rep_out`, through `gated(rep_out)`.

    Args:
        rep_in: representation on inputs.
        rep_out: representation on outputs.
        rpp: whether linear map and nonlinearity have residuals; the bilinear layer never has one.
        bilinear_scale: the factor c of the bilinear layer.
        residual_init_scale: see `rpp_rl.networks.LinearLayers` and `GatedNonlinearity`.
        parametrization: see `rpp_rl.networks.LinearLayers`.
        steps: see `rpp_rl.networks.LinearLayers`.
    """

    def __init__(
        self,
        rep_in: Representation,
        rep_out: Representation,
        rpp: bool = False,
        bilinear_scale: float = 0.1,
        residual_init_scale: float = 1e-3,
        parametrization: str = "orthogonal",
        steps: str = "equal",
    ) -> None:
        super().__init__()
        inner = gated(rep_out)
        self.bilinear_scale = bilinear_scale
        self.linear = _linear(rep_in, inner, rpp, residual_init_scale, parametrization, steps)
        self.linear.reset_as_projection()
        self.bilinear = Bilinear(inner, inner)
        self.nonlinearity = GatedNonlinearity(rep_out, rpp, residual_init_scale)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of shape (..., rep_out.size)."""
        linear = self.linear(x)
        y: Tensor = self.nonlinearity(linear + self.bilinear_scale * self.bilinear(linear))
        return y


class EMLP(nn.Module):
    """A perceptron that commutes with any matrix group, exactly or, with `rpp`, up to residuals.

    Args:
        rep_in: representation on inputs.
        rep_out: representation on outputs.
        hidden: the hidden layers, each as a number of channels, which becomes `uniform_rep(channels, group)`, or as a
            representation; one for each layer, or one for all.
        layers: number of hidden layers; used if `hidden` is one for all.
        rpp: whether the network is a Residual Pathway Prior; otherwise it is exactly equivariant.
        bilinear_scale: the factor c of the bilinear layers.
        residual_init_scale: see `rpp_rl.networks.LinearLayers` and `GatedNonlinearity`; ignored unless `rpp`.
        parametrization: see `rpp_rl.networks.LinearLayers`; ignored unless `rpp`.
        steps: see `rpp_rl.networks.LinearLayers`.

    Attributes:
        rep_in: representation on inputs.
        rep_out: representation on outputs.
        hidden: the representations of the hidden layers.
        rpp: whether the network is a Residual Pathway Prior.
        blocks: the hidden layers, `EMLPBlock`.
        head: the last linear layer.

    Raises:
        NetworkError: if a number of layers or channels is not positive, or a scale is not finite.
        RepresentationError: if representations are of different groups.
    """

    def __init__(
        self,
        rep_in: Representation,
        rep_out: Representation,
        hidden: Hidden | Sequence[Hidden] = 384,
        layers: int = 3,
        rpp: bool = False,
        bilinear_scale: float = 0.1,
        residual_init_scale: float = 1e-3,
        parametrization: str = "orthogonal",
        steps: str = "equal",
    ) -> None:
        super().__init__()
        if not math.isfinite(bilinear_scale):
            raise NetworkError(f"bilinear_scale must be finite, got {bilinear_scale}")
        self.rep_in, self.rep_out, self.rpp = rep_in, rep_out, rpp
        self.bilinear_scale, self.residual_init_scale = bilinear_scale, residual_init_scale
        self.hidden = _hidden_representations(rep_in, hidden, layers)
        self.parametrization, self.steps = parametrization, steps
        reps = [rep_in, *self.hidden]
        residual = (residual_init_scale, parametrization, steps)
        self.blocks = nn.Sequential(
            *(EMLPBlock(a, b, rpp, bilinear_scale, *residual) for a, b in itertools.pairwise(reps))
        )
        self.head = _linear(reps[-1], rep_out, rpp, *residual)
        with torch.no_grad():
            self.head.correct_for(self.blocks(standard_inputs(rep_in.size)))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of shape (..., rep_out.size) for inputs of shape (..., rep_in.size)."""
        y: Tensor = self.head(self.blocks(x))
        return y

    def to_rpp(self) -> EMLP:
        """Make an RPP-EMLP that computes the same function: with this network's parameters and residuals of zero.

        With other than equal steps it has two pathways, since orthogonal coordinates have equal ones.
        """
        network = EMLP(
            self.rep_in,
            self.rep_out,
            self.hidden,
            rpp=True,
            bilinear_scale=self.bilinear_scale,
            residual_init_scale=self.residual_init_scale,
            parametrization=self.parametrization if self.steps == "equal" else "pathways",
            steps=self.steps,
        ).to(self.head.weight_equiv)
        mine = dict(self.named_parameters())
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name in mine:
                    parameter.copy_(mine[name])
                else:
                    parameter.zero_()
        return network.train(self.training)


def _linear(
    rep_in: Representation, rep_out: Representation, rpp: bool, scale: float, parametrization: str, steps: str
) -> EquivariantLinear:
    layers = LinearLayers("rpp" if rpp else "equivariant", parametrization, steps, scale)
    return cast(EquivariantLinear, layers(rep_in, rep_out))


def _hidden_representations(
    rep_in: Representation, hidden: Hidden | Sequence[Hidden], layers: int
) -> tuple[Representation, ...]:
    if isinstance(hidden, int | Representation):
        if layers < 1:
            raise NetworkError(f"a network needs at least one hidden layer, got layers={layers}")
        hidden = [hidden] * layers
    for width in hidden:
        if isinstance(width, int) and width < 1:
            raise NetworkError(f"a hidden layer needs at least one channel, got {width}")
    known = {h: uniform_rep(h, rep_in.group) for h in hidden if isinstance(h, int)}
    return tuple(known[h] if isinstance(h, int) else h for h in hidden)
