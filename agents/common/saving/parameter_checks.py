"""Check parameters against the networks and optimisers that are to take them, before the first of them changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import recursive_getattr

from rpp_rl.errors import RunError

_COMPUTED = ("foreach", "fused", "capturable")


def check_parameters(agent: BaseAlgorithm, parameters: Mapping[str, Any], source: str, exact: bool = True) -> None:
    """Check that parameters fit an agent, so that setting them does not stop half-way.

    Args:
        agent: the agent.
        parameters: state dictionaries by the names of networks and optimisers, as `get_parameters` returns them.
        source: where they come from, for messages.
        exact: whether networks must have the same entries.

    Raises:
        RunError: if a network has other entries or shapes, or an optimiser's state is not one of its parameters.
    """
    for name, state in parameters.items():
        part = recursive_getattr(agent, name, None)
        try:
            if isinstance(part, torch.optim.Optimizer):
                _check_optimizer(part, state)
            elif isinstance(part, torch.nn.Module) and exact:
                _check_network(part, state)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            detail = " ".join(str(error).split())[:300]
            raise RunError(f"{source} does not fit this agent: {name}: {detail}") from error


def _check_network(network: torch.nn.Module, state: Mapping[str, Any]) -> None:
    own = network.state_dict()
    if own.keys() != state.keys():
        raise ValueError(
            f"it has entries {', '.join(sorted(map(str, own.keys() ^ state.keys()))[:4])} in one place only"
        )
    for key, value in own.items():
        if not isinstance(state[key], torch.Tensor) or state[key].shape != value.shape:
            shape = tuple(getattr(state[key], "shape", ()))
            raise ValueError(f"{key} has shape {shape} instead of {tuple(value.shape)}")


def _check_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    groups = optimizer.state_dict()["param_groups"]
    if len(groups) != len(state["param_groups"]):
        raise ValueError(f"{len(state['param_groups'])} groups of parameters instead of {len(groups)}")
    shapes: dict[int, torch.Size] = {}
    for group, given, own in zip(groups, state["param_groups"], optimizer.param_groups, strict=True):
        if list(given["params"]) != group["params"]:
            raise ValueError("its groups hold other parameters")
        for option in group.keys() & given.keys() - {"params"}:
            # How a step is computed may depend on the device, but not be asked for by a file.
            if not _alike(group[option], given[option]) and not (option in _COMPUTED and not given[option]):
                raise ValueError(f"{option} is {str(given[option])[:60]!r}")
        shapes |= dict(zip(group["params"], (p.shape for p in own["params"]), strict=True))
    for index, moments in state["state"].items():
        for key, value in moments.items():
            single = key in ("step", "multiplier")
            expected = (1,) if single else tuple(shapes[index])
            shape = tuple(torch.as_tensor(value).shape)
            if shape != expected and not (single and shape == ()):
                raise ValueError(f"{key} of parameter {index} has shape {shape} instead of {expected}")


def _alike(own: Any, given: Any) -> bool:
    """Whether an option of an optimiser may have a value: the same text, finite numbers for numbers."""
    if isinstance(own, tuple | list):
        return isinstance(given, tuple | list) and len(own) == len(given) and all(map(_alike, own, given))
    if isinstance(own, str):
        return bool(own == given)
    if own is None or isinstance(own, bool):
        return given is own
    number = given.item() if isinstance(given, torch.Tensor) and given.numel() == 1 else given
    return isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
