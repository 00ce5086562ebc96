import numpy as np
import pytest
from helpers.algebra import SMALL_GROUPS, rotation

from rpp_rl import cyclic_group, dihedral_group, matrix_group, symmetric_group, trivial_group
from rpp_rl.errors import GroupError


@pytest.mark.parametrize(
    ("group", "order"),
    [
        (trivial_group(3), 1),
        (cyclic_group(1), 1),
        (cyclic_group(2), 2),
        (cyclic_group(7), 7),
        (dihedral_group(1), 2),
        (dihedral_group(5), 10),
        (symmetric_group(1), 1),
        (symmetric_group(4), 24),
        (cyclic_group(2) * cyclic_group(2), 4),
        (cyclic_group(2) * symmetric_group(3), 12),
        (SMALL_GROUPS["quaternions"], 8),
        (matrix_group("icosahedral axis", [rotation(2 * np.pi / 5), [[1, 0], [0, -1]]]), 10),
    ],
)
def test_order_is_the_number_of_elements(group, order):
    assert group.order == order


@pytest.mark.parametrize("group", SMALL_GROUPS.values(), ids=SMALL_GROUPS)
def test_left_products_are_a_group_table(group):
    matrices = [np.eye(group.dimension)]
    for word in group.words[1:]:
        matrices.append(np.linalg.multi_dot([group.generators[k] for k in word] + [np.eye(group.dimension)]))
    for i, k in np.ndindex(*group.left_products.shape):
        product = group.generators[k] @ matrices[i]
        np.testing.assert_allclose(matrices[group.left_products[i, k]], product, atol=1e-12)
    for column in group.left_products.T:
        assert sorted(column) == list(range(group.order))


def test_equality_is_by_content_not_by_name():
    other = matrix_group("swap", [[[0, 1], [1, 0]]])
    assert other == cyclic_group(2)
    assert hash(other) == hash(cyclic_group(2))
    assert dihedral_group(4) != dihedral_group(3)


def test_generators_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        cyclic_group(2).generators[0][0, 0] = 5.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: matrix_group("shear", [[[1, 1], [0, 1]]]), "more than 10000 elements"),
        pytest.param(
            *(lambda: matrix_group("turn", [rotation(1.0)]), "more than 10000 elements"), marks=pytest.mark.slow
        ),
        (lambda: matrix_group("flat", [[[1, 0], [0, 0]]]), "not an invertible matrix"),
        (lambda: matrix_group("none", []), "at least one generator"),
        (lambda: matrix_group("scale", [[[2.0]]]), "grow without bound"),
        (lambda: matrix_group("nothing", [rotation(1e-6)]), "not distinguishable from rounding"),
        (lambda: matrix_group("mixed", [np.eye(2), np.eye(3)]), "2 x 2"),
        (lambda: cyclic_group(0), "n >= 1"),
    ],
)
def test_bad_generators_are_refused(make, message):
    with pytest.raises(GroupError, match=message):
        make()
