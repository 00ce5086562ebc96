"""The console command `rpp-rl`: a table of commands, each imported when it is called."""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
from collections.abc import Callable, Sequence

from rpp_rl import __version__
from rpp_rl.errors import UnknownNameError
from rpp_rl.exit_codes import exit_code
from rpp_rl.scripts.renderer_problem import renderer_problem

# The function of a command has its name, in the module of its name in `rpp_rl.scripts`.
COMMANDS = {
    "train": "train an agent, evaluate it, and keep the run in a folder of its own",
    "sweep": "train every algorithm on every environment with every seed",
    "status": "show the progress of the runs in a folder",
    "evaluate": "evaluate a saved agent over deterministic episodes",
    "enjoy": "watch a saved agent in a window",
    "mirror-video": "film an agent beside its mirror image",
    "compare": "compare algorithms over seeds, with intervals",
    "export": "export a saved policy as a plain network for a robot",
    "symmetries": "list the declared symmetries",
    "audit": "check the symmetries of an environment",
    "new-symmetry": "write a symmetry file for an environment of your own",
    "bench": "measure the speed of training",
    "reproduce": "repeat the supervised experiments of the paper",
}
SHELLS = ("bash", "zsh", "tcsh")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code.

    Args:
        arguments: the command line without the program's name; None takes that of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and not words[0].startswith("-"):
        return exit_code(lambda: _run(words[0], words[1:]))
    parser = argparse.ArgumentParser(
        "rpp-rl", description="Reinforcement learning for nearly symmetric tasks: Residual Pathway Priors."
    )
    parser.add_argument("--version", action="version", version=f"rpp-rl {__version__}")
    parser.add_argument("--print-completion", choices=SHELLS, help="print a completion script for your shell")
    commands = parser.add_subparsers(metavar="command", title="commands, each with a --help of its own")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False)
    shell = parser.parse_args(words).print_completion
    if shell is None:
        parser.error("name a command, such as: rpp-rl train --help")
    return exit_code(lambda: _run("", ["--tyro-print-completion", shell]))


def function_of(command: str) -> Callable[..., object]:
    """Import the function of a command.

    Raises:
        UnknownNameError: for an unknown command.
    """
    if command not in COMMANDS:
        raise UnknownNameError("command", command, COMMANDS)
    name = command.replace("-", "_")
    try:
        function: Callable[..., object] = getattr(importlib.import_module(f"rpp_rl.scripts.{name}"), name)
    except (AttributeError, ImportError, RuntimeError) as error:
        problem = renderer_problem(error)
        if problem is None:
            raise
        raise problem from error
    return function


def _run(command: str, words: list[str]) -> None:
    """Run a command; without one, all commands are imported, whose flags a completion script knows."""
    functions = {name: function_of(name) for name in ([command] if command else COMMANDS)}
    # What is heavy is imported here, where an interruption is reported.
    import tyro

    config = (tyro.conf.OmitArgPrefixes,)
    if not command:
        tyro.extras.subcommand_cli_from_dict(functions, prog="rpp-rl", args=words, config=config)
        return
    text = inspect.getdoc(functions[command])
    tyro.cli(functions[command], prog=f"rpp-rl {command}", description=text, args=words, config=config)


if __name__ == "__main__":
    sys.exit(main())
