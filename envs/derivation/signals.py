"""Recognise numbers that change places and signs under a symmetry, from their values before and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rpp_rl.envs.simulator import Floats

# The least correlation of a signal with its source, and of one that may also differ by a factor.
_ALIKE, _ALIKE_SCALED = 0.99999, 0.99
_CONSTANT = 1e-7


@dataclass(frozen=True, eq=False)
class Exchange:
    """moved[:, i] = sign[i] * values[:, source[i]] + offset[i], as far as it could be found.

    Attributes:
        source: for each signal its source; -1 where none was found.
        sign: +1 or -1.
        offset: in the signals' units.
        constant: signals that never changed; each is its own source.
    """

    source: NDArray[np.int64]
    sign: Floats
    offset: Floats
    constant: tuple[int, ...]

    @property
    def unknown(self) -> tuple[int, ...]:
        """Signals without a source."""
        return tuple(np.flatnonzero(self.source < 0).tolist())

    @property
    def matrix(self) -> Floats:
        """The signed permutation as a matrix, shape (signals, signals); rows of unknown signals are zero."""
        matrix = np.zeros((len(self.source),) * 2)
        for i, (j, sign) in enumerate(zip(self.source, self.sign, strict=True)):
            if j >= 0:
                matrix[i, j] = sign
        return matrix


def recognise_exchange(values: Floats, moved: Floats, scaled: bool = False, cost: Floats | None = None) -> Exchange:
    """Find each column of `moved` among the columns of `values`, up to its sign and a constant.

    Args:
        values: signals in a number of states, shape (states, signals).
        moved: the same signals in the mirrored states.
        scaled: whether a signal may also differ from its source by a factor.
        cost: what it costs to take signal i from source j beside the correlations, to tell equal signals apart.
    """
    from scipy.optimize import linear_sum_assignment  # slow to import, and not needed to declare a symmetry

    count = values.shape[1]
    spread, moved_spread = values.std(axis=0), moved.std(axis=0)
    moving, moved_moving = spread > _CONSTANT, moved_spread > _CONSTANT
    one = (values - values.mean(axis=0)) / np.where(moving, spread, 1.0)
    other = (moved - moved.mean(axis=0)) / np.where(moved_moving, moved_spread, 1.0)
    correlation = other.T @ one / len(values)
    fit = np.abs(correlation)
    if not scaled:
        ratio = moved_spread[:, None] / np.where(moving, spread, 1.0)[None, :]
        fit = np.where(np.abs(ratio - 1) < 0.1, fit, 0.0)
    fit[~moved_moving] = fit[:, ~moving] = 0.0
    penalty = -np.round(fit, 6) + (0 if cost is None else cost)
    # Of equal signals each is rather its own image.
    rows, columns = linear_sum_assignment(penalty - 1e-9 * np.eye(count))
    source, sign, offset = np.full(count, -1), np.ones(count), np.zeros(count)
    for i, j in zip(rows, columns, strict=True):
        if fit[i, j] > (_ALIKE_SCALED if scaled else _ALIKE):
            source[i], sign[i] = j, np.sign(correlation[i, j])
            constant = float(moved[:, i].mean() - sign[i] * values[:, j].mean())
            offset[i] = constant if abs(constant) > 1e-5 * spread[j] else 0.0
    still = np.flatnonzero(~moving & ~moved_moving & np.isclose(values.mean(0), moved.mean(0), atol=_CONSTANT))
    source[still] = still
    return Exchange(source, sign, offset, tuple(still.tolist()))
