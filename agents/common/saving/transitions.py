"""Save and load the transitions of a replay buffer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer

from rpp_rl.agents.common.saving.documents import is_document, read_document, write_document
from rpp_rl.agents.common.transition_buffer import TransitionBuffer
from rpp_rl.errors import RunError
from rpp_rl.files import Archive

_TRANSITIONS = "transitions"
# The first form of such a file: one `safetensors` file with this header.
_OLD_SUFFIX, _OLD_HEADER = ".safetensors", "rpp_rl.transitions"
# The most numbers that a buffer is believed to hold.
_LARGEST = 1 << 40
_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def write_transitions(path: str | Path, buffer: ReplayBuffer | None) -> None:
    """Write the transitions of a buffer, in the order of their positions; ``.zip`` is added where there is no suffix.

    Raises:
        RunError: if there is no buffer, or it holds more than arrays.
        OSError: if the file cannot be written; an old file is unchanged.
    """
    if buffer is None or isinstance(buffer, DictReplayBuffer):
        raise RunError(f"a replay buffer of the kind {type(buffer).__name__} is not saved as arrays")
    header = {
        "kind": type(buffer).__name__,
        "buffer_size": buffer.buffer_size,
        "n_envs": buffer.n_envs,
        "added": buffer.added if isinstance(buffer, TransitionBuffer) else None,
        "pos": buffer.pos,
        "full": buffer.full,
    }
    write_document(path, _TRANSITIONS, {"header": header, "arrays": _arrays_of(buffer)}, ".zip")


def read_transitions(path: str | Path, buffer: ReplayBuffer | None) -> bool:
    """Fill a buffer from a file.

    Args:
        path: the file.
        buffer: a buffer of the saved kind; it takes the size of the saved one.

    Returns:
        Whether `write_transitions` wrote the file.

    Raises:
        FileNotFoundError: if the file is missing.
        RunError: if the file is damaged, or does not fit the buffer.
    """
    stem = Path(path)
    source = next((p for suffix in ("", ".zip", _OLD_SUFFIX) if (p := Path(f"{stem}{suffix}")).is_file()), None)
    if source is None:
        raise FileNotFoundError(f"there is no file {path}")
    found = _content(source)
    if found is None:
        return False
    if buffer is None:
        raise RunError("the agent has no replay buffer to fill; give it an environment")
    try:
        _fill(buffer, *found)
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError, MemoryError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{source} does not fit the agent's replay buffer: {error}") from error
    return True


def _content(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
    """The header and the arrays of a file; None if it is a file of another kind.

    Raises:
        RunError: if the file is damaged.
    """
    with path.open("rb") as file:
        start = file.read(4)
        if start == b"PK\x03\x04":
            archive = Archive(file, str(path))
            if not is_document(archive):
                return None
            value = read_document(archive, _TRANSITIONS)
            return value["header"], value["arrays"]
    try:
        with safe_open(path, framework="numpy") as tensors:
            header = json.loads((tensors.metadata() or {}).get(_OLD_HEADER, "null"))
            names = tensors.keys()
            return None if header is None else (header, {name: tensors.get_tensor(name) for name in names})
    except (SafetensorError, ValueError, RecursionError):
        return None


def _arrays_of(buffer: ReplayBuffer) -> dict[str, NDArray[Any]]:
    size = buffer.size()
    if isinstance(buffer, TransitionBuffer):
        return {"storage": buffer.storage[:size].cpu().numpy()}
    return {name: getattr(buffer, name)[:size] for name in _ARRAYS if hasattr(buffer, name)}


def _fill(buffer: ReplayBuffer, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    if header["kind"] != type(buffer).__name__ or header["n_envs"] != buffer.n_envs:
        raise RunError(
            f"the file has a {header['kind']} of {header['n_envs']} environments, but the agent's is a "
            f"{type(buffer).__name__} of {buffer.n_envs}; make the agent in the same way"
        )
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise RunError(f"the saved transitions hold something else than finite numbers in {name}")
    size, pos = (_whole(header, name) for name in ("buffer_size", "pos"))
    stored = len(next(iter(arrays.values())))
    if not 0 <= pos < size or stored != (size if header["full"] else pos):
        raise RunError(f"the file is damaged: it has {stored} transitions, and its header another number")
    if size * sum(array[0].size for array in arrays.values() if len(array)) > _LARGEST:
        raise RunError(f"the file asks for a replay buffer of {size} transitions, which fits no machine")
    is_rows = isinstance(buffer, TransitionBuffer)
    names = ("storage",) if is_rows else _ARRAYS
    targets = {name: getattr(buffer, name) for name in names if hasattr(buffer, name)}
    for name, target in targets.items():
        if arrays[name].shape[1:] != tuple(target.shape[1:]) or len(arrays[name]) != stored:
            raise RunError(f"the saved {name} have shape {arrays[name].shape}, not {(stored, *target.shape[1:])}")
    added = _whole(header, "added") if is_rows else pos
    if is_rows and (added % size != pos or min(added, size) != stored):
        raise RunError(f"the file is damaged: it has {stored} transitions of {added} that were added")
    # Nothing can go wrong from here on: the agent keeps its own transitions until then.
    if size != buffer.buffer_size:
        _resize(buffer, size)
    if isinstance(buffer, TransitionBuffer):
        buffer.storage[:stored] = torch.from_numpy(arrays["storage"]).to(buffer.storage.device)
        buffer.count(added)
        return
    for name in targets:
        getattr(buffer, name)[:stored] = arrays[name]
    buffer.pos, buffer.full = pos, bool(header["full"])


def _whole(header: dict[str, Any], name: str) -> int:
    value = header[name]
    if type(value) is not int or not 0 <= value < _LARGEST:
        raise RunError(f"the file is damaged: its {name} is {str(value)[:60]!r}")
    return value


def _resize(buffer: ReplayBuffer, size: int) -> None:
    """Give a buffer another size, as stable-baselines3 takes over the size of the saved one."""
    fresh = type(buffer)(
        size * buffer.n_envs,
        *(buffer.observation_space, buffer.action_space, buffer.device, buffer.n_envs),
        buffer.optimize_memory_usage,
        handle_timeout_termination=buffer.handle_timeout_termination,
        **{name: getattr(buffer, name) for name in ("n_steps", "gamma") if hasattr(buffer, name)},
    )
    vars(buffer).update(vars(fresh))
