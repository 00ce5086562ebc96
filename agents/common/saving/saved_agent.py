"""Agents as plain data: describe an agent, check what a file says of it, and build it again."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.utils import check_for_correct_spaces

from rpp_rl.agents.common.devices import check_device
from rpp_rl.agents.common.saving.parameter_checks import check_parameters
from rpp_rl.agents.common.saving.plain_objects import (
    NOTED,
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
from rpp_rl.errors import RPPError, RunError

RISK = (
    "loading with trust=True unpickles it, which runs whatever code its author put there; use it only if you made the "
    "file or trust its author"
)
# Classes of buffers that a file may name.
BUFFERS: Mapping[str, type] = {c.__name__: c for c in (TransitionBuffer, ReplayBuffer, NStepReplayBuffer)}
# Attributes of an agent that are numbers or text, and their types.
_WHOLE = (
    *("buffer_size", "learning_starts", "batch_size", "gradient_steps", "n_steps", "target_update_interval"),
    *("sde_sample_freq", "verbose", "_stats_window_size", "n_envs", "num_timesteps", "_total_timesteps"),
    *("_num_timesteps_at_start", "_episode_num", "_n_updates", "policy_delay"),
)
_NUMBERS = (
    *("tau", "gamma", "_current_progress_remaining", "target_entropy", "start_time"),
    *("target_policy_noise", "target_noise_clip"),
)
_FLAGS = ("optimize_memory_usage", "use_sde", "use_sde_at_warmup", "augment", "fast_update")
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
# Arrays and lists that tell how far an agent was in its episodes.
PLACES = ("_last_obs", "_last_original_obs", "_last_episode_starts", "ep_info_buffer", "ep_success_buffer")
# The largest buffer that is believed, in numbers.
_LARGEST_BUFFER = 1 << 40
# Names in files of earlier versions, and the classes that they have now.
_OLD_POLICIES = {"MlpPolicy": "PlainPolicy"}
# Attributes without which no agent can be built.
_NEEDED = ("policy_class", "observation_space", "action_space", "policy_kwargs", "learning_rate")
# Parameters without which no agent can be built.
_PARAMETERS = ("policy", "actor.optimizer", "critic.optimizer")
Agent = TypeVar("Agent", bound=OffPolicyAlgorithm)


@dataclass(frozen=True)
class SavedAgent:
    """The content of an agent's file, checked.

    Attributes:
        name: name of the file in messages.
        attributes: of the agent, by name; ``policy_class``, ``observation_space``, ``action_space`` among them.
        parameters: the state of each network and optimiser, as `set_parameters` takes it.
        log_ent_coef: logarithm of the entropy coefficient; None where it is fixed or the algorithm has none.
        unread: attributes that cannot be read without running code from the file or importing a module that it names.
        has_pickles: whether the file holds the unread attributes as pickles.
        made_by: name of the agent's class.
    """

    name: str
    attributes: Mapping[str, Any]
    parameters: Mapping[str, Any]
    log_ent_coef: torch.Tensor | None
    unread: tuple[str, ...] = ()
    has_pickles: bool = False
    made_by: str = "RPPSAC"

    def given(self, custom_objects: Mapping[str, Any]) -> SavedAgent:
        """Replace saved attributes by objects of the caller."""
        unread = tuple(u for u in self.unread if u.partition("=")[0] not in custom_objects)
        return replace(self, attributes={**self.attributes, **custom_objects}, unread=unread)

    def with_policy_of(self, cls: type) -> SavedAgent:
        """Replace the name of the policy by its class."""
        named = self.attributes.get("policy_class")
        if not isinstance(named, str):
            return self
        found = policies_of(cls).get(named)
        unread = self.unread if found else (*self.unread, f"policy_class={named}")
        return replace(self, attributes={**self.attributes, "policy_class": found}, unread=unread)


def policies_of(cls: type) -> dict[str, type]:
    """Return the policies that files of a class may name: by name, by full name, and by module and own kind."""
    aliases = [p for base in reversed(cls.__mro__) for p in vars(base).get("policy_aliases", {}).values()]
    by_kind = {f"{policy.__module__}:{vars(policy).get('default_kind')}": policy for policy in aliases}
    return by_kind | {name: policy for policy in aliases for name in (policy.__name__, full_name(policy))}


def describe_agent(agent: OffPolicyAlgorithm, left_out: Collection[str] = ()) -> tuple[dict[str, Any], list[str]]:
    """Describe an agent as plain data; also returns the parts that are not saved, in words."""
    unsaved = []
    given: Any = agent
    values = {name: _number(getattr(agent, name)) for name in KINDS if hasattr(agent, name)}
    rate = describe_schedule(agent.learning_rate, agent.lr_schedule(agent._current_progress_remaining))
    if isinstance(rate, dict) and "constant" in rate:
        unsaved.append("learning_rate, a schedule of your own (only its present value is saved)")
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
        "log_ent_coef": getattr(agent, "log_ent_coef", None),
    }
    return data, unsaved


def saved_agent(data: Any, name: str) -> SavedAgent:
    """Read the description of an agent that `describe_agent` made.

    Raises:
        RunError: if the data has another form.
    """
    try:
        options, unknown = policy_kwargs_from(data["policy_kwargs"])
        unread = [f"policy_kwargs={u}" for u in unknown]
        attributes = {
            "policy_class": _OLD_POLICIES.get(data["policy_class"], str(data["policy_class"])),
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
        raise RunError(f"{name} is not a saved agent: {type(error).__name__} {error}") from error
    need_finite({**saved.parameters, "log_ent_coef": saved.log_ent_coef}, saved.name)
    return saved


def rebuild(
    cls: type[Agent],
    saved: SavedAgent,
    env: Any = None,
    device: torch.device | str = "auto",
    custom_objects: Mapping[str, Any] | None = None,
    force_reset: bool = True,
    **overrides: Any,
) -> Agent:
    """Build an agent as stable-baselines3's `load` does; all parts must fit.

    Args:
        cls: class of the agent.
        saved: content of the file.
        env: environment to train on; None to predict only.
        device: device of the networks.
        custom_objects: objects that replace saved ones, by attribute.
        force_reset: whether the environment is reset before training continues.
        **overrides: attributes to change.

    Raises:
        RunError: if a needed attribute cannot be read, or parts of the file do not fit each other.
        ValueError: if the environment has other spaces than the agent.
    """
    check_device(device)
    saved = saved.given({**(custom_objects or {}), **_spaces_of(env, saved)}).with_policy_of(cls)
    _report_unread(saved, overrides, learns=env is not None)
    # Where a file writes events is for the caller to say.
    attributes = {**saved.attributes, "tensorboard_log": None}
    missing = [name for name in _NEEDED if name not in attributes]
    lacking = [name for name in _PARAMETERS if name not in saved.parameters]
    if missing or lacking:
        raise RunError(f"{saved.name} is only part of a saved agent: it lacks {', '.join(missing + lacking)}")
    given = overrides.get("policy_kwargs")
    if given is not None and attributes["policy_kwargs"] != {**_noted(attributes["policy_kwargs"]), **given}:
        raise ValueError(
            "the specified policy kwargs do not equal the stored policy kwargs: "
            f"{given} given, {attributes['policy_kwargs']} stored"
        )
    need_believable(saved)
    if env is not None:
        env = cls._wrap_env(env, attributes.get("verbose", 0))
        check_for_correct_spaces(env, attributes["observation_space"], attributes["action_space"])
        attributes["n_envs"] = env.num_envs
        if force_reset:
            attributes["_last_obs"] = None
    try:
        build: Any = cls
        agent: Agent = build(policy=attributes["policy_class"], env=env, device=device, _init_setup_model=False)
        agent.__dict__.update(attributes)
        agent.__dict__.update(overrides)
        agent._setup_model()
        check_parameters(agent, saved.parameters, saved.name)
        agent.set_parameters(dict(saved.parameters), exact_match=True, device=device)
        log_ent_coef = getattr(agent, "log_ent_coef", None)
        if saved.log_ent_coef is not None and log_ent_coef is not None:
            log_ent_coef.data.copy_(saved.log_ent_coef)
    except RPPError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError, MemoryError) as error:
        detail = " ".join(str(error).split())[:300]
        raise RunError(
            f"the parts of {saved.name} do not fit each other: {detail}; was it saved with other versions?"
        ) from error
    return agent


def checked_values(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Check the types of attributes that are numbers or text.

    Raises:
        RunError: if one has another type, or is not finite.
    """
    for key, value in values.items():
        kinds = KINDS.get(key)
        wrong_bool = isinstance(value, bool) and kinds is not None and bool not in kinds
        if kinds is None or not isinstance(value, kinds) or wrong_bool:
            raise RunError(f"{name} is not a saved agent: its {key} is {str(value)[:50]!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise RunError(f"{name} is not a saved agent: its {key} is {value}")
    return dict(values)


def need_finite(parameters: Mapping[str, Any], subject: str) -> None:
    """Check that all numbers of networks and optimisers are finite.

    Args:
        parameters: tensors, nested.
        subject: subject of the sentence.

    Raises:
        RunError: if one is not; the message names it.
    """
    for where, value in _tensors(parameters, ""):
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise RunError(f"{subject} holds a NaN or an infinity in {where}; train it again")


def need_believable(saved: SavedAgent) -> None:
    """Check that the networks and the buffer that a file describes have a believable size.

    Raises:
        RunError: if the networks need more parameters than the file holds, or the buffer fits no machine.
    """
    sizes = [saved.attributes[f"{what}_space"].shape[0] for what in ("observation", "action")]
    stored = sum(value.numel() for _, value in _tensors(saved.parameters.get("policy", {}), ""))
    need_believable_networks(saved.attributes["policy_kwargs"], sizes, stored, saved.name)
    rows = saved.attributes.get("buffer_size", 1) * (2 * sizes[0] + sizes[1] + 2)
    environments = saved.attributes.get("n_envs", 1)
    if not saved.attributes.get("buffer_size", 1) > 0 or rows > _LARGEST_BUFFER or not 0 < environments <= 1 << 16:
        raise RunError(f"{saved.name} asks for a replay buffer that fits no machine; it is damaged")


def _noted(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a policy notes itself."""
    return {name: options[name] for name in NOTED if name in options}


def _spaces_of(env: Any, saved: SavedAgent) -> dict[str, Any]:
    """Return the environment's spaces where those of the file cannot be read."""
    names = [name for name in ("observation_space", "action_space") if name in saved.unread]
    return {name: getattr(env, name) for name in names if env is not None}


def _report_unread(saved: SavedAgent, overrides: Mapping[str, Any], learns: bool) -> None:
    unread = [u for u in saved.unread if u not in overrides]
    needed = [u for u in unread if u.partition("=")[0] in _NEEDED]
    if needed:
        raise RunError(
            f"{saved.name} has {', '.join(needed)} in a form that is not read from files: pass "
            f"custom_objects={{{needed[0].partition('=')[0]!r}: ...}}{f'; {RISK}' if saved.has_pickles else ''}"
        )
    # An agent that only acts does not need the attributes of learning.
    if unread and learns:
        logging.getLogger(__name__).warning(
            "not read from %s, as it is not plain data: %s; the defaults are used; %s",
            *(saved.name, ", ".join(unread), RISK),
        )


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
