"""`rpp-rl` as the child of a process that may be killed: it ends when its parent does, whatever ended that.

Standard input is a pipe that the parent alone holds open, and never writes to; the system closes it when the parent is
gone. So a run does not outlive the worker that began it, nor hold its folder, on any system and without looking.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def end_with_parent() -> None:
    """End this process, and its group where it leads one, as soon as standard input is closed."""
    threading.Thread(target=_wait_for_the_end, name="lifeline", daemon=True).start()


def _wait_for_the_end() -> None:
    # Not sys.stdin, whose lock a thread may not hold when Python ends.
    while os.read(0, 1):
        pass
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # with the processes of its environments
    os._exit(1)


if __name__ == "__main__":
    end_with_parent()
    from rpp_rl.scripts.main import main

    sys.exit(main())
