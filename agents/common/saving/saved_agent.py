"""A saved agent: what a file says of it, checked, before any agent is built."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer

from rpp_rl.agents.common.saving.descriptions import (
    describe_noise,
    describe_policy_kwargs,
    describe_schedule,
    describe_space,
    full_name,
    need_believable_networks,
    noise_from,
    policy_kwargs_from,
    schedule_from,
    space_from,
    train_freq_from,
)
from rpp_rl.agents.common.transition_buffer import TransitionBuffer
from rpp_rl.errors import RunError

# Classes of buffers that a file may name.
BUFFERS: Mapping[str, type] = {c.__name__: c for c in (TransitionBuffer, ReplayBuffer, NStepReplayBuffer)}
# Attributes of an agent that are numbers or words, and what they may be.
_WHOLE = (
    *("buffer_size", "learning_starts", "batch_size", "gradient_steps", "n_steps", "target_update_interval"),
    *("sde_sample_freq", "verbose", "_stats_window_size", "n_envs", "num_timesteps", "_total_timesteps"),
    *("_num_timesteps_at_start", "_episode_num", "_n_updates"),
)
_NUMBERS = ("tau", "gamma", "_current_progress_remaining", "target_entropy", "start_time")
_FLAGS = ("optimize_memory_usage", "use_sde", "use_sde_at_warmup", "fast_update")
KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(_WHOLE, (int,)),
    **dict.fromkeys(_NUMBERS, (int, float)),
    **dict.fromkeys(_FLAGS, (bool,)),
    "ent_coef": (str, int, float),
    "precision": (str,),
    "seed": (int, type(None)),
    "tensorboard_log": (str, type(None)),
    "replay_buffer_kwargs": (dict,),
}
# Arrays and lists that say where an agent was.
PLACES = ("_last_obs", "_last_original_obs", "_last_episode_starts", "ep_info_buffer", "ep_success_buffer")
# The largest number of transitions that is believed.
_MOST_TRANSITIONS = 1 << 40


@dataclass(frozen=True)
class SavedAgent:
    """What a file says of an agent.

    Attributes:
        name: what messages call the file.
        attributes: of the agent, by name; ``policy_class``, ``observation_space``, ``action_space`` among them.
        parameters: the state of each network and optimiser, as `SAC.set_parameters` takes it.
        log_ent_coef: logarithm of the entropy coefficient; None where it is fixed.
        unread: what cannot be read without running code from the file or importing a module that it names.
        has_pickles: whether the file has code for the rest.
        made_by: the name of the agent's class.
    """

    name: str
    attributes: Mapping[str, Any]
    parameters: Mapping[str, Any]
    log_ent_coef: torch.Tensor | None
    unread: tuple[str, ...] = ()
    has_pickles: bool = False
    made_by: str = "RPPSAC"

    def given(self, custom_objects: Mapping[str, Any]) -> SavedAgent:
        """The same with objects of the caller's in the place of what was saved."""
        unread = tuple(u for u in self.unread if u.partition("=")[0] not in custom_objects)
        return replace(self, attributes={**self.attributes, **custom_objects}, unread=unread)

    def with_policy_of(self, cls: type) -> SavedAgent:
        """The same with the policy's class in the place of its name."""
        named = self.attributes.get("policy_class")
        if not isinstance(named, str):
            return self
        found = policies_of(cls).get(named)
        unread = self.unread if found else (*self.unread, f"policy_class={named}")
        return replace(self, attributes={**self.attributes, "policy_class": found}, unread=unread)


def policies_of(cls: type) -> dict[str, type]:
    """The policies that files of a class may name, by name and by full name."""
    aliases = [p for base in reversed(cls.__mro__) for p in vars(base).get("policy_aliases", {}).values()]
    return {name: policy for policy in aliases for name in (policy.__name__, full_name(policy))}


def describe_agent(agent: SAC, left_out: Collection[str] = ()) -> tuple[dict[str, Any], list[str]]:
    """An agent as plain data, and what of it is not saved, in words."""
    unsaved = []
    given: Any = agent
    values = {name: _number(getattr(agent, name)) for name in KINDS if hasattr(agent, name)}
    rate = describe_schedule(agent.learning_rate, agent.lr_schedule(agent._current_progress_remaining))
    if isinstance(rate, dict) and "constant" in rate:
        unsaved.append("learning_rate, a schedule of your own (what it is now is saved)")
    noise = describe_noise(agent.action_noise)
    if agent.action_noise is not None and noise is None:
        unsaved.append(f"action_noise, a {type(agent.action_noise).__name__}")
    buffer = None if agent.replay_buffer_class is None else agent.replay_buffer_class.__name__
    places = {name: getattr(agent, name, None) for name in PLACES}
    data = {
        "class": type(agent).__name__,
        "policy_class": agent.policy_class.__name__
        if agent.policy_class in policies_of(type(agent)).values()
        else full_name(agent.policy_class),
        "observation_space": describe_space(given.observation_space),
        "action_space": describe_space(given.action_space),
        "policy_kwargs": describe_policy_kwargs(agent.policy_kwargs),
        "learning_rate": rate,
        "train_freq": [given.train_freq.frequency, given.train_freq.unit.value],
        "action_noise": noise,
        "replay_buffer_class": buffer,
        "values": {k: v for k, v in values.items() if k not in left_out},
        "places": {k: v for k, v in places.items() if k not in left_out},
        "parameters": agent.get_parameters(),
        "log_ent_coef": agent.log_ent_coef,
    }
    return data, unsaved


def saved_agent(data: Any, name: str) -> SavedAgent:
    """An agent from what `describe_agent` gave.

    Raises:
        RunError: if the data is of another form.
    """
    try:
        options, unknown = policy_kwargs_from(data["policy_kwargs"])
        unread = [f"policy_kwargs={u}" for u in unknown]
        attributes = {
            "policy_class": str(data["policy_class"]),
            "observation_space": space_from(data["observation_space"]),
            "action_space": space_from(data["action_space"]),
            "policy_kwargs": options,
            "learning_rate": schedule_from(data["learning_rate"]),
            "train_freq": train_freq_from(data["train_freq"]),
            "action_noise": noise_from(data["action_noise"]),
            "replay_buffer_class": BUFFERS.get(data["replay_buffer_class"] or ""),
            **{k: data["places"][k] for k in PLACES if k in data["places"]},
        }
        attributes.update(checked_values(data["values"], name))
        made_by = str(data.get("class", "RPPSAC"))
        parameters = dict(data["parameters"])
        saved = SavedAgent(name, attributes, parameters, data["log_ent_coef"], tuple(unread), made_by=made_by)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{name} is no saved agent: {type(error).__name__} {error}") from error
    need_finite(saved)
    return saved


def checked_values(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Numbers and words, each of the kind that its attribute is.

    Raises:
        RunError: if one is of another.
    """
    for key, value in values.items():
        kinds = KINDS.get(key)
        wrong_bool = isinstance(value, bool) and kinds is not None and bool not in kinds
        if kinds is None or not isinstance(value, kinds) or wrong_bool:
            raise RunError(f"{name} is no saved agent: its {key} is {str(value)[:50]!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise RunError(f"{name} is no saved agent: its {key} is {value}")
    return dict(values)


def need_finite(saved: SavedAgent) -> None:
    """Check all numbers of networks and optimisers.

    Raises:
        RunError: if one is NaN or infinite; names it.
    """
    for where, value in _tensors({**saved.parameters, "log_ent_coef": saved.log_ent_coef}, ""):
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise RunError(f"{saved.name} holds a NaN or an infinity in {where}; train it again, or copy it again")


def need_believable(saved: SavedAgent) -> None:
    """Check that the networks and the buffer that are asked for are no larger than the parameters at hand suggest.

    Raises:
        RunError: if building them would take memory that the file gives no reason for.
    """
    sizes = [saved.attributes[f"{what}_space"].shape[0] for what in ("observation", "action")]
    stored = sum(value.numel() for _, value in _tensors(saved.parameters.get("policy", {}), ""))
    need_believable_networks(saved.attributes["policy_kwargs"], sizes, stored, saved.name)
    rows = saved.attributes.get("buffer_size", 1) * (2 * sizes[0] + sizes[1] + 2)
    environments = saved.attributes.get("n_envs", 1)
    if not saved.attributes.get("buffer_size", 1) > 0 or rows > _MOST_TRANSITIONS or not 0 < environments <= 1 << 16:
        raise RunError(f"{saved.name} asks for a replay buffer that fits no machine; it is damaged")


def _tensors(value: Any, where: str) -> list[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        return [(where, value)]
    if isinstance(value, Mapping):
        return [found for k, v in value.items() for found in _tensors(v, f"{where}.{k}" if where else str(k))]
    if isinstance(value, list | tuple):
        return [found for i, v in enumerate(value) for found in _tensors(v, f"{where}[{i}]")]
    return []


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
