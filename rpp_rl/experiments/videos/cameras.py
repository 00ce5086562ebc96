"""Place a camera and its mirror image.

Let G be an isometry of the world. A camera C sees the same picture of a scene as the camera G C sees of the mirrored
scene; if G is a reflection, left and right change places. So the two films are mirror images exactly where one
trajectory is the mirror image of the other. The camera looks along the mirror plane, which is then a vertical line in
the middle of the picture. It looks from the side at robots that move in a plane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rpp_rl.envs.geometry.body_matching import size_of
from rpp_rl.envs.geometry.isometry import Isometry
from rpp_rl.envs.geometry.pairing import FREE, SLIDE
from rpp_rl.envs.geometry.world_image import WorldImage
from rpp_rl.envs.simulator import Floats, Simulator
from rpp_rl.experiments.videos.films import Frame

# Elevations in degrees, and a heading from the x axis.
_ABOVE, _BEHIND, _SIDE = -90.0, -25.0, -10.0
_SLANTING = 30.0
_DISTANCE = 1.7
# A robot moves in a plane if its bodies' positions vary less than this along an axis, relative to its size.
_FLAT = 1e-3


@dataclass(frozen=True)
class View:
    """A free camera of MuJoCo.

    Attributes:
        lookat: the point in the middle of the picture, shape (3,).
        distance: the distance from that point, in metres.
        heading: the direction of view in degrees from the x axis, counterclockwise from above.
        elevation: the direction of view in degrees; negative looks down.
    """

    lookat: Floats
    distance: float
    heading: float
    elevation: float

    @property
    def axes(self) -> Floats:
        """The directions right, up and forward of the picture, as rows; shape (3, 3)."""
        a, e = np.deg2rad([self.heading, self.elevation])
        forward = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
        up = np.array([-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)])
        return np.stack([np.cross(forward, up), up, forward])

    def moved(self, isometry: Isometry) -> View:
        """The view of the mirrored camera.

        Args:
            isometry: an isometry that maps the vertical axis to itself.
        """
        a = np.deg2rad(self.heading)
        x, y, _ = isometry.linear @ np.array([np.cos(a), np.sin(a), 0.0])
        heading = float(np.rad2deg(np.arctan2(y, x)))
        return View(isometry(self.lookat), self.distance, heading, self.elevation * float(isometry.linear[2, 2]))


def view_of(simulator: Simulator, image: WorldImage) -> View:
    """A view of a robot and of its mirror image, both in the reference configuration."""
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
    """The heading along the mirror plane, towards positive x or y; a slanting one if there is none."""
    linear = isometry.linear[:2, :2]
    if np.linalg.det(linear) > 0:
        return _SLANTING
    values, vectors = np.linalg.eigh((linear + linear.T) / 2)
    along = vectors[:, int(values.argmax())]
    along = along if along.sum() > 0 else -along
    return float(np.rad2deg(np.arctan2(along[1], along[0])))


def flips(view: View, isometry: Isometry) -> tuple[bool, bool]:
    """Whether the mirrored camera's picture is flipped horizontally, and vertically."""
    moved = (isometry.linear @ view.axes.T).T
    seen = view.moved(isometry).axes
    return bool(moved[0] @ seen[0] < 0), bool(moved[1] @ seen[1] < 0)


def moves_camera(isometry: Isometry) -> bool:
    """Whether the mirrored camera differs from the first."""
    return not np.allclose(isometry.linear, np.eye(3))


def flipped(frame: Frame, left_right: bool, above_below: bool) -> Frame:
    """Flip a picture of shape (height, width, 3)."""
    if left_right:
        frame = frame[:, ::-1]
    return frame[::-1] if above_below else frame


def roaming_body(model: Any) -> int | None:
    """The root body with a free joint, or a slide without limits; the camera follows it. None if there is none."""
    for j in range(model.njnt):
        kind = model.jnt_type[j]
        if model.body_parentid[model.jnt_bodyid[j]] == 0 and (
            kind == FREE or (kind == SLIDE and not model.jnt_limited[j])
        ):
            return int(model.jnt_bodyid[j])
    return None


class Camera:
    """Take pictures of a simulator.

    Args:
        simulator: the simulator.
        view: the view; the camera follows a robot that can leave it.
        size: height and width of a picture.
    """

    def __init__(self, simulator: Simulator, view: View, size: Sequence[int]) -> None:
        from gymnasium.envs.mujoco.mujoco_rendering import OffScreenViewer

        self.simulator, self.view = simulator, view
        buffer = simulator.model.vis.global_
        buffer.offheight, buffer.offwidth = max(buffer.offheight, size[0]), max(buffer.offwidth, size[1])
        self._viewer: Any = OffScreenViewer(simulator.model, simulator.data, size[1], size[0])
        self._followed = roaming_body(simulator.model)

    def picture(self) -> Frame:
        """Render the current state; shape (height, width, 3)."""
        camera, lookat = self._viewer.cam, self.view.lookat.copy()
        if self._followed is not None:
            lookat[:2] = self.simulator.data.subtree_com[self._followed, :2]
        camera.lookat[:] = lookat
        camera.distance, camera.azimuth, camera.elevation = self.view.distance, self.view.heading, self.view.elevation
        self._viewer.make_context_current()
        return np.asarray(self._viewer.render("rgb_array", -1), dtype=np.uint8)

    def close(self) -> None:
        """Close the renderer."""
        self._viewer.close()
