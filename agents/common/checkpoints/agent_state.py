"""The state of an agent in training as plain data: networks, optimisers, counters, generators, environments."""

from __future__ import annotations

import math
import random
from collections import deque
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper

from rpp_rl.agents.common.saving.parameter_checks import check_parameters
from rpp_rl.agents.common.saving.saved_agent import describe_agent
from rpp_rl.errors import RunError
from rpp_rl.plain_data import object_state, restore_object

_COUNTERS = (
    *("num_timesteps", "_total_timesteps", "_episode_num", "_n_updates", "_current_progress_remaining"),
    *("_last_obs", "_last_original_obs", "_last_episode_starts", "ep_info_buffer", "ep_success_buffer"),
)
_COUNTS, _MOST_STEPS = ("num_timesteps", "_total_timesteps", "_episode_num", "_n_updates"), 1 << 60
_LOGGED = ("name_to_value", "name_to_count", "name_to_excluded")
# Attributes of callbacks and of wrappers that belong to other objects, and the arguments of stable-baselines3's
# callbacks: the callback was made with them.
_NOT_OF_CALLBACKS = (
    *("model", "training_env", "eval_env", "callback", "callbacks", "callback_on_new_best", "parent", "logger"),
    *("locals", "globals", "_logger", "log_path", "best_model_save_path", "save_path", "name_prefix", "verbose"),
    *("eval_freq", "n_eval_episodes", "deterministic", "render", "warn", "save_freq", "save_replay_buffer"),
    *("save_vecnormalize", "names", "run_label"),
)
_NOT_OF_WRAPPERS = ("venv", "results_writer", "observation_space", "action_space", "class_attributes")


def agent_state(agent: OffPolicyAlgorithm) -> tuple[dict[str, Any], list[str]]:
    """Return the state of an agent between two rollouts, and the parts that are not saved, in words.

    The replay buffer is saved apart, see `ReplayLog`.
    """
    given: Any = agent
    environments, unsaved = env_state(agent.env)
    described, missing = describe_agent(agent)
    unsaved += missing
    if described["action_noise"] is not None and described["action_noise"]["kind"] == "OrnsteinUhlenbeckActionNoise":
        unsaved.append("action_noise, whose state stable-baselines3 resets whenever `learn` starts")
    state = {
        **{part: described.pop(part) for part in ("parameters", "log_ent_coef")},
        "described": described,
        "counters": {name: getattr(agent, name) for name in _COUNTERS},
        "logged": {name: dict(getattr(agent.logger, name)) for name in _LOGGED},
        "generators": _generators_of(agent),
        "augmentation": None if _moves(agent) is None else _moves(agent).generator.get_state(),
        "action_space": given.action_space._np_random,
        "merged_targets": given._merged_targets() if hasattr(agent, "_merged_targets") else [],
        "environments": environments,
    }
    return state, unsaved


def _generators_of(agent: OffPolicyAlgorithm) -> dict[str, Any]:
    """The global generators, or those that an agent of a stack draws from instead."""
    state = generators_state()
    own = getattr(agent, "_own_generators", None)
    if own is not None:
        numpy_rng, torch_state = own
        state["numpy"] = numpy_rng.get_state()
        if agent.device.type == "cuda":
            index = agent.device.index
            state["cuda"][torch.cuda.current_device() if index is None else index] = torch_state
        else:
            state["torch"] = torch_state
    return state


def restore_agent(agent: OffPolicyAlgorithm, state: dict[str, Any]) -> None:
    """Put a state back into an agent that was built in the same way, without the global generators.

    `restore_generators` puts those back at the end, since restoring environments resets them, which may draw.

    Raises:
        RunError: if the agent was built in another way.
    """
    given: Any = agent
    try:
        check_parameters(agent, state["parameters"], "the checkpoint")
        agent.set_parameters(state["parameters"], exact_match=True, device=agent.device)
        log_ent_coef = getattr(agent, "log_ent_coef", None)
        if state["log_ent_coef"] is not None and log_ent_coef is not None:
            log_ent_coef.data.copy_(state["log_ent_coef"])
        _restore_counters(agent, state["counters"])
        # An agent without a logger gets one when it learns.
        for name in _LOGGED if hasattr(agent, "_logger") else ():
            getattr(agent.logger, name).update(_checked_log(name, state["logged"][name]))
        if state["merged_targets"]:
            update = given._fast_step_for(agent.batch_size)
            if update is not None:
                update.restore_targets(0, state["merged_targets"])
        restore_env(agent.env, state["environments"])
        given.action_space._np_random = _generator(state["action_space"])
        _restore_augmentation(agent, state.get("augmentation"))
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"the checkpoint does not fit this agent: {' '.join(str(error).split())[:300]}") from error


def _restore_counters(agent: OffPolicyAlgorithm, saved: dict[str, Any]) -> None:
    """Put back how far training has come.

    Raises:
        RunError: if a value has another kind, shape or range than it can have.
    """
    observations = (agent.n_envs, *(agent.observation_space.shape or ()))
    shapes = {"_last_obs": observations, "_last_original_obs": observations, "_last_episode_starts": (agent.n_envs,)}
    for name in _COUNTERS:
        value = saved[name]
        if name in _COUNTS:
            fits = type(value) is int and 0 <= value < _MOST_STEPS
        elif name in shapes:
            fits = value is None or (isinstance(value, np.ndarray) and value.shape == shapes[name])
        elif name == "_current_progress_remaining":
            fits = isinstance(value, int | float) and math.isfinite(value)
        else:
            is_entry = _is_episode if name == "ep_info_buffer" else _is_number
            fits = value is None or (isinstance(value, deque) and all(map(is_entry, value)))
        if not fits:
            raise RunError(f"the checkpoint's {name} is {str(value)[:60]!r}, which no run has")
        setattr(agent, name, value)


def _is_episode(info: Any) -> bool:
    """Whether an entry is what a monitor tells of an episode."""
    return isinstance(info, dict) and {"r", "l"} <= info.keys() and all(map(_is_number, info.values()))


def _is_number(value: Any) -> bool:
    """Whether a value is one that numpy averages; a success is True or False."""
    within = not isinstance(value, int) or abs(value) < _MOST_STEPS
    return isinstance(value, bool | np.bool_ | int | float | np.number) and within


def _checked_log(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values that were recorded since the log was last written.

    Raises:
        RunError: if they are not numbers by their tags, or numbers of times, or names of formats.
    """
    kinds = (str, tuple) if name == "name_to_excluded" else (int, float, np.number)
    wrong = [tag for tag, value in values.items() if not isinstance(tag, str) or not isinstance(value, kinds)]
    if wrong:
        raise RunError(f"the checkpoint's {name} of {str(wrong[0])[:60]!r} is not what a log holds")
    return values


def _moves(agent: OffPolicyAlgorithm) -> Any:
    """What moves the minibatches of an agent; None where they stay as they are sampled."""
    return getattr(agent, "_augmentation", None)


def _restore_augmentation(agent: OffPolicyAlgorithm, saved: Any) -> None:
    """Put the generator of moved minibatches back; that of another kind of device has another state, and is left.

    Raises:
        RunError: if the state is not that of a generator.
    """
    if saved is None or _moves(agent) is None:
        return
    if not isinstance(saved, torch.Tensor) or saved.dtype != torch.uint8:
        raise RunError(f"the checkpoint's state of mirrored minibatches is {str(saved)[:60]!r}")
    if saved.shape == _moves(agent).generator.get_state().shape:
        _moves(agent).generator.set_state(saved)


def _generator(value: Any) -> np.random.Generator | None:
    if value is not None and not isinstance(value, np.random.Generator):
        raise RunError(f"the checkpoint's generator of the action space is {str(value)[:60]!r}")
    return value


def generators_state() -> dict[str, Any]:
    """Return the state of all global random generators."""
    # In a run without CUDA, reading the state would start it.
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": list(cuda),
    }


def restore_generators(state: dict[str, Any]) -> None:
    """Put the state of all global random generators back."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def env_state(env: VecEnv | None) -> tuple[dict[str, Any], list[str]]:
    """Return the state of vectorised environments and their wrappers, and the parts that are not saved."""
    layers, unsaved = [], []
    while isinstance(env, VecEnvWrapper):
        layer, missing = object_state(env, _NOT_OF_WRAPPERS, (VecEnv,))
        layers.append(layer)
        unsaved += missing
        env = env.venv
    single: list[Any] | None = None
    if env is not None and env.has_attr("is_resumable"):
        single = env.env_method("save_state")
        unsaved += [line for state in single for line in state["unsaved"]]
    elif env is not None:
        unsaved.append("the environments, which are reset: wrap them with rpp_rl.envs.ResumableWrapper")
    outer = [object_state(e, ("env",))[0] for one in getattr(env, "envs", []) for e in _outside(one)]
    # Seeds for the next reset.
    seeds = None if env is None else list(env._seeds)
    return {"layers": layers, "environments": single, "outer": outer, "seeds": seeds}, unsaved


def restore_env(env: VecEnv | None, state: dict[str, Any]) -> None:
    """Put the state of environments back.

    Raises:
        RunError: if their number or their wrappers differ.
    """
    for layer in state["layers"]:
        if not isinstance(env, VecEnvWrapper):
            raise RunError("the checkpoint has more wrappers around its environments than this run")
        restore_object(env, layer, _NOT_OF_WRAPPERS)
        env = env.venv
    if env is None or state["environments"] is None:
        return
    if env.num_envs != len(state["environments"]):
        raise RunError(f"the checkpoint has {len(state['environments'])} environments, this run has {env.num_envs}")
    env._seeds = list(state["seeds"])
    for i, single in enumerate(state["environments"]):
        env.env_method("restore_state", single, indices=i)
    if isinstance(env, DummyVecEnv):
        outside = [e for one in env.envs for e in _outside(one)]
        for wrapper, saved in zip(outside, state["outer"], strict=True):
            restore_object(wrapper, saved, ("env",))


def _outside(env: Any) -> list[Any]:
    """Return the wrappers outside the one that saves the state of an environment."""
    found = []
    while not hasattr(type(env), "is_resumable") and hasattr(env, "env"):
        found.append(env)
        env = env.env
    return found if hasattr(type(env), "is_resumable") else []


def callback_state(callback: BaseCallback) -> tuple[dict[str, Any], list[str]]:
    """Return the state of a callback, with its evaluation environments, and the parts that are not saved."""
    state, unsaved = object_state(callback, _NOT_OF_CALLBACKS, (BaseCallback, VecEnv))
    evaluated = getattr(callback, "eval_env", None)
    environments, missing = env_state(evaluated) if isinstance(evaluated, VecEnv) else (None, [])
    return {"callback": state, "environments": environments}, unsaved + missing


def restore_callback(callback: BaseCallback, state: dict[str, Any]) -> None:
    """Put the state of a callback back."""
    restore_object(callback, state["callback"], _NOT_OF_CALLBACKS)
    if state["environments"] is not None:
        restore_env(callback.eval_env, state["environments"])  # type: ignore[attr-defined]
