"""An optimiser for a network with pathways: each has a parameter group with its rate, its prior, and its decay."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rpp_rl.errors import NetworkError
from rpp_rl.layers import RPPLinear
from rpp_rl.priors import PathwayPrior, PriorParameter, prior_parameters
from rpp_rl.residual_priors import (
    DUAL_RATE,
    LEAST,
    MOST,
    STEADY,
    ResidualPrior,
    decay,
    initial_rms,
    residual_layers,
    steady_share,
)

# The optimisers whose weight decay is the gradient of a sum of squares in the loss.
COUPLED = (
    *(torch.optim.Adam, torch.optim.Adamax, torch.optim.NAdam, torch.optim.RAdam),
    *(torch.optim.Adagrad, torch.optim.RMSprop, torch.optim.SGD),
)
_ADAMS = (torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.RAdam)
Optimizer = torch.optim.Optimizer
Group = dict[str, Any]


def pathway_optimizer(
    network: nn.Module,
    lr: float,
    *,
    prior: PathwayPrior | None = None,
    residual_prior: ResidualPrior | None = None,
    residual_step_ratio: float | None = None,
    make: Callable[..., Optimizer] = torch.optim.Adam,
    arguments: Mapping[str, Any] | None = None,
    parameters: Collection[nn.Parameter] | None = None,
    name: str = "network",
) -> Optimizer:
    """Build an optimiser with one parameter group for each pathway.

    Args:
        network: the network whose parameters it moves.
        lr: learning rate.
        prior: Gaussian prior, as terms of the loss; None for a flat one.
        residual_prior: budget of the residuals; None for none.
        residual_step_ratio: learning rate rho of the residual relative to that of all else; None for
            `PathwayPrior.step_ratio`.
        make: class of the optimiser.
        arguments: its arguments beside parameters and learning rate.
        parameters: those of the network that it moves; None for all.
        name: name of the network, for messages.

    Raises:
        NetworkError: if an optimiser of this class cannot carry the prior, or budgets do not fit the network.
    """
    prior, given = prior or PathwayPrior(), dict(arguments or {})
    moved = set(network.parameters() if parameters is None else parameters)
    factors = {p: factor for p, factor in prior.gradient_factors(network).items() if p in moved}
    groups = prior.optimizer_groups(network, float(given.get("weight_decay", 0.0)))
    rho = prior.step_ratio if residual_step_ratio is None else residual_step_ratio
    ratios = step_ratios(network, rho)
    allowed = {} if residual_prior is None or not residual_prior.decays else _allowed(network, residual_prior)
    for group in groups:
        group["lr_ratio"] = ratios[group["pathway"]]
        # A features extractor shared with the actor is not the critic's to optimise.
        group["params"] = [p for p in group["params"] if p in moved]
        if group["pathway"] == "basic" and allowed:
            group["allowed_rms"] = [allowed[p] for p in group["params"]]
    if make in (torch.optim.Adam, torch.optim.AdamW) and not given.keys() & {"fused", "foreach"}:
        # One pass over all parameters instead of a dozen small operations on each.
        given["fused"] = all(p.device.type in ("cpu", "cuda") for p in moved)
    made = make(groups, lr=lr, **given)
    coupled = type(made) in COUPLED and not made.defaults.get("decoupled_weight_decay", False)
    in_groups = any(prior.strength(g["pathway"]) and not any(p in factors for p in g["params"]) for g in groups)
    if in_groups and not coupled:
        raise NetworkError(
            f"{type(made).__name__} does not add its weight decay to the gradient, so it cannot carry the "
            f"prior of the {name}; use torch.optim.Adam, or set {name}_equiv_wd=0 and {name}_basic_wd=0"
        )
    kind = "none" if residual_prior is None else residual_prior.kind
    if kind == "dual" and not isinstance(made, _ADAMS):
        raise NetworkError(
            f"dual ascent reads the averages that Adam keeps, and {type(made).__name__} keeps none; use "
            "torch.optim.Adam, or residual_prior='decay'"
        )
    limits = _limits(network, residual_prior) if residual_prior is not None and kind == "projection" else []
    # Copies of an optimiser have its defaults, but not its hooks.
    made.defaults["rules"] = StepRules(factors, kind, limits)
    attach_rules(made)
    return made


def attach_rules(optimizer: Optimizer) -> None:
    """Let an optimiser, or a copy of one, follow its rules."""
    rules = optimizer.defaults.get("rules")
    if rules is not None and not optimizer._optimizer_step_pre_hooks:
        optimizer.register_step_pre_hook(rules.before)
        optimizer.register_step_post_hook(rules.after)


def step_ratios(network: nn.Module, rho: float) -> dict[str, float]:
    """The learning rate of each pathway relative to the network's.

    Two pathways with equal steps share it: A + B then moves by lr along the equivariant matrices.

    Args:
        network: the network.
        rho: the residual's rate relative to the equivariant one.
    """
    shared = any(isinstance(layer, RPPLinear) and layer.steps == "equal" for layer in network.modules())
    total = 1 + rho if shared else 1.0
    return {"equiv": 1 / total, "basic": rho / total, "plain": 1.0}


def has_foreign_hooks(optimizer: Optimizer) -> bool:
    """Whether something else than this module is to be called before or after a step."""
    hooks = (*optimizer._optimizer_step_pre_hooks.values(), *optimizer._optimizer_step_post_hooks.values())
    return any(getattr(hook, "__module__", None) != __name__ for hook in hooks)


def rules_of(optimizer: Optimizer) -> StepRules:
    """The rules of an optimiser; those that change nothing where it has none."""
    rules: StepRules | None = optimizer.defaults.get("rules")
    return StepRules({}, "none") if rules is None else rules


@dataclass(frozen=True)
class Limit:
    """The largest residual of a layer: a share b of the layer, |R| <= b |W| with |W|^2 = |A|^2 + |R|^2.

    Attributes:
        equivariant: parameters of the equivariant part, and their scales.
        residual: parameters of the residual, and their scales.
        ratio: b / sqrt(1 - b^2), the bound of |R| / |A|.
    """

    equivariant: tuple[PriorParameter, ...]
    residual: tuple[PriorParameter, ...]
    ratio: float

    def project(self) -> None:
        """Shrink the residual to the limit if it exceeds it."""
        largest, size = self.ratio * _norm(self.equivariant), _norm(self.residual)
        factor = (largest / size.clamp_min(torch.finfo(size.dtype).tiny)).clamp_max(1.0)
        for p in self.residual:
            p.parameter.mul_(factor)


class StepRules:
    """What happens around a step of an optimiser.

    Each group's learning rate is ``lr_ratio`` times the scheduled one. The prior's term joins the gradients of scaled
    parameters. Residuals decay by `rpp_rl.residual_priors.decay` before the step, or are projected after it.

    Args:
        factors: the prior's gradient of these parameters p is factor * p.
        kind: see `ResidualPrior`.
        limits: for a projection those of all layers.

    Attributes:
        factors: the same.
        kind: the same.
    """

    def __init__(self, factors: Mapping[nn.Parameter, Tensor], kind: str, limits: Sequence[Limit] = ()) -> None:
        self.factors, self.kind, self._limits = dict(factors), kind, list(limits)

    @torch.no_grad()
    def before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Before the step."""
        self._scheduled = [group["lr"] for group in optimizer.param_groups]
        for p, factor in self.factors.items():
            if p.grad is not None:
                p.grad.addcmul_(factor.to(p), p)
        for group in optimizer.param_groups:
            # Saved states from before there was a ratio have none.
            group["lr"] = group["lr"] * group.get("lr_ratio", 1.0)
            if self.kind == "dual":
                self.decay_dually(optimizer, group, group["lr"])
            elif self.kind == "decay":
                for p, allowed in residuals_of(group):
                    p.mul_(1 - decay(float(group["lr"]), allowed))

    @torch.no_grad()
    def after(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """After the step."""
        for group, rate in zip(optimizer.param_groups, self._scheduled, strict=True):
            group["lr"] = rate
        self.hold(optimizer)
        # A fused step does not count as a write to its parameters, on which merged weights rely.
        torch.autograd.graph.increment_version([p for group in optimizer.param_groups for p in group["params"]])

    def decay_dually(self, optimizer: Optimizer, group: Group, rate: float | Tensor) -> None:
        """Let the residuals of a group decay by their multipliers, for a step of size `rate`."""
        for p, allowed in residuals_of(group):
            share = (_multiplier(optimizer, p) * (rate / allowed) ** 2 / 2).clamp_max(1.0)
            p.mul_(1 - share)

    @torch.no_grad()
    def hold(self, optimizer: Optimizer) -> None:
        """After the step, project the residuals, or move their multipliers."""
        for limit in self._limits:
            limit.project()
        if self.kind != "dual":
            return
        for group in optimizer.param_groups:
            for p, allowed in residuals_of(group):
                state = optimizer.state.get(p, {})
                if "step" in state:
                    multiplier = state.setdefault("multiplier", p.new_ones(()))
                    exceeds = p.square().mean().sqrt() > allowed
                    steady = steady_share_of(state, group) > STEADY
                    multiplier.mul_((DUAL_RATE * (exceeds.to(p) - 2 * steady.to(p))).exp()).clamp_(LEAST, MOST)


def residuals_of(group: Group) -> list[tuple[nn.Parameter, float]]:
    """The parameters of a group that decay, with the root mean square that noise may give their entries."""
    allowed = group.get("allowed_rms", ())
    return [(p, rms) for p, rms in zip(group["params"], allowed, strict=bool(allowed)) if p.numel()]


@torch.no_grad()
def residual_measures(network: nn.Module, optimizer: Optimizer) -> dict[str, dict[str, float]]:
    """How large the residual of each layer is, how large it may be, and whether its gradient has a direction.

    Args:
        network: the network.
        optimizer: made by `pathway_optimizer` for it, and an Adam.

    Returns:
        By layer: ``residual_rms`` of the entries of its weight's residual; ``residual_budget``, what noise may make of
        it, where it decays; ``signal_to_noise`` of the gradient, as a ratio of powers, once there were steps.
    """
    allowed = {p: rms for group in optimizer.param_groups for p, rms in residuals_of(group)}
    groups = {p: group for group in optimizer.param_groups for p in group["params"]}
    measures: dict[str, dict[str, float]] = {}
    for name, (layer, _) in residual_layers(network).items():
        weight = getattr(layer, "weight_basic", None)
        if weight is None or not weight.numel():
            continue
        own = measures.setdefault(name, {})
        parts: Callable[[], Mapping[str, Tensor]] | None = getattr(layer, "pathway_weights", None)
        residual = weight if parts is None else parts()["basic"]
        own["residual_rms"] = float(residual.square().mean().sqrt())
        if weight in allowed:
            own["residual_budget"] = allowed[weight]
        state = optimizer.state.get(weight, {})
        if "exp_avg" in state and float(state["step"]) > 0:
            share = float(steady_share_of(state, groups[weight]))
            own["signal_to_noise"] = share / max(1 - share, 1e-6)
    return measures


def steady_share_of(state: Mapping[str, Tensor], group: Group) -> Tensor:
    """See `rpp_rl.residual_priors.steady_share`, for a parameter with this state of Adam."""
    mean = state["exp_avg"]
    return steady_share(mean, state["exp_avg_sq"], group["betas"], state["step"].to(mean.device))


def _multiplier(optimizer: Optimizer, p: nn.Parameter) -> Tensor:
    found: Tensor | None = optimizer.state[p].get("multiplier") if p in optimizer.state else None
    return p.new_ones(()) if found is None else found


def _allowed(network: nn.Module, residual_prior: ResidualPrior) -> dict[nn.Parameter, float]:
    """The root mean square that noise may give the residual's entries, for each of its parameters."""
    layers = residual_layers(network)
    budgets = residual_prior.budgets(1 + max((depth for _, depth in layers.values()), default=-1))
    return {
        p.parameter: budgets[layers[p.layer][1]] * initial_rms(layers[p.layer][0])
        for p in prior_parameters(network)
        if p.pathway == "basic"
    }


def _limits(network: nn.Module, residual_prior: ResidualPrior) -> list[Limit]:
    layers = residual_layers(network)
    budgets = residual_prior.budgets(1 + max((depth for _, depth in layers.values()), default=-1))
    parts: dict[str, dict[str, list[PriorParameter]]] = {name: {"equiv": [], "basic": []} for name in layers}
    for p in prior_parameters(network):
        if p.layer in parts and p.pathway in parts[p.layer]:
            parts[p.layer][p.pathway].append(p)
    return [
        Limit(tuple(parts[name]["equiv"]), tuple(parts[name]["basic"]), b / math.sqrt(1 - b**2))
        for name, (_, depth) in layers.items()
        for b in (budgets[depth],)
        if parts[name]["equiv"]
    ]


def _norm(parts: Sequence[PriorParameter]) -> Tensor:
    lengths = torch.stack([torch.linalg.vector_norm(p.coordinates()) for p in parts])
    length: Tensor = torch.linalg.vector_norm(lengths)
    return length
