from functools import reduce
from operator import add

import numpy as np
import pytest
from helpers.algebra import CONTINUOUS_GROUPS, SMALL_GROUPS, continuous_groups, groups, representations
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from rpp_rl import (
    Representation,
    cyclic_group,
    defining_representation,
    determinant_representation,
    dihedral_group,
    equivariant_basis,
    lie_group,
    lorentz_group,
    orthogonal_group,
    regular_representation,
    rotations_about_axis,
    rotations_and_reflections_about_axis,
    sign_representation,
    special_linear_group,
    special_orthogonal_group,
    symmetric_group,
    tensor_representation,
    trivial_representation,
    uniform_rep,
    unitary_group,
)
from rpp_rl.errors import GroupError, RepresentationError
from rpp_rl.representations import gated

every_group = st.one_of(groups, continuous_groups)
some = settings(max_examples=40, deadline=None)
SO3 = special_orthogonal_group(3)


@some
@given(st.data(), every_group, st.integers(0, 1000))
def test_rho_is_a_homomorphism(data, group, seed):
    rep = data.draw(representations(group))
    g, h = group.sample(np.random.default_rng(seed), 2)
    product = rep.rho(g) @ rep.rho(h)
    size = max(1.0, np.abs(product).max())
    np.testing.assert_allclose(rep.rho(g @ h) / size, product / size, atol=1e-8)
    np.testing.assert_allclose(rep.rho(np.eye(group.dimension)), np.eye(rep.size), atol=1e-12)


@some
@given(st.data(), continuous_groups, st.integers(0, 1000))
def test_drho_is_the_derivative_of_rho(data, group, seed):
    rep = data.draw(representations(group))
    coefficients = 0.3 * np.random.default_rng(seed).standard_normal(len(group.algebra))
    A = np.einsum("k,kij->ij", coefficients, np.stack(group.algebra))
    np.testing.assert_allclose(rep.rho(expm(A)), expm(rep.drho(A)), atol=1e-8)
    B = group.algebra[0]
    brackets = rep.drho(A) @ rep.drho(B) - rep.drho(B) @ rep.drho(A)
    np.testing.assert_allclose(rep.drho(A @ B - B @ A), brackets, atol=1e-9)


@some
@given(st.data(), every_group)
def test_rho_of_generators_are_the_images(data, group):
    rep = data.draw(representations(group))
    for g, image in zip(group.generators, rep.images, strict=True):
        np.testing.assert_allclose(rep.rho(g), getattr(image, "matrix", image), atol=1e-9)
    for A, image in zip(group.lie_generators, rep.lie_images, strict=True):
        np.testing.assert_allclose(rep.drho(A), image, atol=1e-9)


@some
@given(st.data(), every_group, st.integers(0, 1000))
def test_operators_act_as_those_of_matrices(data, group, seed):
    a, b = data.draw(representations(group)), data.draw(representations(group))
    (g,) = group.sample(np.random.default_rng(seed), 1)
    A, B = a.rho(g), b.rho(g)
    block = np.block([[A, np.zeros((a.size, b.size))], [np.zeros((b.size, a.size)), B]])
    np.testing.assert_allclose((a + b).rho(g), block, atol=1e-9)
    np.testing.assert_allclose(a.T.rho(g), np.linalg.inv(A).T, atol=1e-7 * max(1, np.abs(A).max()) ** 2)
    if a.size * b.size < 200:
        np.testing.assert_allclose((a * b).rho(g), np.kron(A, B), atol=1e-8)
        W = np.random.default_rng(0).standard_normal((b.size, a.size))
        moved = (a >> b).rho(g) @ W.ravel()
        expected = (B @ W @ np.linalg.inv(A)).ravel()
        np.testing.assert_allclose(moved, expected, atol=1e-7 * max(1.0, np.abs(expected).max()))


def test_duals_are_inverse_transposes():
    for group in (special_linear_group(3), lorentz_group()):
        V = defining_representation(group)
        assert V.T != V
        assert V.T.T == V
        assert (V * V.T).T == V.T * V
        assert not V.is_orthogonal
    V = defining_representation(orthogonal_group(3))
    assert V.T is V
    det = determinant_representation(lie_group("positive", [[[1.0]]]))
    np.testing.assert_allclose(det.T.rho([[2.0]]), [[0.5]])


def test_explicit_matrices_give_the_same_images_on_samples():
    # The traceless symmetric matrices under SO(3), in a basis of a user.
    columns = np.zeros((9, 5))
    for k, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
        columns[[3 * i + j, 3 * j + i], k] = 1.0
    columns[[0, 4], 3] = 1.0, -1.0
    columns[[0, 4, 8], 4] = 1.0, 1.0, -2.0
    inverse = np.linalg.pinv(columns)
    for group in (SO3, orthogonal_group(3)):
        square = defining_representation(group) ** 2
        rep = Representation(
            group,
            [inverse @ square.rho(g) @ columns for g in group.generators],
            "traceless",
            lie_images=[inverse @ square.drho(A) @ columns for A in group.lie_generators],
        )
        for g in group.sample(np.random.default_rng(0), 10):
            np.testing.assert_allclose(rep.rho(g), inverse @ square.rho(g) @ columns, atol=1e-9)
            np.testing.assert_allclose(
                (rep * rep.T).rho(g), np.kron(rep.rho(g), np.linalg.inv(rep.rho(g)).T), atol=1e-8
            )


def spinor():
    return [0.5 * B for B in _su2()]


def _su2():
    i = np.array([[0, -1.0], [1, 0]])
    one, x, z = np.eye(2), np.array([[0, 1.0], [1, 0]]), np.diag([1.0, -1])
    return [np.kron(x, i), np.kron(i, one), np.kron(z, i)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Representation(SO3, (), "none"), "0 images of Lie generators"),
        (lambda: Representation(SO3, (), "mixed", lie_images=[np.eye(2), np.eye(3), np.eye(2)]), "Lie generator 1"),
        (lambda: Representation(SO3, (), "wrong", lie_images=[np.eye(2)] * 3), "brackets and conjugates"),
        (lambda: Representation(SO3, (), "spinor", lie_images=spinor()), "exp|brackets"),
        (
            lambda: Representation(unitary_group(1), (), "half", lie_images=[[[0, -0.5], [0.5, 0]]]),
            "is the identity for Lie generator 0, but not for its image",
        ),
        (
            lambda: Representation(
                rotations_and_reflections_about_axis(), [np.eye(2)], "no flip", lie_images=[[[0, -1], [1, 0]]]
            ),
            "brackets and conjugates",
        ),
        (
            lambda: Representation(
                CONTINUOUS_GROUPS["SO(2) and a quarter turn"], [np.eye(2)], "still", lie_images=[[[0, -1], [1, 0]]]
            ),
            "exponential of the Lie algebra|their images differ",
        ),
        (
            lambda: Representation(orthogonal_group(3), [[[2.0]]], "no sign", lie_images=np.zeros((3, 1, 1))),
            "their images differ",
        ),
        (lambda: defining_representation(SO3) + defining_representation(orthogonal_group(3)), "one group"),
        (lambda: tensor_representation(SO3, -1), "must be at least 0"),
        (lambda: uniform_rep(0, SO3), "at least one channel"),
        (lambda: defining_representation(SO3).restrict(cyclic_group(2)), "acts on 2 coordinates"),
        (lambda: defining_representation(SO3).restrict(orthogonal_group(3)), "'reflection' of O"),
        (lambda: defining_representation(rotations_about_axis()).restrict(SO3), "not in the Lie algebra"),
    ],
)
def test_bad_representations_are_refused(make, message):
    with pytest.raises(RepresentationError, match=message):
        make()


def test_regular_representation_needs_a_finite_group():
    with pytest.raises(GroupError, match="no list of elements"):
        regular_representation(SO3)


@pytest.mark.parametrize(
    ("group", "subgroup"),
    [
        (orthogonal_group(3), SO3),
        (orthogonal_group(3), symmetric_group(3)),
        (SO3, rotations_about_axis("x")),
        (special_linear_group(3), SO3),
        (symmetric_group(3), cyclic_group(3)),
        (dihedral_group(4), dihedral_group(2)),
    ],
    ids=lambda g: g.name,
)
def test_restriction_keeps_the_matrices(group, subgroup):
    V = defining_representation(group)
    rep = 2 * V + V * V.T + sign_representation(group)
    restricted = rep.restrict(subgroup)
    assert restricted.group == subgroup
    for g in subgroup.sample(np.random.default_rng(0), 5):
        np.testing.assert_allclose(restricted.rho(g), rep.rho(g), atol=1e-12)
    if group.name == "S3":
        regular = regular_representation(group).restrict(subgroup)
        assert regular.is_permutation
        assert {np.trace(regular.matrix(i)) for i in range(3)} == {0.0, 6.0}


def test_a_product_of_sums_is_a_sum_of_products():
    V = defining_representation(SO3)
    rep = (2 * V + trivial_representation(SO3)) * (V + V)
    assert len(rep.atoms) == 6
    assert {len(a.factors) for a in rep.atoms} == {1, 2}


@pytest.mark.parametrize(
    ("group", "channels", "numbers"),
    [
        (cyclic_group(2), 256, [48, 24, 12, 6, 2, 1]),
        (SO3, 384, [102, 34, 11, 3]),
        (orthogonal_group(3), 1, [1]),
        (SO3, 5, [5]),
        (SO3, 6, [3, 1]),
    ],
)
def test_uniform_representation_spreads_channels_over_ranks(group, channels, numbers):
    rep = uniform_rep(channels, group)
    assert rep.size == channels
    expected = [n * tensor_representation(group, r) for r, n in enumerate(numbers)]
    assert rep == reduce(add, expected)


@pytest.mark.parametrize("group", (SMALL_GROUPS | CONTINUOUS_GROUPS).values(), ids=SMALL_GROUPS | CONTINUOUS_GROUPS)
@pytest.mark.parametrize("channels", [1, 7, 100])
def test_uniform_representation_has_the_requested_channels(group, channels):
    assert uniform_rep(channels, group).size == channels


def test_uniform_representation_mixes_vectors_and_covectors():
    group = special_linear_group(3)
    names = [atom.name for atom in uniform_rep(384, group).atoms]
    assert {name: names.count(name) for name in names} == {
        "trivial": 102, "V": 17, "V.T": 17, "T(2)": 3, "T(1, 1)": 5, "T(0, 2)": 3, "T(2, 1)": 1, "T(1, 2)": 1,
        "T(3)": 1,
    }  # fmt: skip


def test_gates_follow_the_summands_that_need_one():
    V = defining_representation(SO3)
    rep = trivial_representation(SO3) + 2 * V + V * V
    assert gated(rep) == rep + 3 * trivial_representation(SO3)
    permuted = defining_representation(symmetric_group(4))
    assert gated(permuted + permuted**2) == permuted + permuted**2
    assert gated(sign_representation(cyclic_group(2))).size == 2


def test_a_representation_of_a_factor_is_one_of_the_product():
    left, right = orthogonal_group(2), symmetric_group(3)
    product = left * right
    V, W = defining_representation(left), defining_representation(right) + sign_representation(right)
    both = V.inflate(product) * W.inflate(product, 2)
    for g in product.sample(np.random.default_rng(0), 5):
        np.testing.assert_allclose(both.rho(g), np.kron(V.rho(g[:2, :2]), W.rho(g[2:, 2:])), atol=1e-12)
    V = V.inflate(product) + defining_representation(right).inflate(product, 2)
    assert defining_representation(product) == V
    # Schur: the blocks between the two factors are empty, and S(3) has two maps.
    assert equivariant_basis(V, V).rank == 3
    for start in (1, 4):
        with pytest.raises(RepresentationError, match="first coordinate of the factor"):
            defining_representation(left).inflate(product, start)
    with pytest.raises(RepresentationError, match="as elements of S3"):
        defining_representation(right).inflate(right * left, 1)
