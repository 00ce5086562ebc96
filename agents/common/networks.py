"""The two families of networks that actors and critics are built from, behind one signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn

from rpp_rl.emlp import EMLP
from rpp_rl.errors import NetworkError, UnknownNameError
from rpp_rl.networks import LinearLayers, Shift, network_class
from rpp_rl.representations import Representation, trivial_representation

FAMILIES = ("mlp", "emlp")


def need_family(network: str) -> None:
    """Check that a family of networks is known.

    Raises:
        UnknownNameError: if it is not.
    """
    if network not in FAMILIES:
        raise UnknownNameError("network", network, FAMILIES)


def build_network(
    network: str,
    layers: LinearLayers,
    rep_in: Representation,
    rep_out: Representation | None,
    net_arch: Sequence[int],
    activation_fn: type[nn.Module],
    center: Sequence[float],
) -> Any:
    """A network between two representations.

    Args:
        network: ``"mlp"`` for a perceptron of copies of the regular representation, see `rpp_rl.networks`, or
            ``"emlp"`` for a `GeneralNetwork`, which has nonlinearities of its own.
        layers: the linear layers.
        rep_in: representation on inputs.
        rep_out: representation on outputs; None stops after the last hidden layer.
        net_arch: channels of the hidden layers.
        activation_fn: of the perceptron.
        center: a point that the group fixes instead of the origin; empty for the origin.
    """
    if network == "emlp":
        return GeneralNetwork(rep_in, rep_out, net_arch, layers, center)
    residual = (layers.residual_init_scale, center, layers.parametrization, layers.steps)
    return network_class(layers.kind)(rep_in, rep_out, net_arch, activation_fn, *residual)


class GeneralNetwork(nn.Sequential):
    """The paper's EMLP with bilinear layers of weight 0.03: blocks, and a linear layer unless `rep_out` is None.

    Source: Finzi, Benton and Wilson 2021, section 5.4 and their implementation, which takes that weight.

    Args:
        rep_in: representation on inputs.
        rep_out: representation on outputs; None stops after the last block.
        net_arch: channels of the hidden layers.
        layers: the linear layers.
        center: a point that the group fixes instead of the origin; empty for the origin.

    Attributes:
        rep_out: representation on outputs.
    """

    bilinear_scale: ClassVar[float] = 0.03

    def __init__(
        self,
        rep_in: Representation,
        rep_out: Representation | None,
        net_arch: Sequence[int],
        layers: LinearLayers,
        center: Sequence[float] = (),
    ) -> None:
        if not net_arch:
            raise NetworkError("an EMLP has at least one hidden layer; give net_arch at least one width")
        out = trivial_representation(rep_in.group) if rep_out is None else rep_out
        residual = (layers.residual_init_scale, layers.parametrization, layers.steps)
        rpp = layers.kind == "rpp"
        network = EMLP(rep_in, out, list(net_arch), len(net_arch), rpp, self.bilinear_scale, *residual)
        last = [] if rep_out is None else [network.head]
        super().__init__(*([Shift(center)] if any(center) else []), *network.blocks, *last)
        self.rep_out = network.hidden[-1] if rep_out is None else rep_out
