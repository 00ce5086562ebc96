"""`rpp-rl enjoy`: watch a saved agent in a window."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from rpp_rl.errors import RunError
from rpp_rl.experiments.watching import watch
from rpp_rl.scripts.agent_arguments import AgentArguments
from rpp_rl.scripts.main import main


@dataclass(frozen=True)
class EnjoyArguments(AgentArguments):
    """Watch a saved agent."""

    episodes: Annotated[int, arg(aliases=["-n"])] = 3
    """Number of episodes; Ctrl-C ends earlier."""


def enjoy(arguments: Annotated[EnjoyArguments, arg(name="")]) -> None:
    """Show episodes of a saved agent in a window of its environment."""
    a = arguments
    if a.episodes < 1:
        raise RunError(f"--episodes must be at least 1, got {a.episodes}")
    watch(a.run, a.episodes, lambda score, length: print(f"return {score:.2f} in {length} steps"), **a.settings())


if __name__ == "__main__":
    sys.exit(main(["enjoy", *sys.argv[1:]]))
