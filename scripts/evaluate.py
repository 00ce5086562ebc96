"""`rpp-rl evaluate`: evaluate a saved agent over deterministic episodes of a seeded environment."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from rpp_rl.errors import RunError
from rpp_rl.experiments.comparison.figures import plot_training
from rpp_rl.experiments.evaluation import evaluate_loaded, load
from rpp_rl.experiments.plots import check_plot
from rpp_rl.experiments.videos.films import check_video, film
from rpp_rl.scripts.agent_arguments import AgentArguments
from rpp_rl.scripts.main import main


@dataclass(frozen=True)
class EvaluateArguments(AgentArguments):
    """Evaluate a saved agent."""

    episodes: Annotated[int, arg(aliases=["-n"])] = 10
    """Number of episodes."""
    json: bool = False
    """Print JSON."""
    video: Path | None = None
    """A folder for a video of the first episode, which TensorBoard shows too."""
    plot: Path | None = None
    """A picture of residual shares and equivariance errors over the run's training."""


def evaluate(arguments: Annotated[EvaluateArguments, arg(name="")]) -> None:
    """Load an agent, run deterministic episodes on a seeded environment, print mean and standard deviation."""
    a = arguments
    if a.episodes < 1:
        raise RunError(f"--episodes must be at least 1, got {a.episodes}")
    check_plot(a.plot)
    if a.video is not None:
        check_video(a.video)
    loaded = load(a.run, **a.settings())
    if a.plot is not None:
        plot_training(loaded.path, a.plot)
    if a.video is not None:
        film(loaded, a.video)
    result = evaluate_loaded(loaded, a.episodes)
    loaded.env.close()
    if a.json:
        print(json.dumps(result))
        return
    score = f"{result['mean_reward']:.2f} +- {result['std_reward']:.2f}"
    print(f"{score} over {result['episodes']} episodes of {result['env']}")
    if a.video is not None:
        print(f"video in {a.video}")
    if a.plot is not None:
        print(f"picture in {a.plot}")


if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
