"""Normalised observations of a run: as RL Zoo's hyperparameter `normalize`, with statistics that keep the symmetry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stable_baselines3 import SAC
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecNormalize, unwrap_vec_normalize

from rpp_rl.agents import SymmetricVecNormalize
from rpp_rl.errors import RunError
from rpp_rl.symmetry import Symmetry

FILE = "normalizer.zip"
_SETTINGS = ("norm_obs", "norm_reward", "clip_obs", "clip_reward")


def normalization(value: Any) -> dict[str, Any] | None:
    """The settings that the hyperparameter `normalize` comes to; None for none.

    Raises:
        RunError: if it is neither true, false nor a mapping of such settings.
    """
    if not value:
        return None
    settings = {} if value is True else value
    if not isinstance(settings, Mapping) or not set(settings) <= set(_SETTINGS):
        raise RunError(f"normalize is true, false or a mapping of {', '.join(_SETTINGS)}, got {value!r}")
    for name, setting in settings.items():
        if not isinstance(setting, bool if name.startswith("norm") else int | float) or setting < 0:
            raise RunError(f"normalize: {name} cannot be {setting!r}")
    # Rewards as the task has them, unless asked for: SAC's temperature adapts to their scale.
    return {"norm_reward": False, **settings}


def normalized(
    env: VecEnv,
    settings: Mapping[str, Any] | None,
    symmetry: Mapping[str, Any] | None,
    statistics: Path | None = None,
) -> VecEnv:
    """Environments with normalised observations, or as they are where there are no settings.

    Args:
        env: the environments.
        settings: of `normalization`.
        symmetry: of the task, as a dictionary.
        statistics: a file of them to begin with.
    """
    if settings is None:
        return env
    if statistics is not None:
        return SymmetricVecNormalize.load(statistics, env)
    sizes = [space.shape[0] for space in (env.observation_space, env.action_space)]  # type: ignore[index]
    # Without a symmetry these are stable-baselines3's own statistics, in a file without pickle.
    acting = Symmetry.trivial(*sizes) if symmetry is None else Symmetry.from_dict(symmetry)
    return SymmetricVecNormalize(env, acting, **settings)


def evaluated(env: VecEnv, settings: Mapping[str, Any] | None, symmetry: Mapping[str, Any] | None) -> VecEnv:
    """Environments to evaluate on: normalised by statistics that training keeps, with rewards as they are."""
    wrapped = normalized(env, settings, symmetry)
    if isinstance(wrapped, VecNormalize):
        wrapped.training = wrapped.norm_reward = False
    return wrapped


def monitored(env: VecEnv, path: str | None = None) -> VecEnv:
    """Environments whose returns are recorded as the task gives them, that is, inside of what normalises them."""
    normalizer = unwrap_vec_normalize(env)
    if normalizer is None:
        return VecMonitor(env, path)
    normalizer.venv = VecMonitor(normalizer.venv, path)
    return env


def save_normalizer(model: SAC, run: Path) -> None:
    """Save the statistics of a run beside its model, where there are any."""
    normalizer = model.get_vec_normalize_env()
    if normalizer is not None:
        normalizer.save(str(run / FILE))


def statistics_of(model: Path) -> Path | None:
    """The file of statistics that belongs to a model file; None where observations were not normalised."""
    step = re.fullmatch(r"(\w+)_(\d+_steps)\.zip", model.name)
    names = [FILE, *([f"{step[1]}_vecnormalize_{step[2]}.pkl"] if step else [])]
    return next((model.parent / name for name in reversed(names) if (model.parent / name).is_file()), None)


def settings_of(model: Path) -> dict[str, Any] | None:
    """The settings with which the observations of a model were normalised; None where they were not.

    Raises:
        RunError: if their file is damaged.
    """
    path = statistics_of(model)
    if path is None:
        return None
    saved = SymmetricVecNormalize.saved_settings(path)
    return {name: saved[name] for name in _SETTINGS}


def with_statistics(env: VecEnv, model: Path) -> VecEnv:
    """Environments normalised by the statistics of a model file, for evaluation; as they are where there are none.

    Raises:
        RPPError: if the file is damaged, or does not fit.
    """
    path = statistics_of(model)
    if path is None:
        return env
    loaded = SymmetricVecNormalize.load(path, env)
    loaded.training = loaded.norm_reward = False
    return loaded
