"""What was tried and what was lost, as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One kind of fault.

    Attributes:
        section: of the table.
        fault: what was done to the run.
        promise: what was checked each time.
        tried: how often; 0 where a figure is only measured.
        kept: how often the promise was kept.
        note: figures beside it.
    """

    section: str
    fault: str
    promise: str
    tried: int
    kept: int
    note: str = ""


def as_text(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    lines = []
    for row in rows:
        mark = "" if row.kept == row.tried else "   <-- LOST"
        kept = f"{row.kept:>6} of {row.tried:<6}" if row.tried else f"{'measured':^16}"
        lines.append(f"{row.section:<14} {row.fault:<52} {kept} {row.note}{mark}")
    return "\n".join(lines)
