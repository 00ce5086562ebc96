"""Run every kind of fault for about 45 minutes, print the table and save it as JSON."""

from __future__ import annotations

import argparse
import errno
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from faults import cost, disk, environments, folders, fuzzing, kills, locks, refusals, soak
from faults.table import Row, as_text
from rpp_rl.experiments.provenance import cpu_name


def stages(scale: float) -> Iterator[tuple[str, Callable[[], Sequence[Row]]]]:
    """Every stage with its section of the table; the documentation shows `scale` 1."""

    def count(n: float) -> int:
        return max(1, round(scale * n))

    yield "kill", lambda: [kills.kills(count(100), per_run=min(10, count(100)))]
    places = range(1, disk.writes_of_a_run(), max(1, round(1 / scale)))
    for code in (errno.ENOSPC, errno.EROFS):
        yield "disk", partial(_alone, disk.full_or_read_only, places, code)
    if disk.can_mount():
        yield "disk", lambda: [disk.really_full(range(20, 420, round(40 / min(1, scale))))]
    yield "environment", lambda: [environments.in_this_process(), environments.changed_symmetry()]
    yield "environment", lambda: [environments.in_workers()]
    yield "lock", lambda: locks.second_process_and_stale_lock(count(5))
    yield "folder", lambda: [folders.moved(count(5)), folders.linked()]
    for part in ("checkpoint", "config"):
        yield "folder", partial(_alone, folders.mutated, part, ("train", "-n", 170, "--resume"), count(400))
    for command in (("evaluate", "-n", 1), ("export",), ("status",)):
        yield "folder", partial(_alone, folders.mutated, "config", command, count(100))
    yield "folder", lambda: [folders.odd_files(), folders.working_folder()]
    yield "environment", lambda: [folders.diverging()]
    yield "YAML", lambda: [folders.odd_yaml()]
    yield "signal", lambda: [folders.interrupted()]
    yield "command line", lambda: [refusals.refusals()]
    names = list(fuzzing.parsers(Path("/nowhere")))
    for name in names:
        yield "fuzzing", partial(_alone, fuzzing.fuzz, name, count(100_000 / len(names)), scale * 600 / len(names))
    yield "soak", lambda: soak.soak(count(200_000))
    yield "cost", lambda: cost.checkpoint_cost(count(1_000_000))


def _alone(function: Callable[..., Row], *arguments: Any) -> list[Row]:
    return [function(*arguments)]


def main() -> int:
    """Run the harness; returns 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file that the table is saved in")
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the trials, for a quick look")
    parser.add_argument("--only", help="run one section of the table, and keep the others from the file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began, rows, minutes = time.monotonic(), [], 0.0
    if arguments.only and arguments.json:
        record = json.loads(arguments.json.read_text(encoding="utf-8"))
        minutes = record["minutes"]
        rows = [Row(**row) for row in record["rows"] if row["section"] != arguments.only]
    for section, stage in stages(arguments.scale):
        if arguments.only in (None, section):
            found = stage()
            print(as_text(found), flush=True)
            rows += found
    minutes += (time.monotonic() - began) / 60
    print(f"{sum(r.tried for r in rows)} trials in {minutes:.0f} minutes")
    if arguments.json:
        machine = {"cpu": cpu_name(), "platform": platform.platform(), "python": platform.python_version()}
        record = {"rows": [asdict(row) for row in rows], "minutes": round(minutes), "machine": machine}
        arguments.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return int(any(row.kept < row.tried for row in rows))


if __name__ == "__main__":
    sys.exit(main())
