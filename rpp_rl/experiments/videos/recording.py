"""A film of one episode, as `rpp-rl evaluate --video` makes it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpp_rl.errors import RunError
from rpp_rl.experiments.finding import run_of
from rpp_rl.experiments.tensorboard_events import show_in_tensorboard
from rpp_rl.experiments.videos.films import Film, check_film
from rpp_rl.experiments.videos.renderers import choose_renderer

if TYPE_CHECKING:
    from rpp_rl.experiments.evaluation import LoadedAgent

EPISODE = "episode.mp4"


def record(loaded: LoadedAgent, path: Path) -> bytes:
    """Film one episode of a deterministic agent.

    Args:
        loaded: the agent, with its environment and seed.
        path: of the film.

    Returns:
        A small moving picture of it, see `Film.preview`.

    Raises:
        RunError: if the environment gives no pictures, or the film cannot be written.
    """
    from gymnasium.error import DependencyNotInstalled

    from rpp_rl.envs.wrapper import make_plain
    from rpp_rl.experiments.environments import make_checked

    env = make_checked(make_plain, loaded.env_id, {**loaded.env_kwargs, "render_mode": "rgb_array"})
    try:
        with Film(path, float(env.metadata.get("render_fps") or 30)) as film:
            observation, _ = env.reset(seed=loaded.seed)
            film.add(_picture(env, loaded.env_id))
            done = False
            while not done:
                observation, _, terminated, truncated, _ = env.step(loaded.act(observation))
                film.add(_picture(env, loaded.env_id))
                done = terminated or truncated
            return film.preview()
    except DependencyNotInstalled as error:
        raise RunError(f"{loaded.env_id} cannot be rendered: {error}") from error
    finally:
        env.close()


def _picture(env: Any, env_id: str) -> Any:
    picture = env.render()
    if getattr(picture, "ndim", 0) != 3:
        raise RunError(
            f"{env_id} has no render mode 'rgb_array', so that no video can be made of it; leave out --video"
        )
    return picture


def check_video(folder: Path) -> None:
    """Check that a video can be rendered and written.

    Raises:
        RunError: if it cannot.
    """
    check_film(folder / EPISODE)
    choose_renderer()


def film(loaded: LoadedAgent, folder: Path) -> None:
    """Film the first episode of an agent, and show it in TensorBoard beside the run's curves."""
    preview = record(loaded, folder / EPISODE)
    run = run_of(loaded.path)
    step = loaded.agent.num_timesteps
    problem = show_in_tensorboard(run.path, "videos/evaluate", preview, step) if run else None
    if problem:
        print(f"note: {problem}", file=sys.stderr)
