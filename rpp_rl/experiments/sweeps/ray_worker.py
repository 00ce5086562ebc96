"""What a worker of a cluster does for a sweep: it has one run as a child process. Ray makes an actor of it."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rpp_rl.agents.common.checkpoints.archive import FileRecord, checkpoints
from rpp_rl.errors import RunError
from rpp_rl.experiments.run_folder import CHECKPOINTS
from rpp_rl.experiments.sweeps.bringing import PIECE, inside, snapshot

# Seconds for which a folder of a network drive may take to show what another machine has made in it.
_PATIENCE = 10.0
_LOG, _SNAPSHOT = "log", "snapshot"


class Child:
    """One run as a child process, which ends when this process does."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch, self._run = Path(), Path()

    def begin(self, words: Sequence[str], folder: str | None, log: str, environment: Mapping[str, str]) -> str:
        """Begin the run; returns the name of this machine.

        Args:
            words: of `rpp-rl`.
            folder: in which it runs; None for the one that `receive` made.
            log: what it prints is appended to this file, which must be there: so it is told whether storage is shared.
            environment: variables of the process beside those of this one.

        Raises:
            RunError: if the log is not there.
        """
        folder = str(self._scratch) if folder is None else folder
        path = Path(folder) / log
        deadline = time.monotonic() + _PATIENCE
        while not path.is_file():
            if time.monotonic() > deadline:
                raise RunError(
                    f"{platform.node()} does not see {path}; storage is not shared with it: add --ray-bring-back"
                )
            time.sleep(0.2)
        command = [sys.executable, "-m", "rpp_rl.experiments.sweeps.child_process", *words]
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

    def receive(self, run: str) -> None:
        """Make a folder of this machine to run in.

        Args:
            run: the run's folder, relative to that.
        """
        self._scratch = Path(tempfile.mkdtemp(prefix="rpp-rl-"))
        self._run = inside(self._scratch, run)
        (self._scratch / _LOG).touch()

    def write(self, name: str, offset: int, content: bytes) -> None:
        """Add a piece to a file of the run's folder."""
        path = inside(self._run, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab" if offset else "wb") as file:
            file.write(content)

    def newest(self) -> str | None:
        """The name of the run's newest checkpoint; None if there is none."""
        found = checkpoints(self._run / CHECKPOINTS)
        return found[0].name if found else None

    def snapshot(self) -> dict[str, FileRecord]:
        """Keep the run's folder as it is now, for `read`; returns what there is."""
        return snapshot(self._run, self._scratch / _SNAPSHOT)

    def read(self, name: str, offset: int) -> bytes:
        """A piece of a file of the snapshot."""
        return _piece(inside(self._scratch / _SNAPSHOT, name), offset)

    def log(self, offset: int) -> bytes:
        """A piece of what the run has printed."""
        return _piece(self._scratch / _LOG, offset)

    def clean(self) -> None:
        """Remove the folder that `receive` made."""
        shutil.rmtree(self._scratch, ignore_errors=True)


def _piece(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(PIECE)
