"""Equality constraints of a model: states that satisfy them, and maps that keep them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mujoco
import numpy as np

from rpp_rl.envs.geometry.isometry import Floats
from rpp_rl.envs.geometry.pairing import JointImage, coordinate_offset

# Values of the joints, from their references, at which two polynomials are compared; radians or meters.
_VALUES = np.array([-0.1, 0.0, 0.1])
_TOLERANCE = 1e-3
_WELD, _CONNECT = int(mujoco.mjtEq.mjEQ_WELD), int(mujoco.mjtEq.mjEQ_CONNECT)


def joint_equalities(model: mujoco.MjModel) -> list[tuple[int, int, Floats]]:
    """The active constraints q1 - r1 = p(q2 - r2): joint 1, joint 2 (-1 for none), and the coefficients of p."""
    kinds = zip(model.eq_type, model.eq_active0, strict=True)
    rows = [i for i, (kind, active) in enumerate(kinds) if active and kind == mujoco.mjtEq.mjEQ_JOINT]
    return [(int(model.eq_obj1id[i]), int(model.eq_obj2id[i]), model.eq_data[i, :5].copy()) for i in rows]


def satisfy_equalities(model: mujoco.MjModel, qpos: Floats, qvel: Floats) -> None:
    """Set the joints that constraints of two joints couple to others, in place."""
    for one, other, coefficients in joint_equalities(model):
        q, d = int(model.jnt_qposadr[one]), int(model.jnt_dofadr[one])
        polynomial = np.polynomial.Polynomial(coefficients)
        if other < 0:
            qpos[q], qvel[d] = model.qpos0[q] + coefficients[0], 0.0
            continue
        p, e = int(model.jnt_qposadr[other]), int(model.jnt_dofadr[other])
        x = qpos[p] - model.qpos0[p]
        qpos[q], qvel[d] = model.qpos0[q] + polynomial(x), polynomial.deriv()(x) * qvel[e]


def keeps_equalities(model: mujoco.MjModel, joints: Sequence[JointImage], bodies: Mapping[int, int]) -> bool:
    """Whether a match maps every equality constraint to one of the model's.

    Constraints of two joints are compared by their values, and those that weld or connect bodies by the bodies.
    """
    images = {joint.joint: joint for joint in joints}
    known = joint_equalities(model)
    if not all(_is_kept(model, images, equality, known) for equality in known):
        return False
    pairs = {frozenset(pair) for pair in _body_pairs(model)}
    return all(frozenset(bodies.get(b, b) for b in pair) in pairs for pair in pairs)


def _is_kept(
    model: mujoco.MjModel,
    images: Mapping[int, JointImage],
    equality: tuple[int, int, Floats],
    known: Sequence[tuple[int, int, Floats]],
) -> bool:
    """Whether the image of a constraint of two joints is one of the model's constraints."""
    one, other, coefficients = equality
    if other < 0 or one not in images or other not in images:
        return True
    reference = {joint: float(model.qpos0[model.jnt_qposadr[joint]]) for a, b, _ in known for joint in (a, b)}
    x = reference[other] + _VALUES
    y = reference[one] + np.polynomial.Polynomial(coefficients)(_VALUES)
    moved = {
        image.image: image.sign * values + coordinate_offset(model, image)
        for image, values in ((images[one], y), (images[other], x))
    }
    for a, b, theirs in known:
        if {a, b} == moved.keys():
            wanted = reference[a] + np.polynomial.Polynomial(theirs)(moved[b] - reference[b])
            if np.abs(moved[a] - wanted).max() < _TOLERANCE:
                return True
    return False


def _body_pairs(model: mujoco.MjModel) -> list[tuple[int, int]]:
    """The bodies that active constraints weld or connect."""
    found = []
    for i in range(model.neq):
        if not model.eq_active0[i] or model.eq_type[i] not in (_WELD, _CONNECT):
            continue
        ends = [int(model.eq_obj1id[i]), int(model.eq_obj2id[i])]
        if model.eq_objtype[i] == mujoco.mjtObj.mjOBJ_SITE:
            ends = [int(model.site_bodyid[end]) for end in ends]
        found.append((ends[0], ends[1]))
    return found
