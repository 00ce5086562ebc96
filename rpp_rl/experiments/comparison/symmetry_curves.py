"""How symmetric the networks of runs were over their training, from what `SymmetryCallback` has logged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rpp_rl.experiments.comparison.analysis import TaskResult
from rpp_rl.experiments.event_files import Curve, read_scalars
from rpp_rl.statistics import AlignedCurves, align

_PREFIX, _SHARE = "symmetry/", "/residual_share"
_ERRORS = {"actor_equivariance_error": "actor", "critic_invariance_error": "critic"}
# A picture of more layers shows nothing; names may be any text.
_MOST_LAYERS, _LONGEST = 64, 60
_LARGEST = 1e30


@dataclass(frozen=True)
class SymmetryCurve:
    """One quantity over the training of several runs.

    As in `rpp_rl.statistics.AlignedCurves`, all runs count at every step: between the steps at which a run logged it,
    its value is interpolated linearly, and the curve covers the steps that all runs share.

    Attributes:
        aligned: the runs that logged it; without steps where one of them ends before another begins.
    """

    aligned: AlignedCurves

    @property
    def steps(self) -> NDArray[np.int64]:
        """The steps at which any of the runs logged it, in the span that all share, of shape (k,)."""
        return self.aligned.steps

    @property
    def median(self) -> NDArray[np.float64]:
        """Over all runs, of shape (k,)."""
        return np.asarray(np.median(self.aligned.scores, axis=0))

    @property
    def interpolated(self) -> NDArray[np.int64]:
        """The number of runs that did not log it at a step themselves, of shape (k,)."""
        return self.aligned.interpolated

    @property
    def n(self) -> int:
        """The number of runs, the same at every step."""
        return len(self.aligned.evaluations)


@dataclass(frozen=True)
class SymmetryCurves:
    """How symmetric the networks of some runs were.

    Attributes:
        shares: |B| / (|A| + |B|) of each residual layer, by its name.
        errors: the largest relative error over the group, of ``actor`` (equivariance) and ``critic`` (invariance).
    """

    shares: Mapping[str, SymmetryCurve]
    errors: Mapping[str, SymmetryCurve]


SymmetryOfGroups = Mapping[tuple[str, str], SymmetryCurves]


def symmetry_of_groups(results: Iterable[TaskResult]) -> SymmetryOfGroups:
    """The curves of all runs that are compared, by environment and algorithm; without those that logged nothing."""
    groups = {
        (result.task.name, g.label): symmetry_curves([logged_symmetry(run.path) for run in g.group.runs])
        for result in results
        for g in result.groups
    }
    return {name: curves for name, curves in groups.items() if curves is not None}


def logged_symmetry(folder: Path) -> dict[str, Curve]:
    """The quantities below ``symmetry/`` in a run's event files: by name, the value at each step.

    Args:
        folder: the run's folder.
    """
    found = {}
    for tag, curve in read_scalars(folder, _PREFIX).items():
        values = {step: value for step, value in curve.items() if abs(value) < _LARGEST and 0 <= step < 1 << 62}
        if values:
            found[tag.removeprefix(_PREFIX)] = values
    return found


def symmetry_curves(logged: Sequence[Mapping[str, Curve]]) -> SymmetryCurves | None:
    """Collect what runs of one kind have logged; None where they logged nothing.

    Args:
        logged: of each run, see `logged_symmetry`.
    """
    names = list(dict.fromkeys(name for run in logged for name in run))
    layers = [name for name in names if name.endswith(_SHARE)][:_MOST_LAYERS]
    shares = {name.removesuffix(_SHARE)[:_LONGEST]: _curve(logged, name) for name in layers}
    errors = {short: _curve(logged, name) for name, short in _ERRORS.items() if name in names}
    return SymmetryCurves(shares, errors) if shares or errors else None


def _curve(logged: Sequence[Mapping[str, Curve]], name: str) -> SymmetryCurve:
    runs = [sorted(run[name].items()) for run in logged if name in run]
    return SymmetryCurve(align([([step for step, _ in run], [value for _, value in run]) for run in runs]))
