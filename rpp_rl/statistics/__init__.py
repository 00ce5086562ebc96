"""Statistics of runs: one run with its seed is one sample, and every estimate says how many runs it uses."""

from rpp_rl.statistics.comparisons import (
    average_probability,
    difference,
    may_distinguish,
    probability_of_improvement,
)
from rpp_rl.statistics.curves import (
    AlignedCurves,
    align,
    area_under_curve,
    best_so_far,
    curve_estimate,
    mean_and_deviation,
    shared_span,
    steps_within,
)
from rpp_rl.statistics.estimates import (
    FEWEST_FOR_INTERVAL,
    FEWEST_WITHOUT_WARNING,
    CurveEstimate,
    Estimate,
    estimate,
    interquartile_mean,
)
from rpp_rl.statistics.normalized import Normalization, performance_profile
from rpp_rl.statistics.thresholds import StepsToThreshold, steps_to_threshold

__all__ = [
    "FEWEST_FOR_INTERVAL",
    "FEWEST_WITHOUT_WARNING",
    "AlignedCurves",
    "CurveEstimate",
    "Estimate",
    "Normalization",
    "StepsToThreshold",
    "align",
    "area_under_curve",
    "average_probability",
    "best_so_far",
    "curve_estimate",
    "difference",
    "estimate",
    "interquartile_mean",
    "may_distinguish",
    "mean_and_deviation",
    "performance_profile",
    "probability_of_improvement",
    "shared_span",
    "steps_to_threshold",
    "steps_within",
]
