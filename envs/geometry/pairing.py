"""The cost of taking one body of a model for the mirror image of another.

If the image of body b under an isometry G of the world is body c, with the isometry M from b's frame to c's frame under
which their shapes agree, then b's pose T_b in the world goes to G T_b M^-1. The same holds for poses relative to the
parents. M must map the axis of each of b's joints to plus or minus the axis of a joint of c, which gives the sign and
the offset of the joint's coordinate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import mujoco
import numpy as np

from rpp_rl.envs.geometry.isometry import Floats, Isometry

# As numbers: a member of mujoco's enumeration does not equal numpy's numbers from its own side.
FREE, BALL, SLIDE, HINGE = (int(mujoco.mjtJoint(k)) for k in range(4))
TOLERANCE = 0.25
"""The largest distance of a body from the image of its partner, relative to the size of the model."""
AXES, PLACE = "axes", "place"
"""Reasons to refuse an image of a body."""
# The least cosine between a joint's axis and the image of its partner's.
_PARALLEL = 0.9
# The least part of the wider range that a joint's range and the image of its partner's share.
_SHARED = 0.5
_QUARTERS = (0.0, np.pi / 2, np.pi, -np.pi / 2)
# Weights of squared relative differences beside squared distances over the robot's size. Models differ in masses,
# ranges and motors by mistake or on purpose, so these decide only between places that fit about as well.
_MASS, _RANGE, _LIMITS, _MOTOR = 0.01, 0.01, 0.001, 0.001
# Between equal fits, a joint whose zero is its own image comes first.
_TURNED = 1e-8


@dataclass(frozen=True, eq=False)
class JointImage:
    """The image of one joint: the coordinate of `image` at g s is sign * (that of `joint` at s) + offset.

    Attributes:
        joint: index of the joint.
        image: index of its image.
        sign: +1 or -1; 1 for ball and free joints.
        offset: offset of the coordinate relative to its reference value, in the joint's unit.
        frame: the isometry from the frame of the joint's body to that of its image.
    """

    joint: int
    image: int
    sign: float
    offset: float
    frame: Isometry


@dataclass(frozen=True, eq=False)
class Pair:
    """A body and its image.

    Attributes:
        body: index of the body.
        image: index of its image.
        frame: M, from the frame of the body to that of its image.
        joints: the images of the body's joints.
        misfit: the distance of the body from its partner's image, relative to the size of the model.
        cost: the square of the misfit, plus terms for axes, masses, ranges and actuators.
        turned: whether a hinge of the image is a quarter or half turn away from its reference.
    """

    body: int
    image: int
    frame: Isometry
    joints: tuple[JointImage, ...]
    misfit: float
    cost: float
    turned: bool


class Pairing:
    """The ways in which bodies of a model may be images of each other.

    Args:
        model: the compiled model.
        size: the size of the robot, in meters; distances are relative to it.
        placed: bodies that the task places anywhere; the image of each is itself.

    Attributes:
        refused: for bodies without an image so far, the last reason.
        accepted: bodies that have an image, if those of their children are left aside.
        out_of_range: the first joint that a pair would send out of the range of its image, in words.
    """

    def __init__(self, model: mujoco.MjModel, size: float, placed: frozenset[int] = frozenset()) -> None:
        self.model, self.size, self.placed = model, size, placed
        self.refused: dict[int, str] = {}
        self.accepted: set[int] = set()
        self.out_of_range = ""

    def pairs(self, body: int, image: int, parent: Isometry) -> Iterator[Pair]:
        """The frames in which a body may be taken for another one's image, given their parents' frame."""
        start = self._poses[image].inverse @ parent @ self._poses[body]
        if body in self.placed or image in self.placed:
            if body == image:
                self.accepted.add(body)
                yield Pair(body, image, Isometry(start.linear, np.zeros(3)), (), 0.0, 0.0, False)
            return
        for frame, offsets in self._frames(body, image, start):
            misfit = self._misfit(body, image, frame)
            if misfit > TOLERANCE:
                self.refused.setdefault(body, PLACE)
                continue
            joints = self._joints(body, image, frame, offsets)
            if joints is None:
                self.refused[body] = AXES
                continue
            shared = [self._shared_range(joint) for joint in joints]
            self.refused[body] = PLACE
            if min(shared, default=1.0) < _SHARED:
                if not any(offsets.values()):
                    self.out_of_range = self.out_of_range or self._range_in_words(joints[int(np.argmin(shared))])
                continue
            self.accepted.add(body)
            turned = any(self.model.jnt_type[k] == HINGE and offset for k, offset in offsets.items())
            cost = misfit**2 + self._inequality(body, image, joints, shared) + _TURNED * turned
            yield Pair(body, image, frame, joints, misfit, cost, turned)

    @cached_property
    def _poses(self) -> list[Isometry]:
        model = self.model
        return [Isometry.of_pose(model.body_pos[b], model.body_quat[b]) for b in range(model.nbody)]

    def _frames(self, body: int, image: int, start: Isometry) -> Iterator[tuple[Isometry, dict[int, float]]]:
        """Candidates for the isometry between the frames of a pair, each with the offsets of the image's joints."""
        model, joints = self.model, self._joints_of(image)
        kinds = [int(model.jnt_type[j]) for j in joints]
        if FREE in kinds:
            yield Isometry(start.linear, np.zeros(3)), {}
            return
        hinges = [j for j in joints if model.jnt_type[j] == HINGE]
        offsets = {}
        for j, kind in zip(joints, kinds, strict=True):
            if kind == SLIDE:
                axis = model.jnt_axis[j]
                along = float(axis @ self._off(body, image, start))
                offsets[j] = along if abs(along) > 1e-9 else 0.0
                start = Isometry(start.linear, start.shift - offsets[j] * axis)
        if len(hinges) != 1 or kinds[-1] != HINGE or BALL in kinds:
            yield start, offsets
            return
        (hinge,) = hinges
        for angle in _QUARTERS:
            turn = Isometry.turn(model.jnt_axis[hinge], -angle, model.jnt_pos[hinge])
            yield turn @ start, {**offsets, hinge: angle}

    def _off(self, body: int, image: int, frame: Isometry) -> Floats:
        """The displacement of the image of a body's last joint from the last joint of its partner."""
        last, other = (self._joints_of(b)[-1:] for b in (body, image))
        if not last or not other:
            return frame.shift
        return np.asarray(frame(self.model.jnt_pos[last[0]]) - self.model.jnt_pos[other[0]])

    def _joints(
        self, body: int, image: int, frame: Isometry, offsets: dict[int, float]
    ) -> tuple[JointImage, ...] | None:
        """The images of a body's joints; None if the joints of the image do not fit."""
        model, images = self.model, self._joints_of(image)
        ours = self._joints_of(body)
        if len(ours) != len(images):
            return None
        found: list[JointImage] = []
        remaining = list(images)
        for j in ours:
            kind = int(model.jnt_type[j])
            # Rotations do not commute, so only slides may be matched in another order.
            for k in remaining if kind == SLIDE else remaining[:1]:
                sign = float(np.sign(self._cosine(j, k, frame)))
                if model.jnt_type[k] == kind and abs(self._cosine(j, k, frame)) > _PARALLEL:
                    found.append(JointImage(j, k, sign, offsets.get(k, 0.0), frame))
                    remaining.remove(k)
                    break
            else:
                return None
        return tuple(found)

    def _cosine(self, joint: int, image: int, frame: Isometry) -> float:
        """The cosine between the axis of a joint's image and the axis of another joint; 1 without an axis."""
        kind = self.model.jnt_type[joint]
        if kind in (FREE, BALL):
            return 1.0
        moved = (frame.pseudo if kind == HINGE else frame.linear) @ self.model.jnt_axis[joint]
        return float(moved @ self.model.jnt_axis[image])

    def _shared_range(self, joint: JointImage) -> float:
        """The part of the wider range that the range of an image and the image of a range share; 1 without limits."""
        model, j, k = self.model, joint.joint, joint.image
        if model.jnt_type[j] not in (SLIDE, HINGE):
            return 1.0
        if not (model.jnt_limited[j] and model.jnt_limited[k]):
            return 1.0
        (low, high), other = self._range_of_image(joint), model.jnt_range[k]
        wider = max(high - low, other[1] - other[0])
        return float(max(0.0, min(high, other[1]) - max(low, other[0])) / wider) if wider > 0 else 1.0

    def _range_of_image(self, joint: JointImage) -> tuple[float, float]:
        low, high = sorted(joint.sign * self.model.jnt_range[joint.joint] + coordinate_offset(self.model, joint))
        return float(low), float(high)

    def _range_in_words(self, joint: JointImage) -> str:
        one, other = (self.model.joint(j).name or f"joint{j}" for j in (joint.joint, joint.image))
        (low, high), (least, most) = self._range_of_image(joint), self.model.jnt_range[joint.image]
        return (
            f"the mirror image of the range of joint {one!r} is {low:.3g} to {high:.3g}, and joint {other!r} has "
            f"{least:.3g} to {most:.3g}"
        )

    def _misfit(self, body: int, image: int, frame: Isometry) -> float:
        """The distance of the image of a body from its partner: center of mass, radii of gyration, and anchors."""
        model = self.model
        distances = [0.0]
        if model.body_mass[body] > 0 and model.body_mass[image] > 0:
            distances.append(float(np.linalg.norm(frame(model.body_ipos[body]) - model.body_ipos[image])))
            moved = frame.linear @ self._gyrations[body] @ frame.linear.T
            distances.append(float(np.sqrt(np.linalg.norm(moved - self._gyrations[image]))))
        for j, k in zip(self._joints_of(body), self._joints_of(image), strict=False):
            if model.jnt_type[j] == HINGE and model.jnt_type[k] == HINGE:
                off = frame(model.jnt_pos[j]) - model.jnt_pos[k]
                off = off - (off @ model.jnt_axis[k]) * model.jnt_axis[k]
                distances.append(float(np.linalg.norm(off)))
        return max(distances) / self.size

    def _inequality(self, body: int, image: int, joints: Sequence[JointImage], shared: Sequence[float]) -> float:
        """The cost of what differs beside the place: axes, masses, ranges, actuators, and zeros of unlimited slides."""
        model = self.model
        cost = _MASS * _relative(model.body_mass[body], model.body_mass[image]) ** 2
        for joint, part in zip(joints, shared, strict=True):
            j, k = joint.joint, joint.image
            cost += max(0.0, 1 - self._cosine(j, k, joint.frame) ** 2)
            cost += _RANGE * (1 - part) ** 2 + _LIMITS * float(model.jnt_limited[j] != model.jnt_limited[k])
            if model.jnt_type[j] == SLIDE and not (model.jnt_limited[j] and model.jnt_limited[k]):
                cost += (coordinate_offset(model, joint) / self.size) ** 2
            ours, theirs = self._motors[j], self._motors[k]
            unlike = zip(ours, theirs, strict=True) if len(ours) == len(theirs) else ((0.0, 1.0),)
            cost += _MOTOR * sum(_relative(a, b) ** 2 for a, b in unlike)
        return float(cost)

    @cached_property
    def _motors(self) -> list[list[float]]:
        """The gears of the actuators on each joint, without signs, in order."""
        model = self.model
        kinds = (int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT))
        found: list[list[float]] = [[] for _ in range(model.njnt)]
        for i in range(model.nu):
            if model.actuator_trntype[i] in kinds:
                found[model.actuator_trnid[i, 0]].append(float(np.abs(model.actuator_gear[i]).sum()))
        return [sorted(gears) for gears in found]

    @cached_property
    def _gyrations(self) -> list[Floats]:
        """The inertia tensor of each body over its mass, in its frame; square meters."""
        model, found = self.model, []
        for body in range(model.nbody):
            axes = Isometry.of_pose(np.zeros(3), model.body_iquat[body]).linear
            tensor = axes @ np.diag(model.body_inertia[body]) @ axes.T
            found.append(np.asarray(tensor / max(float(model.body_mass[body]), 1e-300)))
        return found

    def _joints_of(self, body: int) -> list[int]:
        start = int(self.model.body_jntadr[body])
        return list(range(start, start + int(self.model.body_jntnum[body])))


def coordinate_offset(model: mujoco.MjModel, joint: JointImage) -> float:
    """The offset b of the coordinate of a hinge or slide, q -> sign q + b, in the joint's unit."""
    q, p = int(model.jnt_qposadr[joint.joint]), int(model.jnt_qposadr[joint.image])
    offset = float(model.qpos0[p] - joint.sign * model.qpos0[q] + joint.offset)
    return offset if abs(offset) > 1e-9 else 0.0


def _relative(one: float, other: float) -> float:
    """The difference of two numbers >= 0 relative to their sum; zero for two zeros."""
    return abs(one - other) / (one + other) if one + other > 0 else 0.0
