"""Environments for training and evaluation, with the symmetry attached where one is declared."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Literal

import gymnasium as gym
import mujoco
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from rpp_rl.agents.common.environment_failures import PATIENCE, WatchedSubprocVecEnv
from rpp_rl.envs.registry import REGISTRY, base_id
from rpp_rl.envs.wrapper import ResumableWrapper, SymmetryWrapper, box_sizes, make, make_plain
from rpp_rl.errors import RPPError, RunError
from rpp_rl.symmetry import Symmetry

VecEnvKind = Literal["dummy", "subproc"]


def say_simulator_warnings_once() -> None:
    """Print each of MuJoCo's warnings once; by itself it repeats them and writes MUJOCO_LOG.TXT where one works."""
    mujoco.set_mju_user_warning(_say)


@cache
def _say(message: str) -> None:
    print(f"mujoco: {message}", file=sys.stderr)


def make_env(env_id: str, symmetry: Mapping[str, Any] | None, env_kwargs: Mapping[str, Any]) -> gym.Env[Any, Any]:
    """One environment; `symmetry` as a dictionary, so that a worker process can be sent it."""
    say_simulator_warnings_once()
    if symmetry is None:
        return ResumableWrapper(make_plain(env_id, **env_kwargs))
    return make(env_id, symmetry, **env_kwargs)


def resolve_symmetry(
    env_id: str, name: str | None, env_kwargs: Mapping[str, Any], needed: bool
) -> dict[str, Any] | None:
    """Make the environment once, check it, and return the symmetry to use as a dictionary.

    Args:
        env_id: full id.
        name: a registered name, None for the default.
        env_kwargs: arguments of the environment.
        needed: whether the algorithm needs a symmetry; if not, None is returned where none is declared.

    Raises:
        RPPError: if the environment cannot be made, or the symmetry does not fit it.
    """
    # Made plain first: a module in the id may register the environment and its symmetry.
    env: gym.Env[Any, Any] = make_checked(make_plain, env_id, env_kwargs)
    box_sizes(env.observation_space, env.action_space, env_id)
    env.close()
    if name is None and not needed and base_id(env_id) not in REGISTRY.environments():
        return None
    wrapped: SymmetryWrapper = make_checked(partial(make, symmetry=name), env_id, env_kwargs)
    symmetry: Symmetry = wrapped.symmetry
    wrapped.close()
    return symmetry.to_dict()


def make_checked(maker: Any, env_id: str, env_kwargs: Mapping[str, Any]) -> Any:
    """Call a maker of environments and say in one sentence what its arguments did."""
    say_simulator_warnings_once()
    for reserved in ("symmetry", "env_id", "id"):
        if reserved in env_kwargs:
            raise RunError(f"--env-kwargs {reserved}:... is no argument of {env_id}; use --env or --symmetry for it")
    try:
        return maker(env_id, **env_kwargs)
    except RPPError:
        raise
    except (TypeError, ValueError, AssertionError, OSError, gym.error.Error) as error:
        detail = " ".join(str(error).split())
        raise RunError(f"{env_id} cannot be made with {dict(env_kwargs) or 'its defaults'}: {detail}") from error


def simulated_model(env_id: str, env_kwargs: Mapping[str, Any]) -> dict[str, str] | None:
    """The MuJoCo model of an environment: its file, and the SHA-256 of the compiled model; None where it has none."""
    env = make_plain(env_id, **env_kwargs)
    model = getattr(env.unwrapped, "model", None)
    found = None
    if isinstance(model, mujoco.MjModel):
        compiled = np.zeros(mujoco.mj_sizeModel(model), np.uint8)
        mujoco.mj_saveModel(model, None, compiled)
        file = str(getattr(env.unwrapped, "fullpath", ""))
        found = {"file": file, "compiled_sha256": hashlib.sha256(compiled.tobytes()).hexdigest()}
    env.close()
    return found


def vec_env(
    env_id: str,
    symmetry: Mapping[str, Any] | None,
    env_kwargs: Mapping[str, Any],
    n_envs: int = 1,
    kind: VecEnvKind = "dummy",
    patience: float = PATIENCE,
) -> VecEnv:
    """Several environments, in this process or in one process each, which may take `patience` seconds for a step."""
    makers: list[Callable[[], gym.Env[Any, Any]]] = [partial(make_env, env_id, symmetry, env_kwargs)] * n_envs
    return WatchedSubprocVecEnv(makers, patience=patience) if kind == "subproc" else DummyVecEnv(makers)
