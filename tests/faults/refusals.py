"""Try every documented refusal of the command line: exit code 2, one sentence, nothing written."""

from __future__ import annotations

import tempfile
from pathlib import Path

from helpers.refusals import OTHERS, TRAIN, trained_with

from faults.runs import called
from faults.table import Row


def refusals() -> Row:
    """Run each command that must be refused."""
    cases = [(trained_with(arguments), words) for arguments, words in TRAIN] + OTHERS
    kept = 0
    for arguments, words in cases:
        with tempfile.TemporaryDirectory() as scratch:
            code, printed = called(arguments, scratch)
            said = " ".join(printed.split())
            good = code == 2 and words in said and "Traceback" not in said and not list(Path(scratch).iterdir())
        kept += good
        if not good:
            print(f"{arguments}: exit code {code}: {printed}")
    return Row("command line", "what is refused", "exit code 2, one sentence, nothing written", len(cases), kept)
