"""The state of objects as plain data: taken from one object, and put back into another that was made in the same way.

Nothing is constructed when a state is put back: attributes of plain data are set, and objects within objects are
filled in where they are. What is neither is named, so that one knows what will not be as it was.
"""

from __future__ import annotations

from collections.abc import Collection
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from rpp_rl.errors import PlainDataError
from rpp_rl.plain_data import to_plain

# Never part of a state.
_STATELESS = (FunctionType, MethodType, BuiltinFunctionType, ModuleType, type)
_DEEPEST = 6


def object_state(
    instance: Any, skip: Collection[str] = (), stateless: tuple[type, ...] = ()
) -> tuple[dict[str, Any], list[str]]:
    """The attributes of an object.

    Args:
        instance: any object that keeps its attributes in its ``__dict__``.
        skip: names of attributes to leave out.
        stateless: classes of attributes that carry no state.

    Returns:
        The state, plain data, and the places within the object that are not saved.
    """
    unsaved: list[str] = []
    return _state(instance, type(instance).__name__, frozenset(skip), stateless, unsaved, 0), unsaved


def _state(
    instance: Any, where: str, skip: Collection[str], stateless: tuple[type, ...], unsaved: list[str], depth: int
) -> dict[str, Any]:
    state: dict[str, Any] = {"type": type(instance).__qualname__, "values": {}, "objects": {}}
    for name, value in vars(instance).items():
        place = f"{where}.{name}"
        if name in skip or isinstance(value, _STATELESS + stateless) or _is_frozen(value):
            continue
        try:
            to_plain(value, place)
            state["values"][name] = value
        except PlainDataError as error:
            if hasattr(value, "__dict__") and depth < _DEEPEST:
                state["objects"][name] = _state(value, place, (), stateless, unsaved, depth + 1)
            else:
                unsaved.append(str(error))
    return state


def _is_frozen(value: Any) -> bool:
    """Whether a value is of a frozen dataclass, which nothing changes after it was made."""
    parameters = getattr(type(value), "__dataclass_params__", None)
    return parameters is not None and bool(parameters.frozen)


def restore_object(instance: Any, state: dict[str, Any]) -> None:
    """Put a state back.

    Raises:
        PlainDataError: if the object is of another type than the one that the state was taken from, or lacks a part.
    """
    if state["type"] != type(instance).__qualname__:
        raise PlainDataError(f"the saved state is that of a {state['type']}, not of a {type(instance).__qualname__}")
    for name, value in state["values"].items():
        setattr(instance, name, value)
    for name, inner in state["objects"].items():
        if name not in vars(instance):
            raise PlainDataError(f"the saved state has a part {name!r} that this {state['type']} lacks")
        restore_object(vars(instance)[name], inner)
