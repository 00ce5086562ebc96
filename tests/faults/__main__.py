"""The long form: everything, for about an hour; prints the table and keeps it as JSON."""

from __future__ import annotations

import argparse
import errno
import json
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

from faults import disk, environments, fuzzing, kills, locks, refusals, soak
from faults.table import Row, as_text
from rpp_rl.scripts.provenance import cpu_name


def stages(scale: float):
    """Every stage as a function without arguments; `scale` 1 is the promise of the documentation."""
    count = lambda n: max(1, round(scale * n))  # noqa: E731
    every = range(1, disk.writes_of_a_run(), count(1 / scale**2) if scale < 1 else 1)
    yield lambda: [kills.kills(count(100), per_run=min(10, count(100)))]
    for code in (errno.ENOSPC, errno.EROFS):
        yield lambda code=code: [disk.full_or_read_only(every, code)]
    if disk.can_mount():
        yield lambda: [disk.really_full(range(20, 420, round(40 / min(1, scale))))]
    yield lambda: [environments.in_this_process(), environments.changed_symmetry()]
    yield lambda: [environments.in_workers()]
    yield lambda: list(locks.second_process_and_stale_lock(count(5)))
    yield lambda: [refusals.refusals()]
    names = list(fuzzing.parsers(Path("/nowhere")))
    for name in names:
        yield lambda name=name: [fuzzing.fuzz(name, count(100_000 / len(names)), scale * 600 / len(names))]
    yield lambda: soak.soak(count(200_000))


def main() -> int:
    """Run the harness; returns 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file to keep the table in")
    parser.add_argument("--scale", type=float, default=1.0, help="a part of it, for a try")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began, rows = time.monotonic(), []
    for stage in stages(arguments.scale):
        found: list[Row] = stage()
        print(as_text(found), flush=True)
        rows += found
    minutes = (time.monotonic() - began) / 60
    print(f"{sum(r.tried for r in rows)} trials in {minutes:.0f} minutes")
    if arguments.json:
        machine = {"cpu": cpu_name(), "platform": platform.platform(), "python": platform.python_version()}
        record = {"rows": [asdict(row) for row in rows], "minutes": round(minutes), "machine": machine}
        arguments.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return int(any(row.kept < row.tried for row in rows))


if __name__ == "__main__":
    sys.exit(main())
