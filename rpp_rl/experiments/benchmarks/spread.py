"""Repeated measurements of one figure."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Spread:
    """Repeated measurements of one figure.

    Attributes:
        values: one per round.
    """

    values: tuple[float, ...]

    def to_dict(self) -> dict[str, float]:
        """Median, least and greatest."""
        return {"median": statistics.median(self.values), "min": min(self.values), "max": max(self.values)}

    def __str__(self) -> str:
        numbers = self.to_dict()
        return f"{numbers['median']:.3g} ({numbers['min']:.3g} to {numbers['max']:.3g})"


def ratio(one: Sequence[float], other: Sequence[float]) -> Spread:
    """The ratio of two figures, round by round."""
    return Spread(tuple(a / b for a, b in zip(one, other, strict=False)))


def timed(run: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
