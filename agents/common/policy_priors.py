"""The priors of a policy, from its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rpp_rl.errors import NetworkError, UnknownNameError
from rpp_rl.priors import PathwayPrior
from rpp_rl.residual_priors import ResidualPrior

# A residual's budget: of all layers, or one for each.
Budget = float | Sequence[float]
# The strengths of the paper's RL experiments, per network; 0 where a network has no such pathway.
PAPER_WD = {"actor": 1e-6, "critic": 0.0}
PATHWAYS_OF = {"rpp": ("equiv", "basic"), "equivariant": ("equiv",), "plain": ()}


def need_residuals(given: Mapping[str, object], kinds: Mapping[str, str]) -> None:
    """Check that options of residuals are given only where a network has them.

    Args:
        given: values by the name of the option without ``residual_``.
        kinds: kinds of actor and critics.

    Raises:
        NetworkError: if one is given, and neither network has residuals.
    """
    for option, value in given.items():
        if value is not None and "rpp" not in kinds.values():
            raise NetworkError(f"residual_{option} is of residuals, which neither network has; leave it out")


def residual_prior_of(network: str, kind: str, budget: Budget | Mapping[str, Budget] | None) -> ResidualPrior:
    """The residual prior of the actor or the critics.

    Raises:
        UnknownNameError: if a budget is for another network.
        NetworkError: if a budget is not a number, or out of its range.
    """
    if isinstance(budget, str):
        raise NetworkError(f"residual_budget must be a number > 0, got {budget[:60]!r}")
    if isinstance(budget, Mapping):
        for name in budget:
            if name not in PAPER_WD:
                raise UnknownNameError("network in residual_budget", str(name), PAPER_WD)
        budget = budget.get(network)
    if budget is None:
        return ResidualPrior(kind)
    return ResidualPrior(kind, budget if isinstance(budget, int | float) else tuple(budget))


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
