import copy
import pickle

import numpy as np
import pytest
from helpers.algebra import CONTINUOUS_GROUPS, rotation
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from rpp_rl import (
    Group,
    cyclic_group,
    dihedral_group,
    lie_group,
    lorentz_group,
    orthogonal_group,
    rotations_about_axis,
    special_linear_group,
    special_orthogonal_group,
    symmetric_group,
    symplectic_group,
    unitary_group,
)
from rpp_rl.errors import GroupError

every_group = pytest.mark.parametrize("group", CONTINUOUS_GROUPS.values(), ids=CONTINUOUS_GROUPS)
MINKOWSKI = np.diag([1.0, -1, -1, -1])
J = np.block([[np.zeros((2, 2)), np.eye(2)], [-np.eye(2), np.zeros((2, 2))]])


@pytest.mark.parametrize(
    ("group", "dimension"),
    [
        (special_orthogonal_group(2), 1),
        (special_orthogonal_group(5), 10),
        (orthogonal_group(3), 3),
        (special_linear_group(3), 8),
        (lorentz_group(), 6),
        (symplectic_group(2), 10),
        (unitary_group(1), 1),
        (unitary_group(3), 9),
        (special_orthogonal_group(3) * special_linear_group(2), 6),
        (CONTINUOUS_GROUPS["Heisenberg"], 3),
        (lie_group("from two", special_orthogonal_group(3).lie_generators[:2]), 3),
        (rotations_about_axis("x"), 1),
    ],
)
def test_the_lie_algebra_has_its_known_dimension(group, dimension):
    assert len(group.algebra) == dimension


LAWS = {
    "SO(3)": (special_orthogonal_group(3), lambda g: (g @ g.T - np.eye(3), np.linalg.det(g) - 1)),
    "O(3)": (orthogonal_group(3), lambda g: (g @ g.T - np.eye(3),)),
    "SL(3)": (special_linear_group(3), lambda g: (np.linalg.det(g) - 1,)),
    "SO+(1,3)": (
        lorentz_group(),
        lambda g: (g.T @ MINKOWSKI @ g - MINKOWSKI, np.linalg.det(g) - 1, min(g[0, 0], 0)),
    ),
    "O(1,3)": (lorentz_group(kind="full"), lambda g: (g.T @ MINKOWSKI @ g - MINKOWSKI,)),
    "Sp(2)": (symplectic_group(2), lambda g: (g.T @ J @ g - J,)),
    "U(2)": (unitary_group(2), lambda g: (g @ g.T - np.eye(4), g @ J - J @ g)),
    "about y": (rotations_about_axis("y"), lambda g: (g @ g.T - np.eye(3), g[1] - [0, 1, 0], np.linalg.det(g) - 1)),
}


@pytest.mark.parametrize(("group", "law"), LAWS.values(), ids=LAWS)
def test_samples_and_exponentials_obey_the_law_of_the_group(group, law):
    rng = np.random.default_rng(0)
    exponentials = [expm(A) for A in group.lie_generators]
    for g in (*group.sample(rng, 20), *exponentials, *group.generators):
        for value in law(g):
            np.testing.assert_allclose(value, 0, atol=1e-9)


@every_group
def test_samples_are_elements_and_depend_on_the_generator_alone(group):
    samples = group.sample(np.random.default_rng(3), 5)
    assert samples.shape == (5, group.dimension, group.dimension)
    np.testing.assert_array_equal(samples, group.sample(np.random.default_rng(3), 5))
    assert group.sample(np.random.default_rng(3), 0).shape == (0, group.dimension, group.dimension)
    for g in samples:
        assert g in group
        assert g + 0.01 * np.ones_like(g) not in group


# E[g] projects on the fixed vectors, E[g * g] on the invariant tensors: Haar measure is the only one with both.
COMPACT = {name: g for name, g in CONTINUOUS_GROUPS.items() if g.is_orthogonal} | {
    "walk on SO(3)": lie_group("SO(3)", special_orthogonal_group(3).lie_generators),
    "walk on O(2)": lie_group("O(2)", [[[0, -1], [1, 0]]], [[[1, 0], [0, -1]]]),
    "S4": symmetric_group(4),
    "D5": dihedral_group(5),
    "C3 x C2": cyclic_group(3) * cyclic_group(2),
}


@pytest.mark.parametrize("group", COMPACT.values(), ids=COMPACT)
def test_haar_means_are_projectors_on_the_invariants(group):
    count = 3000
    samples = group.sample(np.random.default_rng(0), count)
    squares = np.einsum("nij,nkl->nikjl", samples, samples).reshape(count, group.dimension**2, -1)
    for matrices in (samples, squares):
        constraints = [np.kron(g, g) if matrices is squares else g for g in group.generators]
        one = np.eye(group.dimension)
        constraints = [C - np.eye(len(C)) for C in constraints]
        for A in group.lie_generators:
            A = A / np.linalg.norm(A)
            constraints.append(np.kron(A, one) + np.kron(one, A) if matrices is squares else A)
        _, singular, vectors = np.linalg.svd(np.concatenate(constraints))
        null = vectors[np.sum(singular > 1e-8) :]
        # Entries have a standard deviation of at most 1 / sqrt(count); 4.5 of them for all entries together.
        np.testing.assert_allclose(matrices.mean(axis=0), null.T @ null, atol=4.5 / np.sqrt(count))


def test_rotations_have_haar_angles():
    # On SO(3) the angle has the density (1 - cos t) / pi; a uniform angle about a uniform axis has another density.
    traces = np.trace(special_orthogonal_group(3).sample(np.random.default_rng(1), 4000), axis1=1, axis2=2)
    angles = np.sort(np.arccos(np.clip((traces - 1) / 2, -1, 1)))
    distribution = (angles - np.sin(angles)) / np.pi
    assert np.abs(distribution - np.arange(1, 4001) / 4000).max() < 1.63 / np.sqrt(4000)


@given(st.sampled_from(sorted(CONTINUOUS_GROUPS)), st.integers(0, 100))
def test_exponents_rebuild_the_element(name, seed):
    group = CONTINUOUS_GROUPS[name]
    rng = np.random.default_rng(seed)
    (g,) = group.sample(rng, 1)
    word, logs = group.exponents(g)
    rebuilt = np.eye(group.dimension)
    for k in word:
        rebuilt = rebuilt @ group.generators[k]
    for A in logs:
        rebuilt = rebuilt @ expm(A)
    np.testing.assert_allclose(rebuilt, g, atol=1e-8)


def test_products_act_on_both_spaces():
    group = orthogonal_group(2) * cyclic_group(2)
    assert (group.dimension, len(group.generators), len(group.lie_generators)) == (4, 2, 1)
    (g,) = group.sample(np.random.default_rng(0), 1)
    np.testing.assert_array_equal(g[:2, 2:], 0)
    np.testing.assert_allclose(g @ g.T, np.eye(4), atol=1e-12)


def test_equality_is_by_content():
    assert lie_group("mine", special_orthogonal_group(3).lie_generators) == special_orthogonal_group(3)
    assert hash(lie_group("mine", special_orthogonal_group(3).lie_generators)) == hash(special_orthogonal_group(3))
    assert special_orthogonal_group(3) != orthogonal_group(3)
    assert special_orthogonal_group(3) != Group("still", (), 3)


def test_groups_can_be_copied_and_pickled():
    for group in CONTINUOUS_GROUPS.values():
        for other in (copy.deepcopy(group), pickle.loads(pickle.dumps(group))):
            assert other == group
            np.testing.assert_array_equal(
                other.sample(np.random.default_rng(0), 1), group.sample(np.random.default_rng(0), 1)
            )


def test_a_large_permutation_group_needs_no_list_of_elements():
    (g,) = symmetric_group(30).sample(np.random.default_rng(0), 1)
    np.testing.assert_array_equal(np.sort(g.argmax(axis=0)), np.arange(30))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: special_orthogonal_group(3).order, "continuous and has no list of elements"),
        (lambda: special_orthogonal_group(3).words, r"sample\(rng, count\)"),
        (lambda: special_orthogonal_group(0), "at least 1"),
        (lambda: special_linear_group(1), "at least 2"),
        (lambda: lorentz_group(kind="improper"), "got 'improper'"),
        (lambda: rotations_about_axis("w"), "got 'w'"),
        (lambda: lie_group("none", []), "use matrix_group"),
        (lambda: lie_group("zero", [np.zeros((2, 2))]), "Lie generator 0 of zero"),
        (lambda: lie_group("nan", [[[np.nan]]]), "finite numbers"),
        (lambda: lie_group("flat", [np.ones((2, 3))]), "2 x 2"),
        (lambda: lie_group("mixed", [np.ones((2, 2)), np.ones((3, 3))]), "Lie generator 1"),
        (lambda: np.eye(8) in symmetric_group(8), "more than 10000 elements"),
        (lambda: dihedral_group(3).index(rotation(0.1)), "not an element of D3"),
        (lambda: special_orthogonal_group(3).exponents(np.diag([1.0, 1, -1])), "not an element"),
    ],
)
def test_bad_groups_are_refused(make, message):
    with pytest.raises(GroupError, match=message):
        make()
