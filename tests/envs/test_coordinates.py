import numpy as np
import pytest

from rpp_rl import SignedPermutation
from rpp_rl.envs.coordinates import Space, moved, reflect, unmoved
from rpp_rl.errors import RPPError

QUARTER_TURN = SignedPermutation((1, 0, 2), (-1, 1, 1))  # about z: (x, y, z) -> (-y, x, z)
SPACES = [Space((reflect("y"),)), Space((reflect("x"),)), Space((QUARTER_TURN,)), Space((reflect("z"),))]


def rotation_of(q):
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@pytest.mark.parametrize("space", SPACES)
def test_quaternions_turn_as_their_rotations(space):
    R, rng = space.generators[0].matrix, np.random.default_rng(0)
    for q in rng.standard_normal((20, 4)):
        moved_q = space.quaternion().images[0].matrix @ q
        np.testing.assert_allclose(rotation_of(moved_q), R @ rotation_of(q) @ R.T, atol=1e-12)


@pytest.mark.parametrize("space", SPACES)
def test_pseudovectors_are_cross_products_of_vectors(space):
    R, P = space.vector().images[0].matrix, space.pseudovector().images[0].matrix
    a, b = np.random.default_rng(0).standard_normal((2, 3))
    np.testing.assert_allclose(P @ np.cross(a, b), np.cross(R @ a, R @ b), atol=1e-12)


@pytest.mark.parametrize("space", SPACES)
def test_inertias_transform_as_those_of_masses(space):
    R, rng = space.generators[0].matrix, np.random.default_rng(0)
    masses, places = rng.uniform(1, 2, 7), rng.standard_normal((7, 3))

    def ten(places):
        outer = np.einsum("n,ni,nj->ij", masses, places, places)
        tensor = np.trace(outer) * np.eye(3) - outer
        entries = [tensor[i, j] for i, j in [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]]
        return np.array([*entries, *(masses @ places), masses.sum()])

    np.testing.assert_allclose(space.inertia().images[0].matrix @ ten(places), ten(places @ R.T), atol=1e-12)


def test_rows_are_read_by_the_ruler():
    legs = moved("left right roll", "right left -roll")
    np.testing.assert_array_equal(legs.images[0].matrix @ [1, 2, 3], [2, 1, -3])
    both = legs + unmoved("z", 1)
    assert both.names == ("left", "right", "roll", "z")
    each = moved("a b", "b a").each(Space((reflect("y"),)).vector())
    assert each.names == ("a.x", "a.y", "a.z", "b.x", "b.y", "b.z")
    np.testing.assert_array_equal(each.images[0].matrix @ [1, 2, 3, 4, 5, 6], [4, -5, 6, 1, -2, 3])
    assert legs.prefixed("v_").names == ("v_left", "v_right", "v_roll")


@pytest.mark.parametrize(
    ("row", "message"),
    [("right left", "2 entries for a ruler of 3"), ("right right roll", "twice"), ("right left rol", "'roll'")],
)
def test_bad_rows_are_refused(row, message):
    with pytest.raises(RPPError, match=message):
        moved("left right roll", row)
