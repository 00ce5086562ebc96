"""Match the bodies and joints of a model with their mirror images by geometry; names do not matter.

A match maps each body b to a body c, with the isometry M from b's frame to c's frame under which their shapes agree.
If b's pose in the world is T_b, its image has the pose G T_b M^-1, where G is the isometry of the world. The same holds
for poses relative to the parents. This gives the sign and the offset of each joint's coordinate: M must map the joint's
axis to plus or minus the axis of the image's joint.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import mujoco
import numpy as np

from rpp_rl.envs.geometry.isometry import Isometry
from rpp_rl.envs.simulator import Floats

FREE, BALL, SLIDE, HINGE = (mujoco.mjtJoint(k) for k in range(4))
TOLERANCE = 0.25
"""The largest distance of a body from the image of its partner, relative to the size of the model."""
# Below the first misfit a match counts as perfect; matches that are worse by up to the second are returned too.
_FITS, _CLOSE = 1e-3, 0.01
# The least cosine between a joint's axis and the image of its partner's.
_PARALLEL = 0.9
_AXES, _PLACE = "axes", "place"
_QUARTERS = (0.0, np.pi / 2, np.pi, -np.pi / 2)
MOST = 64
"""The search stops after this number of matches; a model with many equal parts has a factorial number of them."""


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
class Match:
    """A one-to-one map of bodies and joints.

    Attributes:
        world: the isometry of the world.
        bodies: the image of each matched body, including the world (0).
        joints: the image of each joint.
        misfits: distance of each body from the image of its partner, relative to the size of the model.
    """

    world: Isometry
    bodies: dict[int, int]
    joints: tuple[JointImage, ...]
    misfits: tuple[float, ...] = field(default=())

    @property
    def misfit(self) -> float:
        """The root mean square of the misfits."""
        return float(np.sqrt(np.mean(np.square(self.misfits)))) if self.misfits else 0.0


def matches(model: mujoco.MjModel, linear: Floats) -> list[Match]:
    """All matches under a linear map of the world about the origin or about a top-level body, the best first."""
    search = _Search(model, size_of(model))
    found: list[Match] = []
    for shift in _shifts(model, linear):
        world = Isometry(linear, shift)
        for bodies, joints, misfits in itertools.islice(search.children(0, 0, world), MOST):
            found.append(Match(world, {0: 0, **bodies}, joints, misfits))
        if found and min(m.misfit for m in found) < _FITS:
            break
    best = min((m.misfit for m in found), default=0.0)
    close = [m for m in found if m.misfit <= 2 * best + _CLOSE]
    return sorted(close, key=lambda match: match.misfit)[:MOST]


def misfit_in_words(model: mujoco.MjModel, linear: Floats) -> str:
    """Explain why no match exists: the first body without an image, and the reason."""
    search = _Search(model, size_of(model))
    for shift in _shifts(model, linear):
        for _ in search.children(0, 0, Isometry(linear, shift)):
            break
    for body in range(1, model.nbody):
        if body in search.tried and body not in search.accepted:
            name = model.body(body).name or f"body{body}"
            if search.tried[body] == _AXES:
                return f"no joints have axes that are the mirror images of the joint axes of body {name!r}"
            return (
                f"no similar body is at the mirror image of body {name!r}, within {TOLERANCE:.0%} of the robot's size"
            )
    return "the trees of bodies on the two sides have different branches"


def size_of(model: mujoco.MjModel) -> float:
    """The diagonal of the box around all bodies but the world, in the reference configuration."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    moving = [g for g in range(model.ngeom) if model.geom_bodyid[g] > 0]
    reach = model.geom_rbound[moving, None]
    points = np.concatenate([data.geom_xpos[moving] - reach, data.geom_xpos[moving] + reach, data.xpos[1:]])
    return float(np.linalg.norm(points.max(axis=0) - points.min(axis=0)))


def _shifts(model: mujoco.MjModel, linear: Floats) -> Iterator[Floats]:
    """Translations for which the origin, or then a top-level body, is a fixed point."""
    seen = [np.zeros(3)]
    yield seen[0]
    for body in range(1, model.nbody):
        if model.body_parentid[body] == 0:
            shift = model.body_pos[body] - linear @ model.body_pos[body]
            if all(np.linalg.norm(shift - s) > 1e-6 for s in seen):
                seen.append(shift)
                yield shift


_Found = tuple[dict[int, int], tuple[JointImage, ...], tuple[float, ...]]


class _Search:
    """A depth-first search for matches of subtrees."""

    def __init__(self, model: mujoco.MjModel, size: float) -> None:
        self.model = model
        self.size = size
        self.poses = [Isometry.of_pose(model.body_pos[b], model.body_quat[b]) for b in range(model.nbody)]
        # Bodies that found an image, and for bodies that were tried the last reason for refusal.
        self.accepted: set[int] = set()
        self.tried: dict[int, str] = {}
        self.children_of: list[list[int]] = [[] for _ in range(model.nbody)]
        for body in range(1, model.nbody):
            self.children_of[model.body_parentid[body]].append(body)

    def children(self, body: int, image: int, frame: Isometry) -> Iterator[_Found]:
        """All ways to match the children of a body with those of its image."""
        ours, theirs = self.children_of[body], self.children_of[image]
        if len(ours) == len(theirs):
            yield from self._assign(ours, theirs, frame)

    def _assign(self, ours: list[int], theirs: list[int], frame: Isometry) -> Iterator[_Found]:
        if not ours:
            yield {}, (), ()
            return
        first, *rest = ours
        for other in theirs:
            remaining = [t for t in theirs if t != other]
            for bodies, joints, misfits in self._subtrees(first, other, frame):
                for more_bodies, more_joints, more_misfits in self._assign(rest, remaining, frame):
                    yield {**bodies, **more_bodies}, joints + more_joints, misfits + more_misfits

    def _subtrees(self, body: int, image: int, parent: Isometry) -> Iterator[_Found]:
        """All ways to match the subtree of a body with that of its image, given their parents' frames."""
        start = self.poses[image].inverse @ parent @ self.poses[body]
        for frame, offsets in self._frames(body, image, start):
            joints = self._joints(body, image, frame, offsets)
            misfit = self._misfit(body, image, frame)
            if misfit > TOLERANCE:
                self.tried.setdefault(body, _PLACE)
                continue
            if joints is None:
                self.tried[body] = _AXES
                continue
            self.tried[body] = _PLACE
            self.accepted.add(body)
            fits = False
            for bodies, below, misfits in self.children(body, image, frame):
                fits = fits or max((misfit, *misfits)) < _FITS
                yield {body: image, **bodies}, joints + below, (misfit, *misfits)
            if fits:
                # Other offsets are tried only if the reference configuration is not its own image.
                return

    def _frames(self, body: int, image: int, start: Isometry) -> Iterator[tuple[Isometry, dict[int, float]]]:
        """Candidates for the isometry between the frames of a pair, each with the offsets of the image's joints."""
        model, joints = self.model, self._joints_of(image)
        kinds = [mujoco.mjtJoint(model.jnt_type[j]) for j in joints]
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
            if angle == 0 or not model.jnt_limited[hinge]:
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
            kind = mujoco.mjtJoint(model.jnt_type[j])
            # Rotations do not commute, so only slides may be matched in another order.
            for k in remaining if kind == SLIDE else remaining[:1]:
                sign = self._sign(j, k, frame)
                if model.jnt_type[k] == kind and sign:
                    found.append(JointImage(j, k, sign, offsets.get(k, 0.0), frame))
                    remaining.remove(k)
                    break
            else:
                return None
        return tuple(found)

    def _sign(self, joint: int, image: int, frame: Isometry) -> float:
        kind = mujoco.mjtJoint(self.model.jnt_type[joint])
        if kind in (FREE, BALL):
            return 1.0
        moved = (frame.pseudo if kind == HINGE else frame.linear) @ self.model.jnt_axis[joint]
        cosine = float(moved @ self.model.jnt_axis[image])
        return float(np.sign(cosine)) if abs(cosine) > _PARALLEL else 0.0

    def _misfit(self, body: int, image: int, frame: Isometry) -> float:
        """The distance of the image of a body from its partner: center of mass, radii of gyration, and anchors."""
        model = self.model
        distances = [0.0]
        if model.body_mass[body] > 0 and model.body_mass[image] > 0:
            distances.append(float(np.linalg.norm(frame(model.body_ipos[body]) - model.body_ipos[image])))
            moved = frame.linear @ self._gyration(body) @ frame.linear.T
            distances.append(float(np.sqrt(np.linalg.norm(moved - self._gyration(image)))))
        for j, k in zip(self._joints_of(body), self._joints_of(image), strict=False):
            if model.jnt_type[j] == HINGE and model.jnt_type[k] == HINGE:
                off = frame(model.jnt_pos[j]) - model.jnt_pos[k]
                off = off - (off @ model.jnt_axis[k]) * model.jnt_axis[k]
                distances.append(float(np.linalg.norm(off)))
        return max(distances) / self.size

    def _gyration(self, body: int) -> Floats:
        """The inertia tensor over the mass, in the body's frame; square meters."""
        axes = Isometry.of_pose(np.zeros(3), self.model.body_iquat[body]).linear
        tensor = axes @ np.diag(self.model.body_inertia[body]) @ axes.T
        return np.asarray(tensor / self.model.body_mass[body])

    def _joints_of(self, body: int) -> list[int]:
        start = int(self.model.body_jntadr[body])
        return list(range(start, start + int(self.model.body_jntnum[body])))
