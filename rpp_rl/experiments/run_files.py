"""Readers of the files in a run's folder: sizes are bounded, and nothing is unpickled."""

from __future__ import annotations

import io
import json
import math
import os
import time
import tokenize
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpp_rl.errors import RunError
from rpp_rl.files import Archive, open_regular

# TensorBoard shows numbers in single precision.
LARGEST_RETURN = 1e38
MOST_STEPS = 1 << 48
_LARGEST_JSON = 1 << 24
_LARGEST_ARRAYS = 1 << 28
# A run may be writing its evaluations while they are read.
_TRIES, _PAUSE = 2, 0.2


@dataclass(frozen=True)
class Evaluations:
    """The evaluations of a run, from ``evaluations.npz``.

    Attributes:
        timesteps: environment steps at each evaluation, of shape (k,).
        returns: returns of the episodes, of shape (k, episodes).
        lengths: lengths of the episodes, of the same shape; zeros where the file has none.
    """

    timesteps: NDArray[np.int64]
    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]


@dataclass(frozen=True)
class Episodes:
    """The training episodes of a run, from ``monitor.csv``.

    Attributes:
        returns: return of each episode, of shape (n,).
        lengths: length of each episode, of shape (n,).
        times: seconds from the start of the process to the end of the episode, of shape (n,). A resumed run starts
            at zero again.
        age: seconds since the file was written.
    """

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    times: NDArray[np.float64]
    age: float = 0.0

    @property
    def steps(self) -> int:
        """Environment steps of all episodes."""
        return int(self.lengths.sum())

    @property
    def last_return(self) -> float | None:
        """Return of the last episode."""
        return float(self.returns[-1]) if len(self.returns) else None

    @property
    def seconds(self) -> float | None:
        """Wall time of all parts of the run in seconds; None without an episode."""
        if not len(self.times):
            return None
        ends = np.append(self.times[:-1][np.diff(self.times) < 0], self.times[-1])
        return float(ends.sum()) or None

    @property
    def rate(self) -> float | None:
        """Environment steps per second since the run started or resumed; None before an episode ends."""
        if not len(self.times) or self.times[-1] <= 0:
            return None
        restarts = np.flatnonzero(np.diff(self.times) < 0)
        begin = restarts[-1] + 1 if len(restarts) else 0
        return float(self.lengths[begin:].sum()) / (float(self.times[-1]) + self.age)


def read_json(path: Path, largest: int = _LARGEST_JSON) -> Any:
    """Read a JSON file of at most 16 MiB or `largest` bytes; None where it is missing, larger, or not JSON."""
    try:
        with open_regular(path, largest) as file:
            return json.loads(file.read().decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object of at most 16 MiB.

    Raises:
        RunError: if the file is missing, larger, or not a JSON object.
    """
    try:
        with open_regular(path, _LARGEST_JSON) as file:
            data = json.loads(file.read().decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read: {error}; restore it, or move its folder elsewhere") from error
    if not isinstance(data, dict):
        raise RunError(f"{path} holds a {type(data).__name__} instead of a mapping; restore it")
    return data


def read_episodes(path: Path) -> Episodes:
    """Read ``monitor.csv``; lines that are incomplete or damaged are left out."""
    rows: list[tuple[float, int, float]] = []
    age, text = 0.0, ""
    with suppress(OSError), open_regular(path, _LARGEST_ARRAYS) as file:
        age = max(0.0, time.time() - os.fstat(file.fileno()).st_mtime)
        text = file.read().decode("utf-8", "replace")
    columns = ["r", "l", "t"]
    for line in text.splitlines():
        cells = line.split(",")
        if "l" in cells:
            columns = cells
            continue
        try:
            row = dict(zip(columns, cells, strict=False))
            found = float(row["r"]), int(row["l"]), float(row["t"])
        except (KeyError, ValueError):
            continue
        if math.isfinite(found[0]) and 0 <= found[1] < MOST_STEPS and 0 <= found[2] < math.inf:
            rows.append(found)
    returns, lengths, times = zip(*rows, strict=True) if rows else ((), (), ())
    return Episodes(np.array(returns, float), np.array(lengths, np.int64), np.array(times, float), age)


def read_evaluations(path: Path) -> Evaluations:
    """Read ``evaluations.npz``.

    Raises:
        RunError: if the file is damaged, incomplete, or larger than 256 MiB.
    """
    for attempt in range(_TRIES):
        try:
            with open_regular(path, _LARGEST_ARRAYS) as file:
                archive = Archive(file, path.name)
                steps, returns = (_array(archive, name) for name in ("timesteps", "results"))
                lengths = _array(archive, "ep_lengths") if "ep_lengths.npy" in archive.names else np.zeros(0)
            break
        except (OSError, ValueError, TypeError, SyntaxError, tokenize.TokenError) as error:
            if attempt == _TRIES - 1:
                raise _damaged(path, " ".join(str(error).split())[:200]) from error
            time.sleep(_PAUSE)
    if steps.ndim != 1 or returns.ndim != 2 or len(steps) != len(returns) or not returns.size:
        raise _damaged(path, f"its steps have shape {steps.shape} and its results {returns.shape}")
    if steps.dtype.kind not in "iu":
        raise _damaged(path, "its steps are not whole numbers")
    whole = steps.astype(np.int64)
    if whole[0] < 0 or (np.diff(whole) <= 0).any():
        raise _damaged(path, "its steps do not increase")
    numbers = returns.astype(np.float64)
    if not (np.abs(numbers) < LARGEST_RETURN).all():
        raise _damaged(path, "a return is not finite, or too large")
    fits = lengths.shape == returns.shape
    return Evaluations(whole, numbers, lengths.astype(np.int64) if fits else np.zeros(returns.shape, np.int64))


def _array(archive: Archive, name: str) -> NDArray[Any]:
    """Read an array of numbers; its header is compared with its size before memory is allocated.

    Raises:
        ValueError: if the member is not a whole array of numbers.
    """
    content = archive.read(f"{name}.npy", _LARGEST_ARRAYS)
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name} has an unknown format")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if dtype.kind not in "iuf" or math.prod(shape) * dtype.itemsize != len(content) - file.tell():
        raise ValueError(f"{name} is not a whole array of numbers")
    flat = np.frombuffer(content, dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if fortran else "C")


def _damaged(path: Path, detail: str) -> RunError:
    return RunError(f"{path} holds no readable evaluations ({detail}); leave the run out with --filter")
