"""YAML of anybody is read in bounded time, or refused by one kind of error."""

from contextlib import suppress

import pytest
import yaml
from helpers.odd_yaml import REFUSED
from hypothesis import given
from hypothesis import strategies as st

from rpp_rl.strict_yaml import load_yaml


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_documents_that_are_refused(text):
    with pytest.raises(yaml.YAMLError):
        load_yaml(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("{a: [1, 2.5, true, null, text]}", {"a": [1, 2.5, True, None, "text"]}),
        ("2024-13-45", "2024-13-45"),
        ("base: &b {x: 1}\nother: {<<: *b, y: 2}", {"base": {"x": 1}, "other": {"x": 1, "y": 2}}),
    ],
)
def test_documents_that_are_read(text, value):
    assert load_yaml(text) == value


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(values)
def test_plain_values_come_back(value):
    assert load_yaml(yaml.safe_dump(value)) == value


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    with suppress(yaml.YAMLError):
        load_yaml(text)
