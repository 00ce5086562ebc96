"""Check the arguments of an agent, and merge those of its policy."""

from __future__ import annotations

import inspect
import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from rpp_rl.agents.common.environment_symmetry import as_symmetry
from rpp_rl.errors import NetworkError, RunError, SymmetryError, UnknownNameError

# The values with which an algorithm does anything sensible: whole numbers from the least on, numbers in a range.
_WHOLE: Mapping[str, int] = {
    **dict.fromkeys(("n_timesteps", "n_envs", "batch_size", "buffer_size", "n_steps", "stats_window_size"), 1),
    **dict.fromkeys(("target_update_interval", "policy_delay"), 1),
    "learning_starts": 0,
    "seed": 0,
    "gradient_steps": -1,
}
_REAL: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(("tau", "gamma"), (0.0, 1.0)),
    **dict.fromkeys(("learning_rate", "ent_coef", "target_policy_noise", "target_noise_clip"), (0.0, math.inf)),
    "target_entropy": (-math.inf, math.inf),
    **{f"{network}_{pathway}_wd": (0.0, math.inf) for network in ("actor", "critic") for pathway in ("equiv", "basic")},
    **dict.fromkeys(("residual_init_scale", "residual_step_ratio"), (0.0, math.inf)),
}
# Arguments that may be left out with None.
_OPTIONAL = ("seed", *(name for name in _REAL if name.endswith(("_wd", "_scale", "_ratio"))))
_FLAGS = ("optimize_memory_usage", "use_sde", "use_sde_at_warmup", "augment", "fast_update", "zero_mean")
_LEARNT = ("ent_coef", "target_entropy")
_LARGEST = 1 << 62


def check_arguments(values: Mapping[str, Any]) -> None:
    """Check numbers among the arguments of an algorithm; others, schedules among them, are let through.

    Raises:
        RunError: if one is not a number, not finite, or outside of its range; the message names it.
    """
    for name, value in values.items():
        if value is None and name in _OPTIONAL:
            continue
        if name in _FLAGS:
            if not isinstance(value, bool | np.bool_):
                raise RunError(f"{name} must be True or False, got {str(value)[:60]!r}")
        elif name in _WHOLE:
            if type(value) is bool or not isinstance(value, int | np.integer) or not _WHOLE[name] <= value < _LARGEST:
                raise RunError(f"{name} must be a whole number of at least {_WHOLE[name]}, got {str(value)[:60]!r}")
        elif name in _REAL and not callable(value):
            _check_real(name, value)
        elif name == "train_freq" and not isinstance(value, str):
            frequency = value[0] if isinstance(value, tuple | list) and value else getattr(value, "frequency", value)
            if type(frequency) is bool or not isinstance(frequency, int | np.integer) or frequency < 1:
                raise RunError(f"train_freq must be at least 1 step or episode, got {str(value)[:60]!r}")


def _check_real(name: str, value: Any) -> None:
    low, high = _REAL[name]
    number = value
    if isinstance(value, str):
        learnt, _, start = value.partition("_")
        number = (start or 1.0) if name in _LEARNT and learnt == "auto" else math.nan
    try:
        fits = not isinstance(number, bool) and low <= float(number) <= high and math.isfinite(float(number))
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        range_of = f"number from {low:g} to {high:g}" if high < math.inf else f"finite number of at least {low:g}"
        wanted = ("finite number" if low == -math.inf else range_of) + (", or auto" if name in _LEARNT else "")
        raise RunError(f"{name} must be a {wanted}, got {str(value)[:60]!r}")


def check_names(given: Iterable[str], classes: Iterable[type], what: str) -> None:
    """Check that classes have arguments of these names.

    Args:
        given: the names.
        classes: a class, or a class and the bases that it hands unknown arguments on to.
        what: what a name stands for, for the message.

    Raises:
        UnknownNameError: if a name is unknown; the message suggests one.
    """
    known: set[str] = set()
    for cls in classes:
        parameters = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]
        known.update(p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    else:
        # The last one takes names that only its own code knows.
        return
    for name in given:
        if name not in known:
            raise UnknownNameError(what, name, known - {"self", "observation_space", "action_space", "lr_schedule"})


def merged_options(policy_kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The policy's keyword arguments, with those given to the algorithm itself; the caller's are left alone.

    Raises:
        NetworkError: if one is given twice, differently.
    """
    merged = dict(policy_kwargs)
    if "symmetry" in merged:
        merged["symmetry"] = as_symmetry(merged["symmetry"])
    for name, given in options.items():
        value = as_symmetry(given) if name == "symmetry" else given
        if value is None:
            continue
        if name in merged and merged[name] != value:
            raise NetworkError(
                f"{name} is given twice, as {value!r} and in policy_kwargs as {merged[name]!r}; give it once"
            )
        merged[name] = value
    return merged


def owned(state: Any) -> Any:
    """A state dictionary, or a list, whose tensors own their memory."""
    if isinstance(state, torch.Tensor):
        return state.detach().clone()
    if isinstance(state, list):
        return [owned(v) for v in state]
    if isinstance(state, dict):
        copied = ((k, owned(v)) for k, v in state.items())
        return OrderedDict(copied) if isinstance(state, OrderedDict) else dict(copied)
    return state


def need_boxes(env: Any, agent: str) -> None:
    """Check that observations and actions lie in boxes of one axis.

    Args:
        env: the environment.
        agent: name of the class that needs them.

    Raises:
        SymmetryError: if not.
    """
    for what in ("observation", "action"):
        space = getattr(env, f"{what}_space", None)
        if space is not None and not (isinstance(space, spaces.Box) and len(space.shape) == 1):
            raise SymmetryError(f"{agent} needs {what}s in a box of one axis, but the {what} space is {space}")
