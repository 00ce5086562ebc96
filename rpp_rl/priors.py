"""Gaussian priors on the parts of a weight, and the sums of squares that MAP training adds to a loss.

beta ~ N(0, s_eq^2 I) and B ~ N(0, s_res^2 I) add wd_equiv |beta|^2 + wd_basic |B|^2 to the loss, with
wd = 1 / (2 s^2) per datum (Finzi, Benton and Wilson 2021, section 4). `PathwayPrior` is the two strengths;
`GaussianPrior` has the standard deviations of each layer, the density, and samples of functions.
`rpp_rl.empirical_bayes` learns how strong a prior should be. `rpp_rl.residual_priors` has priors that hold under Adam,
whose steps hardly depend on the scale of a gradient and therefore hardly on a term in the loss.

Layers in orthogonal coordinates have one coordinate where two pathways have two, beta and Q^T B, with variance
s_eq^2 + s_res^2, so that both layers have one prior. Everything here is in orthonormal coordinates: a parameter that is
scaled is multiplied by its scale first.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from rpp_rl.errors import NetworkError
from rpp_rl.orthogonal_layers import OrthogonalLinear

PATHWAYS = ("equiv", "basic")
ORDER = (*PATHWAYS, "plain")


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

    def strength(self, pathway: str, orthogonal: bool = False) -> float:
        """The strength for ``"equiv"`` or ``"basic"``; zero for ``"plain"``.

        In orthogonal coordinates that of ``"equiv"`` is 1 / (2 (s_eq^2 + s_res^2)) = 1 / (1 / wd_equiv + 1 / wd_basic).
        """
        if pathway == "equiv" and orthogonal:
            total = self.equiv_wd + self.basic_wd
            return self.equiv_wd * self.basic_wd / total if total else 0.0
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
        """The term of each pathway, wd * (sum of squares of its coordinates), as differentiable scalars."""
        terms: dict[str, list[Tensor]] = {p: [] for p in PATHWAYS}
        for p in prior_parameters(module):
            if p.pathway in terms:
                terms[p.pathway].append(self.strength(p.pathway, p.orthogonal) * p.coordinates().square().sum())
        return {pathway: torch.stack(found).sum() for pathway, found in terms.items() if found}

    def optimizer_groups(self, module: nn.Module, weight_decay: float = 0.0) -> list[dict[str, Any]]:
        """Parameter groups for an optimizer whose `weight_decay` adds ``weight_decay * p`` to the gradient of p.

        The gradient of wd * |p|^2 is 2 wd p, so each group's decay is 2 wd beyond the common `weight_decay`. Groups
        with scaled parameters have the common one only: the caller adds their prior, see `gradient_factors`.
        """
        factors = self.gradient_factors(module)
        return [
            {
                "params": list(named.values()),
                "weight_decay": weight_decay
                + (0.0 if any(p in factors for p in named.values()) else 2 * self.strength(pathway)),
                "pathway": pathway,
            }
            for pathway, named in pathway_parameters(module).items()
            if named
        ]

    def gradient_factors(self, module: nn.Module) -> dict[nn.Parameter, Tensor]:
        """Factors f of scaled parameters p for which the prior's term adds f * p to the gradient: f = 2 wd scale^2."""
        found = list(prior_parameters(module))
        scaled = {p.pathway for p in found if p.scale is not None and self.strength(p.pathway, p.orthogonal)}
        return {
            p.parameter: 2 * self.strength(p.pathway, p.orthogonal) * _scale_of(p).square()
            for p in found
            if p.pathway in scaled
        }


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
        for p in self._of(module):
            terms.setdefault(p.pathway, []).append(p.coordinates().square().sum() / (2 * self.std(p) ** 2))
        return {pathway: torch.stack(found).sum() for pathway, found in terms.items()}

    def log_density(self, module: nn.Module) -> Tensor:
        """The log density of the coordinates; flat priors add nothing."""
        total = -torch.stack(list(self.penalty(module).values())).sum()
        for p in self._of(module):
            if math.isfinite(self.std(p)):
                total = total - p.parameter.numel() * math.log(self.std(p) * math.sqrt(2 * math.pi))
        return total

    def std(self, parameter: PriorParameter) -> float:
        """The standard deviation of the coordinates of a parameter: sqrt(s_eq^2 + s_res^2) where they are shared."""
        std = self.stds[parameter.key]
        if parameter.pathway == "equiv" and parameter.orthogonal:
            return math.hypot(std, self.stds[parameter.layer, "basic"])
        return std

    def _of(self, module: nn.Module) -> list[PriorParameter]:
        found = list(prior_parameters(module))
        keys = {p.key for p in found}
        if keys != self.stds.keys():
            layer, pathway = sorted(keys ^ self.stds.keys())[0]
            raise NetworkError(
                f"the prior belongs to another network: only one of the two has parameters of pathway {pathway!r} in "
                f"layer {layer!r}"
            )
        return found


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
    for p in prior._of(drawn):
        std = prior.std(p)
        if not math.isfinite(std):
            raise NetworkError(
                f"cannot draw a function from a flat prior; set a finite std for pathway {p.pathway!r} of layer "
                f"{p.layer!r}"
            )
        # Drawn on the generator's device, so that a seed gives the same function on every device.
        device = generator.device if generator is not None else p.parameter.device
        coordinates = std * torch.randn(p.parameter.shape, generator=generator, dtype=p.parameter.dtype, device=device)
        p.parameter.copy_(coordinates if p.scale is None else coordinates.to(p.scale) / p.scale)
    return drawn


@dataclass(frozen=True, eq=False)
class PriorParameter:
    """A parameter of a network as its prior sees it.

    Attributes:
        layer: name of the layer.
        name: name of the parameter within it.
        pathway: ``"equiv"``, ``"basic"``, or ``"plain"`` for parameters that the layer lists in neither.
        parameter: the parameter.
        scale: orthonormal coordinates are scale * parameter; None for one.
        orthogonal: whether the layer has one coordinate for what two pathways describe twice.
    """

    layer: str
    name: str
    pathway: str
    parameter: nn.Parameter
    scale: Tensor | None
    orthogonal: bool

    @property
    def key(self) -> tuple[str, str]:
        """(name of the layer, pathway)."""
        return self.layer, self.pathway

    def coordinates(self) -> Tensor:
        """Orthonormal coordinates, differentiable."""
        return self.parameter if self.scale is None else self.scale.to(self.parameter) * self.parameter


def prior_parameters(module: nn.Module) -> Iterator[PriorParameter]:
    """All parameters of a network, each once, found by asking the layer that holds it."""
    seen: set[nn.Parameter] = set()
    for prefix, layer in module.named_modules():
        listed: Callable[[], Mapping[str, tuple[nn.Parameter | None, ...]]] = getattr(layer, "pathways", dict)
        scaled: Callable[[], Mapping[nn.Parameter, Tensor]] = getattr(layer, "coordinate_scales", dict)
        pathway_of = {p: pathway for pathway, own in listed().items() for p in own if p is not None}
        scales, orthogonal = scaled(), isinstance(layer, OrthogonalLinear)
        for name, parameter in layer.named_parameters(recurse=False):
            if parameter not in seen:
                seen.add(parameter)
                pathway = pathway_of.get(parameter, "plain")
                yield PriorParameter(prefix, name, pathway, parameter, scales.get(parameter), orthogonal)


def _scale_of(parameter: PriorParameter) -> Tensor:
    """The scale of a parameter."""
    return torch.ones_like(parameter.parameter.detach()) if parameter.scale is None else parameter.scale


def layer_parameters(module: nn.Module) -> dict[tuple[str, str], list[nn.Parameter]]:
    """The parameters of a network by (name of the layer, pathway); every parameter is in exactly one group."""
    groups: dict[tuple[str, str], list[nn.Parameter]] = {}
    for p in sorted(prior_parameters(module), key=lambda p: ORDER.index(p.pathway)):
        groups.setdefault(p.key, []).append(p.parameter)
    return groups


def pathway_parameters(module: nn.Module) -> Mapping[str, dict[str, nn.Parameter]]:
    """Sort the parameters of a network by pathway: ``"equiv"``, ``"basic"``, or ``"plain"`` (neither)."""
    groups: dict[str, dict[str, nn.Parameter]] = {pathway: {} for pathway in ORDER}
    for p in prior_parameters(module):
        groups[p.pathway][f"{p.layer}.{p.name}" if p.layer else p.name] = p.parameter
    return groups
