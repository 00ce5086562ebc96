"""Exit codes of commands: an error that a caller's input can cause is one sentence and exit code 2."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from rpp_rl.errors import RPPError


def exit_code(run: Callable[[], object]) -> int:
    """Run a command; returns 0, or 2 after an error of its input or of the file system, which is printed."""
    hook = threading.excepthook
    threading.excepthook = _silent_about_files(hook)
    try:
        run()
    except RPPError as error:
        print(f"rpp-rl: {error}", file=sys.stderr)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        print(f"rpp-rl: a file cannot be read or written:{where} {error.strerror or error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("rpp-rl: interrupted before there was anything to save", file=sys.stderr)
    else:
        return 0
    finally:
        threading.excepthook = hook
    return 2


def _silent_about_files(hook: Callable[[Any], object]) -> Callable[[Any], object]:
    """A hook for errors of threads. TensorBoard's writer thread fails, and the main thread raises its error later."""

    def handle(failed: Any) -> None:
        if not issubclass(failed.exc_type, OSError):
            hook(failed)

    return handle
