"""What a task puts somewhere at each reset: mocap bodies, and bodies, geoms and sites that it moves in the model.

Such places, for example of a goal, belong to neither positions nor velocities. They are part of the state that is
mirrored. The image of a goal is the same goal at the mirrored place, unless a declaration exchanges it with another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from rpp_rl.envs.geometry.isometry import Floats, Isometry, orientation_map

Kind = Literal["mocap", "body", "geom", "site"]
_RESETS = 4
# Arrays of a model that hold places; their names, with "pos" and "quat", say of what.
_PLACES: tuple[Kind, ...] = ("body", "geom", "site")
# What mj_setConst computes from other fields of a model.
_COMPUTED = ("body_invweight0", "body_subtreemass", "dof_invweight0", "dof_M0", "tendon_length0", "actuator_acc0")
_POSE = 7
_NOTHING: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Placement:
    """One thing that a task places in the world.

    Attributes:
        kind: a mocap body, or a body, geom or site of the model.
        index: its index among those of its kind; of a mocap body that among mocap bodies.
        frame: the isometry from the frame in which its place is given to the world.
    """

    kind: Kind
    index: int
    frame: Isometry

    def read(self, model: Any, data: Any) -> Floats:
        """Position and quaternion (w, x, y, z), shape (7,)."""
        return np.concatenate([array[self.index] for array in self._arrays(model, data)])

    def write(self, model: Any, data: Any, pose: Floats) -> None:
        """Set position and quaternion."""
        position, quaternion = self._arrays(model, data)
        position[self.index], quaternion[self.index] = pose[:3], pose[3:]

    def image(self, world: Isometry, source: Placement) -> tuple[Floats, Floats]:
        """The matrix (7, 7) and the offset (7,) by which an isometry of the world moves the pose of `source` here."""
        own = self.frame.inverse @ world @ source.frame
        matrix, offset = np.zeros((_POSE, _POSE)), np.zeros(_POSE)
        matrix[:3, :3], offset[:3] = own.linear, own.shift
        matrix[3:, 3:] = orientation_map(own.linear, own.linear)
        return matrix, np.where(np.abs(offset) > 1e-9, offset, 0.0)

    def _arrays(self, model: Any, data: Any) -> tuple[Floats, Floats]:
        owner = data if self.kind == "mocap" else model
        return getattr(owner, f"{self.kind}_pos"), getattr(owner, f"{self.kind}_quat")


@dataclass(frozen=True, eq=False)
class Placements:
    """All that a task places.

    Attributes:
        parts: the things that can be mirrored.
        bodies: indices of the bodies among them; their places in the model say nothing about its mirror plane.
        other_fields: names of the arrays of the model that a reset changes too, and that are not mirrored.
    """

    parts: tuple[Placement, ...] = ()
    bodies: frozenset[int] = frozenset()
    other_fields: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The number of coordinates, seven for each pose."""
        return _POSE * len(self.parts)

    def read(self, model: Any, data: Any) -> Floats:
        """The poses one after the other, shape (size,)."""
        return np.concatenate([np.zeros(0), *(part.read(model, data) for part in self.parts)])

    def write(self, model: Any, data: Any, poses: Floats) -> None:
        """Set the poses."""
        for part, pose in zip(self.parts, poses.reshape(-1, _POSE), strict=True):
            part.write(model, data, pose)

    def image(self, world: Isometry, sources: Mapping[int, int] = _NOTHING) -> tuple[Floats, Floats]:
        """The matrix and the offset by which an isometry of the world moves the poses.

        Args:
            world: the isometry.
            sources: for parts that change places, by index, the part that comes to each.
        """
        matrix, offset = np.zeros((self.size, self.size)), np.zeros(self.size)
        for k, part in enumerate(self.parts):
            j = sources.get(k, k)
            rows, columns = (slice(_POSE * i, _POSE * (i + 1)) for i in (k, j))
            matrix[rows, columns], offset[rows] = part.image(world, self.parts[j])
        return matrix, offset

    def part_of(self, coordinate: int) -> int:
        """The index of the part to which a coordinate of the poses belongs."""
        return coordinate // _POSE

    def scattered(self, poses: Floats, scale: float, rng: np.random.Generator) -> Floats:
        """Poses at random places around the given ones, within about `scale` meters."""
        moved = poses.reshape(-1, _POSE).copy()
        moved[:, :3] += scale * rng.standard_normal((len(moved), 3))
        return moved.ravel()


def find_placements(base: Any) -> Placements:
    """Find what resets of an unwrapped environment place in the world, by comparing some of them."""
    model = base.model
    before = _snapshot(model)
    changed: dict[str, set[int]] = {}
    for seed in range(_RESETS):
        base.reset(seed=seed)
        for name, rows in _differences(before, _snapshot(model)).items():
            changed.setdefault(name, set()).update(rows)
    parts = [Placement("mocap", i, Isometry(np.eye(3), np.zeros(3))) for i in range(model.nmocap)]
    bodies = {b for b in range(model.nbody) if model.body_mocapid[b] >= 0}
    others = {name for name in changed if name not in _COMPUTED}
    for kind in _PLACES:
        names = {f"{kind}_pos", f"{kind}_quat"} & others
        rows = set().union(*(changed[name] for name in names))
        if not names or any(not _is_static(model, kind, row) for row in rows):
            continue
        parts += [Placement(kind, row, _frame(model, kind, row)) for row in sorted(rows)]
        bodies |= rows if kind == "body" else set()
        others -= names
    return Placements(tuple(parts), frozenset(bodies), tuple(sorted(others)))


def _snapshot(model: Any) -> dict[str, Any]:
    arrays = {name: getattr(model, name) for name in dir(model) if not name.startswith("_")}
    return {n: a.copy() for n, a in arrays.items() if isinstance(a, np.ndarray) and a.dtype.kind == "f" and a.size}


def _differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, set[int]]:
    found = {}
    for name, array in one.items():
        rows = np.flatnonzero((array != other[name]).reshape(len(array), -1).any(axis=1))
        if len(rows):
            found[name] = set(rows.tolist())
    return found


def _parent(model: Any, kind: Kind, row: int) -> int:
    """The body in whose frame a place is given."""
    owners: dict[Kind, Sequence[int]] = {
        "body": model.body_parentid,
        "geom": model.geom_bodyid,
        "site": model.site_bodyid,
    }
    return int(owners[kind][row])


def _is_static(model: Any, kind: Kind, row: int) -> bool:
    """Whether a place is given in a frame that is fixed in the world."""
    return int(model.body_weldid[_parent(model, kind, row)]) == 0


def _frame(model: Any, kind: Kind, row: int) -> Isometry:
    """The isometry from the frame of a place to the world."""
    frame, body = Isometry(np.eye(3), np.zeros(3)), _parent(model, kind, row)
    while body:
        frame = Isometry.of_pose(model.body_pos[body], model.body_quat[body]) @ frame
        body = int(model.body_parentid[body])
    return frame
