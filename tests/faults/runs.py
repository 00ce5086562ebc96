"""Runs to do harm to, in processes of their own or in this one, and whether they came out as they should."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import torch

from rpp_rl.agents import RPPSAC
from rpp_rl.agents.common.checkpoints.archive import checkpoints, read_checkpoint
from rpp_rl.errors import RunError

TESTS = Path(__file__).parents[1]
TINY = ("-params", "learning_starts:30", "batch_size:16", "buffer_size:200", "policy_kwargs:{net_arch: [16]}")
RUN = Path("runs/InvertedPendulum-v5/rpp_sac/seed0")


def started(arguments, cwd, prefix=()):
    """The command line as a process that writes its output unbuffered."""
    command = [*prefix, sys.executable, "-u", "-m", "rpp_rl.scripts.main", *map(str, arguments)]
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    # A session of its own, so that what it leaves behind can be found.
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def left_behind(process) -> bool:
    """Whether processes that a command has started are still there, some seconds after it has ended."""
    for _ in range(50):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    return True


def called(arguments, cwd):
    """The command line in this process; returns its exit code and all that it printed."""
    from rpp_rl.scripts.main import main

    printed = io.StringIO()
    before = Path.cwd()
    os.chdir(cwd)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                code = main([str(a) for a in arguments])
            except SystemExit as stop:
                code = stop.code
    finally:
        os.chdir(before)
    return code, printed.getvalue()


def in_one_sentence(code, printed):
    """Whether a command ended as a user should see it: done, or refused in a sentence; never a traceback."""
    return code in (0, 2) and "Traceback" not in printed


def same_parameters(one: Path, other: Path) -> bool:
    """Whether two model files hold the same networks, to the last bit."""
    states = [RPPSAC.load(path, device="cpu").policy.state_dict() for path in (one, other)]
    return all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def whole_checkpoints(run: Path) -> bool:
    """Whether every checkpoint that a run's folder has is whole."""
    try:
        for folder in checkpoints(run / "checkpoints"):
            read_checkpoint(folder)
    except RunError:
        return False
    return True


def brought_to_an_end(run: Path, begin, cwd) -> None:
    """Resume a run until it is over; begin it anew if it left no checkpoint."""
    has_checkpoint = bool(checkpoints(cwd / run / "checkpoints"))
    code, printed = called(["train", "--resume", run] if has_checkpoint else begin, cwd)
    if code != 0:
        raise RuntimeError(f"the run cannot be brought to an end: {printed}")
