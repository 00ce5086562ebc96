"""The console command `rpp-rl`: subcommands, and errors as one sentence with exit code 2."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from rpp_rl.errors import RPPError
from rpp_rl.scripts.audit import audit
from rpp_rl.scripts.bench import bench
from rpp_rl.scripts.compare import compare
from rpp_rl.scripts.evaluate import evaluate
from rpp_rl.scripts.export import export
from rpp_rl.scripts.mirror_video import mirror_video
from rpp_rl.scripts.new_symmetry import new_symmetry
from rpp_rl.scripts.reproduce import reproduce
from rpp_rl.scripts.status import status
from rpp_rl.scripts.sweep import sweep
from rpp_rl.scripts.symmetries import symmetries
from rpp_rl.scripts.train import train

COMMANDS: dict[str, Callable[..., None]] = {
    "train": train,
    "sweep": sweep,
    "status": status,
    "evaluate": evaluate,
    "mirror-video": mirror_video,
    "compare": compare,
    "export": export,
    "symmetries": symmetries,
    "audit": audit,
    "new-symmetry": new_symmetry,
    "bench": bench,
    "reproduce": reproduce,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit code.

    Args:
        arguments: the command line without the program's name; None takes that of the process.
    """
    # As with `python -m`, a user's own module in the current folder can be named in an environment's id.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    hook = threading.excepthook
    threading.excepthook = _quiet_about_files(hook)
    try:
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="rpp-rl",
            description="Reinforcement learning for nearly symmetric tasks: Residual Pathway Priors.",
            args=sys.argv[1:] if arguments is None else list(arguments),
        )
    except RPPError as error:
        print(f"rpp-rl: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        # A disk that is full or may not be written to; what a run has learnt by then is kept, see `learning`.
        where = f" {error.filename}" if error.filename else ""
        print(f"rpp-rl: a file cannot be read or written:{where} {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("rpp-rl: interrupted before there was anything to save", file=sys.stderr)
        return 2
    finally:
        threading.excepthook = hook
    return 0


def _quiet_about_files(hook: Callable[[Any], object]) -> Callable[[Any], object]:
    """TensorBoard writes its events in a thread, whose failure it tells the main thread at the next event."""

    def handle(failed: Any) -> None:
        if not issubclass(failed.exc_type, OSError):
            hook(failed)

    return handle


if __name__ == "__main__":
    sys.exit(main())
