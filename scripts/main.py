"""The console command `rpp-rl`: a table of commands, each imported when it is called."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from rpp_rl.exit_codes import exit_code
from rpp_rl.scripts.renderer_problem import renderer_problem

# The function of a command has its name, in the module of its name in `rpp_rl.scripts`.
COMMANDS = {
    "train": "train an agent, evaluate it, and keep the run in a folder of its own",
    "sweep": "train every algorithm on every environment with every seed",
    "status": "show the progress of the runs in a folder",
    "evaluate": "evaluate a saved agent over deterministic episodes",
    "mirror-video": "film an agent beside its mirror image",
    "compare": "compare algorithms over seeds, with intervals",
    "export": "export a saved policy as a plain network for a robot",
    "symmetries": "list the declared symmetries",
    "audit": "check the symmetries of an environment on the simulator",
    "new-symmetry": "write a symmetry file for an environment of your own",
    "bench": "measure the speed of training",
    "reproduce": "repeat the supervised experiments of the paper",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code.

    Args:
        arguments: the command line without the program's name; None takes that of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        "rpp-rl", description="Reinforcement learning for nearly symmetric tasks: Residual Pathway Priors."
    )
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False)
    command = parser.parse_args(words[:1]).command
    return exit_code(lambda: _run(command, words[1:]))


def _run(command: str, words: list[str]) -> None:
    # What is heavy is imported here, where an interruption is reported.
    import tyro

    name = command.replace("-", "_")
    try:
        function = getattr(importlib.import_module(f"rpp_rl.scripts.{name}"), name)
    except (AttributeError, ImportError, RuntimeError) as error:
        problem = renderer_problem(error)
        if problem is None:
            raise
        raise problem from error
    tyro.cli(function, prog=f"rpp-rl {command}", args=words)


if __name__ == "__main__":
    sys.exit(main())
