"""Read the transitions of a replay buffer that an agent saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rpp_rl.agents.common.saving.documents import is_document, read_document
from rpp_rl.agents.common.transition_buffer import transition_sizes
from rpp_rl.envs.auditing.recorded import Recorded
from rpp_rl.errors import RunError
from rpp_rl.files import Archive, open_regular

_KIND = "transitions"
_ARRAYS = ("observations", "actions", "next_observations", "rewards")
_LARGEST = 1 << 36


def recorded_transitions(path: Path, observation_size: int, action_size: int) -> Recorded:
    """Read a file that `save_replay_buffer` of one of this library's agents wrote; nothing is unpickled.

    Args:
        path: the file.
        observation_size: entries of an observation.
        action_size: entries of an action.

    Raises:
        RunError: if the file cannot be read, is of another kind, or has other sizes.
    """
    try:
        with open_regular(path, _LARGEST) as file:
            if file.read(4) != b"PK\x03\x04":
                raise RunError(_other_kind(path))
            archive = Archive(file, str(path))
            if not is_document(archive):
                raise RunError(_other_kind(path))
            arrays = read_document(archive, _KIND)["arrays"]
    except OSError as error:
        raise RunError(f"the replay buffer {path} cannot be read: {error.strerror or error}") from error
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} does not hold the transitions of a replay buffer; save it again") from error
    sizes = transition_sizes(observation_size, action_size)
    try:
        return _recorded(arrays, sizes)
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise RunError(
            f"the transitions in {path} do not fit observations of {observation_size} and actions of {action_size} "
            "entries; give the replay buffer of an agent of this environment"
        ) from error


def _recorded(arrays: dict[str, Any], sizes: list[int]) -> Recorded:
    if "storage" in arrays:
        rows = arrays["storage"].reshape(-1, arrays["storage"].shape[-1])
        if rows.shape[1] != sum(sizes):
            raise ValueError(f"rows of {rows.shape[1]} numbers")
        x, y, a, r, _ = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
    else:
        x, a, y, r = (arrays[name].reshape(-1, size) for name, size in zip(_ARRAYS, _widths(sizes), strict=True))
    return Recorded(x, a, y, r.ravel())


def _widths(sizes: list[int]) -> tuple[int, int, int, int]:
    observation, next_observation, action, reward, _ = sizes
    return observation, action, next_observation, reward


def _other_kind(path: Path) -> str:
    return (
        f"{path} is not a replay buffer of this library, and files that must be unpickled are not read; save it with "
        "save_replay_buffer of one of its agents, such as RPPSAC"
    )
