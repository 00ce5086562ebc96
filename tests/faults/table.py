"""The rows of the table of faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One kind of fault.

    Attributes:
        section: of the table.
        fault: what was done to the run.
        promise: what must hold each time.
        tried: number of trials; 0 for a row that only reports a measurement.
        kept: number of trials in which the promise held.
        note: further figures.
    """

    section: str
    fault: str
    promise: str
    tried: int
    kept: int
    note: str = ""


def as_text(rows: Sequence[Row]) -> str:
    """Format the table for a terminal."""
    lines = []
    for row in rows:
        mark = "" if row.kept == row.tried else "   <-- LOST"
        kept = f"{row.kept:>6} of {row.tried:<6}" if row.tried else f"{'measured':^16}"
        lines.append(f"{row.section:<14} {row.fault:<52} {kept} {row.note}{mark}")
    return "\n".join(lines)
