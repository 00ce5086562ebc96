"""Spaces, classes, schedules and noise as plain data, and back without importing a module that a file names."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common import noise, torch_layers, utils
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit

from rpp_rl.errors import RunError
from rpp_rl.symmetry import Symmetry

# Options of a policy that are classes: the module that defines them, and their base class.
CLASS_OPTIONS: Mapping[str, tuple[Any, type]] = {
    "activation_fn": (torch.nn, torch.nn.Module),
    "optimizer_class": (torch.optim, torch.optim.Optimizer),
    "features_extractor_class": (torch_layers, torch_layers.BaseFeaturesExtractor),
}
# Options of our policies that are words.
WORDS = ("actor", "critic", "network", "parametrization", "steps", "residual_prior")
# What a policy notes in the files of an algorithm, so that later defaults do not matter.
NOTED = ("parametrization", "steps", "residual_prior", "residual_budget")
# The layers of files from before there were others.
FIRST_PARAMETRIZATION: Mapping[str, str] = {"parametrization": "pathways", "steps": "orthonormal"}
_NOISES = {"NormalActionNoise": ("_mu", "_sigma"), "OrnsteinUhlenbeckActionNoise": ("_mu", "_sigma", "_theta", "_dt")}


def describe_space(space: spaces.Box) -> dict[str, Any]:
    """Describe a box as plain data."""
    return {"low": space.low, "high": space.high, "dtype": str(space.dtype)}


def space_from(data: Mapping[str, Any]) -> spaces.Box:
    """Build a box from its description.

    Raises:
        RunError: if it does not describe a box of one axis.
    """
    try:
        dtype = np.dtype(str(data["dtype"]))
        low, high = (np.asarray(data[side], dtype=dtype) for side in ("low", "high"))
        if low.ndim != 1 or dtype.kind not in "fiu":
            raise ValueError("it is not a box of numbers along one axis")
        return spaces.Box(low, high, dtype=dtype.type)
    except (KeyError, TypeError, ValueError, AssertionError, OverflowError) as error:
        raise RunError(f"a space of the saved agent cannot be read: {error}") from error


def class_option(option: str, name: str) -> type | None:
    """Look up the class that an option names; None if files may not name it, as that would import a module."""
    module, kind = CLASS_OPTIONS[option]
    attribute = name.rpartition(".")[2].rpartition(":")[2]
    found = getattr(module, attribute, None)
    if not (isinstance(found, type) and issubclass(found, kind)):
        return None
    return found if name.replace(":", ".") in (full_name(found), f"{module.__name__}.{attribute}") else None


def full_name(cls: type) -> str:
    """Return module and name of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def describe_policy_kwargs(options: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the options of a policy as plain data: classes by name, a symmetry as its dictionary."""
    described = {k: v.to_dict() if isinstance(v, Symmetry) else v for k, v in options.items()}
    classes = {k: {"class": full_name(v)} for k, v in options.items() if k in CLASS_OPTIONS and isinstance(v, type)}
    return {**described, **classes}


def policy_kwargs_from(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Read the options of a policy; also returns the classes among them that files may not name."""
    # Earlier versions named the plain kind after the perceptron.
    old = {name: "plain" for name in ("actor", "critic") if data.get(name) == "mlp"}
    options, unknown = {**data, **old}, []
    for option in CLASS_OPTIONS.keys() & data.keys():
        named = data[option]
        if isinstance(named, Mapping) and isinstance(named.get("class"), str):
            options[option] = class_option(option, named["class"])
            if options[option] is None:
                unknown.append(f"{option}={named['class']}")
    if isinstance(data.get("symmetry"), Mapping):
        options["symmetry"] = Symmetry.from_dict(data["symmetry"])
    return with_parametrization(options), unknown


def with_parametrization(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of one of our policies, with those that files did not name before there was a choice."""
    known = "parametrization" in options or options.get("symmetry") is None
    return dict(options) if known else {**options, **FIRST_PARAMETRIZATION}


def need_believable_networks(options: Mapping[str, Any], sizes: Sequence[int], stored: int, name: str) -> None:
    """Check that a file has enough parameters for the networks that it describes.

    Args:
        options: options of the policy.
        sizes: sizes of observation and action.
        stored: number of parameters in the file.
        name: name of the file, for messages.

    Raises:
        RunError: if the networks are larger than the parameters in the file.
    """
    symmetry = options.get("symmetry")
    # An equivariant weight has at most one entry per parameter and group element.
    entries = stored * (symmetry.group.order if isinstance(symmetry, Symmetry) else 1)
    widths = _whole_numbers(options.get("net_arch") or [])
    layers = [a * b for a, b in itertools.pairwise(widths)]
    critics = options.get("n_critics", 1)
    if not isinstance(critics, int) or max([*widths, *layers, *sizes, critics]) > entries:
        raise RunError(f"{name} asks for larger networks than it has parameters for; it is damaged")


def _whole_numbers(value: Any) -> list[int]:
    if isinstance(value, Mapping):
        return [n for v in value.values() for n in _whole_numbers(v)]
    if isinstance(value, list | tuple):
        return [n for v in value for n in _whole_numbers(v)]
    return [value] if isinstance(value, int) else []


def describe_schedule(rate: Any, now: float) -> dict[str, Any] | float:
    """Describe a learning rate: a number, a schedule of stable-baselines3, or the present value of another schedule."""
    if isinstance(rate, int | float):
        return float(rate)
    inner = getattr(rate, "value_schedule", rate)
    if type(inner) is utils.LinearSchedule:
        return {"start": inner.start, "end": inner.end, "end_fraction": inner.end_fraction}
    if type(inner) is utils.ConstantSchedule:
        return float(inner.val)
    return {"constant": float(now)}


def schedule_from(data: Any) -> Any:
    """Build a learning rate from its description.

    Raises:
        RunError: if the description cannot be read.
    """
    try:
        if isinstance(data, Mapping):
            if "constant" in data:
                return float(data["constant"])
            return utils.LinearSchedule(*(float(data[name]) for name in ("start", "end", "end_fraction")))
        return float(data)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"the learning rate of the saved agent cannot be read: {error}") from error


def describe_noise(action_noise: Any) -> dict[str, Any] | None:
    """Describe action noise of stable-baselines3's two kinds; None where there is none or another kind."""
    # Learning on several environments wraps the noise, and wraps it again after loading.
    base = getattr(action_noise, "base_noise", action_noise)
    names = _NOISES.get(type(base).__name__)
    if names is None:
        return None
    return {"kind": type(base).__name__, **{name: getattr(base, name) for name in names}}


def noise_from(data: Mapping[str, Any] | None) -> noise.ActionNoise | None:
    """Build action noise from its description.

    Raises:
        RunError: if the description cannot be read.
    """
    if data is None:
        return None
    try:
        kind = str(data["kind"])
        made: noise.ActionNoise = getattr(noise, kind)(*(data[name] for name in _NOISES[kind]))
        return made
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"the action noise of the saved agent cannot be read: {error}") from error


def train_freq_from(data: Any) -> TrainFreq:
    """Build the training frequency from a number and a unit.

    Raises:
        RunError: if the description cannot be read.
    """
    try:
        number, unit = data
        return TrainFreq(int(number), TrainFrequencyUnit(unit))
    except (TypeError, ValueError) as error:
        raise RunError(f"train_freq of the saved agent cannot be read: {error}") from error
