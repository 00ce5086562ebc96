"""A replay buffer on disk: its rows in the order in which they came, in files that are written once.

A checkpoint appends the rows since the one before, so it costs what was new, and memory for nothing; files whose rows
no kept checkpoint needs are removed.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from rpp_rl.agents.common.checkpoints.archive import FileRecord
from rpp_rl.agents.common.transition_buffer import TransitionBuffer
from rpp_rl.errors import RunError

# Rows are written in pieces of so many bytes, so that neither those of a GPU nor copies take memory.
_PIECE = 1 << 21


class ReplayLog:
    """The files of one buffer.

    Args:
        folder: where they are; made when first needed.
        buffer: the buffer.
    """

    def __init__(self, folder: Path, buffer: TransitionBuffer) -> None:
        self.folder, self.buffer = folder, buffer
        self._records: dict[str, FileRecord] = {}
        self._written = 0

    def append(self) -> dict[str, FileRecord]:
        """Write the rows that are new; returns all files that hold rows of the buffer as it is now.

        Raises:
            OSError: if they cannot be written; then the log is as before.
        """
        added, oldest = self.buffer.added, self.buffer.added - self.buffer.size()
        begin = max(self._written, oldest)
        if begin < added:
            path = self.folder / f"{begin:012d}-{added:012d}.f32"
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                piece = max(1, _PIECE // (4 * self.buffer.storage[0].numel()))
                with path.open("wb") as file:
                    for start in range(begin, added, piece):
                        self.buffer.rows_between(start, min(added, start + piece)).tofile(file)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                path.unlink(missing_ok=True)
                raise
            self._records[path.name] = FileRecord.of(path)
            self._written = added
        self._records = {name: r for name, r in self._records.items() if _range(name)[1] > oldest}
        return dict(self._records)

    def restore(self, records: dict[str, FileRecord], added: int) -> None:
        """Fill the buffer from files that were checked, and go on appending from there.

        Raises:
            RunError: if rows are missing.
        """
        width = self.buffer.storage[0].numel()
        oldest = max(0, added - self.buffer.buffer_size)
        reached = oldest
        for name, record in sorted(records.items()):
            start, stop = _range(name)
            if record.size != 4 * width * (stop - start) or start > reached:
                raise RunError(f"{self.folder / name} does not hold the transitions that its name says")
            rows = np.fromfile(self.folder / name, np.float32).reshape(-1, *self.buffer.storage.shape[1:])
            self.buffer.put_rows(max(start, oldest), torch.from_numpy(rows[max(0, oldest - start) :]))
            reached = max(reached, stop)
        if reached < added:
            raise RunError(f"the replay buffer's transitions from {reached} to {added} are missing in {self.folder}")
        self.buffer.count(added)
        self._records, self._written = dict(records), added


def _range(name: str) -> tuple[int, int]:
    begin, _, end = name.removesuffix(".f32").partition("-")
    if not (begin.isdecimal() and end.isdecimal()):
        raise RunError(f"{name!r} is no file of a replay buffer")
    return int(begin), int(end)
