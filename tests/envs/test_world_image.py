"""The isometry of the world that a map of states looks like to a viewer."""

import numpy as np
import pytest

from rpp_rl.envs import REGISTRY
from rpp_rl.envs.geometry.world_image import _linear_maps, world_image
from rpp_rl.envs.simulator import Simulator
from rpp_rl.envs.state_lifting import Lifting
from rpp_rl.envs.state_map import Move
from rpp_rl.envs.wrapper import make_plain

MIRROR_X, MIRROR_Y, STAY = np.diag([-1.0, 1, 1]), np.diag([1.0, -1, 1]), np.eye(3)


def image_of(env_id, name, element):
    env = make_plain(env_id)
    env.reset(seed=0)
    simulator = Simulator(env)
    state_map = Lifting(simulator).lift(Move.of_element(REGISTRY.get(env_id, name), element))
    found = world_image(simulator, state_map)
    env.close()
    return found


def test_the_sixteen_maps_are_the_group_of_a_square_prism():
    maps = _linear_maps()
    keys = {tuple(np.rint(m).astype(int).ravel()) for m in maps}
    assert len(keys) == 16
    assert {tuple(np.rint(a @ b).astype(int).ravel()) for a in maps for b in maps} == keys
    np.testing.assert_array_equal(maps[0], STAY)


@pytest.mark.parametrize(
    ("env_id", "name", "expected", "misfit"),
    [
        ("Ant-v5", "sagittal", MIRROR_Y, 1e-12),
        ("Swimmer-v5", "sagittal", MIRROR_Y, 1e-12),
        ("Reacher-v5", "sagittal", MIRROR_Y, 1e-12),
        ("InvertedPendulum-v5", "sagittal", MIRROR_X, 1e-3),
        # Its legs lie behind each other: from the side, nothing is seen to move.
        ("Walker2d-v5", "sagittal", STAY, 1e-12),
        ("HalfCheetah-v5", "fore_aft", MIRROR_X, 0.1),
        ("Pusher-v5", "sagittal", MIRROR_Y, 0.01),
    ],
)
def test_mirrors_are_recognized(env_id, name, expected, misfit):
    image = image_of(env_id, name, 1)
    np.testing.assert_array_equal(image.isometry.linear, expected)
    assert image.misfit < misfit


def test_every_element_of_a_group_looks_like_its_product():
    symmetry = REGISTRY.get("Reacher-v5", "dihedral")
    found = [image_of("Reacher-v5", "dihedral", i).isometry.linear for i in range(symmetry.group.order)]
    for k, word in enumerate(symmetry.group.words):
        product = STAY
        for generator in word:
            product = product @ found[symmetry.group.words.index((generator,))]
        np.testing.assert_allclose(found[k], product, atol=1e-12)
    assert symmetry.group.order == 8


def test_a_mirror_plane_away_from_the_origin_is_recognized():
    shift = image_of("Pusher-v5", "sagittal", 1).isometry.shift
    # The shoulder lies on the plane, at y = -0.6.
    np.testing.assert_allclose(shift, [0, -1.2, 0], atol=0.01)
