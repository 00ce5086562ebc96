"""Time SBX's SAC in a process with a Python of its own."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from rpp_rl.errors import RunError

# Seconds for one answer: to import JAX and compile on a slow machine, or to take a hundred steps.
_PATIENCE = 180.0
_EXIT_SECONDS = 5.0


class Sbx:
    """SBX's SAC, in a process with a Python of its own.

    Args:
        python: a Python with sbx-rl.
        wanted: environment, batch size, width and steps of warm-up.
        device: the device to train on, if JAX sees it.
        patience: seconds that an answer may take.

    Attributes:
        backend: the device that JAX trains on.

    Raises:
        RunError: if the process does not start; by `measure`, if it stops or does not answer.
    """

    def __init__(
        self, python: Path, wanted: Mapping[str, Any], device: str = "cpu", patience: float = _PATIENCE
    ) -> None:
        self._python, self._patience = python, patience
        # A pipe would fill up, because it is not read before the end.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process
        environment = {**os.environ, "JAX_PLATFORMS": "cpu"} if device == "cpu" else None
        with as_file(files("rpp_rl.experiments.benchmarks").joinpath("sbx_worker.py")) as script:
            command = [str(python), str(script), json.dumps(dict(wanted))]
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._errors}
            try:
                self._process = subprocess.Popen(command, text=True, env=environment, **pipes)  # noqa: S603
            except OSError as error:
                raise RunError(f"--sbx-python {python} does not start: {error.strerror}") from error
            self._lines: queue.Queue[str] = queue.Queue()
            threading.Thread(target=self._listen, daemon=True).start()
            ready, _, self.backend = self._answer().partition(" ")
        if ready != "ready":
            self.close()
            raise RunError(
                f"--sbx-python {python} cannot train with SBX: {self._last_error()}; give a Python with sbx-rl"
            )

    def measure(self, steps: int) -> tuple[float, float]:
        """Train; seconds for environment steps with a gradient step each, and for as many gradient steps alone."""
        with suppress(OSError):  # a process that ended does not answer, which is handled below
            if self._process.stdin is not None:
                self._process.stdin.write(f"{steps}\n")
                self._process.stdin.flush()
        answer = self._answer()
        try:
            whole, alone = json.loads(answer)
            return float(whole), float(alone)
        except (ValueError, TypeError) as error:
            self.close()
            raise RunError(f"SBX stopped in the middle of the measurement: {self._last_error()}") from error

    def close(self) -> None:
        """End the process."""
        with suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._lines.put(line.strip())
        self._lines.put("")

    def _answer(self) -> str:
        """The next line of its output; empty at the end."""
        try:
            return self._lines.get(timeout=self._patience)
        except queue.Empty:
            self._process.kill()
            raise RunError(f"--sbx-python {self._python} has not answered for {self._patience:g} s") from None

    def _last_error(self) -> str:
        """The last line of its error output."""
        self._errors.seek(0)
        return ([line.strip() for line in self._errors if line.strip()] or ["no error output"])[-1]
