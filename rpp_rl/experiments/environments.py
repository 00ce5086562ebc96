"""The environments of a run: made from its configuration, with symmetry, monitor and normalized observations."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor, VecNormalize, unwrap_vec_normalize

from rpp_rl.agents.common.environment_failures import PATIENCE, WatchedSubprocVecEnv, failures_of, raised
from rpp_rl.agents.common.normalize import SymmetricVecNormalize
from rpp_rl.envs.registry import REGISTRY
from rpp_rl.envs.wrapper import ResumableWrapper, SymmetryWrapper, box_sizes, make, make_plain
from rpp_rl.errors import RPPError, RunError
from rpp_rl.experiments.config import VecEnvKind
from rpp_rl.experiments.run import BEST_MODEL, BEST_NORMALIZER, NORMALIZER
from rpp_rl.symmetry import Symmetry

Env = gym.Env[Any, Any]
_NORMALIZE_SETTINGS = ("norm_obs", "norm_reward", "clip_obs", "clip_reward")


def make_env(env_id: str, symmetry: Symmetry | str | None, env_kwargs: Mapping[str, Any]) -> Env:
    """Make one environment whose state can be saved.

    Args:
        env_id: environment id.
        symmetry: the symmetry that it carries; None for none.
        env_kwargs: arguments of the environment.
    """
    print_simulator_warnings_once()
    if symmetry is None:
        return ResumableWrapper(make_plain(env_id, **env_kwargs))
    return make(env_id, symmetry, **env_kwargs)


def vec_env(
    env_id: str,
    symmetry: Symmetry | None,
    env_kwargs: Mapping[str, Any],
    n_envs: int = 1,
    kind: VecEnvKind = "dummy",
    patience: float = PATIENCE,
) -> VecEnv:
    """Make parallel environments: in this process, or in one process each that may take `patience` s for a step."""
    makers: list[Callable[[], Env]] = [partial(make_env, env_id, symmetry, env_kwargs)] * n_envs
    with failures_of(env_id):
        return WatchedSubprocVecEnv(makers, patience=patience) if kind == "subproc" else DummyVecEnv(makers)


def probe(env_id: str, symmetry: Symmetry | str | None, env_kwargs: Mapping[str, Any], needed: bool) -> Env:
    """Make an environment to look at, which carries the symmetry of the run.

    Args:
        env_id: environment id.
        symmetry: a `Symmetry`, the name of a declared one or a YAML file; None for the default.
        env_kwargs: arguments of the environment.
        needed: whether the algorithm needs a symmetry. If not, the environment has none where none is declared.

    Raises:
        RPPError: if the environment cannot be made, or the symmetry does not fit it.
    """
    # Importing the module of the id may declare the symmetry, so the plain environment comes first.
    plain = make_checked(make_plain, env_id, env_kwargs)
    try:
        box_sizes(plain.observation_space, plain.action_space, env_id)
        if symmetry is None and not needed and REGISTRY.default(env_id) is None:
            return ResumableWrapper(plain)
        with failures_of(env_id):  # a derivation resets and steps it
            return SymmetryWrapper(plain, symmetry)
    except RPPError:
        plain.close()
        raise


def make_checked(maker: Callable[..., Any], env_id: str, env_kwargs: Mapping[str, Any]) -> Any:
    """Call a maker of environments.

    Raises:
        RunError: if it fails; names the arguments.
    """
    print_simulator_warnings_once()
    for reserved in ("symmetry", "env_id", "id"):
        if reserved in env_kwargs:
            raise RunError(
                f"{reserved} is not an argument of {env_id}; use --env or --symmetry instead of --env-kwargs"
            )
    try:
        return maker(env_id, **env_kwargs)
    except RPPError:
        raise
    except Exception as error:  # an environment may raise anything
        given = str(dict(env_kwargs))[:200] if env_kwargs else "its defaults"
        raise RunError(f"{env_id} cannot be made with {given}: {raised(error)}") from error


def simulated_model(env: Env) -> dict[str, str] | None:
    """File of an environment's MuJoCo model and SHA-256 of the compiled model; None where it has none."""
    model = getattr(env.unwrapped, "model", None)
    if not isinstance(model, mujoco.MjModel):
        return None
    compiled = np.zeros(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, compiled)
    file = str(getattr(env.unwrapped, "fullpath", ""))
    return {"file": file, "compiled_sha256": hashlib.sha256(compiled.tobytes()).hexdigest()}


def normalize_settings(value: Any) -> dict[str, Any] | None:
    """The settings of the hyperparameter `normalize`, as RL Zoo has it; None for none.

    Raises:
        RunError: if it is neither true, false nor a mapping of settings.
    """
    if not value:
        return None
    settings = {} if value is True else value
    if not isinstance(settings, Mapping) or not set(settings) <= set(_NORMALIZE_SETTINGS):
        raise RunError(f"normalize must be true, false or a mapping of {', '.join(_NORMALIZE_SETTINGS)}, got {value!r}")
    for name, setting in settings.items():
        if not isinstance(setting, bool if name.startswith("norm") else int | float) or setting < 0:
            raise RunError(f"normalize: {name} cannot be {setting!r}")
    # Rewards stay as the task gives them, unless asked for: SAC's temperature adapts to their scale.
    return {"norm_reward": False, **settings}


def normalized(
    env: VecEnv, settings: Mapping[str, Any] | None, symmetry: Symmetry | None, statistics: Path | None = None
) -> VecEnv:
    """Normalize the observations of environments with statistics that keep the symmetry.

    Args:
        env: the environments.
        settings: of `normalize_settings`; None leaves the environments as they are.
        symmetry: symmetry of the task; without one the statistics are stable-baselines3's.
        statistics: a file of statistics to start with.
    """
    if settings is None:
        return env
    if statistics is not None:
        return SymmetricVecNormalize.load(statistics, env)
    if symmetry is None:
        sizes = [space.shape[0] for space in (env.observation_space, env.action_space)]  # type: ignore[index]
        symmetry = Symmetry.trivial(*sizes)
    return SymmetricVecNormalize(env, symmetry, **settings)


def normalized_for_evaluation(
    env: VecEnv, settings: Mapping[str, Any] | None, symmetry: Symmetry | None, statistics: Path | None = None
) -> VecEnv:
    """Environments to evaluate on: as `normalized`, with fixed statistics and unchanged rewards."""
    wrapped = normalized(env, settings, symmetry, statistics)
    if isinstance(wrapped, VecNormalize):
        wrapped.training = wrapped.norm_reward = False
    return wrapped


def monitored(env: VecEnv, path: str | None = None) -> VecEnv:
    """Record the returns of episodes as the task gives them, inside of what normalizes them."""
    normalizer = unwrap_vec_normalize(env)
    if normalizer is None:
        return VecMonitor(env, path)
    normalizer.venv = VecMonitor(normalizer.venv, path)
    return env


def save_statistics(agent: BaseAlgorithm, path: Path) -> None:
    """Save the statistics of an agent's observations, where there are any."""
    normalizer = agent.get_vec_normalize_env()
    if normalizer is not None:
        normalizer.save(str(path))


def statistics_of(model: Path) -> Path | None:
    """The file of statistics that belongs to a model file; None where observations are not normalized."""
    step = re.fullmatch(r"(\w+)_(\d+_steps)\.zip", model.name)
    if model.name == BEST_MODEL:
        names = [BEST_NORMALIZER]
    else:
        names = [NORMALIZER, *([f"{step[1]}_vecnormalize_{step[2]}.pkl"] if step else [])]
    return next((model.parent / name for name in reversed(names) if (model.parent / name).is_file()), None)


def settings_of(model: Path) -> dict[str, Any] | None:
    """The settings with which the observations of a model are normalized; None where they are not.

    Raises:
        RunError: if their file is damaged.
    """
    path = statistics_of(model)
    if path is None:
        return None
    saved = SymmetricVecNormalize.saved_settings(path)
    return {name: saved[name] for name in _NORMALIZE_SETTINGS}


def print_simulator_warnings_once() -> None:
    """Print each of MuJoCo's warnings once; MuJoCo itself repeats them and writes MUJOCO_LOG.TXT.

    Those of deprecated words in a model file are left out: they concern the file's author, mostly gymnasium.
    """
    mujoco.set_mju_user_warning(_print_warning)


@cache
def _print_warning(message: str) -> None:
    if "deprecated" not in message:
        print(f"mujoco: {message}", file=sys.stderr)
