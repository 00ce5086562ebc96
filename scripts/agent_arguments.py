"""The flags of the commands that run a saved agent on an environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from rpp_rl.experiments.options import key_values


@dataclass(frozen=True)
class AgentArguments:
    """A saved agent and its environment."""

    run: Positional[Path]
    """A run folder, or a model file."""
    load_best: bool = False
    """Take the best agent of the run's evaluations instead of the last."""
    seed: int | None = None
    """Seed of the environment; the run's own evaluation seed if left out."""
    env: str | None = None
    """Another environment than the run's."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value, beside the run's."""
    eval_max_steps: int | None = None
    """Steps after which an episode is cut off; the run's own setting, or the task's limit, if left out."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    trust: bool = False
    """Import the modules of environments that files name, and unpickle what model files hold."""

    def settings(self) -> dict[str, Any]:
        """The arguments of `rpp_rl.experiments.load` after the run."""
        limit = {} if self.eval_max_steps is None else {"max_episode_steps": self.eval_max_steps}
        return {
            "env": self.env,
            "env_kwargs": {**key_values(self.env_kwargs, "--env-kwargs"), **limit},
            "seed": self.seed,
            "device": self.device,
            "trust": self.trust,
            "best": self.load_best,
        }
