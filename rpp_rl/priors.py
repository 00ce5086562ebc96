"""Gaussian priors on the two pathways, and the sums of squares that MAP training adds to a loss.

beta ~ N(0, s_eq^2 I) and B ~ N(0, s_res^2 I) add wd_equiv |beta|^2 + wd_basic |B|^2 to the loss, with
wd = 1 / (2 s^2) per datum (Finzi, Benton and Wilson 2021, section 4). `PathwayPrior` is the two strengths;
`GaussianPrior` has the standard deviations of each layer, the density, and samples of functions.
`rpp_rl.empirical_bayes` learns how strong a prior should be.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from rpp_rl.errors import NetworkError

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

    @property
    def step_ratio(self) -> float:
        """Adam's step size for the residual relative to the equivariant pathway: s_res / s_eq, at most 1.

        Adam moves every parameter by about its learning rate, however narrow the prior. If this step is several
        standard deviations of the prior, the residual does not converge and acts as noise on the equivariant pathway.
        With this ratio both pathways move equally fast in units of their standard deviations. The ratio is 1 if either
        prior is flat, since a flat prior has no such unit.
        """
        if not (self.equiv_wd > 0 and self.basic_wd > 0):
            return 1.0
        return min(1.0, math.sqrt(self.equiv_wd / self.basic_wd))

    def penalty(self, module: nn.Module) -> dict[str, Tensor]:
        """The term of each pathway, wd * (sum of squares of its parameters), as differentiable scalars."""
        groups = pathway_parameters(module)
        return {p: self.strength(p) * squared_norm(list(groups[p].values())) for p in PATHWAYS if groups[p]}

    def optimizer_groups(self, module: nn.Module, weight_decay: float = 0.0) -> list[dict[str, Any]]:
        """Parameter groups for an optimizer whose `weight_decay` adds ``weight_decay * p`` to the gradient of p.

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


@dataclass(frozen=True)
class GaussianPrior:
    """Independent normal priors beta ~ N(0, s_eq^2 I) and B ~ N(0, s_res^2 I) with separate variances for each layer.

    The merged weight W = A + B of a layer, with vec(A) = Q beta, is then normal with covariance
    (s_eq^2 + s_res^2) Q Q^T + s_res^2 P, where P = 1 - Q Q^T projects on the complement of the equivariant matrices.

    Attributes:
        stds: the standard deviation of each group of parameters, by (name of the layer, pathway). The pathway is
            ``"equiv"``, ``"basic"`` or, for parameters in neither, ``"plain"``. Infinity is a flat prior.

    Raises:
        NetworkError: if a standard deviation is not positive.
    """

    stds: Mapping[tuple[str, str], float]

    def __post_init__(self) -> None:
        for (layer, pathway), std in self.stds.items():
            if not std > 0:
                raise NetworkError(f"the standard deviation of a prior must be > 0, got {std} for {pathway} of {layer}")

    @classmethod
    def uniform(cls, module: nn.Module, equiv: float, basic: float, plain: float = 1.0) -> GaussianPrior:
        """A prior with the same variances in all layers of a network.

        Args:
            module: the network.
            equiv: s_eq.
            basic: s_res.
            plain: standard deviation of parameters in neither pathway, such as those of bilinear layers, which are
                N(0, 1) as published.
        """
        given = {"equiv": equiv, "basic": basic, "plain": plain}
        return cls({key: given[key[1]] for key in layer_parameters(module)})

    def penalty(self, module: nn.Module) -> dict[str, Tensor]:
        """The negative log density up to a constant, by pathway: the sum of |theta|^2 / (2 s^2) over the layers.

        For a mean squared error over N examples and d outputs with noise sigma, multiply by 2 sigma^2 / (N d).
        """
        terms: dict[str, list[Tensor]] = {}
        for key, parameters in self._of(module).items():
            strength = 1 / (2 * self.stds[key] ** 2)
            terms.setdefault(key[1], []).append(strength * squared_norm(parameters))
        return {pathway: torch.stack(found).sum() for pathway, found in terms.items()}

    def log_density(self, module: nn.Module) -> Tensor:
        """The log density of the parameters; flat priors add nothing."""
        total = -torch.stack(list(self.penalty(module).values())).sum()
        for key, parameters in self._of(module).items():
            if math.isfinite(self.stds[key]):
                count = sum(p.numel() for p in parameters)
                total = total - count * math.log(self.stds[key] * math.sqrt(2 * math.pi))
        return total

    def _of(self, module: nn.Module) -> dict[tuple[str, str], list[nn.Parameter]]:
        groups = layer_parameters(module)
        if groups.keys() != self.stds.keys():
            layer, pathway = sorted(groups.keys() ^ self.stds.keys())[0]
            raise NetworkError(
                f"the prior belongs to another network: only one of the two has parameters of pathway {pathway!r} in "
                f"layer {layer!r}"
            )
        return groups


Network = TypeVar("Network", bound=nn.Module)


@torch.no_grad()
def sample(prior: GaussianPrior, network: Network, generator: torch.Generator | None = None) -> Network:
    """Draw a function from a prior: a copy of a network with all parameters drawn from it.

    Args:
        prior: a prior of this network.
        network: the network; its parameter values do not matter.
        generator: source of randomness; torch's global generator by default.

    Raises:
        NetworkError: if the prior belongs to another network, or is flat for some parameters.
    """
    drawn = copy.deepcopy(network)
    for (layer, pathway), parameters in prior._of(drawn).items():
        std = prior.stds[layer, pathway]
        if not math.isfinite(std):
            raise NetworkError(
                f"cannot draw a function from a flat prior; set a finite std for pathway {pathway!r} of layer {layer!r}"
            )
        for p in parameters:
            # Drawn on the generator's device, so that a seed gives the same function on every device.
            device = generator.device if generator is not None else p.device
            p.copy_(std * torch.randn(p.shape, generator=generator, dtype=p.dtype, device=device))
    return drawn


def layer_parameters(module: nn.Module) -> dict[tuple[str, str], list[nn.Parameter]]:
    """The parameters of a network by (name of the layer, pathway); every parameter is in exactly one group."""
    groups: dict[tuple[str, str], list[nn.Parameter]] = {}
    for pathway, named in pathway_parameters(module).items():
        for name, parameter in named.items():
            groups.setdefault((name.rpartition(".")[0], pathway), []).append(parameter)
    return groups


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
    """The pathway in which a layer lists a parameter; a parameter that it does not list is plain."""
    pathways: Callable[[], Mapping[str, tuple[nn.Parameter | None, ...]]] = getattr(layer, "pathways", dict)
    return next((name for name, own in pathways().items() if any(p is parameter for p in own)), "plain")


def squared_norm(tensors: list[nn.Parameter]) -> Tensor:
    """The sum of squares of all entries of tensors."""
    return torch.stack([t.square().sum() for t in tensors]).sum()
