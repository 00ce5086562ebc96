"""Reading the files of a run that may be a stranger's: sizes are bounded, nothing is unpickled."""

from __future__ import annotations

import io
import json
import math
import time
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpp_rl.errors import RunError
from rpp_rl.files import Archive

# A million evaluations of ten episodes each; no run has more.
_LARGEST_EVALUATIONS = 1 << 28
_LARGEST_MONITOR = 1 << 28
_LARGEST_JSON = 1 << 24
_TRIES, _WRITTEN = 2, 0.2
# What TensorBoard shows are numbers of single precision.
LARGEST_RETURN = 1e38


def read_evaluations(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Steps, of shape (k,), and returns of the episodes at each, of shape (k, episodes), of an ``evaluations.npz``.

    Raises:
        RunError: if the file is none, only a part of one, or larger than one can be.
    """
    for attempt in range(_TRIES):
        try:
            with path.open("rb") as file:
                archive = Archive(file, path.name)
                steps, returns = (_array(archive, name) for name in ("timesteps", "results"))
            break
        except (OSError, ValueError, TypeError, SyntaxError, tokenize.TokenError) as error:
            if attempt == _TRIES - 1:
                raise _damaged(path, " ".join(str(error).split())[:200]) from error
            time.sleep(_WRITTEN)  # a run that goes on may be writing it
    if steps.ndim != 1 or returns.ndim != 2 or len(steps) != len(returns) or not returns.size:
        raise _damaged(path, f"it has steps of shape {steps.shape} and results of shape {returns.shape}")
    whole = steps.astype(np.int64)
    if steps.dtype.kind not in "iu" or whole[0] < 0 or (np.diff(whole) <= 0).any():
        raise _damaged(path, "its steps are no increasing whole numbers")
    numbers = returns.astype(np.float64)
    # Beyond that a square is no number any more.
    if not (np.abs(numbers) < LARGEST_RETURN).all():
        raise _damaged(path, "a return is no finite number")
    return whole, numbers


def _array(archive: Archive, name: str) -> NDArray[Any]:
    """An array of numbers; its header is checked against its size before there is memory for it.

    Raises:
        ValueError: if it is none.
    """
    content = archive.read(f"{name}.npy", _LARGEST_EVALUATIONS)
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"its {name} are of an unknown format")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if dtype.kind not in "iuf" or math.prod(shape) * dtype.itemsize != len(content) - file.tell():
        raise ValueError(f"its {name} are no whole array of numbers")
    flat = np.frombuffer(content, dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if fortran else "C")


def _damaged(path: Path, detail: str) -> RunError:
    return RunError(f"{path} holds no evaluations that can be read ({detail}); leave the run out with --filter")


def read_wall_time(path: Path) -> float | None:
    """The seconds that a run took, from its ``monitor.csv``; None where there is none or it says nothing.

    A run that was resumed begins to count anew; its parts are added up.
    """
    try:
        if path.stat().st_size > _LARGEST_MONITOR:
            return None
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    total, last = 0.0, 0.0
    for line in lines:
        try:
            now = float(line.rsplit(",", 1)[-1])
        except ValueError:
            continue
        if not math.isfinite(now) or now < 0:
            continue
        if now < last:
            total += last
        last = now
    return total + last or None


def read_json(path: Path, largest: int = _LARGEST_JSON) -> Any:
    """What a JSON file says; None where there is no file, it is no JSON, or is larger than that."""
    try:
        if path.stat().st_size > largest:
            return None
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
