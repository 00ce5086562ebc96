"""Let two processes train in one run folder; resume after the process that held the lock was killed."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from faults.runs import RUN, TINY, called, started
from faults.table import Row

BEGIN = (
    *("train", "--env", "InvertedPendulum-v5", "-n", 100_000, "--save-freq", 50, "--eval-freq", 50_000),
    *("--eval-episodes", 1, "--no-audit", *TINY),
)


def second_process_and_stale_lock(times: int) -> tuple[Row, Row]:
    """Resume a run that another process trains; kill that process, and resume again."""
    refused = free = 0
    for _ in range(times):
        with tempfile.TemporaryDirectory() as scratch:
            first = started(BEGIN, scratch)
            deadline = time.monotonic() + 60
            while not list((Path(scratch) / RUN).glob("checkpoints/step_*")) and time.monotonic() < deadline:
                time.sleep(0.05)
            code, printed = called(("train", "--resume", RUN, "-n", 100_000), scratch)
            refused += code == 2 and "another process is training" in printed and first.poll() is None
            first.kill()
            first.communicate()
            newest = max(int(p.name[5:]) for p in (Path(scratch) / RUN).glob("checkpoints/step_*"))
            code, printed = called(("train", "--resume", RUN, "-n", newest + 100), scratch)
            free += code == 0
    return (
        Row(
            "lock",
            "a second process on one run folder",
            "refused in one sentence, the first undisturbed",
            times,
            refused,
        ),
        Row("lock", "the lock of a process that was killed", "not in the way", times, free),
    )
