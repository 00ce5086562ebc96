"""The pictures of a camera and of its mirror image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpp_rl.envs.geometry.isometry import WORLD_MAPS, Isometry
from rpp_rl.envs.geometry.world_image import _linear_maps, world_image
from rpp_rl.envs.simulator import Simulator
from rpp_rl.envs.state_lifting import Lifting
from rpp_rl.envs.state_map import Move
from rpp_rl.envs.wrapper import make
from rpp_rl.experiments.videos.cameras import View, flipped, flips, roaming_body, view_of


def projected(view, points):
    """Positions in the picture: right and up, divided by the depth."""
    right, up, depth = ((points - view.lookat) @ view.axes.T + [0, 0, view.distance]).T
    return np.stack([right / depth, up / depth], axis=1)


@given(
    linear=st.sampled_from(_linear_maps()),
    heading=st.floats(-180, 180),
    elevation=st.one_of(st.just(-90.0), st.floats(-89, 80)),
    seed=st.integers(0, 1000),
)
def test_the_mirrored_camera_sees_the_same_picture_up_to_flips(linear, heading, elevation, seed):
    rng = np.random.default_rng(seed)
    isometry = Isometry(linear, rng.standard_normal(3))
    view = View(rng.standard_normal(3), 5.0, heading, elevation)
    points = view.lookat + rng.uniform(-1, 1, (6, 3))
    across, down = flips(view, isometry)
    expected = projected(view, points) * [-1 if across else 1, -1 if down else 1]
    np.testing.assert_allclose(projected(view.moved(isometry), isometry(points)), expected, atol=1e-9)
    # Reflections change the handedness, rotations do not.
    assert (across != down) == (np.linalg.det(linear) < 0)


def test_pictures_are_flipped():
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    np.testing.assert_array_equal(flipped(picture, True, False)[:, 0], picture[:, 1])
    np.testing.assert_array_equal(flipped(picture, False, True)[0], picture[1])


@pytest.mark.parametrize(
    ("env_id", "elevation", "roams"),
    [
        ("Ant-v5", -25, True),
        ("Swimmer-v5", -90, True),
        ("Walker2d-v5", -10, True),
        ("InvertedPendulum-v5", -10, False),
        ("Reacher-v5", -90, False),
    ],
)
def test_the_mirror_plane_is_a_vertical_line(env_id, elevation, roams):
    env = make(env_id)
    env.reset(seed=0)
    simulator = Simulator(env)
    image = world_image(simulator, Lifting(simulator).lift(Move.of_element(env.symmetry, 1)))
    view = view_of(simulator, image)
    assert view.elevation == elevation
    assert (roaming_body(simulator.model) is not None) == roams
    linear = image.isometry.linear
    if np.linalg.det(linear) < 0:
        # Up and forward lie in the plane, right becomes left.
        right, up, forward = view.axes
        np.testing.assert_allclose(linear @ right, -right, atol=1e-12)
        np.testing.assert_allclose([linear @ up, linear @ forward], [up, forward], atol=1e-12)
        assert flips(view, image.isometry) == (True, False)
    env.close()


def test_the_camera_looks_from_the_side_at_robots_in_a_plane():
    env = make("Walker2d-v5")
    env.reset(seed=0)
    simulator = Simulator(env)
    image = world_image(simulator, Lifting(simulator).lift(Move.of_element(env.symmetry, 1)))
    view = view_of(simulator, image)
    assert abs(view.axes[2] @ WORLD_MAPS["y"] @ view.axes[2]) > 0.9
    assert flips(view, image.isometry) == (False, False)
    env.close()
