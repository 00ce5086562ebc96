"""Start, call and resume runs, and check how they ended."""

from __future__ import annotations

import contextlib
import io
import os
import time
from pathlib import Path

import torch
from helpers.processes import start

from rpp_rl.agents import RPPSAC
from rpp_rl.agents.common.checkpoints.files import checkpoints, read_checkpoint
from rpp_rl.errors import RunError

TINY = ("-params", "learning_starts:30", "batch_size:16", "buffer_size:200", "policy_kwargs:{net_arch: [16]}")
RUN = Path("runs/InvertedPendulum-v5/rpp_sac/seed0")


def started(arguments, cwd):
    """Start `rpp-rl` as a process in a session of its own, by which processes left behind are found."""
    return start(arguments, cwd, start_new_session=True)


def left_behind(process) -> bool:
    """Whether processes of a command still run five seconds after it ended."""
    for _ in range(50):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    return True


def called(arguments, cwd):
    """Call the command line in this process; return its exit code and its output."""
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
    """Whether a command succeeded, or failed without a traceback."""
    return code in (0, 2) and "Traceback" not in printed


def same_parameters(one: Path, other: Path) -> bool:
    """Whether two model files hold the same networks, bit for bit."""
    states = [RPPSAC.load(path, device="cpu").policy.state_dict() for path in (one, other)]
    return all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def whole_checkpoints(run: Path) -> bool:
    """Whether every checkpoint in a run's folder can be read."""
    try:
        for folder in checkpoints(run / "checkpoints"):
            read_checkpoint(folder)
    except RunError:
        return False
    return True


def finish_run(run: Path, begin, cwd) -> None:
    """Resume a run to its end, or start it again if it left no checkpoint."""
    has_checkpoint = bool(checkpoints(cwd / run / "checkpoints"))
    code, printed = called(["train", "--resume", run] if has_checkpoint else begin, cwd)
    if code != 0:
        raise RuntimeError(f"the run cannot be finished: {printed}")
