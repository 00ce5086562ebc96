"""Write docs/reliability.md from the record of `make faults`.

python docs/generate/reliability.py docs/results/faults.json docs/reliability.md
"""

import json
import sys
from pathlib import Path

from rpp_rl.experiments.markdown import markdown_table

TEXT = """# Reliability of runs

`make faults` injects faults into real runs in real processes, counts what was lost, and writes this page from the
record in `docs/results/faults.json`. Do not edit the page by hand.

## Guarantees

- **A run survives a kill at any moment.** `rpp-rl train --resume RUN` starts at the newest complete checkpoint and
  repeats the steps since then. On a CPU, with the same versions, every result equals that of an undisturbed run, bit
  for bit.
- **A run is its folder.** Copy, move, rename or archive it, mount it elsewhere, resume it from anywhere: `--resume`
  reads and changes nothing outside of it, and the original of a copy stays as it is, also where both share files by
  hard links. The symmetry file and the agent that the run was started from may be gone. TensorBoard's events go into
  the folder, unless `-tb` is given again. Only the module of `--env module:Env`, and files that `--env-kwargs`
  names, must still be where they were.
- **A run folder may come from another person.** No path in a checkpoint or configuration is followed, a link or pipe in
  the folder is refused, and values have kinds and bounds. Whatever is wrong is one sentence that names the file and the
  part. `status` and `compare` show damaged folders beside good ones, in bounded time and memory.
- **A checkpoint is complete or absent.** It is written under another name, synced, renamed, and verified against its
  checksums when it is read. A damaged checkpoint is skipped in favor of the one before.
- **A full or read-only disk costs checkpoints, not the run.** The run reports a checkpoint that it cannot write, and
  continues. If it cannot write TensorBoard's events, the monitor or the evaluations, it stops with a one-line error.
  Existing checkpoints stay valid.
- **An environment that fails stops the run with a one-line error** that names the fault and the step; the agent as of
  that step is saved. This covers exceptions, NaN, infinities, observations or rewards of another shape or type, and
  workers that die or do not answer for `--env-timeout` seconds. The agent learns nothing from such a step.
- **An agent that diverges is not blamed on its environment.** Actions are looked at in every step, parameters and
  optimisers every 1000 steps. The last finite agent is saved, and an agent that is not finite is never written.
- **A closed terminal stops a run as SIGTERM does**: after a checkpoint. An evaluation ends at most ten seconds later.
- **One process per run folder.** A second process is refused. The lock of a dead process is released.
- **Loading a file runs no code.** Models, policies, statistics, transitions, checkpoints and run folders are JSON and
  arrays. Files of stable-baselines3 are read without unpickling; `trust=True` (`--trust`) unpickles them, and lets a
  run folder name modules to import. Archives are never unpacked to disk, and an archive that would expand beyond
  proportion is refused before it is read (`tests/agents/saving/test_hostile.py`).
- **Nothing of the working folder runs** unless the command line names it, even files named after optional dependencies
  of our dependencies. Files name classes only from an allow list.
- **A load that fails changes nothing**: parameters, optimiser states and transitions are checked first.
- **Bad input is refused with a one-line error** and exit code 2, and nothing is written.

## Limits

- On a GPU, another machine or another version of a library, runs continue, but not bit for bit; `--resume` says so.
- The state of an environment may be neither MuJoCo's nor plain data, or come from hidden random generators. The
  checkpoint names what it could not save, and `--resume` repeats it.
- Between the check for links and the write another process of the same user could put a link in place.
- `python -m rpp_rl.scripts.main` removes the working folder from the import path as soon as this package is imported;
  what Python imports before that, and what PYTHONPATH or another person's Python holds, is not covered.
- A module of yours in the working folder is importable while it is imported and while its environment is made. What it
  imports later must be installed, or be part of its package.
- Windows lacks the file locks used here, so two processes can write into one run folder.
- `--algo sac` and stable-baselines3's `CheckpointCallback` leave model files in stable-baselines3's own form, pickles
  included. This library does not unpickle them.
- A disk that reports a write without having done it can lose a checkpoint.

## Record

`make faults`, {minutes} minutes on {cpu}, Python {python}, {platform}. `make faults ARGS='--only SECTION'` runs one
section again; the record keeps the newest run of each.

{table}
"""
HEADER = ("", "fault", "checked each time", "kept", "")


def table(rows: list[dict]) -> str:
    """Format the record; the first row of a section names it."""
    cells = []
    section = ""
    for row in rows:
        kept = f"{row['kept']} of {row['tried']}" if row["tried"] else "measured"
        shown = row["section"] if row["section"] != section else ""
        section = row["section"]
        cells.append((shown, row["fault"], row["promise"], kept, row["note"]))
    return markdown_table(HEADER, cells)


def main(record: Path, page: Path) -> None:
    """Write the page."""
    found = json.loads(record.read_text(encoding="utf-8"))
    machine = found["machine"]
    values = {key: machine[key] for key in ("cpu", "python", "platform")}
    page.write_text(TEXT.format(minutes=found["minutes"], table=table(found["rows"]), **values), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
