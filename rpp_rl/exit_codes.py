"""Exit codes of commands; an error of the input prints one sentence and gives exit code 2."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO

from rpp_rl.errors import RPPError, printable


def exit_code(run: Callable[[], object]) -> int:
    """Run a command; return 0, or print an error of its input or of the file system and return 2.

    Where the reader of its output has gone, as with ``rpp-rl status | head``, the command ends quietly.
    """
    _prepare_output()
    hook = threading.excepthook
    threading.excepthook = _silent_about_files(hook)
    try:
        run()
        sys.stdout.flush()
    except RPPError as error:
        print(f"rpp-rl: {printable(str(error))}", file=sys.stderr)
    except BrokenPipeError:
        sys.stdout = _nowhere()
        return 0
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        problem = f"a file cannot be read or written:{where} {error.strerror or error}"
        print(f"rpp-rl: {printable(problem)}", file=sys.stderr)
    except KeyboardInterrupt:
        print("rpp-rl: interrupted before anything was saved", file=sys.stderr)
    else:
        return 0
    finally:
        threading.excepthook = hook
    return 2


def _prepare_output() -> None:
    """Let every text be printed: a terminal need not know all characters, and the output may be closed."""
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _silent_about_files(hook: Callable[[Any], object]) -> Callable[[Any], object]:
    """A hook that ignores OSErrors of threads: the main thread raises those of TensorBoard's writer thread later."""

    def handle(failed: Any) -> None:
        if not issubclass(failed.exc_type, OSError):
            hook(failed)

    return handle
