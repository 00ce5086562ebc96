"""Read agents that stable-baselines3 saved, without unpickling.

Such a zip file holds JSON, and parameters that `torch.load` reads with ``weights_only``. Where a value is not plain
data, the JSON has a cloudpickle in base64 and a description in words. The plain data, the parameters and unambiguous
descriptions are read; the pickles are not.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Mapping
from typing import Any

import torch

from rpp_rl.agents.common.saving.documents import read_json
from rpp_rl.agents.common.saving.plain_objects import (
    CLASS_OPTIONS,
    WORDS,
    class_option,
    space_from,
    train_freq_from,
    with_parametrization,
)
from rpp_rl.agents.common.saving.saved_agent import BUFFERS, KINDS, SavedAgent, checked_values, need_finite
from rpp_rl.errors import RunError
from rpp_rl.files import Archive

_PICKLED = ":serialized:"
# Attributes that are built again, or are useless without the environment that the agent had.
_DERIVED = (
    *("lr_schedule", "_last_obs", "_last_original_obs", "_last_episode_starts", "ep_info_buffer"),
    *("ep_success_buffer", "batch_norm_stats", "batch_norm_stats_target", "start_time"),
)
_CLASS = re.compile(r"<class '([\w.]+)'>")
_ALGORITHM = re.compile(r"stable_baselines3\.(\w+)\.policies\.")
_CONSTRUCTOR = re.compile(r"<function (\w+)\.__init__ ")


def is_stable_baselines(archive: Archive) -> bool:
    """Whether stable-baselines3 wrote an archive."""
    return "data" in archive.names


def read_stable_baselines(archive: Archive) -> SavedAgent:
    """Read the plain data and the parameters of a file of stable-baselines3.

    Raises:
        RunError: if it is damaged, or not an off-policy agent with an actor and a critic.
    """
    data = read_json(archive.read("data"), archive.name)
    parts = {"policy.pth", "actor.optimizer.pth", "critic.optimizer.pth"}
    if not isinstance(data, dict) or not parts <= archive.names:
        raise RunError(f"{archive.name} is not an off-policy agent that stable-baselines3 or rpp-rl saved")
    attributes: dict[str, Any] = {}
    unread: list[str] = []
    for key, value in data.items():
        if key in _DERIVED:
            continue
        readable, found = _read(key, value)
        if readable:
            attributes[key] = found
        else:
            unread.append(key)
    if isinstance(attributes.get("policy_kwargs"), dict):
        attributes["policy_kwargs"] = with_parametrization(attributes["policy_kwargs"])
    attributes.update(checked_values({k: v for k, v in attributes.items() if k in KINDS}, archive.name))
    known = {*KINDS, "policy_class", "observation_space", "action_space", "policy_kwargs", "learning_rate"}
    known |= {"train_freq", "action_noise", "replay_buffer_class"}
    parameters = {
        name.removesuffix(".pth"): _read_tensors(archive, name)
        for name in sorted(archive.names)
        if name.endswith(".pth") and name not in ("pytorch_variables.pth", "tensors.pth")
    }
    variables = _read_tensors(archive, "pytorch_variables.pth") if "pytorch_variables.pth" in archive.names else None
    log_ent_coef = variables.get("log_ent_coef") if isinstance(variables, Mapping) else None
    match = _ALGORITHM.match(str(attributes.get("policy_class")))
    made_by = match[1].upper() if match else "TD3" if "policy_delay" in data else "SAC"
    saved = SavedAgent(
        archive.name,
        {k: v for k, v in attributes.items() if k in known},
        parameters,
        None if log_ent_coef is None else log_ent_coef.detach(),
        tuple(u for u in unread if u in known),
        has_pickles=True,
        made_by=made_by,
    )
    need_finite({**saved.parameters, "log_ent_coef": saved.log_ent_coef}, saved.name)
    return saved


def _read(key: str, value: Any) -> tuple[bool, Any]:
    """Return whether a value can be read without its pickle, and the value."""
    if key == "train_freq" and isinstance(value, list):
        return True, train_freq_from(value)
    if not (isinstance(value, dict) and _PICKLED in value):
        return True, value
    if key in ("policy_class", "replay_buffer_class"):
        match = _CONSTRUCTOR.match(str(value.get("__init__")))
        if match and key == "policy_class":
            return True, f"{value.get('__module__')}.{match[1]}"
        if key == "policy_class" and str(value.get("__module__")).startswith("rpp_rl."):
            # Our policies inherit their constructor, so it does not name them.
            return True, f"{value['__module__']}:{value.get('default_kind')}"
        buffer = BUFFERS.get(match[1]) if match else None
        if buffer is not None and value.get("__module__") == buffer.__module__:
            return True, buffer
    if key in ("observation_space", "action_space"):
        return _read_box(value)
    if key == "policy_kwargs":
        return _read_policy_kwargs(value)
    return False, None


def _read_box(value: Mapping[str, Any]) -> tuple[bool, Any]:
    low, high = (str(value.get(side, "")).strip("[]").split() for side in ("low", "high"))
    if "..." in low or "..." in high or value.get("_shape") != [len(low)] or len(low) != len(high):
        return False, None
    return True, space_from({"low": low, "high": high, "dtype": value.get("dtype")})


def _read_policy_kwargs(value: Mapping[str, Any]) -> tuple[bool, Any]:
    options: dict[str, Any] = {}
    for name, described in value.items():
        if name in (":type:", _PICKLED):
            continue
        options[name] = described
        if name in CLASS_OPTIONS:
            match = _CLASS.fullmatch(str(described))
            options[name] = class_option(name, match[1]) if match else None
            if options[name] is None:
                return False, None
        elif isinstance(described, str) and name not in WORDS:
            # Either plain text, or the description of an object.
            return False, None
    return True, options


def _read_tensors(archive: Archive, member: str) -> Any:
    content = archive.read(member)
    # Files of torch are archives too, which may expand.
    Archive(io.BytesIO(content), f"{member} of {archive.name}")
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, KeyError, TypeError, EOFError, AttributeError) as error:
        detail = " ".join(str(error).split())[:200]
        raise RunError(
            f"{member} of {archive.name} holds something else than tensors, and is not read ({detail}); loading with "
            "trust=True would run it, so use that only for a file that you made"
        ) from error
