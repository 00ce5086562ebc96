"""Gaussian priors on the two pathways, as the sums of squares that MAP training adds to a loss.

beta ~ N(0, s_eq^2 I) and B ~ N(0, s_res^2 I) add wd_equiv |beta|^2 + wd_basic |B|^2 to the loss, with
wd = 1 / (2 s^2) per datum (Finzi, Benton and Wilson 2021, section 4).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rpp_rl.errors import NetworkError
from rpp_rl.gating import GatedNonlinearity
from rpp_rl.layers import EquivariantLinear, RPPLinear

PATHWAYS = ("equiv", "basic")


@dataclass(frozen=True)
class PathwayPrior:
    """Strengths of the priors on the equivariant and on the residual (`basic`) pathway.

    Attributes:
        equiv_wd: coefficient of the sum of squares of the equivariant pathway's parameters, >= 0.
        basic_wd: the same for the residual pathway.

    Raises:
        NetworkError: if a strength is negative or not finite.
    """

    equiv_wd: float = 0.0
    basic_wd: float = 0.0

    def __post_init__(self) -> None:
        for pathway in PATHWAYS:
            value = self.strength(pathway)
            if not (math.isfinite(value) and value >= 0):
                raise NetworkError(f"{pathway}_wd is the strength of a prior and must be a number >= 0, got {value}")

    @classmethod
    def from_std(cls, equiv: float, basic: float) -> PathwayPrior:
        """From the standard deviations s_eq and s_res: wd = 1 / (2 s^2); infinity means no prior."""
        if not (equiv > 0 and basic > 0):
            raise NetworkError(f"the standard deviation of a prior must be > 0, got {equiv} and {basic}")
        return cls(1 / (2 * equiv**2), 1 / (2 * basic**2))

    def strength(self, pathway: str) -> float:
        """The strength for ``"equiv"`` or ``"basic"``; zero for ``"plain"``."""
        return {"equiv": self.equiv_wd, "basic": self.basic_wd}.get(pathway, 0.0)

    def penalty(self, module: nn.Module) -> dict[str, Tensor]:
        """The term of each pathway, wd * (sum of squares of its parameters), as differentiable scalars."""
        groups = pathway_parameters(module)
        return {p: self.strength(p) * squared_norm(list(groups[p].values())) for p in PATHWAYS if groups[p]}

    def optimizer_groups(self, module: nn.Module, weight_decay: float = 0.0) -> list[dict[str, Any]]:
        """Parameter groups for an optimiser whose `weight_decay` adds ``weight_decay * p`` to the gradient of p.

        The gradient of wd * |p|^2 is 2 wd p, so each group's decay is 2 wd beyond the common `weight_decay`.
        """
        return [
            {
                "params": list(named.values()),
                "weight_decay": weight_decay + 2 * self.strength(pathway),
                "pathway": pathway,
            }
            for pathway, named in pathway_parameters(module).items()
            if named
        ]


def pathway_parameters(module: nn.Module) -> Mapping[str, dict[str, nn.Parameter]]:
    """Sort the parameters of a network by pathway: ``"equiv"``, ``"basic"``, or ``"plain"`` (neither).

    Every parameter is in exactly one group, found by asking the layer that holds it.
    """
    groups: dict[str, dict[str, nn.Parameter]] = {"equiv": {}, "basic": {}, "plain": {}}
    seen: set[nn.Parameter] = set()
    for prefix, layer in module.named_modules():
        for name, parameter in layer.named_parameters(prefix, recurse=False):
            if parameter not in seen:
                seen.add(parameter)
                groups[_pathway(layer, parameter)][name] = parameter
    return groups


def _pathway(layer: nn.Module, parameter: nn.Parameter) -> str:
    """The weights of a bilinear layer are in neither pathway: as published, they have no prior."""
    if isinstance(layer, RPPLinear) and (parameter is layer.weight_basic or parameter is layer.bias_basic):
        return "basic"
    if isinstance(layer, GatedNonlinearity):
        return "basic"
    return "equiv" if isinstance(layer, EquivariantLinear) else "plain"


def squared_norm(tensors: list[nn.Parameter]) -> Tensor:
    """The sum of squares of all entries of some tensors."""
    return torch.stack([t.square().sum() for t in tensors]).sum()
