"""Read values from the command line: `key:value` pairs as RL Zoo writes them, and lists of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from rpp_rl.errors import RunError
from rpp_rl.strict_yaml import load_yaml

_MOST_NUMBERS = 1000
# YAML 1.1 reads 1e-3, without a point, as text.
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def key_values(pairs: Sequence[str], flag: str) -> dict[str, Any]:
    """Read ``gamma:0.99 policy_kwargs:{net_arch: [64, 64]}``; the values are YAML.

    Args:
        pairs: the pairs.
        flag: the flag that they follow, for messages.

    Raises:
        RunError: if a pair has no colon, or its value is not YAML.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, colon, text = pair.partition(":")
        if not colon or not key.isidentifier():
            raise RunError(f"{flag} takes key:value pairs such as gamma:0.99, got {pair!r}")
        try:
            value = load_yaml(text)
        except yaml.YAMLError as error:
            detail = " ".join(str(error).split())[:300]
            raise RunError(f"{flag}: the value of {key!r} cannot be read: {detail}") from error
        values[key] = float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value
    return values


def number_list(text: str, flag: str) -> tuple[int, ...]:
    """Read ``0-7`` or ``0,2,5-9``: whole numbers and ranges that include their ends, each number once.

    Raises:
        RunError: if it is not such a list, or has a number twice.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.strip().isdecimal() or (dash and not last.strip().isdecimal()):
            raise RunError(f"{flag} takes numbers and ranges such as 0-7 or 0,2,5, got {text!r}")
        start, stop = int(first), int(last if dash else first)
        if not 0 <= stop - start < _MOST_NUMBERS:
            raise RunError(f"{flag}: the range {part!r} must go upwards, by less than {_MOST_NUMBERS}")
        numbers += range(start, stop + 1)
    if len(set(numbers)) < len(numbers):
        raise RunError(f"{flag} {text} has a number twice")
    return tuple(numbers)


def yaml_word(value: Any) -> str:
    """A value as one word of YAML, as `key_values` reads it: ``0.99``, ``{net_arch: [64, 64]}``."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False)
    return text.removesuffix("...\n").strip()
