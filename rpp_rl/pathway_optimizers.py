"""An optimiser for a network with pathways: each has a parameter group with its rate, its prior, and its decay."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rpp_rl.errors import NetworkError
from rpp_rl.layers import RPPLinear
from rpp_rl.orthogonal_layers import OrthogonalLinear
from rpp_rl.priors import PathwayPrior, PriorParameter, prior_parameters
from rpp_rl.residual_priors import (
    DECAYING,
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
# The optimisers whose steps have about the size of the learning rate, whatever the size of the gradient.
NORMALIZED = (*_ADAMS, torch.optim.Adamax, torch.optim.RMSprop)
# Settings of a group that belong to the agent, not to the state of its learning.
_OF_THE_AGENT = ("lr_ratio", "weight_decay", "initial_rms")
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

    A copy of the optimiser lacks its `StepRules`; see `attach_rules`.

    Raises:
        NetworkError: if an optimiser of this class cannot carry a prior, or the network a residual prior.
    """
    prior, given = prior or PathwayPrior(), dict(arguments or {})
    moved = set(network.parameters() if parameters is None else parameters)
    factors = {p: factor for p, factor in prior.gradient_factors(network).items() if p in moved}
    default = inspect.signature(make).parameters.get("weight_decay")
    weight_decay = given.get("weight_decay", 0.0 if default is None else default.default)
    groups = prior.optimizer_groups(network, float(weight_decay))
    rho = prior.step_ratio if residual_step_ratio is None else residual_step_ratio
    ratios = step_ratios(network, rho)
    layers = residual_layers(network)
    for group in groups:
        group["lr_ratio"] = ratios[group["pathway"]]
        # A features extractor shared with the actor is not the critic's to optimise.
        group["params"] = [p for p in group["params"] if p in moved]
        if group["pathway"] == "basic":
            rms = {p: initial_rms(layer) for layer, _ in layers.values() for p in layer.parameters(recurse=False)}
            group["initial_rms"] = [rms[p] for p in group["params"]]
    if make in (torch.optim.Adam, torch.optim.AdamW) and not given.keys() & {"fused", "foreach", "differentiable"}:
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
    _need_fitting(kind, made, [layer for layer, _ in layers.values()])
    budgets = {} if residual_prior is None else _budgets(layers, residual_prior)
    own = [{name: group.get(name) for name in _OF_THE_AGENT} for group in made.param_groups]
    attach_rules(made, StepRules(factors, kind, budgets, own))
    return made


def attach_rules(optimizer: Optimizer, rules: StepRules) -> None:
    """Let an optimiser follow rules.

    Copies of an optimiser have no hooks, so copy its rules with it, and attach them:

        network, optimizer, rules = copy.deepcopy((network, optimizer, rules_of(optimizer)))
        attach_rules(optimizer, rules)
    """
    optimizer.register_step_pre_hook(rules.before)
    optimizer.register_step_post_hook(rules.after)
    optimizer.register_load_state_dict_post_hook(rules.keep_settings)


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
    owners = (getattr(hook, "__self__", None) for hook in optimizer._optimizer_step_pre_hooks.values())
    return next((rules for rules in owners if isinstance(rules, StepRules)), StepRules({}, "none", {}, []))


class StepRules:
    """What happens around a step of an optimiser.

    Each group's learning rate is ``lr_ratio`` times the scheduled one. The prior's term joins the gradients of scaled
    parameters. Residuals decay by `rpp_rl.residual_priors.decay` before the step, or are projected after it.

    Args:
        factors: the prior's gradient of these parameters p is factor * p.
        kind: see `ResidualPrior`.
        budgets: the budget of each layer with a residual.
        settings: settings of each group that a loaded state may not replace.

    Attributes:
        factors: the same.
        kind: the same.
    """

    def __init__(
        self,
        factors: Mapping[nn.Parameter, Tensor],
        kind: str,
        budgets: Mapping[nn.Module, float],
        settings: Sequence[Mapping[str, Any]],
    ) -> None:
        self.factors, self.kind, self._settings = dict(factors), kind, list(settings)
        self._layers = dict(budgets)
        self._budgets = {p: b for layer, b in budgets.items() for p in layer.parameters(recurse=False)}

    def residuals_of(self, group: Group) -> list[tuple[nn.Parameter, float]]:
        """The parameters of a group that decay, with the root mean square that noise may give their entries."""
        if self.kind not in DECAYING or "initial_rms" not in group:
            return []
        pairs = zip(group["params"], group["initial_rms"], strict=True)
        return [(p, self._budgets[p] * rms) for p, rms in pairs if p.numel()]

    def keep_settings(self, optimizer: Optimizer) -> None:
        """Put the optimiser's own settings back after it has loaded the state of another one."""
        for group, own in zip(optimizer.param_groups, self._settings, strict=True):
            # The size of the weights at the start belongs to the state, which older files do not have.
            group.update({name: value for name, value in own.items() if value is not None and name not in group})
            group.update({name: own[name] for name in ("lr_ratio", "weight_decay")})

    @torch.no_grad()
    def before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Before the step."""
        self._scheduled = [group["lr"] for group in optimizer.param_groups]
        for p, factor in list(self.factors.items()):
            if p.grad is not None:
                # A policy moves to its device after its optimisers are made.
                self.factors[p] = factor.to(p)
                p.grad.addcmul_(self.factors[p], p)
        for group in optimizer.param_groups:
            # Saved states from before there was a ratio have none.
            group["lr"] = group["lr"] * group.get("lr_ratio", 1.0)
            if self.kind == "dual":
                self.decay_dually(optimizer, group, group["lr"])
            elif self.kind == "decay":
                for p, allowed in self.residuals_of(group):
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
        for p, allowed in self.residuals_of(group):
            share = (_multiplier(optimizer, p) * (rate / allowed) ** 2 / 2).clamp_max(1.0)
            # Not counted as a write of the user, after which all weights would be merged again.
            p.data.mul_(1 - share)

    @torch.no_grad()
    def hold(self, optimizer: Optimizer) -> None:
        """After the step, project the residuals, or move their multipliers."""
        if self.kind == "projection":
            for layer, share in self._layers.items():
                _project(layer, share)
        if self.kind != "dual":
            return
        for group in optimizer.param_groups:
            for p, allowed in self.residuals_of(group):
                state = optimizer.state.get(p, {})
                if "step" in state:
                    multiplier = state.setdefault("multiplier", p.new_ones(()))
                    exceeds = p.square().mean().sqrt() > allowed
                    steady = steady_share_of(state, group) > STEADY
                    multiplier.mul_((DUAL_RATE * (exceeds.to(p) - 2 * steady.to(p))).exp()).clamp_(LEAST, MOST)


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
    rules = rules_of(optimizer)
    allowed = {p: rms for group in optimizer.param_groups for p, rms in rules.residuals_of(group)}
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
        if {"exp_avg", "exp_avg_sq"} <= state.keys() and float(state["step"]) > 0:
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


def _budgets(layers: Mapping[str, tuple[nn.Module, int]], residual_prior: ResidualPrior) -> dict[nn.Module, float]:
    """The budget of each layer with a residual."""
    budgets = residual_prior.budgets(1 + max((depth for _, depth in layers.values()), default=-1))
    return {layer: budgets[depth] for layer, depth in layers.values()}


def _need_fitting(kind: str, optimizer: Optimizer, layers: Sequence[nn.Module]) -> None:
    """Check that a residual prior fits an optimiser and the layers.

    Raises:
        NetworkError: if it does not.
    """
    name = type(optimizer).__name__
    if kind == "dual" and not isinstance(optimizer, _ADAMS):
        raise NetworkError(
            f"dual ascent reads the averages that Adam keeps, and {name} keeps none; use torch.optim.Adam, or "
            "residual_prior='none'"
        )
    if kind == "decay" and not isinstance(optimizer, NORMALIZED):
        raise NetworkError(
            f"the residual's decay is set for steps of the size of the learning rate, which {name} does not take; use "
            "torch.optim.Adam, or residual_prior='none'"
        )
    if kind == "projection" and not all(isinstance(layer, OrthogonalLinear) for layer in layers):
        raise NetworkError(
            "a projection needs layers in orthogonal coordinates, where the parts of a weight are perpendicular; use "
            "parametrization='orthogonal' and network='mlp', or residual_prior='decay'"
        )


def _project(layer: nn.Module, share: float) -> None:
    """Shrink the residual R of a layer to |R| <= share |W|, with |W|^2 = |A|^2 + |R|^2.

    Weight and bias count together.
    """
    parts: dict[str, list[PriorParameter]] = {"equiv": [], "basic": []}
    for p in prior_parameters(layer):
        parts[p.pathway].append(p)
    largest = share / math.sqrt(1 - share**2) * _norm(parts["equiv"])
    size = _norm(parts["basic"])
    factor = (largest / size.clamp_min(torch.finfo(size.dtype).tiny)).clamp_max(1.0)
    for p in parts["basic"]:
        # Not counted as a write of the user, after which all weights would be merged again.
        p.parameter.data.mul_(factor)


def _norm(parts: Sequence[PriorParameter]) -> Tensor:
    lengths = torch.stack([torch.linalg.vector_norm(p.coordinates()) for p in parts])
    length: Tensor = torch.linalg.vector_norm(lengths)
    return length
