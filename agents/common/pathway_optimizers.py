"""An optimiser for a network with pathways: each has a parameter group with the strength of its prior and a rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from rpp_rl.errors import NetworkError
from rpp_rl.priors import PathwayPrior

# The optimisers whose weight decay is the gradient of a sum of squares in the loss.
COUPLED = (
    *(torch.optim.Adam, torch.optim.Adamax, torch.optim.NAdam, torch.optim.RAdam),
    *(torch.optim.Adagrad, torch.optim.RMSprop, torch.optim.SGD),
)


def pathway_optimizer(
    name: str,
    network: nn.Module,
    prior: PathwayPrior,
    residual_step_ratio: float | None,
    optimizer: torch.optim.Optimizer,
    make: Callable[..., torch.optim.Optimizer],
    arguments: Mapping[str, Any],
) -> torch.optim.Optimizer:
    """An optimiser like a given one, with one parameter group for each pathway.

    Args:
        name: name of the network, for messages.
        network: the network whose parameters it moves.
        prior: of its pathways; a strength is the weight decay of a group.
        residual_step_ratio: learning rate of the residual pathway beside that of all else; None for
            `PathwayPrior.step_ratio`.
        optimizer: moves the parameters that the new one is to move, at the present learning rate.
        make: what the given one was made by.
        arguments: with which it was made, beside its parameters and learning rate.

    Raises:
        NetworkError: if an optimiser of this kind cannot carry the prior.
    """
    if (prior.equiv_wd or prior.basic_wd) and not _adds_decay_to_gradient(optimizer):
        raise NetworkError(
            f"{type(optimizer).__name__} does not add its weight decay to the gradient, so it cannot carry the "
            f"prior of the {name}; use torch.optim.Adam, or set {name}_equiv_wd=0 and {name}_basic_wd=0"
        )
    optimised = {p for group in optimizer.param_groups for p in group["params"]}
    groups = prior.optimizer_groups(network, float(arguments.get("weight_decay", 0.0)))
    ratio = prior.step_ratio if residual_step_ratio is None else residual_step_ratio
    for group in groups:
        group["lr_ratio"] = ratio if group["pathway"] == "basic" else 1.0
        # A features extractor shared with the actor is not the critic's to optimise.
        group["params"] = [p for p in group["params"] if p in optimised]
    given = dict(arguments)
    if make in (torch.optim.Adam, torch.optim.AdamW) and not given.keys() & {"fused", "foreach"}:
        # One pass over all parameters instead of a dozen small operations on each.
        given["fused"] = all(p.device.type in ("cpu", "cuda") for p in optimised)
    made = make(groups, lr=optimizer.param_groups[0]["lr"], **given)
    # A fused step does not count as a write to its parameters, on which merged weights rely.
    made.register_step_post_hook(_count_as_written)
    rates = _GroupRates()
    made.register_step_pre_hook(rates.scale)
    made.register_step_post_hook(rates.put_back)
    return made


def has_foreign_hooks(optimizer: torch.optim.Optimizer) -> bool:
    """Whether something else than this module is to be called before or after a step."""
    hooks = (*optimizer._optimizer_step_pre_hooks.values(), *optimizer._optimizer_step_post_hooks.values())
    return any(getattr(hook, "__module__", None) != __name__ for hook in hooks)


def _count_as_written(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    torch.autograd.graph.increment_version([p for group in optimizer.param_groups for p in group["params"]])


class _GroupRates:
    """Around a step of an optimiser: each group's learning rate is ``lr_ratio`` times the one that a schedule set."""

    def scale(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        """Before the step."""
        self._scheduled = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            # Saved states from before there was a ratio have none.
            group["lr"] = group["lr"] * group.get("lr_ratio", 1.0)

    def put_back(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        """After the step."""
        for group, rate in zip(optimizer.param_groups, self._scheduled, strict=True):
            group["lr"] = rate


def _adds_decay_to_gradient(optimizer: torch.optim.Optimizer) -> bool:
    return type(optimizer) in COUPLED and not optimizer.defaults.get("decoupled_weight_decay", False)
