"""What an agent checks of its arguments, and hands on of its state."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from gymnasium import spaces

from rpp_rl.agents.common.environment_symmetry import as_symmetry
from rpp_rl.errors import NetworkError, SymmetryError


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
