import numpy as np
import pytest
import torch
from helpers.algebra import SMALL_GROUPS, groups, representations, rotation
from hypothesis import given
from hypothesis import strategies as st

from rpp_rl import (
    Representation,
    SignedPermutation,
    cyclic_group,
    defining_representation,
    dihedral_group,
    regular_representation,
    sign_representation,
    trivial_representation,
)
from rpp_rl.errors import RepresentationError
from rpp_rl.representations import hidden_representation


@st.composite
def signed_permutations(draw, n):
    return SignedPermutation(
        tuple(draw(st.permutations(range(n)))), tuple(draw(st.lists(st.sampled_from([1, -1]), min_size=n, max_size=n)))
    )


@given(st.data(), st.integers(1, 8))
def test_signed_permutations_act_as_their_matrices(data, n):
    a, b = (data.draw(signed_permutations(n)) for _ in range(2))
    c = data.draw(signed_permutations(data.draw(st.integers(1, 8))))
    np.testing.assert_array_equal((a @ b).matrix, a.matrix @ b.matrix)
    np.testing.assert_array_equal(a.inverse.matrix, a.matrix.T)
    np.testing.assert_array_equal(a.kron(c).matrix, np.kron(a.matrix, c.matrix))
    assert SignedPermutation.from_matrix(a.matrix) == a


@given(st.data(), groups)
def test_images_multiply_as_the_group_does(data, group):
    rep = data.draw(representations(group))
    for i, k in np.ndindex(*group.left_products.shape):
        product = rep.matrix(group.words.index((k,))) if (k,) in group.words else np.eye(rep.size)
        np.testing.assert_allclose(product @ rep.matrix(i), rep.matrix(group.left_products[i, k]), atol=1e-10)


@given(st.data(), groups)
def test_operators_act_as_those_of_matrices(data, group):
    a, b = data.draw(representations(group)), data.draw(representations(group))
    element = data.draw(st.integers(0, group.order - 1))
    A, B = a.matrix(element), b.matrix(element)
    block = np.block([[A, np.zeros((a.size, b.size))], [np.zeros((b.size, a.size)), B]])
    np.testing.assert_allclose((a + b).matrix(element), block, atol=1e-12)
    np.testing.assert_allclose(a.T.matrix(element), np.linalg.inv(A).T, atol=1e-10)
    if a.size * b.size < 200:
        np.testing.assert_allclose((a * b).matrix(element), np.kron(A, B), atol=1e-10)
        W = np.random.default_rng(0).standard_normal((b.size, a.size))
        moved = (a >> b).matrix(element) @ W.ravel()
        np.testing.assert_allclose(moved, (B @ W @ np.linalg.inv(A)).ravel(), atol=1e-9)


@given(st.data(), groups)
def test_numpy_and_torch_act_alike(data, group):
    rep = data.draw(representations(group))
    x = np.random.default_rng(1).standard_normal((4, rep.size))
    for element in range(group.order):
        expected = x @ rep.matrix(element).T
        np.testing.assert_allclose(rep.act(element, x), expected, atol=1e-10)
        np.testing.assert_allclose(rep.act(element, torch.from_numpy(x)).numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("group", SMALL_GROUPS.values(), ids=SMALL_GROUPS)
def test_regular_representation_acts_freely(group):
    regular = regular_representation(group)
    for element in range(1, group.order):
        assert np.trace(regular.matrix(element)) == 0
    assert regular.is_permutation


def test_equality_is_by_content():
    group = cyclic_group(2)
    one, sign = trivial_representation(group), sign_representation(group)
    as_matrix = Representation(group, [np.diag([1.0, -1.0])], "declared")
    assert one + sign == as_matrix
    assert hash(one + sign) == hash(as_matrix)
    assert one + sign != sign + one


def test_unsigned_keeps_the_permutation():
    group = cyclic_group(2)
    rep = Representation(group, [SignedPermutation((1, 0, 2), (-1, -1, -1))], "legs")
    assert rep.unsigned() == Representation(group, [SignedPermutation((1, 0, 2), (1, 1, 1))], "legs")
    assert (2 * rep).unsigned() == 2 * rep.unsigned()
    with pytest.raises(RepresentationError, match="does not act by signed permutations"):
        defining_representation(dihedral_group(3)).unsigned()


def test_a_wrong_map_names_generator_and_entry():
    group = cyclic_group(2, "mirror")
    with pytest.raises(
        RepresentationError, match=r"generator 'mirror' is wrong at entry 2, .*mirror mirror = identity"
    ):
        Representation(group, [SignedPermutation((1, 0, 3, 4, 2), (1, 1, 1, 1, 1))], "legs")
    with pytest.raises(RepresentationError, match="generator 'rotation'"):
        Representation(dihedral_group(4), [rotation(1.0), np.diag([-1.0, 1.0])], "turned too far")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SignedPermutation((0, 0), (1, 1)), "0 occurs 2 times"),
        (lambda: SignedPermutation((0, 1), (1, 0)), "entry 1 is 0"),
        (lambda: SignedPermutation((0,), (1, 1)), "as many signs"),
        (lambda: Representation(cyclic_group(2), [], "nothing"), "0 images"),
        (lambda: Representation(cyclic_group(2), [np.ones((2, 3))], "flat"), "square matrix"),
        (lambda: trivial_representation(cyclic_group(2)) + trivial_representation(cyclic_group(3)), "one group"),
        (lambda: 0 * trivial_representation(cyclic_group(2)), "at least 1, got 0"),
        (lambda: hidden_representation(dihedral_group(4), 250), "next width that works is 256"),
        (lambda: hidden_representation(dihedral_group(4), 0), "next width that works is 8"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(RepresentationError, match=message):
        make()
