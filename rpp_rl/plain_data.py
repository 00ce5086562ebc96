"""Convert values to JSON and arrays, and back: files without pickle can be read without running code in them.

JSON has no arrays, tuples, infinities or integer keys; each of these becomes an object whose key begins with ``$``.
Arrays and tensors are kept separately, by name, and are saved in a binary format.
"""

from __future__ import annotations

import inspect
import math
from collections import deque
from collections.abc import Collection, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rpp_rl.errors import PlainDataError

Arrays = dict[str, NDArray[Any]]
# Kinds of dtypes that are saved: booleans, integers, floats; not objects or text.
_KINDS = "biuf"
_DEEPEST = 40
_LARGEST = 1 << 128
_BIT_GENERATORS = {
    cls.__name__: cls for cls in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox)
}


def to_plain(value: Any, where: str = "value") -> tuple[Any, Arrays]:
    """Turn a value into JSON data and arrays.

    Args:
        value: numbers, text, None, lists, tuples, deques, dictionaries, arrays, tensors and numpy generators, nested.
        where: a name of the value for messages.

    Raises:
        PlainDataError: if the value contains anything else; the message names the place.
    """
    arrays: Arrays = {}
    return _encode(value, where, arrays, 0), arrays


def from_plain(data: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Convert the result of `to_plain` back.

    Raises:
        PlainDataError: if the data does not have the form that `to_plain` gives it.
    """
    try:
        return _decode(data, arrays, 0)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        if isinstance(error, PlainDataError):
            raise
        raise PlainDataError(f"the saved data is damaged: {type(error).__name__} {error}") from error


def _encode(value: Any, where: str, arrays: Arrays, depth: int) -> Any:
    if depth > _DEEPEST:
        raise PlainDataError(f"{where} is nested more than {_DEEPEST} deep, or contains itself")
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, np.generic):
        return {"$scalar": _encode(np.asarray(value), where, arrays, depth + 1)}
    if isinstance(value, torch.Tensor):
        return {"$tensor": _keep(value.detach().cpu().numpy(), where, arrays)}
    if isinstance(value, np.ndarray):
        return {"$array": _keep(value, where, arrays)}
    if isinstance(value, np.random.Generator):
        return {"$generator": _encode(value.bit_generator.state, where, arrays, depth + 1)}
    return _encode_container(value, where, arrays, depth)


def _encode_container(value: Any, where: str, arrays: Arrays, depth: int) -> Any:
    if isinstance(value, Mapping):
        if all(type(k) is str and not k.startswith("$") for k in value):
            return {k: _encode(v, f"{where}.{k}", arrays, depth + 1) for k, v in value.items()}
        return {"$items": [_encode(list(item), f"{where}[{item[0]!r}]", arrays, depth + 1) for item in value.items()]}
    if type(value) in (list, tuple, deque):
        encoded = [_encode(v, f"{where}[{i}]", arrays, depth + 1) for i, v in enumerate(value)]
        if type(value) is list:
            return encoded
        return {"$tuple": encoded} if type(value) is tuple else {"$deque": encoded, "maxlen": value.maxlen}
    raise PlainDataError(f"{where} is a {type(value).__name__}, which cannot be saved as plain data")


def _keep(array: NDArray[Any], where: str, arrays: Arrays) -> str:
    if array.dtype.kind not in _KINDS:
        raise PlainDataError(f"{where} is an array of {array.dtype}, which cannot be saved as plain data")
    key = str(len(arrays))
    arrays[key] = np.array(array, order="C")
    return key


def _decode(data: Any, arrays: Mapping[str, NDArray[Any]], depth: int) -> Any:
    if depth > 2 * _DEEPEST:
        raise PlainDataError("the saved data is damaged: it is nested too deep")
    if isinstance(data, list):
        return [_decode(v, arrays, depth + 1) for v in data]
    if not isinstance(data, dict):
        # The largest integers are those of random generators.
        if isinstance(data, int) and abs(data) >= _LARGEST:
            raise PlainDataError("the saved data is damaged: it holds an integer of more than 128 bits")
        return data
    tag = next(iter(data), "")
    if not tag.startswith("$"):
        return {k: _decode(v, arrays, depth + 1) for k, v in data.items()}
    content = data[tag]
    if tag == "$array":
        return np.array(arrays[content])
    if tag == "$tensor":
        return torch.from_numpy(np.array(arrays[content]))
    if tag == "$float":
        return float(content)
    inner = _decode(content, arrays, depth + 1)
    return _decode_tagged(tag, inner, data)


def _decode_tagged(tag: str, inner: Any, data: Mapping[str, Any]) -> Any:
    if tag == "$scalar":
        return inner[()]
    if tag == "$tuple":
        return tuple(inner)
    if tag == "$deque":
        return deque(inner, data["maxlen"])
    if tag == "$items":
        return {k: v for k, v in inner}
    if tag == "$generator":
        generator = np.random.Generator(_BIT_GENERATORS[inner["bit_generator"]]())
        generator.bit_generator.state = inner
        return generator
    raise PlainDataError(f"the saved data is damaged: unknown tag {tag!r}")


# Values of these classes are never part of a state.
_STATELESS = (FunctionType, MethodType, BuiltinFunctionType, ModuleType, type)
_DEEPEST_OBJECT = 6


def object_state(
    instance: Any, skip: Collection[str] = (), stateless: tuple[type, ...] = ()
) -> tuple[dict[str, Any], list[str]]:
    """Take the state of an object from its attributes.

    Args:
        instance: any object that keeps its attributes in its ``__dict__``.
        skip: names of attributes to leave out.
        stateless: classes of attributes without state, which are left out.

    Returns:
        The state as plain data, and for each attribute that cannot be saved a sentence.
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
        if isinstance(value, str) and _is_path(value):
            continue
        try:
            to_plain(value, place)
            state["values"][name] = value
        except PlainDataError as error:
            if hasattr(value, "__dict__") and depth < _DEEPEST_OBJECT:
                state["objects"][name] = _state(value, place, (), stateless, unsaved, depth + 1)
            else:
                unsaved.append(str(error))
    return state


def _is_frozen(value: Any) -> bool:
    """Whether a value is an instance of a frozen dataclass, which does not change."""
    parameters = getattr(type(value), "__dataclass_params__", None)
    return parameters is not None and bool(parameters.frozen)


def restore_object(instance: Any, state: Mapping[str, Any], skip: Collection[str] = (), where: str = "") -> None:
    """Restore the state of an object.

    Args:
        instance: an object that was made in the same way as the saved one.
        state: what `object_state` returned, perhaps read from a file of another person.
        skip: names of attributes that keep the values they have.
        where: name of the object for messages; its class where it is left out.

    Raises:
        PlainDataError: if the object is of another type than the saved one, lacks an object inside, or has an attribute
            of another kind; the message names it. A method or property is never replaced.
    """
    where = where or type(instance).__name__
    # An object of a class may have become one of a subclass.
    if state["type"] not in [cls.__qualname__ for cls in type(instance).__mro__]:
        raise PlainDataError(
            f"cannot restore the state of a {state['type']} into {where}, a {type(instance).__qualname__}; make the "
            "object as it was when it was saved"
        )
    own = vars(instance)
    for name, value in state["values"].items():
        if name in skip or (isinstance(value, str) and _is_path(value)):
            continue
        if name.startswith("__") or (name not in own and _is_behaviour(type(instance), name)):
            raise PlainDataError(f"{where}.{name} is not part of a state")
        if not _same_kind(own.get(name), value):
            raise PlainDataError(f"{where}.{name} is a {_kind(own[name])}, and cannot become {str(value)[:60]!r}")
        setattr(instance, name, value)
    for name, inner in state["objects"].items():
        if name not in own:
            raise PlainDataError(f"the saved state has an attribute {name!r} that {where} lacks")
        if name not in skip:
            restore_object(own[name], inner, where=f"{where}.{name}")


def _is_behaviour(cls: type, name: str) -> bool:
    """Whether a class has a method or a property of that name; a default value is part of a state."""
    found = inspect.getattr_static(cls, name, None)
    return callable(found) or hasattr(type(found), "__get__")


def _is_path(text: str) -> bool:
    """Whether text may be a path. Where a file lies is not part of a state: the object was made with it."""
    return "/" in text or "\\" in text


def _kind(value: Any) -> str:
    if isinstance(value, bool | int | float | np.generic) or (isinstance(value, np.ndarray) and not value.shape):
        return "number"
    return "list" if isinstance(value, list | tuple) else type(value).__name__


def _same_kind(old: Any, new: Any) -> bool:
    """Whether a value may take the place of another one: a number that of a number, an array that of an array."""
    return old is None or new is None or _kind(old) == _kind(new)
