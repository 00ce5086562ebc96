"""Measure how much of a symmetry's error each inequality of the model causes: repair it, and measure again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import mujoco

from rpp_rl.envs.auditing.inequalities import Inequality
from rpp_rl.envs.auditing.rollouts import Sample, transitions
from rpp_rl.envs.simulator import Simulator
from rpp_rl.envs.state_map import Move, StateMap

# The arrays of a model that repairs change.
_ARRAYS = (
    *("dof_damping", "dof_armature", "dof_frictionloss", "jnt_stiffness", "jnt_range"),
    *("actuator_gear", "body_mass"),
)


def error_shares(
    simulator: Simulator,
    drawn: Sequence[Sample],
    move: Move,
    state_map: StateMap,
    unequal: Sequence[Inequality],
) -> dict[str, float]:
    """The share of the error that repairing each kind removes, largest first; negative if the error grows.

    The share is 1 - (mean error after the repair) / (mean error). If several kinds can be repaired, the key
    ``"all of these"`` has the share for repairing them together.
    """

    def error() -> float:
        return float(transitions(simulator, drawn, move, state_map).relative_error(move).mean())

    by_kind: dict[str, list[Inequality]] = {}
    for inequality in unequal:
        if inequality.repair is not None:
            by_kind.setdefault(inequality.kind, []).append(inequality)
    if not by_kind:
        return {}
    before = error()
    shares = {}
    for kind, members in by_kind.items():
        with repaired(simulator, members):
            shares[kind] = 1 - error() / before
    shares = dict(sorted(shares.items(), key=lambda item: -item[1]))
    if len(by_kind) > 1:
        with repaired(simulator, [i for members in by_kind.values() for i in members]):
            shares["all of these"] = 1 - error() / before
    return shares


@contextmanager
def repaired(simulator: Simulator, unequal: Sequence[Inequality]) -> Iterator[None]:
    """Repair inequalities of the simulator's model within this context."""
    model = simulator.model
    kept = {name: getattr(model, name).copy() for name in _ARRAYS}
    gravity = model.opt.gravity.copy()
    try:
        for inequality in unequal:
            if inequality.repair is not None:
                inequality.repair(model)
        mujoco.mj_setConst(model, simulator.data)
        yield
    finally:
        for name, values in kept.items():
            getattr(model, name)[:] = values
        model.opt.gravity[:] = gravity
        mujoco.mj_setConst(model, simulator.data)
