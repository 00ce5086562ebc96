"""The priors of a policy, from its options."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from rpp_rl.errors import NetworkError, UnknownNameError
from rpp_rl.priors import PathwayPrior
from rpp_rl.residual_priors import ResidualPrior

# A residual's budget: of all layers, or one for each.
Budget = float | list[float]
DEFAULT_BUDGET = 0.1
# The strengths of the paper's RL experiments, per network; 0 where a network has no such pathway.
PAPER_WD = {"actor": 1e-6, "critic": 0.0}
PATHWAYS_OF = {"rpp": ("equiv", "basic"), "equivariant": ("equiv",), "plain": ()}


def need_residuals(given: Mapping[str, object], kinds: Mapping[str, str]) -> None:
    """Check that options of residuals are given only where a network has them.

    Args:
        given: values by the name of the option.
        kinds: kinds of actor and critics.

    Raises:
        NetworkError: if one is given, and neither network has residuals.
    """
    for option, value in given.items():
        if value is not None and "rpp" not in kinds.values():
            raise NetworkError(f"{option} is of residuals, which neither network has; leave it out")


def read_budget(budget: Any, residual_prior: str, kinds: Mapping[str, str]) -> Budget | dict[str, Budget] | None:
    """The budget that is given, as plain numbers, lists and dictionaries, or None.

    Args:
        budget: a number, one for each layer, or a mapping with one of these for ``"actor"`` and ``"critic"``.
        residual_prior: see `ResidualPrior`.
        kinds: kinds of actor and critics.

    Raises:
        UnknownNameError: if it is for a network that does not exist.
        NetworkError: if it has no effect, or is something else.
    """
    if budget is None:
        return None
    need_residuals({"residual_budget": budget}, kinds)
    if residual_prior == "none":
        raise NetworkError("residual_budget has no effect with residual_prior='none'; leave one of them out")
    if not isinstance(budget, Mapping):
        return _numbers(budget)
    for name in budget:
        if name not in kinds:
            raise UnknownNameError("network in residual_budget", str(name), kinds)
        if kinds[name] != "rpp":
            raise NetworkError(f"residual_budget is given for the {name}, which has no residual ({kinds[name]!r})")
    return {name: _numbers(value) for name, value in budget.items()}


def _numbers(value: Any) -> Budget:
    """A number, or several, as Python's own."""
    found = value.tolist() if isinstance(value, np.ndarray) else value
    several = isinstance(found, list | tuple)
    if not all(isinstance(v, Real) and not isinstance(v, bool | np.bool_) for v in (found if several else [found])):
        raise NetworkError(f"residual_budget must be a number > 0, or one for each layer, got {str(value)[:60]!r}")
    return [float(v) for v in found] if several else float(found)


def residual_prior_of(network: str, kind: str, budget: Budget | Mapping[str, Budget] | None) -> ResidualPrior:
    """The residual prior of the actor or the critics, for a budget that `read_budget` returns.

    Raises:
        UnknownNameError: if the kind is unknown.
        NetworkError: if a budget is out of its range.
    """
    own = budget.get(network) if isinstance(budget, Mapping) else budget
    if own is None:
        return ResidualPrior(kind)
    return ResidualPrior(kind, own if isinstance(own, float) else tuple(own))


def prior_of(
    network: str, kind: str, equiv_wd: float | None, basic_wd: float | None, as_published: bool
) -> PathwayPrior:
    """The Gaussian prior of the actor or the critics; `as_published` fills in the paper's strengths.

    Raises:
        NetworkError: if a strength is given for a pathway that does not exist.
    """
    strengths = {"equiv": equiv_wd, "basic": basic_wd}
    for pathway, given in strengths.items():
        exists = pathway in PATHWAYS_OF[kind]
        if given and not exists:
            raise NetworkError(
                f"{network}_{pathway}_wd={given:g} is a prior on a pathway that the {network} ({kind!r}) does not "
                "have; for a plain weight decay use optimizer_kwargs={'weight_decay': ...}"
            )
        published = PAPER_WD[network] if exists and as_published else 0.0
        strengths[pathway] = published if given is None else given
    return PathwayPrior(strengths["equiv"] or 0.0, strengths["basic"] or 0.0)
