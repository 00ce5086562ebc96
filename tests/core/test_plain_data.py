import json
from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, scalar_dtypes

from rpp_rl.errors import PlainDataError
from rpp_rl.plain_data import from_plain, object_state, restore_object, to_plain


def through_json(value):
    data, stored = to_plain(value)
    return from_plain(json.loads(json.dumps(data, allow_nan=False)), stored)


def same(one, other):
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other, equal_nan=True)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple | deque):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other or (one != one and other != other)


NUMBERS = scalar_dtypes().filter(lambda dtype: dtype.kind in "biuf" and dtype.itemsize <= 8)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | arrays(NUMBERS, (2, 3))
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.lists(inner).map(deque)
        | st.dictionaries(st.text(), inner)
        | st.dictionaries(st.integers(), inner)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_saved_values_come_back(value):
    assert same(through_json(value), value)


def test_tensors_scalars_and_generators_come_back():
    assert torch.equal(through_json({"a": torch.arange(3.0)})["a"], torch.arange(3.0))
    assert through_json(torch.tensor(2.5)).shape == ()
    scalar = through_json(np.float32(0.1))
    assert type(scalar) is np.float32
    assert scalar == np.float32(0.1)
    for bits in (np.random.PCG64, np.random.MT19937, np.random.Philox):
        generator = np.random.Generator(bits(3))
        generator.standard_normal(7)
        again = through_json(generator)
        np.testing.assert_array_equal(again.standard_normal(5), generator.standard_normal(5))
    assert through_json(deque([1, 2], maxlen=5)).maxlen == 5


class Gait:
    def __init__(self):
        self.phase, self.history = 0.0, deque([1, 2], maxlen=2)


class Robot:
    def __init__(self):
        self.gait, self.steps, self.log, self.lock = Gait(), 0, np.zeros(3), object()


def test_objects_are_restored_in_place():
    one, other = Robot(), Robot()
    one.gait.phase, one.steps, one.log[1] = 0.5, 7, 2.0
    state, unsaved = object_state(one)
    assert unsaved == ["Robot.lock is a object, which cannot be saved as plain data"]
    gait = other.gait
    restore_object(other, through_json(state))
    assert (other.steps, other.gait.phase, other.log[1]) == (7, 0.5, 2.0)
    assert other.gait is gait
    with pytest.raises(PlainDataError, match="state of a Robot into Gait"):
        restore_object(Gait(), state)


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array(["a"]), np.array([None]), 1j, b"bytes"])
def test_values_that_are_not_plain_are_refused_by_their_place(value):
    with pytest.raises(PlainDataError, match=r"value\.robot\[1\]"):
        to_plain({"robot": [0, value]})


def test_a_value_that_contains_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(PlainDataError, match="contains itself"):
        to_plain(value)


@pytest.mark.parametrize(
    "data",
    [
        {"$unknown": 1},
        {"$array": "7"},
        {"$tuple": 3},
        {"$generator": {"bit_generator": "os.system"}},
        {"$items": [[1]]},
        {"$float": "print(1)"},
        {"$deque": []},
    ],
)
def test_foreign_data_is_refused(data):
    with pytest.raises(PlainDataError, match="saved data is damaged"):
        from_plain(data, {})


class Defaulted:
    """A class with a default value, a method and a property."""

    rng = None

    def act(self):
        """Nothing."""

    @property
    def place(self):
        """Nothing."""


class Special(Defaulted):
    """A subclass."""


def test_a_default_value_of_a_class_is_part_of_a_state_and_its_behaviour_is_not():
    for cls in (Defaulted, Special):
        saved, made = Defaulted(), cls()
        saved.rng = np.random.default_rng(0)
        state, _ = object_state(saved)
        restore_object(made, state)
        assert made.rng.random() == np.random.default_rng(0).random()
    for name in ("act", "place", "__class__"):
        with pytest.raises(PlainDataError, match="is not part of a state"):
            restore_object(Defaulted(), {**state, "values": {name: 1}})
