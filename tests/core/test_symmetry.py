import json
import pickle

import numpy as np
import pytest
import torch
from helpers.algebra import groups, representations
from hypothesis import given
from hypothesis import strategies as st

from rpp_rl import (
    RPPError,
    SignedPermutation,
    Symmetry,
    cyclic_group,
    defining_representation,
    dihedral_group,
    special_orthogonal_group,
    trivial_group,
)
from rpp_rl.errors import SymmetryError

C2 = cyclic_group(2, "mirror")


def legs(**details):
    observation = SignedPermutation((0, 2, 1, 3), (1, 1, 1, -1))
    action = SignedPermutation((1, 0), (1, 1))
    return Symmetry.from_generators("legs", C2, [observation], [action], **details)


@given(st.data(), groups)
def test_a_symmetry_survives_json(data, group):
    observation, action = data.draw(representations(group)), data.draw(representations(group))
    center = tuple(data.draw(st.lists(st.floats(-5, 5), min_size=observation.size, max_size=observation.size)))
    symmetry = Symmetry("drawn", observation, action, center=center, breaks="nothing", source="hypothesis")
    again = Symmetry.from_json(symmetry.to_json())
    assert again == symmetry
    assert hash(again) == hash(symmetry)
    assert again.to_json() == symmetry.to_json()
    assert pickle.loads(pickle.dumps(symmetry)) == symmetry


def test_values_are_immutable():
    with pytest.raises(AttributeError):
        legs().name = "arms"


@given(st.lists(st.floats(-5, 5), min_size=4, max_size=4), st.lists(st.floats(-5, 5), min_size=4, max_size=4))
def test_the_action_about_a_center_is_an_action(center, x):
    symmetry, x = legs(center=tuple(center)), np.array(x)
    once = symmetry.transform_observation(1, x)
    np.testing.assert_allclose(symmetry.transform_observation(1, once), x, atol=1e-12)
    np.testing.assert_allclose(symmetry.transform_observation(1, np.array(center)), center, atol=1e-12)
    moved = symmetry.transform_observation(1, torch.from_numpy(x))
    np.testing.assert_allclose(moved.numpy(), once, atol=1e-12)


def test_trivial_symmetry_does_nothing():
    symmetry = Symmetry.trivial(5, 2)
    assert symmetry.group == trivial_group()
    assert Symmetry.from_json(symmetry.to_json()) == symmetry
    np.testing.assert_array_equal(symmetry.transform_observation(0, np.arange(5.0)), np.arange(5.0))


def test_action_bounds_must_be_preserved():
    symmetry = legs()
    symmetry.check_action_bounds(np.array([-1, -1]), np.array([2, 2]), "here")
    with pytest.raises(SymmetryError, match=r"'mirror' maps the action bounds of here at entry 'act\[0\]'"):
        symmetry.check_action_bounds(np.array([-1, -2]), np.array([1, 2]), "here")
    symmetry.check_action_bounds(np.full(2, -np.inf), np.full(2, np.inf), "here")
    symmetry.check_action_bounds(np.zeros(2), np.full(2, np.inf), "here")
    flip = Symmetry.from_generators("flip", C2, [np.eye(1)], [SignedPermutation((0,), (-1,))])
    with pytest.raises(SymmetryError, match=r"from \[0, 1\] to \[-1, 0\]"):
        flip.check_action_bounds(np.zeros(1), np.ones(1), "here")


def test_sizes_must_fit():
    with pytest.raises(SymmetryError, match=r"observation of 4 entries, but that of Toy-v0 has 5"):
        legs().check_sizes(5, 2, "Toy-v0")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Symmetry.from_generators(
                "turned", C2, [SignedPermutation((1, 2, 0), (1, 1, 1))], [np.eye(1)], observation_names=("x", "y", "z")
            ),
            r"'turned': the observation map.*'mirror' is wrong at entry 0 \(x\)",
        ),
        (lambda: Symmetry.from_generators("s", C2, [np.diag([2.0, 0.5])], [np.eye(1)]), "observation map"),
        (lambda: Symmetry.from_generators("s", C2, [[[1, 1], [0, -1]]], [np.eye(1)]), "not orthogonal"),
        (lambda: legs(action_names=("one",)), "1 action_names given for 2 entries"),
        (lambda: legs(center=(1.0,)), "center has 1 entries"),
        (lambda: legs(center=(float("nan"), 0.0, 0.0, 0.0)), "is not finite"),
        (lambda: Symmetry("s", legs().observation, Symmetry.trivial(1, 2).action), "one group"),
        (lambda: Symmetry.from_json("{"), "is not JSON"),
        (lambda: Symmetry.from_json("[1]"), "JSON object"),
        (lambda: Symmetry.from_json("{}"), "form that Symmetry.to_dict writes"),
        (
            lambda: Symmetry.from_dict({**legs().to_dict(), "generators": [{"obs_perm": "abc"}]}),
            "form that Symmetry.to_dict writes",
        ),
    ],
)
def test_bad_declarations_are_refused(make, message):
    with pytest.raises(SymmetryError, match=message):
        make()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@given(st.sampled_from(sorted(legs().to_dict())), JSON)
def test_damaged_json_is_refused_or_read(key, value):
    data = {**legs().to_dict(), key: value}
    try:
        symmetry = Symmetry.from_json(json.dumps(data))
    except RPPError:
        return
    assert isinstance(symmetry, Symmetry)


def test_a_dihedral_symmetry_is_given_by_matrices():
    group = dihedral_group(3)
    symmetry = Symmetry.from_generators("planar", group, group.generators, group.generators)
    assert Symmetry.from_json(symmetry.to_json()) == symmetry


def test_a_continuous_symmetry_of_a_task_is_refused():
    V = defining_representation(special_orthogonal_group(3))
    with pytest.raises(SymmetryError, match=r"SO\(3\) is continuous.* declare a finite subgroup"):
        Symmetry("turned", V, V)
