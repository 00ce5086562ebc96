"""Where the camera stands, and where its mirror image does.

A camera C sees of a scene what the image of C under an isometry G of the world sees of the image of the scene; where G
is a reflection, left and right change places. So two films are the same, the second mirrored, exactly where the one
trajectory is the image of the other. The camera looks along the mirror plane, which then is an upright line in the
middle of the picture; robots that move in a plane are seen from its side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rpp_rl.envs.geometry.body_matching import FREE, SLIDE, size_of
from rpp_rl.envs.geometry.isometry import Isometry
from rpp_rl.envs.geometry.world_image import WorldImage
from rpp_rl.envs.simulator import Floats, Simulator
from rpp_rl.experiments.videos.films import Frame

# Degrees: a look from above, from behind and from the side; headings are counted from the x axis.
_ABOVE, _BEHIND, _SIDE = -90.0, -25.0, -10.0
_SLANTING = 30.0
_DISTANCE = 1.7
# Bodies whose places vary by less along an axis, relative to the robot's size, move in a plane.
_FLAT = 1e-3


@dataclass(frozen=True)
class View:
    """A free camera of MuJoCo.

    Attributes:
        lookat: the point in the middle of the picture, shape (3,).
        distance: from it, in metres.
        heading: of the look, in degrees from the x axis, counterclockwise from above.
        elevation: of the look, in degrees; negative from above.
    """

    lookat: Floats
    distance: float
    heading: float
    elevation: float

    @property
    def axes(self) -> Floats:
        """What is right, up and forward in the picture, as rows; shape (3, 3)."""
        a, e = np.deg2rad([self.heading, self.elevation])
        forward = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
        up = np.array([-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)])
        return np.stack([np.cross(forward, up), up, forward])

    def moved(self, isometry: Isometry) -> View:
        """The camera at the image of its place, that looks at the image of what it looked at.

        Args:
            isometry: maps the vertical to the vertical.
        """
        a = np.deg2rad(self.heading)
        x, y, _ = isometry.linear @ np.array([np.cos(a), np.sin(a), 0.0])
        heading = float(np.rad2deg(np.arctan2(y, x)))
        return View(isometry(self.lookat), self.distance, heading, self.elevation * float(isometry.linear[2, 2]))


def view_of(simulator: Simulator, image: WorldImage) -> View:
    """A camera for a robot and the image of it, at the reference configuration."""
    model = simulator.model
    simulator.env.reset(seed=0)
    size = size_of(model)
    places = simulator.data.xipos[1:]
    lookat = (places.min(axis=0) + places.max(axis=0)) / 2
    flat = image.places.std(axis=(0, 1)) < _FLAT * size
    heading, elevation = _heading(image.isometry), _BEHIND
    if flat[2]:
        elevation = _ABOVE
    elif flat[0] or flat[1]:
        heading, elevation = (90.0 if flat[1] else 0.0), _SIDE
    return View(lookat, _DISTANCE * size, heading, elevation)


def _heading(isometry: Isometry) -> float:
    """Along the mirror plane of a reflection that leaves the vertical, of the two ways the one nearer to x or y."""
    linear = isometry.linear[:2, :2]
    if np.linalg.det(linear) > 0:
        return _SLANTING
    values, vectors = np.linalg.eigh((linear + linear.T) / 2)
    along = vectors[:, int(values.argmax())]
    along = along if along.sum() > 0 else -along
    return float(np.rad2deg(np.arctan2(along[1], along[0])))


def flips(view: View, isometry: Isometry) -> tuple[bool, bool]:
    """Whether the picture of the moved camera has left and right, and above and below, changed places."""
    moved = (isometry.linear @ view.axes.T).T
    seen = view.moved(isometry).axes
    return bool(moved[0] @ seen[0] < 0), bool(moved[1] @ seen[1] < 0)


def moves_camera(isometry: Isometry) -> bool:
    """Whether the second picture is taken or turned otherwise than the first."""
    return not np.allclose(isometry.linear, np.eye(3))


def flipped(frame: Frame, left_right: bool, above_below: bool) -> Frame:
    """A picture of shape (height, width, 3), turned over."""
    if left_right:
        frame = frame[:, ::-1]
    return frame[::-1] if above_below else frame


def roaming_body(model: Any) -> int | None:
    """The body that carries a robot away, if one is free or slides without a limit; the camera goes with it."""
    for j in range(model.njnt):
        kind = model.jnt_type[j]
        if model.body_parentid[model.jnt_bodyid[j]] == 0 and (
            kind == FREE or (kind == SLIDE and not model.jnt_limited[j])
        ):
            return int(model.jnt_bodyid[j])
    return None


class Camera:
    """Pictures of a simulator.

    Args:
        simulator: of which pictures are taken.
        view: from where; with a robot that roams the camera goes along.
        size: height and width of a picture, at most what the model's offscreen buffer holds.
    """

    def __init__(self, simulator: Simulator, view: View, size: Sequence[int]) -> None:
        from gymnasium.envs.mujoco.mujoco_rendering import OffScreenViewer

        self.simulator, self.view = simulator, view
        buffer = simulator.model.vis.global_
        buffer.offheight, buffer.offwidth = max(buffer.offheight, size[0]), max(buffer.offwidth, size[1])
        self._viewer: Any = OffScreenViewer(simulator.model, simulator.data, size[1], size[0])
        self._followed = roaming_body(simulator.model)

    def picture(self) -> Frame:
        """The present state, of shape (height, width, 3)."""
        camera, lookat = self._viewer.cam, self.view.lookat.copy()
        if self._followed is not None:
            lookat[:2] = self.simulator.data.subtree_com[self._followed, :2]
        camera.lookat[:] = lookat
        camera.distance, camera.azimuth, camera.elevation = self.view.distance, self.view.heading, self.view.elevation
        self._viewer.make_context_current()
        return np.asarray(self._viewer.render("rgb_array", -1), dtype=np.uint8)

    def close(self) -> None:
        """Let go of the renderer."""
        self._viewer.close()
