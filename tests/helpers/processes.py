"""Start `rpp-rl` as a process of its own, and hold a run at a step until a signal comes."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
UNAUDITED = Path(__file__).with_name("unaudited.yml")
# A shell in the background or nohup hands down ignored signals; the process must not ignore them.
_LAUNCHER = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); from rpp_rl.scripts.main import main; sys.exit(main())"
)
# The environment variable that names the file which holds runs.
_HOLD = "RPP_RL_TEST_HOLD"


def start(arguments, cwd, prefix=(), **settings):
    """Start a command line that reacts to signals and finds the tasks of the tests; its output is one pipe.

    Args:
        arguments: of `rpp-rl`.
        cwd: the folder it works in.
        prefix: a command that starts it, such as `timeout 5`.
        settings: of `subprocess.Popen`.
    """
    command = [*prefix, sys.executable, "-u", "-c", _LAUNCHER, *map(str, arguments)]
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=cwd, env=environment, **output | settings)


def finish(process, seconds=300):
    """Wait until a process ends; return its exit code and what it printed."""
    try:
        printed, _ = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, printed


def wait_until(true, seconds=150):
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


class Hold:
    """A file: while it exists, each run of a `Patient-v0` waits in its hundredth step."""

    def __init__(self, folder, monkeypatch):
        self.path = folder / "hold"
        monkeypatch.setenv(_HOLD, str(self.path))
        self.path.touch()

    def wait_for(self, runs=1):
        """Wait until this many runs wait."""
        wait_until(lambda: len(list(self.path.parent.glob("hold.*"))) == runs)

    def release(self):
        """Let the runs continue, and later runs too."""
        self.path.unlink()


def wait_for_a_signal():
    """Wait, where a `Hold` asks for it, until a signal is sent to this process or the hold is released."""
    hold = Path(os.environ.get(_HOLD, "nowhere"))
    if not hold.is_file():
        return
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    # Python writes the number of each signal that it handles to this socket.
    before = signal.set_wakeup_fd(writing.fileno())
    hold.with_name(f"hold.{os.getpid()}").touch()
    try:
        while hold.exists() and not select.select([reading], [], [], 0.02)[0]:
            pass
    finally:
        signal.set_wakeup_fd(before)
        reading.close()
        writing.close()
