"""Isometries of space, and the maps of orientations and tensors under them."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from rpp_rl.errors import UnknownNameError

Floats = NDArray[np.float64]

# Reflections in the planes x = 0, y = 0, z = 0, and turns about the vertical.
WORLD_MAPS: dict[str, Floats] = {
    "x": np.diag([-1.0, 1.0, 1.0]),
    "y": np.diag([1.0, -1.0, 1.0]),
    "z": np.diag([1.0, 1.0, -1.0]),
    "rot90": np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
    "rot180": np.diag([-1.0, -1.0, 1.0]),
}


def world_map(name: str) -> Floats:
    """The orthogonal matrix, shape (3, 3), with a name in `WORLD_MAPS`.

    Raises:
        UnknownNameError: if the name is unknown.
    """
    if name not in WORLD_MAPS:
        raise UnknownNameError("reflection", name, WORLD_MAPS)
    return WORLD_MAPS[name]


@dataclass(frozen=True, eq=False)
class Isometry:
    """x -> R x + t.

    Attributes:
        linear: R, orthogonal, shape (3, 3).
        shift: t, shape (3,).
    """

    linear: Floats
    shift: Floats

    @classmethod
    def of_pose(cls, position: Floats, quaternion: Floats) -> Isometry:
        """The map from a frame's coordinates to those in which its position and quaternion (w, x, y, z) are given."""
        matrix = np.zeros(9)
        mujoco.mju_quat2Mat(matrix, np.asarray(quaternion, dtype=np.float64))
        return cls(matrix.reshape(3, 3), np.array(position, dtype=np.float64))

    @classmethod
    def turn(cls, axis: Floats, angle: float, anchor: Floats) -> Isometry:
        """The rotation by an angle about an axis through a point."""
        quaternion = np.zeros(4)
        mujoco.mju_axisAngle2Quat(quaternion, np.asarray(axis, dtype=np.float64), angle)
        linear = cls.of_pose(np.zeros(3), quaternion).linear
        return cls(linear, anchor - linear @ anchor)

    @property
    def determinant(self) -> float:
        """+1 for a rotation, -1 for a reflection."""
        return float(np.sign(np.linalg.det(self.linear)))

    @property
    def inverse(self) -> Isometry:
        """The inverse isometry."""
        return Isometry(self.linear.T, -self.linear.T @ self.shift)

    @property
    def pseudo(self) -> Floats:
        """det(R) R, which moves pseudovectors; shape (3, 3)."""
        return self.determinant * self.linear

    def __matmul__(self, other: Isometry) -> Isometry:
        """The product, which applies `other` first."""
        return Isometry(self.linear @ other.linear, self.linear @ other.shift + self.shift)

    def __call__(self, points: Floats) -> Floats:
        """Move points of shape (..., 3)."""
        return np.asarray(points @ self.linear.T + self.shift)


def orientation_map(world: Floats, body: Floats) -> Floats:
    """The map of quaternions (w, x, y, z) for orientations that move by Q -> R Q S^T; orthogonal, shape (4, 4).

    Args:
        world: R, shape (3, 3).
        body: S, shape (3, 3), of the same determinant.
    """
    conjugation = np.eye(4)
    conjugation[1:, 1:] = np.linalg.det(world) * world
    w, x, y, z = _quaternion(world @ body.T)
    from_the_right = np.array([[w, -x, -y, -z], [x, w, z, -y], [y, -z, w, x], [z, y, -x, w]])
    return np.asarray(from_the_right @ conjugation)


def tensor_map(linear: Floats) -> Floats:
    """The map of a symmetric tensor's (xx, yy, zz, xy, xz, yz) under R; shape (6, 6)."""
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    columns = []
    for i, j in pairs:
        tensor = np.zeros((3, 3))
        tensor[i, j] = tensor[j, i] = 1.0
        moved = linear @ tensor @ linear.T
        columns.append([moved[k, m] for k, m in pairs])
    return np.array(columns).T


def _quaternion(rotation: Floats) -> Floats:
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation).reshape(9))
    return quaternion
