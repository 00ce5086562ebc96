"""The style that figures and report share: axis labels, and a color for every algorithm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rpp_rl.experiments.comparison.analysis import TaskResult

STEPS = "environment steps"
SCORE = "eval/mean_reward"
# Errors are drawn on a logarithmic axis, where zero has no place.
LEAST_ERROR = 1e-9
# Okabe and Ito's colors, which people with color-blindness tell apart.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")


def colors(results: Iterable[TaskResult]) -> dict[str, str]:
    """A color for every label, the same on every environment; beyond eight they repeat."""
    labels = sorted({group.label for result in results for group in result.groups})
    return {label: _COLORS[i % len(_COLORS)] for i, label in enumerate(labels)}


def layer_color(k: int) -> str:
    """The color of the k-th layer of a network; beyond eight they repeat."""
    return _COLORS[k % len(_COLORS)]
