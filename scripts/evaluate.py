"""`rpp-rl evaluate`: the return of a saved agent over deterministic episodes of a seeded environment."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from tyro.conf import Positional, arg

from rpp_rl.errors import RunError
from rpp_rl.experiments.plots import check_plot

if TYPE_CHECKING:
    from rpp_rl.experiments.loading import LoadedAgent


@dataclass(frozen=True)
class EvaluateArguments:
    """Evaluate a saved agent."""

    run: Positional[Path]
    """A run folder, or a model file."""
    episodes: Annotated[int, arg(aliases=["-n"])] = 10
    """Number of episodes."""
    seed: int | None = None
    """Seed of the environment; the run's own evaluation seed if left out."""
    env: str | None = None
    """Another environment than the run's."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value, beside the run's."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    trust: bool = False
    """Run what files name: modules of environments are imported, and pickles in model files are unpickled."""
    json: bool = False
    """Print JSON."""
    video: Path | None = None
    """A folder for a video of the first episode, which TensorBoard shows too."""
    plot: Path | None = None
    """A picture of residual shares and equivariance errors over the run's training."""


def evaluate(arguments: Annotated[EvaluateArguments, arg(name="")]) -> None:
    """Load an agent, run deterministic episodes on a seeded environment, print mean and standard deviation."""
    result = evaluate_run(arguments)
    if arguments.json:
        print(json.dumps(result))
        return
    score = f"{result['mean_reward']:.2f} +- {result['std_reward']:.2f}"
    print(f"{score} over {result['episodes']} episodes of {result['env']}")
    if arguments.video is not None:
        print(f"video in {arguments.video}")
    if arguments.plot is not None:
        print(f"picture in {arguments.plot}")


def evaluate_run(arguments: EvaluateArguments) -> dict[str, Any]:
    """Evaluate as the arguments say.

    Returns:
        ``mean_reward``, ``std_reward``, ``rewards``, ``lengths``, ``episodes``, ``seed``, ``env``, ``model`` and
        ``num_timesteps``.

    Raises:
        RPPError: if there is no model, it cannot be read, or it does not fit the environment.
    """
    if arguments.episodes < 1:
        raise RunError(f"--episodes must be at least 1, got {arguments.episodes}")
    check_plot(arguments.plot)
    if arguments.video is not None:
        from rpp_rl.experiments.videos.films import EPISODE, check_film
        from rpp_rl.experiments.videos.renderers import choose_renderer

        check_film(arguments.video / EPISODE)
        choose_renderer()
    from stable_baselines3.common.evaluation import evaluate_policy

    from rpp_rl.experiments.loading import load

    a = arguments
    loaded = load(a.run, a.env, a.env_kwargs, a.seed, a.device, a.trust)
    if arguments.plot is not None:
        from rpp_rl.experiments.comparison.training_plot import plot_training

        plot_training(loaded.path, arguments.plot)
    if arguments.video is not None:
        _film(loaded, arguments.video)
    env = loaded.env
    env.seed(loaded.seed)
    rewards, lengths = evaluate_policy(loaded.model, env, arguments.episodes, return_episode_rewards=True)
    env.close()
    return {
        "mean_reward": float(np.mean(rewards)),
        "std_reward": float(np.std(rewards)),
        "rewards": [float(r) for r in rewards],  # type: ignore[union-attr]
        "lengths": [int(n) for n in lengths],  # type: ignore[union-attr]
        "episodes": arguments.episodes,
        "seed": loaded.seed,
        "env": loaded.env_id,
        "model": str(loaded.path),
        "num_timesteps": loaded.model.num_timesteps,
    }


def _film(loaded: LoadedAgent, folder: Path) -> None:
    """Film the first episode, and show it in TensorBoard beside the run's curves."""
    from rpp_rl.experiments.run_folder import run_of
    from rpp_rl.experiments.tensorboard_events import show_in_tensorboard
    from rpp_rl.experiments.videos.films import EPISODE, film_episode

    preview = film_episode(loaded, folder / EPISODE)
    run = run_of(loaded.path)
    problem = show_in_tensorboard(run, "videos/evaluate", preview, loaded.model.num_timesteps) if run else None
    if problem:
        print(f"note: {problem}", file=sys.stderr)


if __name__ == "__main__":
    from rpp_rl.scripts.main import main

    sys.exit(main(["evaluate", *sys.argv[1:]]))
