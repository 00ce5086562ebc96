"""Priors on residuals that hold under Adam: a budget for the size of the residual, kept by decoupled decay.

A term wd |r|^2 in the loss hardly holds a residual r under Adam, which divides the gradient of the term with all others
by their size. Decay apart from the gradient does, r <- (1 - k) r at every step. With steps of size rho lr,

- where the gradient is noise, entries settle at a root mean square of rho lr / sqrt(2 k), up to a tenth less where k is
  not small beside 1 - beta_1, because Adam's steps are correlated;
- where it is steady, they settle at rho lr / k.

A budget b sets the first: entries of the residual may have b times the root mean square s of the layer's merged weight
at the start, so k = (rho lr / (b s))^2 / 2. Written as k = lr lambda, as for AdamW, lambda = rho^2 lr / (2 b^2 s^2); it
follows the learning rate along a schedule. A steady gradient moves the residual to 2 b^2 s^2 / (rho lr), much further.

This is not the maximum a posteriori estimate under a Gaussian: the strength depends on the ratio of signal and noise in
the gradient, not on the loss. It is a limit on what noise alone can do, and a symmetry that fails gives a signal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rpp_rl.errors import NetworkError, UnknownNameError

RESIDUAL_PRIORS = ("decay", "dual", "projection", "none")
# Those under which a residual decays.
DECAYING = ("decay", "dual")
# By how much a step of dual ascent changes the logarithm of a multiplier, and the multiplier's bounds.
DUAL_RATE, LEAST, MOST = 2e-3, 1e-4, 1e4
# The steady share of a gradient's power above which a multiplier falls.
STEADY = 0.1


@dataclass(frozen=True)
class ResidualPrior:
    """How large residuals may become.

    Attributes:
        kind: ``"decay"`` for decoupled decay at the budget's rate; ``"dual"`` for the same times a multiplier, which is
            raised while the residual exceeds its budget and lowered while its gradient keeps pointing one way;
            ``"projection"`` for a residual of at most a share `budget` of the layer, |R| <= budget |W|, after every
            step, in orthogonal coordinates; ``"none"``.
        budget: of all layers, or one for each layer from the input to the output.

    Raises:
        UnknownNameError: if the kind is unknown.
        NetworkError: if a budget is not positive, or a share is not below 1.
    """

    kind: str = "decay"
    budget: float | tuple[float, ...] = 0.1

    def __post_init__(self) -> None:
        if self.kind not in RESIDUAL_PRIORS:
            raise UnknownNameError("residual prior", self.kind, RESIDUAL_PRIORS)
        for value in self.budget if isinstance(self.budget, tuple) else (self.budget,):
            if not (
                isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
            ):
                raise NetworkError(f"residual_budget must be a number > 0, got {value!r}")
            if self.kind == "projection" and value >= 1:
                raise NetworkError(f"the residual's share of a layer must be below 1, got residual_budget={value!r}")

    def budgets(self, depth: int) -> tuple[float, ...]:
        """The budget of each layer of a network.

        Args:
            depth: number of layers.

        Raises:
            NetworkError: if there are budgets for another number of layers.
        """
        if isinstance(self.budget, int | float):
            return (float(self.budget),) * depth
        if len(self.budget) != depth:
            raise NetworkError(
                f"residual_budget has {len(self.budget)} values for a network of {depth} layers with residuals; give "
                "one number, or one for each layer"
            )
        return self.budget


def decay(rate: float, allowed: float) -> float:
    """The share k of a residual that decays in a step: k = (rate / allowed)^2 / 2, at most 1.

    Args:
        rate: size of a step, rho lr.
        allowed: root mean square that noise may give the residual's entries.
    """
    return min(1.0, (rate / allowed) ** 2 / 2)


def initial_rms(layer: nn.Module) -> float:
    """The root mean square of the entries of a layer's merged weight; where they are zero, that of a plain layer's.

    Layers without a merged weight, such as gated nonlinearities, multiply by one.
    """
    merged = getattr(layer, "merged", None)
    if merged is None:
        return 1.0
    with torch.no_grad():
        weight = merged()[0]
    return float(weight.square().mean().sqrt()) or 1 / math.sqrt(3 * weight.shape[1])


def steady_share(mean: Tensor, square: Tensor, betas: tuple[float, float], step: Tensor) -> Tensor:
    """The share of a gradient's power that keeps its direction over 1 / (1 - beta_1) steps, from 0 (noise) to 1.

    Adam's averages m of the gradient and v of its square tell: for noise E[m^2] / E[v] is (1 - beta_1) / (1 + beta_1),
    for a steady gradient it is 1, once the averages are full. Sums over many entries make the share precise.

    Args:
        mean: Adam's `exp_avg` of a parameter.
        square: its `exp_avg_sq`.
        betas: weights of the averages.
        step: number of steps, a tensor.
    """
    total = square.sum() / (1 - betas[1] ** step)
    ratio = mean.square().sum() / total.clamp_min(torch.finfo(total.dtype).tiny)
    # After few steps the averages weigh few gradients.
    left = betas[0] ** step
    noise, full = (1 - betas[0]) / (1 + betas[0]) * (1 - left**2), (1 - left) ** 2
    return ((ratio - noise) / (full - noise).clamp_min(1e-6)).clamp(0.0, 1.0)


def residual_layers(network: nn.Module) -> dict[str, tuple[nn.Module, int]]:
    """The layers of a network that have residuals, by name, with their depth from the input, counted from 0.

    The number in a layer's name, such as 2 in ``qf0.2``, is its place in a chain; chains side by side, such as two
    critics, count each from 0, and parts of one block share a depth. Layers without a number, such as an actor's mean
    and log-std, follow all chains and share the next depth.
    """
    layers = {}
    for name, layer in network.named_modules():
        pathways: Callable[[], Mapping[str, tuple[nn.Parameter | None, ...]]] = getattr(layer, "pathways", dict)
        if any(p is not None for p in pathways().get("basic", ())):
            layers[name] = layer
    places = {name: _place(name) for name in layers}
    chains: dict[str, set[int]] = {}
    for chain, number in filter(None, places.values()):
        chains.setdefault(chain, set()).add(number)
    following = max(map(len, chains.values()), default=0)
    depths = {n: following if p is None else sorted(chains[p[0]]).index(p[1]) for n, p in places.items()}
    return {name: (layer, depths[name]) for name, layer in layers.items()}


def _place(name: str) -> tuple[str, int] | None:
    """The chain and the place in it that the name of a layer tells; None where it has no number."""
    parts = name.split(".")
    numbers = [i for i, part in enumerate(parts) if part.isdigit()]
    return (".".join(parts[: numbers[-1]]), int(parts[numbers[-1]])) if numbers else None
