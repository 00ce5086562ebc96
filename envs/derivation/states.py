"""The map of the full simulator state that a match of bodies and joints gives."""

from __future__ import annotations

import mujoco
import numpy as np

from rpp_rl.envs.derivation.bodies import BALL, FREE, JointImage, Match
from rpp_rl.envs.derivation.isometry import orientation_map
from rpp_rl.envs.simulator import Floats
from rpp_rl.envs.state_map import StateMap


def state_map_of(model: mujoco.MjModel, match: Match, controls: Floats) -> StateMap:
    """Qpos -> A qpos + b, qvel -> L qvel and ctrl -> C ctrl under a match.

    Free joints move by the isometry (R, t) of the world: position x -> R x + t, orientation Q -> R Q S^T with the frame
    S of the body, velocity v -> R v; angular velocities, which MuJoCo keeps in the body's frame, move by det(S) S.
    """
    A, b, L = np.zeros((model.nq, model.nq)), np.zeros(model.nq), np.zeros((model.nv, model.nv))
    for joint in match.joints:
        q, p = int(model.jnt_qposadr[joint.joint]), int(model.jnt_qposadr[joint.image])
        d, e = int(model.jnt_dofadr[joint.joint]), int(model.jnt_dofadr[joint.image])
        kind = model.jnt_type[joint.joint]
        if kind == FREE:
            A[p : p + 3, q : q + 3], b[p : p + 3] = match.world.linear, match.world.shift
            A[p + 3 : p + 7, q + 3 : q + 7] = _towards_reference(model, match, joint)
            L[e : e + 3, d : d + 3] = match.world.linear
            L[e + 3 : e + 6, d + 3 : d + 6] = joint.frame.pseudo
        elif kind == BALL:
            A[p : p + 4, q : q + 4] = orientation_map(joint.frame.linear, joint.frame.linear)
            L[e : e + 3, d : d + 3] = joint.frame.pseudo
        else:
            A[p, q] = L[e, d] = joint.sign
            offset = float(model.qpos0[p] - joint.sign * model.qpos0[q] + joint.offset)
            b[p] = offset if abs(offset) > 1e-9 else 0.0
    return StateMap(_rounded(A), b, _rounded(L), controls)


def _towards_reference(model: mujoco.MjModel, match: Match, joint: JointImage) -> Floats:
    """The map of a free body's quaternion, of the two signs the one under which the reference stays near itself."""
    turn = orientation_map(match.world.linear, joint.frame.linear)
    q, p = int(model.jnt_qposadr[joint.joint]) + 3, int(model.jnt_qposadr[joint.image]) + 3
    reference = float(model.qpos0[p : p + 4] @ turn @ model.qpos0[q : q + 4])
    return turn if reference >= 0 else -turn


def _rounded(matrix: Floats) -> Floats:
    """Without the rounding errors of frames: entries within 1e-7 of -1, 0 and 1 are those."""
    near = np.abs(matrix - np.rint(matrix)) < 1e-7
    return np.where(near, np.rint(matrix) + 0.0, matrix)
