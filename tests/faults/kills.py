"""Kill runs with SIGKILL at random moments: the resumed run ends as the undisturbed one, bit for bit."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults.runs import RUN, TINY, same_parameters, started
from faults.table import Row
from rpp_rl.agents.common.checkpoints.files import checkpoints
from rpp_rl.experiments.run import Run


def _begin(steps):
    return (
        *("train", "--env", "InvertedPendulum-v5", "-n", steps, "--save-freq", 50, "--eval-freq", 500),
        *("--eval-episodes", 1, "--no-audit", *TINY),
    )


def kills(count: int, per_run: int = 10, steps: int = 2000, workers: int = 2) -> Row:
    """Kill runs `count` times in all, resume each from its newest checkpoint, and compare the final agents."""
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole"
        whole.mkdir()
        process = started(_begin(steps), whole)
        printed, _ = process.communicate(timeout=300)
        if process.returncode:
            raise RuntimeError(printed)
        shares = [per_run] * (count // per_run) + ([count % per_run] if count % per_run else [])
        with ThreadPoolExecutor(workers) as pool:
            outcomes = list(
                pool.map(
                    lambda i: _killed(Path(scratch) / f"run{i}", shares[i], steps, whole / RUN), range(len(shares))
                )
            )
    same = sum(share for share, (equal, _) in zip(shares, outcomes, strict=True) if equal)
    in_training = sum(hit for _, hit in outcomes)
    note = f"{len(shares)} runs; {in_training} of the kills while it trained, the others while it started or ended"
    return Row(
        "kill",
        "SIGKILL at a random moment, then --resume",
        "final parameters are bit for bit those of an undisturbed run",
        count,
        same,
        note,
    )


def _killed(folder: Path, times: int, steps: int, undisturbed: Path) -> tuple[bool, int]:
    folder.mkdir()
    rng, hits = random.Random(folder.name), 0  # noqa: S311
    for _ in range(times):
        process = started(_next(folder, steps), folder)
        # Importing takes seconds in which nothing can be lost; most kills come later.
        if rng.random() < 0.85:
            _await_training(folder, process)
        time.sleep(rng.uniform(0, 1.5))
        hits += process.poll() is None and (folder / RUN / "config.json").exists()
        process.kill()
        process.communicate()
    process = started(_next(folder, steps), folder)
    printed, _ = process.communicate(timeout=300)
    if process.returncode and "has done its" not in printed:
        raise RuntimeError(printed)
    return same_parameters(folder / RUN / "model.zip", undisturbed / "model.zip"), hits


def _next(folder: Path, steps: int):
    if checkpoints(folder / RUN / "checkpoints"):
        return ("train", "--resume", RUN)
    # A run killed before its first checkpoint starts again.
    shutil.rmtree(folder / "runs", ignore_errors=True)
    return _begin(steps)


def _await_training(folder: Path, process) -> None:
    run, deadline = folder / RUN, time.monotonic() + 60
    while process.poll() is None and not (run.is_dir() and Run(run).is_locked()) and time.monotonic() < deadline:
        time.sleep(0.02)
