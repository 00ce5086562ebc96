"""Find the method with which an environment observes its current state, whatever its name is.

Gymnasium asks for `step` and `reset` only. An audit sets a state and needs its observation, so it needs the method that
both call. A method is recognized by its name, and then checked on the environment.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from rpp_rl.errors import SymmetryError, listed

Observe = Callable[[], Any]
ATTRIBUTE = "observation_method"
"""The attribute of an environment that names its method where the name is unusual."""

# The usual name comes first, so that other methods are called only without it.
_USUAL = "_get_obs"
_VERBS = "get|compute|calc|calculate|make|build|create|read|collect|gather|construct"
_NAME = re.compile(
    rf"_*(?:(?:{_VERBS})_?)?(?:current_?|full_?)?(?:obs|observations?|observe)(?:_?(?:vector|array))?", re.IGNORECASE
)
_SEED, _STEPS = 0, 2


def observation_method(base: Any, name: str, restart: Callable[[], None]) -> Observe:
    """Find the method that returns the observation of the current state.

    After `reset` and after each of two steps the value of the method must equal, bit by bit, the observation that was
    returned. Once another state is set, the value must have changed; a stored observation would not.

    Args:
        base: the unwrapped environment, which is reset and stepped.
        name: name of the environment, for messages.
        restart: sets a state of the simulator that differs from the state after a reset and two steps.

    Returns:
        The bound method, which takes no arguments.

    Raises:
        SymmetryError: if the environment has no such method; the message lists the methods that were tried.
    """
    named = getattr(base, ATTRIBUTE, None)
    if named is not None and not callable(getattr(base, str(named), None)):
        raise SymmetryError(
            f"the attribute {ATTRIBUTE} of {name} must name a method of the environment, got {str(named)[:80]!r}"
        )
    refused: dict[str, str] = {}
    for candidate in [str(named)] if named is not None else list(_names(base)):
        reason = _fault(base, getattr(base, candidate), restart)
        if reason is None:
            return getattr(base, candidate)  # type: ignore[no-any-return]
        refused[candidate] = reason
    tried = listed([f"{candidate} {reason}" for candidate, reason in refused.items()]) or "no method has such a name"
    raise SymmetryError(
        f"{name} has no method that returns the observation of its current state ({tried}): compute the observations "
        f"of step and reset in a method without arguments, such as {_USUAL}, or name it in the attribute {ATTRIBUTE}"
    )


def _names(base: Any) -> Iterator[str]:
    """The names of methods that may be meant, the usual one first."""
    found = [n for n in dir(base) if _NAME.fullmatch(n) and callable(inspect.getattr_static(base, n, None))]
    # A static method needs no instance, and is not callable before it is bound.
    found += [n for n in dir(base) if _NAME.fullmatch(n) and isinstance(inspect.getattr_static(base, n), staticmethod)]
    return iter(sorted(dict.fromkeys(found), key=lambda n: (n != _USUAL, n)))


def _fault(base: Any, method: Observe, restart: Callable[[], None]) -> str | None:
    """Why a method does not return the observation of the current state; None if it does."""
    try:
        inspect.signature(method).bind()
    except (TypeError, ValueError):
        return "needs arguments"
    actions = copy.deepcopy(base.action_space)
    actions.seed(_SEED)
    try:
        returned, _ = base.reset(seed=_SEED)
        if not _is_same(method(), returned):
            return "returns something else than reset"
        for _ in range(_STEPS):
            returned = base.step(actions.sample())[0]
            if not _is_same(method(), returned):
                return "returns something else than step"
        last = copy.deepcopy(returned)
        restart()
        if _is_same(method(), last):
            return "does not change when a state is set"
    except Exception as error:  # a method of another kind may raise anything
        return f"raises {type(error).__name__}"
    return None


def _is_same(value: Any, returned: Any) -> bool:
    """Whether two observations have the same numbers, in the precision of the second."""
    if isinstance(returned, Mapping):
        alike = isinstance(value, Mapping) and value.keys() == returned.keys()
        return alike and all(_is_same(value[key], returned[key]) for key in returned)
    if isinstance(returned, tuple):
        alike = isinstance(value, tuple) and len(value) == len(returned)
        return alike and all(map(_is_same, value, returned))
    try:
        given, array = np.asarray(value), np.asarray(returned)
    except ValueError:
        return False
    if given.shape != array.shape or given.dtype.kind not in "fiub" or array.dtype.kind not in "fiub":
        return False
    return bool(np.array_equal(given.astype(array.dtype), array, equal_nan=array.dtype.kind == "f"))
