"""The console command `rpp-rl`: subcommands, and errors as one sentence with exit code 2."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

import tyro

from rpp_rl.errors import RPPError
from rpp_rl.scripts.audit import audit
from rpp_rl.scripts.bench import bench
from rpp_rl.scripts.evaluate import evaluate
from rpp_rl.scripts.export import export
from rpp_rl.scripts.new_symmetry import new_symmetry
from rpp_rl.scripts.symmetries import symmetries
from rpp_rl.scripts.train import train

COMMANDS: dict[str, Callable[..., None]] = {
    "train": train,
    "evaluate": evaluate,
    "export": export,
    "symmetries": symmetries,
    "audit": audit,
    "new-symmetry": new_symmetry,
    "bench": bench,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit code.

    Args:
        arguments: the command line without the program's name; None takes that of the process.
    """
    # As with `python -m`, a user's own module in the current folder can be named in an environment's id.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
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
    except KeyboardInterrupt:
        print("rpp-rl: interrupted before there was anything to save", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
