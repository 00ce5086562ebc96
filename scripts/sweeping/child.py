"""What a worker of a cluster does for a sweep: it has one run as a child process. Ray makes an actor of it."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rpp_rl.errors import RunError

# Seconds for which a folder of a network drive may take to show what another machine has made in it.
_PATIENCE = 10.0


class Child:
    """One run as a child process, which ends when this process does."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, words: Sequence[str], folder: str, log: str, environment: Mapping[str, str]) -> str:
        """Begin the run; returns the name of this machine.

        Args:
            words: of `rpp-rl`.
            folder: in which it runs.
            log: what it prints is appended to this file, which must be there: so it is told whether storage is shared.
            environment: variables of the process beside those of this one.

        Raises:
            RunError: if the log is not there.
        """
        path = Path(folder) / log
        deadline = time.monotonic() + _PATIENCE
        while not path.is_file():
            if time.monotonic() > deadline:
                raise RunError(
                    f"{platform.node()} does not see {path}; storage is not shared with it: add --ray-bring-back"
                )
            time.sleep(0.2)
        command = [sys.executable, "-m", "rpp_rl.scripts.sweeping.lifeline", *words]
        with path.open("ab") as file:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        return platform.node()

    def look(self, patience: float) -> int | None:
        """The exit code of the run, or None if it is still at work after `patience` seconds."""
        if self._process is None:
            return None
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return None

    def ask(self) -> None:
        """Ask the run to write a checkpoint and stop."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
