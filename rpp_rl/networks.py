"""Multilayer perceptrons on representations: RPP, exactly equivariant, and plain, with one constructor.

Hidden layers carry copies of the regular representation, on which group elements only permute channels. Therefore
pointwise activations keep the symmetry exactly, and a merged `RPPMLP` is a plain MLP.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from rpp_rl.errors import NetworkError, RepresentationError, UnknownNameError
from rpp_rl.layers import STEPS, EquivariantLinear, RPPLinear
from rpp_rl.orthogonal_layers import OrthogonalLinear
from rpp_rl.representations import Representation, hidden_representation, trivial_representation

NetworkKind = Literal["rpp", "equivariant", "plain"]
PARAMETRIZATIONS = ("orthogonal", "pathways")


@dataclass(frozen=True)
class LinearLayers:
    """The family of linear layers that a network is built from.

    Attributes:
        kind: ``"rpp"`` with a residual, ``"equivariant"`` without, or ``"plain"``.
        parametrization: of the layers with a residual: ``"orthogonal"`` for `OrthogonalLinear`, ``"pathways"`` for
            `RPPLinear`.
        steps: see the module; `OrthogonalLinear` has ``"equal"`` ones.
        residual_init_scale: see `RPPLinear` and `OrthogonalLinear`.

    Raises:
        UnknownNameError: if a name is not known.
        NetworkError: if `steps` is not ``"equal"`` in orthogonal coordinates.
    """

    kind: NetworkKind = "rpp"
    parametrization: str = "orthogonal"
    steps: str = "equal"
    residual_init_scale: float = 1e-3

    def __post_init__(self) -> None:
        if self.parametrization not in PARAMETRIZATIONS:
            raise UnknownNameError("parametrization", self.parametrization, PARAMETRIZATIONS)
        if self.steps not in STEPS:
            raise UnknownNameError("kind of steps", self.steps, STEPS)
        if self.kind == "rpp" and self.parametrization == "orthogonal" and self.steps != "equal":
            raise NetworkError(
                f"orthogonal coordinates have equal steps, got steps={self.steps!r}; "
                "give parametrization='pathways' for others"
            )

    def __call__(self, rep_in: Representation, rep_out: Representation) -> nn.Module:
        """Build one layer."""
        if self.kind == "plain":
            return nn.Linear(rep_in.size, rep_out.size)
        if self.kind == "equivariant":
            return EquivariantLinear(rep_in, rep_out, steps=self.steps)
        if self.parametrization == "orthogonal":
            return OrthogonalLinear(rep_in, rep_out, residual_init_scale=self.residual_init_scale)
        return RPPLinear(rep_in, rep_out, residual_init_scale=self.residual_init_scale, steps=self.steps)


class Shift(nn.Module):
    """x -> x - c, the first layer of a network whose group fixes c instead of the origin."""

    center: Tensor

    def __init__(self, center: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("center", torch.tensor(center, dtype=torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs relative to the center."""
        return x - self.center


class MLP(nn.Sequential):
    """A plain perceptron with the input and output sizes of representations; the base class of the others.

    Args:
        rep_in: representation on inputs.
        rep_out: representation on outputs; None ends the network with the last hidden activation, as
            stable-baselines3's ``create_mlp`` does for ``output_dim=-1``.
        net_arch: widths of the hidden layers.
        activation_fn: class of a pointwise activation.
        residual_init_scale: see `LinearLayers`, like the next two; networks without a residual ignore it.
        center: a point of input space that the group fixes instead of the origin; empty for the origin.
        parametrization: ``"orthogonal"`` or ``"pathways"``.
        steps: ``"equal"``, ``"published"`` or ``"orthonormal"``.

    Attributes:
        rep_in: representation on inputs.
        rep_out: representation on outputs; that of the last hidden layer if None was given.

    Raises:
        NetworkError: if the group's order does not divide a width; the message says the next width that works.
    """

    kind: ClassVar[NetworkKind] = "plain"

    def __init__(
        self,
        rep_in: Representation,
        rep_out: Representation | None,
        net_arch: Sequence[int] = (256, 256),
        activation_fn: type[nn.Module] = nn.ReLU,
        residual_init_scale: float = 1e-3,
        center: Sequence[float] = (),
        parametrization: str = "orthogonal",
        steps: str = "equal",
    ) -> None:
        linear = LinearLayers(self.kind, parametrization, steps, residual_init_scale)
        modules: list[nn.Module] = [Shift(center)] if any(center) else []
        rep = rep_in
        for i, width in enumerate(net_arch):
            following = self.hidden(rep_in, width, i)
            modules += [linear(rep, following), activation_fn()]
            rep = following
        if rep_out is not None:
            head = linear(rep, rep_out)
            correct_for: Callable[[Tensor], None] | None = getattr(head, "correct_for", None)
            if correct_for is not None:
                correct_for(nn.Sequential(*modules)(standard_inputs(rep_in.size, center)))
            modules.append(head)
            rep = rep_out
        super().__init__(*modules)
        self.rep_in, self.rep_out = rep_in, rep

    @staticmethod
    def hidden(rep_in: Representation, width: int, index: int) -> Representation:
        """The representation of a hidden layer; a plain network takes any width."""
        if width < 1:
            raise NetworkError(f"hidden layer {index + 1} has width {width}; it needs at least 1")
        return width * trivial_representation(rep_in.group)

    def merged(self) -> nn.Sequential:
        """Make a plain network of `torch.nn.Linear` layers that computes the same function."""
        return nn.Sequential(*(merged(m) for m in self))


class EquivariantMLP(MLP):
    """A perceptron that commutes with the group exactly: f(rho_in(g) x) = rho_out(g) f(x)."""

    kind: ClassVar[NetworkKind] = "equivariant"

    @staticmethod
    def hidden(rep_in: Representation, width: int, index: int) -> Representation:
        """Copies of the regular representation."""
        try:
            return hidden_representation(rep_in.group, width)
        except RepresentationError as error:
            raise NetworkError(f"hidden layer {index + 1}: {error}") from error


class RPPMLP(EquivariantMLP):
    """A perceptron with an equivariant part and a residual in each layer: a Residual Pathway Prior."""

    kind: ClassVar[NetworkKind] = "rpp"


def merged(layer: nn.Module) -> nn.Module:
    """Make a plain layer that computes the same function: a `torch.nn.Linear` for an equivariant or RPP layer."""
    convert: Callable[[], nn.Module] = getattr(layer, "to_linear", partial(copy.deepcopy, layer))
    return convert()


@torch.no_grad()
def standard_inputs(size: int, center: Sequence[float] = (), batch: int = 1024) -> Tensor:
    """The same standard normal inputs about the center on every call; torch's global generator is not used."""
    x = torch.randn(batch, size, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    x = x.to(torch.get_default_dtype())
    return x + torch.tensor(center, dtype=x.dtype) if any(center) else x


NETWORKS: dict[str, type[MLP]] = {cls.kind: cls for cls in (RPPMLP, EquivariantMLP, MLP)}


def network_class(kind: str) -> type[MLP]:
    """The class for ``"rpp"``, ``"equivariant"`` or ``"plain"``.

    Raises:
        UnknownNameError: for any other word.
    """
    if kind not in NETWORKS:
        raise UnknownNameError("kind of network", kind, NETWORKS)
    return NETWORKS[kind]
