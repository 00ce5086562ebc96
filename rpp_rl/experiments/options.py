"""Reading `key:value` pairs as RL Zoo writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from rpp_rl.errors import RunError

MOST_NUMBERS = 1000


def key_values(pairs: Sequence[str], flag: str) -> dict[str, Any]:
    """Read ``gamma:0.99 policy_kwargs:{net_arch: [64, 64]}``; values are YAML.

    Raises:
        RunError: if a pair has no colon, or its value is no YAML.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, colon, text = pair.partition(":")
        if not colon or not key.isidentifier():
            raise RunError(f"{flag} takes key:value pairs such as gamma:0.99, got {pair!r}")
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RunError(f"{flag}: the value of {key!r} cannot be read: {' '.join(str(error).split())}") from error
    return values


def number_list(text: str, flag: str) -> tuple[int, ...]:
    """Read ``0-7`` or ``0,2,5-9``: whole numbers and ranges that include their ends, each number once.

    Raises:
        RunError: if it is no such list, or a number is there twice.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.strip().isdecimal() or (dash and not last.strip().isdecimal()):
            raise RunError(f"{flag} takes numbers and ranges such as 0-7 or 0,2,5, got {text!r}")
        start, stop = int(first), int(last if dash else first)
        if not 0 <= stop - start < MOST_NUMBERS:
            raise RunError(f"{flag}: the range {part!r} must go upwards, by less than {MOST_NUMBERS}")
        numbers += range(start, stop + 1)
    if len(set(numbers)) < len(numbers):
        raise RunError(f"{flag} {text} names a number twice; each may be there once")
    return tuple(numbers)


def yaml_word(value: Any) -> str:
    """A value as one word of YAML, as `key_values` reads it: ``0.99``, ``{net_arch: [64, 64]}``."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False)
    return text.removesuffix("...\n").strip()
