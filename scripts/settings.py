"""Reading `key:value` pairs as RL Zoo writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from rpp_rl.errors import RunError


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
