"""What figures and report have in common: a colour for every algorithm, names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rpp_rl.experiments.comparison.analysis import TaskResult

STEPS = "environment steps"
SCORE = "eval/mean_reward"
# Errors are drawn on a logarithmic axis, where zero has no place.
LEAST_ERROR = 1e-9
# TensorBoard reads files with tfevents in their names; one name is replaced by the next comparison.
EVENTS = "events.out.tfevents.0.compare"
# Okabe and Ito's colours, which people with colour-blindness tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")


def colours(results: Iterable[TaskResult]) -> dict[str, str]:
    """A colour for every label, the same on every environment; beyond eight they repeat."""
    labels = sorted({group.label for result in results for group in result.groups})
    return {label: _COLOURS[i % len(_COLOURS)] for i, label in enumerate(labels)}


def layer_colour(k: int) -> str:
    """The colour of the k-th layer of a network; beyond eight they repeat."""
    return _COLOURS[k % len(_COLOURS)]
