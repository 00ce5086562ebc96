"""From measured errors to a word, with the thresholds in one place."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from rpp_rl.envs.simulator import Floats


class Verdict(IntEnum):
    """How well a symmetry holds, from best to worst."""

    EXACT = 0
    NEAR_EXACT = 1
    APPROXIMATE = 2
    MIS_SPECIFIED = 3

    def __str__(self) -> str:
        return self.name.lower().replace("_", "-")


EXACT = 1e-8
"""The 95th percentile of the relative error, or the observation error, up to which a map is exact: rounding."""
NEAR_EXACT = 0.05
"""The median of the relative error up to which it is nearly exact."""
UNRELATED = 2**0.5
"""The relative error of a step that has nothing to do with the one it should be: of two vectors of one length."""

THRESHOLDS = (
    f"exact: 95 % of steps within {EXACT:g}; near-exact: half of them within {NEAR_EXACT:g}; approximate: half of them "
    f"within {UNRELATED:.3g}, the error of an unrelated step; mis-specified: beyond that, or an observation map that "
    "does not hold, or an entry whose other sign is clearly better"
)


def of_dynamics(median: float, p95: float, suspects: Sequence[str] = ()) -> Verdict:
    """The verdict on one-step dynamics."""
    if suspects or median >= UNRELATED:
        return Verdict.MIS_SPECIFIED
    if p95 <= EXACT:
        return Verdict.EXACT
    return Verdict.NEAR_EXACT if median <= NEAR_EXACT else Verdict.APPROXIMATE


def of_observation(error: float) -> Verdict:
    """The verdict on the observation map, which geometry alone decides: there is no excuse for a large error."""
    if error <= EXACT:
        return Verdict.EXACT
    return Verdict.NEAR_EXACT if error <= NEAR_EXACT else Verdict.MIS_SPECIFIED


def of_task(reward_error: float, termination_mismatch: float) -> Verdict:
    """The verdict on reward and termination; a task that breaks its robot's symmetry is approximate at worst."""
    if reward_error <= EXACT and termination_mismatch == 0:
        return Verdict.EXACT
    small = reward_error <= NEAR_EXACT and termination_mismatch <= NEAR_EXACT
    return Verdict.NEAR_EXACT if small else Verdict.APPROXIMATE


def sentence(dynamics: Verdict, observation: Verdict, task: Verdict, reset: bool, suspects: Sequence[str]) -> str:
    """What a person should know."""
    if suspects:
        return f"mis-specified: with the other sign or place of {', '.join(suspects)} the error is less than half"
    if observation == Verdict.MIS_SPECIFIED:
        return "mis-specified: the observation of the mirrored state is not the mirrored observation"
    if dynamics == Verdict.MIS_SPECIFIED:
        return "mis-specified: a mirrored step has nothing to do with the mirror image of the step"
    start = "" if reset else "; episodes do not start symmetrically"
    if task == Verdict.APPROXIMATE:
        return f"dynamics {dynamics}, but reward or termination break it: not a symmetry of the task{start}"
    return f"dynamics {dynamics}, reward and termination {task}{start}"


def share_within(errors: Floats, bound: float = 1e-6) -> float:
    """The share of errors up to a bound."""
    return float((errors <= bound).mean())
