"""Whole numbers on the command line, which may be written as 1e6."""

from __future__ import annotations

from typing import Annotated

from tyro.constructors import PrimitiveConstructorSpec


def whole_number(text: str) -> int:
    """Read ``1000000`` or ``1e6``.

    Raises:
        ValueError: if it is another kind of number, or none.
    """
    number = float(text)
    if not number.is_integer():
        raise ValueError(f"{text} must be a whole number")
    # Not through a float, which rounds large numbers.
    return int(text) if text.lstrip("+-").isdecimal() else int(number)


Steps = Annotated[
    int | None,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="STEPS",
        instance_from_str=lambda words: whole_number(words[0]),
        is_instance=lambda value: value is None or isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    ),
]
"""A number of environment steps; None where it is left out."""
