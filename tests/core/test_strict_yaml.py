"""YAML of anybody is read in bounded time, or refused by one kind of error."""

from contextlib import suppress

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rpp_rl.strict_yaml import load_yaml

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
REFUSED = {
    "invalid number": "!!int foo",
    "invalid float": "!!float foo",
    "invalid boolean": "!!bool maybe",
    "many digits": "9" * 5000,
    "deep": "[" * 3000,
    "deep and closed": "[" * 1500 + "]" * 1500,
    "contains itself": "&a [*a]",
    "mapping that contains itself": "&a {x: *a}",
    "billion laughs": LAUGHS,
    "set": "!!set {a, b}",
    "pairs": "!!pairs [a: 1]",
    "binary": "!!binary '='",
    "date": "!!timestamp 2024-01-01",
    "object": "!!python/object/apply:os.system [ls]",
    "merge of a list": "{<<: [1]}",
    "list as a key": "{[a]: b}",
    "key twice": "{a: 1, a: 2}",
    "long text": "x" * 20_000,
    "many entries": "[" + "1," * 20_000 + "]",
    "control character": "\x00",
}


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
