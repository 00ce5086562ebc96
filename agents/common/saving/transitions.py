"""Replay buffers as files of arrays: `safetensors` with a few numbers beside them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer

from rpp_rl.agents.common.transition_buffer import TransitionBuffer
from rpp_rl.errors import RunError

SUFFIX = ".safetensors"
_HEADER = "rpp_rl.transitions"
_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def write_transitions(path: str | Path, buffer: ReplayBuffer | None) -> Path:
    """Write the transitions of a buffer, in the order of their places; returns the file.

    Raises:
        RunError: if there is none, or of a kind that has more than arrays.
        OSError: if the file cannot be written; one that was there before stays.
    """
    if buffer is None or isinstance(buffer, DictReplayBuffer):
        raise RunError(f"a replay buffer of the kind {type(buffer).__name__} is not saved as arrays")
    target = Path(path)
    target = target if target.suffix else target.with_name(target.name + SUFFIX)
    target.parent.mkdir(parents=True, exist_ok=True)
    header = {
        "kind": type(buffer).__name__,
        "buffer_size": buffer.buffer_size,
        "n_envs": buffer.n_envs,
        "added": buffer.added if isinstance(buffer, TransitionBuffer) else None,
        "pos": buffer.pos,
        "full": buffer.full,
    }
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        save_file(_arrays_of(buffer), aside, {_HEADER: json.dumps(header)})
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(target)
    except (OSError, SafetensorError) as error:
        aside.unlink(missing_ok=True)
        if isinstance(error, SafetensorError):
            raise OSError(None, f"{target} cannot be written: {error}") from error
        raise
    return target


def read_transitions(path: str | Path, buffer: ReplayBuffer | None, only_look: bool = False) -> bool:
    """Fill a buffer from a file.

    Args:
        path: the file.
        buffer: of the form that was saved; it takes on the size of the saved one.
        only_look: leave the buffer alone.

    Returns:
        Whether the file is one that `write_transitions` wrote.

    Raises:
        FileNotFoundError: if there is none.
        RunError: if it is damaged, or does not fit the buffer.
    """
    source = Path(path)
    if not source.exists():
        source = source.with_name(source.name + SUFFIX)
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safe_open(source, framework="numpy") as file:
            header = json.loads((file.metadata() or {}).get(_HEADER, "null"))
            if header is None or only_look:
                return header is not None
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, ValueError, RecursionError):
        return False
    if buffer is None:
        raise RunError("the agent has no replay buffer to fill; give it an environment")
    try:
        _fill(buffer, header, arrays)
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError, MemoryError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{source} does not fit the agent's replay buffer: {error}") from error
    return True


def _arrays_of(buffer: ReplayBuffer) -> dict[str, NDArray[Any]]:
    size = buffer.size()
    if isinstance(buffer, TransitionBuffer):
        return {"storage": np.ascontiguousarray(buffer.storage[:size].cpu().numpy())}
    return {name: np.ascontiguousarray(getattr(buffer, name)[:size]) for name in _ARRAYS if hasattr(buffer, name)}


def _fill(buffer: ReplayBuffer, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    if header["kind"] != type(buffer).__name__ or header["n_envs"] != buffer.n_envs:
        raise RunError(
            f"the file has a {header['kind']} of {header['n_envs']} environments, but the agent's is a "
            f"{type(buffer).__name__} of {buffer.n_envs}; make the agent in the same way"
        )
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise RunError(f"the saved transitions hold a NaN or an infinity in {name}")
    size, pos = int(header["buffer_size"]), int(header["pos"])
    stored = len(next(iter(arrays.values())))
    if not 0 <= pos < size or stored != (size if header["full"] else pos):
        raise RunError(f"the file has {stored} transitions, not as many as it says")
    if size != buffer.buffer_size:
        _resize(buffer, size)
    if isinstance(buffer, TransitionBuffer):
        _copy(buffer.storage.numpy() if buffer.storage.device.type == "cpu" else None, buffer, arrays["storage"])
        buffer.count(int(header["added"]))
        return
    for name in _ARRAYS:
        if hasattr(buffer, name):
            target = getattr(buffer, name)
            if arrays[name].shape[1:] != target.shape[1:]:
                raise RunError(f"the saved {name} have shape {arrays[name].shape[1:]}, not {target.shape[1:]}")
            target[:stored] = arrays[name]
    buffer.pos, buffer.full = pos, bool(header["full"])


def _copy(storage: NDArray[Any] | None, buffer: TransitionBuffer, rows: NDArray[Any]) -> None:
    if rows.shape[1:] != tuple(buffer.storage.shape[1:]):
        raise RunError(f"the saved transitions have shape {rows.shape[1:]}, not {tuple(buffer.storage.shape[1:])}")
    if storage is not None:
        storage[: len(rows)] = rows
    else:
        buffer.storage[: len(rows)] = torch.from_numpy(rows).to(buffer.storage.device)


def _resize(buffer: ReplayBuffer, size: int) -> None:
    """Make a buffer anew with another size, as stable-baselines3 takes over the saved one's."""
    kept = {"handle_timeout_termination": buffer.handle_timeout_termination}
    buffer.__init__(  # type: ignore[misc]
        size * buffer.n_envs,
        *(buffer.observation_space, buffer.action_space, buffer.device, buffer.n_envs),
        buffer.optimize_memory_usage,
        **kept,
    )
