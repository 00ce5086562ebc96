"""Recognize which signals, observations and actuators, a symmetry exchanges, from their values at mirrored states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from rpp_rl.envs.simulator import Floats, Simulator, State
from rpp_rl.envs.state_map import StateMap
from rpp_rl.errors import SymmetryError

# The least correlation of a signal with its source; the second if the two may differ by a factor. Robots are not quite
# symmetric: a sensor two centimeters beside the plane has about 0.999.
_ALIKE, _ALIKE_SCALED = 0.98, 0.99
# Signals that a matrix mixes must follow from each other up to this, relative to their spread.
_MIXED = 0.05
_CONSTANT = 1e-7
_OF_BODY = int(mujoco.mjtTrn.mjTRN_BODY)


@dataclass(frozen=True, eq=False)
class Exchange:
    """The relation moved[:, i] = sign[i] * values[:, source[i]] + offset[i], as far as it was found.

    Attributes:
        source: the source of each signal; -1 if none was found.
        sign: +1 or -1 for each signal.
        offset: the offset of each signal, in its unit.
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


def recognize_exchange(values: Floats, moved: Floats, scaled: bool = False, cost: Floats | None = None) -> Exchange:
    """Find each column of `moved` among the columns of `values`, up to its sign and a constant.

    Args:
        values: signals in a number of states, shape (states, signals).
        moved: the same signals in the mirrored states.
        scaled: whether a signal may also differ from its source by a factor.
        cost: additional costs of source j for signal i, which distinguish equal signals.
    """
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
    least = _ALIKE_SCALED if scaled else _ALIKE
    # A poor fit may not take the source of a good one.
    penalty = -np.round(np.where(fit > least, fit, 0.0), 6) + (0 if cost is None else cost)
    # Among equal signals each is preferred as its own source.
    rows, columns = linear_sum_assignment(penalty - 1e-9 * np.eye(count))
    source, sign, offset = np.full(count, -1), np.ones(count), np.zeros(count)
    for i, j in zip(rows, columns, strict=True):
        if fit[i, j] > least:
            source[i], sign[i] = j, np.sign(correlation[i, j])
            constant = float(moved[:, i].mean() - sign[i] * values[:, j].mean())
            missed = float((moved[:, i] - sign[i] * values[:, j]).std())
            offset[i] = constant if abs(constant) > max(1e-5 * spread[j], missed) else 0.0
    still = np.flatnonzero(~moving & ~moved_moving & np.isclose(values.mean(0), moved.mean(0), atol=_CONSTANT))
    source[still] = still
    return Exchange(source, sign, offset, tuple(still.tolist()))


def recognize_mixture(values: Floats, moved: Floats, signals: Sequence[int]) -> tuple[Floats, Floats] | None:
    """Find the orthogonal matrix and the offset by which some signals move into each other.

    A frame that is turned against the mirror plane mixes the components of vectors and quaternions.

    Args:
        values: signals in a number of states, shape (states, signals).
        moved: the same signals in the mirrored states.
        signals: the signals that move into each other.

    Returns:
        The matrix, shape (k, k), and the offset, shape (k,); None if the signals move otherwise.
    """
    x, y = values[:, signals], moved[:, signals]
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    spread = x.std(axis=0)
    if len(x) <= len(signals) or (spread < _CONSTANT).any():
        return None
    fitted = np.linalg.lstsq(x - x_mean, y - y_mean, rcond=None)[0].T
    u, sizes, vt = np.linalg.svd(fitted)
    if np.abs(sizes - 1).max() > _MIXED:
        return None
    matrix = u @ vt
    near = np.abs(matrix - np.rint(matrix)) < 1e-6
    matrix = np.where(near, np.rint(matrix) + 0.0, matrix)
    offset = y_mean - matrix @ x_mean
    missed = (y - x @ matrix.T).std(axis=0)
    if (missed > _MIXED * spread).any():
        return None
    return matrix, np.where(np.abs(offset) > np.maximum(1e-5 * spread, missed), offset, 0.0)


def control_map(
    simulator: Simulator,
    state_map: StateMap,
    states: list[State],
    names: tuple[str, ...],
    bodies: Mapping[int, int],
) -> Floats:
    """The matrix C of ctrl -> C ctrl, shape (nu, nu), from the rates of actuator lengths at mirrored states.

    Adhesion has no length; it moves with its body.

    Args:
        simulator: the environment.
        state_map: the map of states.
        states: states at which lengths are compared.
        names: one per actuator, for messages.
        bodies: the image of each body.

    Raises:
        SymmetryError: if an actuator has no image, or its control would move by an offset; the message names it.
    """
    model = simulator.model
    if model.nu == 0:
        return np.zeros((0, 0))
    rates = []
    for mirrored in (False, True):
        rows = []
        for state in states:
            simulator.set(state_map(state) if mirrored else state)
            rows.append(simulator.data.actuator_velocity.copy())
        rates.append(np.array(rows))
    exchange = recognize_exchange(rates[0], rates[1], scaled=True, cost=_differences(model, *rates))
    matrix, adhesions = exchange.matrix, _adhesions(model, bodies)
    matrix[list(adhesions)] = 0.0
    for i, image in adhesions.items():
        matrix[image, i] = 1.0
    for i in sorted({*exchange.unknown, *exchange.constant} - adhesions.keys()):
        raise SymmetryError(
            f"actuator {names[i]!r} of {simulator.name} has no image: no actuator acts on the image of its joints"
        )
    _refuse_offsets(simulator, state_map, names)
    return matrix


def _adhesions(model: Any, bodies: Mapping[int, int]) -> dict[int, int]:
    """The image of each actuator that makes a body stick, as far as its body's image has one."""
    of_body = {int(model.actuator_trnid[i, 0]): i for i in range(model.nu) if model.actuator_trntype[i] == _OF_BODY}
    images = {i: of_body.get(bodies.get(body, -1)) for body, i in of_body.items()}
    return {i: image for i, image in images.items() if image is not None}


def _differences(model: Any, rates: Floats, moved: Floats) -> Floats:
    """The cost of pairing actuators that act alike but differ in kind, such as the muscles of one joint."""
    sign = np.sign(moved.T @ rates)
    low, high = (model.actuator_ctrlrange[:, k] for k in (0, 1))
    moved_low = np.where(sign < 0, -high, low)
    moved_high = np.where(sign < 0, -low, high)
    ranges = np.abs(moved_low - low[:, None]) + np.abs(moved_high - high[:, None])
    kinds = [
        np.abs(table[:, None] - table[None]).sum(axis=-1)
        for table in (model.actuator_gainprm, np.abs(model.actuator_biasprm))
    ]
    # The costs are small, because the joints on which an actuator acts count first.
    return np.asarray(1e-3 * np.tanh(ranges) + 1e-4 * np.tanh(kinds[0] + kinds[1]))


def _refuse_offsets(simulator: Simulator, state_map: StateMap, names: tuple[str, ...]) -> None:
    """Refuse position servos whose joint moves by an offset, because their controls would move by it too."""
    model = simulator.model
    for i in range(model.nu):
        bias = model.actuator_biasprm[i]
        joint = int(model.actuator_trnid[i, 0])
        on_joint = int(model.actuator_trntype[i]) in (0, 1)
        if on_joint and bias[1] and abs(state_map.offsets[model.jnt_qposadr[joint]]) > 1e-6:
            raise SymmetryError(
                f"the joint of servo {names[i]!r} of {simulator.name} moves by an offset, and so would its control, "
                "but a symmetry acts on actions by a matrix only; let the joint's zero lie on the mirror plane"
            )


def action_map(simulator: Simulator, controls: Floats, state: State, names: Sequence[str]) -> Floats:
    """The matrix sigma = B^-1 C B for an environment whose controls are B a + c; shape (actions, actions).

    Args:
        simulator: the environment.
        controls: C, the map of controls.
        state: a state that the environment can step from.
        names: one per action, for messages.

    Raises:
        SymmetryError: if the controls are not such a function of the actions, or c is not its own image.
    """
    low, high = _action_range(simulator, len(controls), names)
    middle, half = (high + low) / 2, (high - low) / 4
    start = _controls(simulator, state, middle)
    B = np.array([(_controls(simulator, state, middle + h) - start) / h.sum() for h in np.diag(half)]).T
    unanswered = [name for name, column in zip(names, B.T, strict=True) if not column.any()]
    if unanswered:
        raise SymmetryError(
            f"no control of {simulator.name} answers to action {unanswered[0]!r}; how it moves cannot be derived, so "
            "declare the symmetry by hand"
        )
    predicted = start + B @ (0.5 * half)
    if not np.allclose(_controls(simulator, state, middle + 0.5 * half), predicted, atol=1e-4 * np.abs(B).max()):
        raise SymmetryError(
            f"the controls of {simulator.name} are not a linear function of its actions; declare the symmetry by hand"
        )
    if np.linalg.matrix_rank(B) < len(B):
        raise SymmetryError(f"several actions of {simulator.name} drive one control; declare the symmetry by hand")
    sigma = np.asarray(np.linalg.inv(B) @ controls @ B)
    off = np.abs(controls @ start - start)
    if not (off <= 1e-5 * np.abs(start) + 1e-6 * max(1.0, float(np.abs(start).max()))).all():
        one = int(np.abs(np.linalg.inv(B) @ off).argmax())
        other = int(np.abs(sigma[one]).argmax())
        ranges = [f"{names[i]!r} has the range {low[i]:g} to {high[i]:g}" for i in dict.fromkeys((other, one))]
        raise SymmetryError(
            f"the middle of the action range of {simulator.name} is not its own image: {', and '.join(ranges)}; let "
            "each range be the mirror image of the other, or rescale the actions"
        )
    return sigma


def _action_range(simulator: Simulator, controls: int, names: Sequence[str]) -> tuple[Floats, Floats]:
    """The bounds of the actions.

    Raises:
        SymmetryError: if there is not one action for each control, or a range is empty or infinite.
    """
    box = simulator.action_space
    low, high = box.low.astype(np.float64), box.high.astype(np.float64)
    if len(low) != controls:
        raise SymmetryError(
            f"{simulator.name} has {len(low)} actions for {controls} actuators; a map can be derived only where each "
            "action drives one actuator; declare it by hand"
        )
    for name, least, most in zip(names, low, high, strict=True):
        if not (np.isfinite([least, most]).all() and least < most):
            raise SymmetryError(
                f"action {name!r} of {simulator.name} has the range {least:g} to {most:g}; give it a finite range that "
                "is not empty, for example by ctrlrange in the model"
            )
    return low, high


def _controls(simulator: Simulator, state: State, action: Floats) -> Floats:
    simulator.set(state)
    simulator.step(action)
    return np.asarray(simulator.data.ctrl.copy())
