"""Watch a saved agent in a window."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stable_baselines3.common.evaluation import evaluate_policy

from rpp_rl.errors import RunError
from rpp_rl.experiments.config import shell_command
from rpp_rl.experiments.evaluation import load
from rpp_rl.experiments.finding import find_model


def has_display() -> bool:
    """Whether a window can be opened."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def watch(run: Any, episodes: int, show: Callable[[float, int], object], **settings: Any) -> None:
    """Show episodes of a saved agent in a window of the environment.

    Args:
        run: a run, its folder, or a model file.
        episodes: number of episodes.
        show: called with the return and the length of each episode.
        **settings: as for `rpp_rl.experiments.load`.

    Raises:
        RunError: if the machine has no display, or the environment cannot open a window.
        RPPError: as for `rpp_rl.experiments.load`.
    """
    film = f"make a film with: {shell_command(['rpp-rl', 'evaluate', run, '--video', 'film'])}"
    find_model(Path(run), settings.get("best", False))
    if not has_display():
        raise RunError(f"cannot open a window without a display; {film}")
    settings["env_kwargs"] = {**settings.get("env_kwargs", {}), "render_mode": "human"}
    loaded = load(run, **settings)
    try:
        loaded.env.seed(loaded.seed)
        for _ in range(episodes):
            returns, lengths = evaluate_policy(loaded.agent, loaded.env, 1, return_episode_rewards=True)
            show(returns[0], lengths[0])  # type: ignore[index]
    except KeyboardInterrupt:
        pass  # how a user closes the window
    finally:
        loaded.env.close()
