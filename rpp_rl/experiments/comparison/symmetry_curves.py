"""How symmetric the networks of runs were over their training, from what `SymmetryCallback` has logged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rpp_rl.errors import RunError
from rpp_rl.experiments.comparison.event_scalars import EventScalars

if TYPE_CHECKING:
    from rpp_rl.experiments.comparison.analysis import TaskResult

_MARK, _SHARE = "symmetry/", "/residual_share"
_ERRORS = {"actor_equivariance_error": "actor", "critic_invariance_error": "critic"}
# A picture of more layers shows nothing; names may be any text.
_MOST_LAYERS, _LONGEST = 64, 60
_LARGEST = 1e30


@dataclass(frozen=True)
class SymmetryCurve:
    """One quantity over the training of several runs.

    Attributes:
        steps: at which any of the runs has it, of shape (k,).
        values: of each run, of shape (runs, k); NaN where it has none.
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]

    @property
    def median(self) -> NDArray[np.float64]:
        """Over the runs that have it at a step, of shape (k,)."""
        return np.asarray(np.nanmedian(self.values, axis=0))

    @property
    def n(self) -> int:
        """The number of runs."""
        return len(self.values)


@dataclass(frozen=True)
class SymmetryCurves:
    """How symmetric the networks of some runs were.

    Attributes:
        shares: |B| / (|A| + |B|) of each residual layer, by its name.
        errors: the largest relative error over the group, of ``actor`` (equivariance) and ``critic`` (invariance).
    """

    shares: Mapping[str, SymmetryCurve]
    errors: Mapping[str, SymmetryCurve]


@dataclass(frozen=True)
class SymmetryFound:
    """What the runs of a comparison have logged.

    Attributes:
        groups: by environment and algorithm, for those that have logged anything.
        unread: run folders whose event files cannot be read.
    """

    groups: Mapping[tuple[str, str], SymmetryCurves]
    unread: Sequence[Path] = field(default=())

    def of_task(self, name: str) -> dict[str, SymmetryCurves]:
        """Those of an environment, by algorithm."""
        return {label: curves for (task, label), curves in self.groups.items() if task == name}


def found_in(results: Iterable[TaskResult], events: EventScalars) -> SymmetryFound:
    """What all runs that are compared have logged.

    Args:
        results: of the comparison.
        events: reads the event files.
    """
    groups: dict[tuple[str, str], SymmetryCurves] = {}
    unread: list[Path] = []
    for result in results:
        for g in result.groups:
            logged = []
            for run in g.group.runs:
                try:
                    logged.append(logged_in(run.path, events))
                except (RunError, OSError):
                    unread.append(run.path)
            curves = symmetry_curves(logged)
            if curves is not None:
                groups[result.task.name, g.label] = curves
    return SymmetryFound(groups, unread)


def logged_in(folder: Path, events: EventScalars) -> dict[str, dict[int, float]]:
    """The quantities below ``symmetry/`` in a run's event files: by name, the value at each step.

    Args:
        folder: of the run.
        events: reads the event files.

    Raises:
        RunError: if an event file cannot be read.
    """
    found = {}
    for tag, curve in events.scalars(folder, _MARK).items():
        values = {step: value for step, value in curve.items() if abs(value) < _LARGEST and 0 <= step < 1 << 62}
        if values:
            found[tag.removeprefix(_MARK)] = values
    return found


def symmetry_curves(logged: Sequence[Mapping[str, Mapping[int, float]]]) -> SymmetryCurves | None:
    """Put together what runs of one kind have logged; None where that is nothing.

    Args:
        logged: of each run, see `logged_in`.
    """
    names = list(dict.fromkeys(name for run in logged for name in run))
    layers = [name for name in names if name.endswith(_SHARE)][:_MOST_LAYERS]
    shares = {name.removesuffix(_SHARE)[:_LONGEST]: _curve(logged, name) for name in layers}
    errors = {short: _curve(logged, name) for name, short in _ERRORS.items() if name in names}
    return SymmetryCurves(shares, errors) if shares or errors else None


def _curve(logged: Sequence[Mapping[str, Mapping[int, float]]], name: str) -> SymmetryCurve:
    runs = [run[name] for run in logged if name in run]
    steps = sorted({step for run in runs for step in run})
    values = np.array([[run.get(step, math.nan) for step in steps] for run in runs])
    return SymmetryCurve(np.array(steps, dtype=np.int64), values)
