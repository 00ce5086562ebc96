"""Values as JSON and arrays, and back: what is saved without pickle can be read without running anything.

JSON has no arrays, tuples, infinities or sets of integers as keys; each of these becomes an object with one key that
begins with ``$``. Arrays and tensors are kept apart, by name, for a file format of their own.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rpp_rl.errors import PlainDataError

Arrays = dict[str, NDArray[Any]]
# Of an array's dtype: booleans, integers, floats. Objects and text are not stored as arrays.
_KINDS = "biuf"
_DEEPEST = 40
_BIT_GENERATORS = {
    cls.__name__: cls for cls in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox)
}


def to_plain(value: Any, where: str = "value") -> tuple[Any, Arrays]:
    """Turn a value into JSON data and arrays.

    Args:
        value: numbers, text, None, lists, tuples, deques, dictionaries, arrays, tensors and numpy generators, nested.
        where: what it is, for messages.

    Raises:
        PlainDataError: if there is anything else in it; names the place.
    """
    arrays: Arrays = {}
    return _encode(value, where, arrays, 0), arrays


def from_plain(data: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """What `to_plain` was given; tensors come back as tensors.

    Raises:
        PlainDataError: if the data is not of its form.
    """
    try:
        return _decode(data, arrays, 0)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        if isinstance(error, PlainDataError):
            raise
        raise PlainDataError(f"this is no saved data: {type(error).__name__} {error}") from error


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
    raise PlainDataError(f"{where} is a {type(value).__name__}, which is not saved")


def _keep(array: NDArray[Any], where: str, arrays: Arrays) -> str:
    if array.dtype.kind not in _KINDS:
        raise PlainDataError(f"{where} is an array of {array.dtype}, which is not saved")
    key = str(len(arrays))
    arrays[key] = np.array(array, order="C")
    return key


def _decode(data: Any, arrays: Mapping[str, NDArray[Any]], depth: int) -> Any:
    if depth > 2 * _DEEPEST:
        raise PlainDataError("this is no saved data: it is nested too deep")
    if isinstance(data, list):
        return [_decode(v, arrays, depth + 1) for v in data]
    if not isinstance(data, dict):
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
    raise PlainDataError(f"this is no saved data: unknown tag {tag!r}")
