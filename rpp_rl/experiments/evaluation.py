"""Load a saved agent with its environment, and evaluate it over deterministic episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from rpp_rl.agents.common.building import load_agent
from rpp_rl.agents.common.devices import check_device
from rpp_rl.agents.common.finite_checks import FiniteVecEnv
from rpp_rl.envs.ids import full_id, import_module_of
from rpp_rl.envs.wrapper import make_plain
from rpp_rl.errors import RunError
from rpp_rl.experiments.config import EVALUATION_SEED, refuse_modules
from rpp_rl.experiments.environments import (
    make_checked,
    normalized_for_evaluation,
    settings_of,
    statistics_of,
    vec_env,
)
from rpp_rl.experiments.finding import find_model, record_of
from rpp_rl.experiments.run import Run


@dataclass(frozen=True)
class LoadedAgent:
    """A saved agent and an environment that it fits.

    Attributes:
        path: the model file.
        agent: the agent.
        env: one environment of stable-baselines3; it normalizes observations where training did.
        env_id: environment id.
        env_kwargs: arguments of the environment.
        seed: seed of the environment.
    """

    path: Path
    agent: BaseAlgorithm
    env: VecEnv
    env_id: str
    env_kwargs: dict[str, Any]
    seed: int

    def act(self, observation: Any) -> Any:
        """The deterministic action for an observation as the task gives it."""
        normalize = getattr(self.env, "normalize_obs", lambda given: given)
        return self.agent.predict(normalize(observation), deterministic=True)[0]


def load(
    run: Run | str | Path,
    env: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    seed: int | None = None,
    device: str = "auto",
    trust: bool = False,
    best: bool = False,
) -> LoadedAgent:
    """Load an agent and make its environment.

    Args:
        run: a run, its folder, or a model file.
        env: another environment than the run's.
        env_kwargs: arguments of the environment; they are added to the run's.
        seed: seed of the environment; None for the run's evaluation seed.
        device: device of the networks.
        trust: whether to import the modules and unpickle the objects that files name.
        best: whether to load the best agent of a run's evaluations instead of the last.

    Raises:
        RPPError: if there is no model, it cannot be read, or it does not fit the environment.
    """
    if seed is not None and not 0 <= seed < 2**32:
        raise RunError(f"--seed must be a number from 0 to {2**32 - 1}, got {seed}")
    check_device(device)
    path = find_model(run.path if isinstance(run, Run) else Path(run), best)
    env_id, settings = task_of(path, env, env_kwargs or {}, trust)
    import_module_of(env_id)  # it may register the agent's class
    agent = load_agent(path, device, trust)
    if seed is None:
        seed = int(record_of(path).get("evaluation_seed", EVALUATION_SEED))
    make_checked(make_plain, env_id, settings).close()
    finite = FiniteVecEnv(vec_env(env_id, None, settings), getattr(agent, "observation_names", ()))
    made = normalized_for_evaluation(VecMonitor(finite), settings_of(path), None, statistics_of(path))
    _check_spaces(agent, made, env_id, path)
    return LoadedAgent(path, agent, made, env_id, settings, seed)


def evaluate(
    run: Run | str | Path,
    episodes: int = 10,
    *,
    env: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    seed: int | None = None,
    device: str = "auto",
    trust: bool = False,
    best: bool = False,
) -> dict[str, Any]:
    """Evaluate a saved agent over deterministic episodes; the arguments are those of `load`.

    Returns:
        ``mean_reward``, ``std_reward``, ``rewards``, ``lengths``, ``episodes``, ``seed``, ``env``, ``model`` and
        ``num_timesteps``.

    Raises:
        RPPError: if there is no model, it cannot be read, or it does not fit the environment.
    """
    loaded = load(run, env, env_kwargs, seed, device, trust, best)
    try:
        return evaluate_loaded(loaded, episodes)
    finally:
        loaded.env.close()


def evaluate_loaded(loaded: LoadedAgent, episodes: int) -> dict[str, Any]:
    """Evaluate an agent on its environment, which is seeded first; see `evaluate`.

    Raises:
        RunError: for fewer than one episode.
        EnvironmentFailureError: if the environment fails.
    """
    if episodes < 1:
        raise RunError(f"--episodes must be at least 1, got {episodes}")
    loaded.env.seed(loaded.seed)
    rewards, lengths = evaluate_policy(loaded.agent, loaded.env, episodes, return_episode_rewards=True)
    return {
        "mean_reward": float(np.mean(rewards)),
        "std_reward": float(np.std(rewards)),
        "rewards": [float(r) for r in rewards],  # type: ignore[union-attr]
        "lengths": [int(n) for n in lengths],  # type: ignore[union-attr]
        "episodes": episodes,
        "seed": loaded.seed,
        "env": loaded.env_id,
        "model": str(loaded.path),
        "num_timesteps": loaded.agent.num_timesteps,
    }


def task_of(path: Path, env: str | None, env_kwargs: Mapping[str, Any], trust: bool) -> tuple[str, dict[str, Any]]:
    """The environment id of a model file and the environment's arguments.

    Args:
        path: the model file.
        env: another environment than the run's.
        env_kwargs: arguments that are added to the run's.
        trust: whether to import a module that the run names.

    Raises:
        RunError: if neither the run nor the caller names an environment, or the run's lies in a foreign module.
    """
    record = record_of(path)
    env_id = env or record.get("env")
    if env_id is None:
        raise RunError(f"there is no config.json beside {path} to say which environment it was trained on; give --env")
    if env is None and not trust:
        refuse_modules([env_id], path)
    limit = record.get("eval_max_steps")
    own = {} if limit is None else {"max_episode_steps": limit}
    return full_id(env_id), {**record.get("env_kwargs", {}), **own, **env_kwargs}


def _check_spaces(agent: BaseAlgorithm, env: VecEnv, env_id: str, path: Path) -> None:
    for what in ("observation_space", "action_space"):
        trained, given = getattr(agent, what), getattr(env, what)
        if trained.shape != given.shape:
            raise RunError(
                f"{path} was trained on {what.replace('_space', 's')} of shape {trained.shape}, but {env_id} has "
                f"{given.shape}; evaluate it on its own environment"
            )
