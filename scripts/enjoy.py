"""`rpp-rl enjoy`: watch a saved agent in a window."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from rpp_rl.errors import RunError
from rpp_rl.experiments.options import key_values
from rpp_rl.experiments.watching import watch
from rpp_rl.scripts.main import main


@dataclass(frozen=True)
class EnjoyArguments:
    """Watch a saved agent."""

    run: Positional[Path]
    """A run folder, or a model file."""
    episodes: Annotated[int, arg(aliases=["-n"])] = 3
    """Number of episodes; Ctrl-C ends earlier."""
    load_best: bool = False
    """Show the best agent of the run's evaluations instead of the last."""
    seed: int | None = None
    """Seed of the environment; the run's own evaluation seed if left out."""
    env: str | None = None
    """Another environment than the run's."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value, beside the run's."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    trust: bool = False
    """Import the modules of environments that files name, and unpickle what model files hold."""


def enjoy(arguments: Annotated[EnjoyArguments, arg(name="")]) -> None:
    """Show episodes of a saved agent in a window of its environment."""
    a = arguments
    if a.episodes < 1:
        raise RunError(f"--episodes must be at least 1, got {a.episodes}")
    watch(
        a.run,
        a.episodes,
        lambda score, length: print(f"return {score:.2f} in {length} steps", flush=True),
        env=a.env,
        env_kwargs=key_values(a.env_kwargs, "--env-kwargs"),
        seed=a.seed,
        device=a.device,
        trust=a.trust,
        best=a.load_best,
    )


if __name__ == "__main__":
    sys.exit(main(["enjoy", *sys.argv[1:]]))
