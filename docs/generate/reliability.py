"""Writes docs/reliability.md from the record of `make faults`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

HEAD = """# What may happen to a run

Written by `docs/reliability.py` from `docs/results/faults.json`; never edit it by hand. `make faults` makes the
record anew: it does all of this harm to real runs, in real processes, and counts what was lost.

## The promises

- **A run can be killed at any moment and goes on as if nothing had happened.** `rpp-rl train --resume RUN` starts at
  the newest whole checkpoint; on a CPU, with the same versions, everything that comes out is what the undisturbed run
  gives, to the last bit. The steps since that checkpoint are taken again.
- **A checkpoint is there as a whole or not at all.** It is written aside, synced, renamed, and checked against its
  checksums when it is read; a damaged one is passed over, and the one before is taken.
- **A disk that is full or read-only costs checkpoints, not the run.** A checkpoint that cannot be written is said and
  left out. Where TensorBoard's events, the monitor or the evaluations cannot be written, the run stops in one
  sentence. Checkpoints that were there stay good.
- **An environment that fails stops the run in one sentence**, which says what it did and where, and the agent as of
  that step is saved: exceptions, NaN, infinities, observations or rewards of another shape or type, workers that die
  or have not answered for `--env-timeout` seconds. Nothing of such a step is learnt.
- **One process to a run folder.** A second one is refused; the lock of a process that died is gone with it.
- **Files from strangers run nothing.** Models, policies, statistics, transitions, checkpoints and run folders are
  JSON and arrays. Files of stable-baselines3 are read without unpickling; `trust=True` (`--trust`) unpickles them,
  and allows a run folder to name modules that are then imported. Archives are never unpacked to disk, and what would
  expand beyond proportion is refused before it is read (`tests/agents/saving/test_hostile.py`).
- **What is refused is refused in one sentence**, with exit code 2, and nothing is written.

## What is not promised

- A GPU, another machine, another version of a library: runs go on there, and `--resume` says that they are not the
  same to the last bit.
- An environment with state that is neither MuJoCo's nor plain data, or that draws from generators that nobody can
  see: the checkpoint names what it could not save, and `--resume` repeats it.
- Windows has no locks of this kind; there two processes are not kept apart.
- The model files that `--algo sac` and stable-baselines3's `CheckpointCallback` leave beside the checkpoints have
  stable-baselines3's own form, pickles included; this library does not unpickle them.
- A disk that says that it has written what it has not.
"""


def table(rows: list[dict]) -> str:
    """The table of the record."""
    lines = ["| | what was done | what was checked each time | kept | |", "|---|---|---|---|---|"]
    section = ""
    for row in rows:
        shown = row["section"] if row["section"] != section else ""
        section = row["section"]
        kept = f"{row['kept']} of {row['tried']}" if row["tried"] else "measured"
        lines.append(f"| {shown} | {row['fault']} | {row['promise']} | {kept} | {row['note']} |")
    return "\n".join(lines)


def main(source: Path, target: Path) -> None:
    """Write the page."""
    record = json.loads(source.read_text(encoding="utf-8"))
    machine = record["machine"]
    foot = (
        f"`make faults`, {record['minutes']} minutes on {machine['cpu']}, Python {machine['python']}, "
        f"{machine['platform']}.\n\n"
    )
    target.write_text(f"{HEAD}\n## The figures\n\n{foot}{table(record['rows'])}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
