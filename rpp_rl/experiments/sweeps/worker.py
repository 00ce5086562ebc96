"""The process of one run of a sweep: it reads its work as a line of JSON from standard input."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any

from rpp_rl.envs.ids import import_module_of
from rpp_rl.exit_codes import exit_code
from rpp_rl.experiments.config import RunConfig
from rpp_rl.experiments.training import resume, train

# With -m, Python warns that the package has imported this module already.
COMMAND = (
    sys.executable,
    "-P",
    "-c",
    "import sys; from rpp_rl.experiments.sweeps.worker import main; sys.exit(main())",
)
# Set where the run must end when standard input is closed.
LIFELINE = "RPP_RL_LIFELINE"


def main() -> int:
    """Do the work that standard input describes; returns the exit code."""
    line = bytearray()
    # Unbuffered: a lifeline reads on.
    while not line.endswith(b"\n"):
        piece = os.read(0, 1 << 16)
        if not piece:
            break
        line += piece
    if os.environ.get(LIFELINE):
        threading.Thread(target=_end_with_parent, name="lifeline", daemon=True).start()
    return exit_code(lambda: do(json.loads(line)))


def do(work: dict[str, Any]) -> None:
    """Start or resume a run, as `Job.work` says.

    Raises:
        RPPError: as `train` and `resume`.
    """
    if "resume" in work:
        resume([work["resume"]], n_timesteps=work["n_timesteps"], trust=work["trust"])
    else:
        import_module_of(work["train"]["env"])  # it may register the algorithm
        train(RunConfig.from_dict(work["train"]))


def _end_with_parent() -> None:
    """End this process and its group when standard input is closed, which happens when its parent ends in any way."""
    while os.read(0, 1):
        pass
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # with the processes of its environments
    os._exit(1)
