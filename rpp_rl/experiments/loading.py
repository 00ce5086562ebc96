"""Agents from run folders and model files, with the environment that each was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rpp_rl.errors import RunError
from rpp_rl.experiments.options import key_values

DEFAULT_SEED = 10_000


@dataclass(frozen=True)
class LoadedAgent:
    """An agent on an environment that it fits.

    Attributes:
        path: its file.
        model: the agent.
        env: one environment of stable-baselines3, that normalises observations where training did.
        env_id: of the environment.
        env_kwargs: its arguments.
        seed: for the environment; the run's evaluation seed unless another was asked for.
    """

    path: Path
    model: Any
    env: Any
    env_id: str
    env_kwargs: dict[str, Any]
    seed: int

    def act(self, observation: Any) -> Any:
        """The deterministic action for an observation as the task gives it."""
        normalize = getattr(self.env, "normalize_obs", lambda given: given)
        return self.model.predict(normalize(observation), deterministic=True)[0]


def load(
    run: Path,
    env: str | None = None,
    env_kwargs: Sequence[str] = (),
    seed: int | None = None,
    device: str = "auto",
    trust: bool = False,
) -> LoadedAgent:
    """Load an agent and make its environment.

    Args:
        run: a run folder, or a model file.
        env: another environment than the run's.
        env_kwargs: arguments of the environment, as key:value, beside the run's.
        seed: of the environment; None for the run's own evaluation seed.
        device: where the agent's networks are.
        trust: whether to run what files name.

    Raises:
        RPPError: if there is no model, it cannot be read, or it does not fit the environment.
    """
    from stable_baselines3.common.vec_env import VecMonitor

    from rpp_rl.agents import FiniteVecEnv
    from rpp_rl.agents.common.algorithms import load_agent
    from rpp_rl.envs.wrapper import make_plain
    from rpp_rl.experiments.environments import make_checked, vec_env
    from rpp_rl.experiments.run_folder import find_model, read_config
    from rpp_rl.experiments.training.normalization import with_statistics

    if seed is not None and not 0 <= seed < 2**32:
        raise RunError(f"--seed must be a number from 0 to {2**32 - 1}, got {seed}")
    check_device(device)
    path = find_model(run)
    env_id, settings = task_of(path, env, key_values(env_kwargs, "--env-kwargs"), trust)
    model = load_agent(path, device, trust)
    if seed is None:
        seed = int(read_config(path).get("evaluation_seed", DEFAULT_SEED))
    make_checked(make_plain, env_id, settings).close()
    monitored = VecMonitor(FiniteVecEnv(vec_env(env_id, None, settings), model.observation_names))
    made = with_statistics(monitored, path)
    _check_spaces(model, made, env_id, path)
    return LoadedAgent(path, model, made, env_id, settings, seed)


def task_of(path: Path, env: str | None, given: Mapping[str, Any], trust: bool) -> tuple[str, dict[str, Any]]:
    """The environment of a model file and its arguments.

    Args:
        path: the model file.
        env: another environment than the run's.
        given: arguments beside the run's.
        trust: whether to import a module that the run names.

    Raises:
        RunError: if neither the run nor the caller names an environment, or the run's is in a module of somebody's own.
    """
    from rpp_rl.experiments.run_folder import read_config
    from rpp_rl.experiments.training.begun import refuse_modules

    config = read_config(path)
    env_id = env or config.get("env")
    if env_id is None:
        raise RunError(f"there is no config.json beside {path} to say which environment it was trained on; give --env")
    if env is None and not trust:
        refuse_modules([env_id], path)
    return env_id, {**config.get("env_kwargs", {}), **given}


def check_device(name: str) -> None:
    """Check that torch has a device of that name.

    Raises:
        RunError: if not.
    """
    import torch

    kind, colon, index = name.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (colon and (kind != "cuda" or not index.isdecimal())):
        raise RunError(f"--device {name!r} is no device; use auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise RunError(f"--device {name} asked for, but torch sees {torch.cuda.device_count()} CUDA devices; use auto")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise RunError("--device mps asked for, but torch sees none; use auto")


def _check_spaces(model: Any, env: Any, env_id: str, path: Path) -> None:
    for what in ("observation_space", "action_space"):
        trained, given = getattr(model, what), getattr(env, what)
        if trained.shape != given.shape:
            raise RunError(
                f"{path} was trained on {what.replace('_space', 's')} of shape {trained.shape}, but {env_id} has "
                f"{given.shape}; evaluate it on its own environment"
            )
