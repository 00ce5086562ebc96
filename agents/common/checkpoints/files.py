"""The files of checkpoints: one document per checkpoint, and the transitions beside them.

A checkpoint ``step_<n>`` is a document (`rpp_rl.agents.common.saving.documents`) with the state of the run. It also
holds size and SHA-256 of each file of transitions that it needs. Each checkpoint adds only the transitions since the
one before.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load

from rpp_rl.agents.common.saving.documents import (
    read_document,
    read_json,
    read_value_without_arrays,
    write_document,
)
from rpp_rl.agents.common.transition_buffer import TransitionBuffer
from rpp_rl.errors import PlainDataError, RunError
from rpp_rl.files import Archive, open_regular, replace_file
from rpp_rl.plain_data import from_plain

# In a run's folder the folder of its checkpoints, and in that the folder of its transitions.
FOLDER, REPLAY = "checkpoints", "replay"
_CHECKPOINT = "checkpoint"
# The first form of a checkpoint: a folder of three files.
_OLD_MANIFEST, _OLD_STATE, _OLD_ARRAYS = "manifest.json", "state.json", "arrays.safetensors"
_OLD_FORMAT = 1
_LARGEST_FILE = 1 << 33
_TRANSITIONS = re.compile(rf"{REPLAY}/\d{{1,18}}-\d{{1,18}}\.f32")
# Transitions are written in pieces of this many bytes, so that copies take little memory.
_PIECE = 1 << 21


@dataclass(frozen=True)
class FileRecord:
    """Size and checksum of a file.

    Attributes:
        size: number of bytes.
        sha256: hexadecimal.
    """

    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileRecord:
        """Compute the record of a file."""
        digest = hashlib.sha256()
        size = 0
        with open_regular(path, _LARGEST_FILE) as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
        return cls(size, digest.hexdigest())

    def check(self, path: Path) -> None:
        """Check that a file is as it was written.

        Raises:
            RunError: if it is missing, truncated or changed.
        """
        try:
            same = path.stat().st_size == self.size <= _LARGEST_FILE and FileRecord.of(path) == self
        except OSError as error:
            raise RunError(f"{path} of a checkpoint is missing: {error.strerror}") from error
        if not same:
            raise RunError(f"{path} of a checkpoint is truncated or damaged")


def write_checkpoint(path: Path, state: Any, beside: Mapping[str, FileRecord]) -> None:
    """Write a checkpoint, atomically.

    Args:
        path: the file.
        state: plain data, see `rpp_rl.plain_data`.
        beside: records of the other files that it needs, by their path relative to the checkpoint's folder.

    Raises:
        PlainDataError: if the state holds an object that is not plain data.
        OSError: if the file cannot be written.
    """
    write_document(path, _CHECKPOINT, {"beside": {name: vars(r) for name, r in beside.items()}, "state": state})


def read_checkpoint(path: Path) -> Any:
    """Read the state of a checkpoint and check it and the files beside it.

    Raises:
        RunError: if a file is missing, truncated or changed, or is not a checkpoint.
    """
    for name, record in files_beside(path).items():
        record.check(path.parent / name)
    if path.is_dir():
        return _read_old_checkpoint(path)
    with open_regular(path, _LARGEST_FILE) as file:
        return read_document(Archive(file, f"checkpoint {path}"), _CHECKPOINT, allow_nan=True)["state"]


def files_beside(path: Path) -> dict[str, FileRecord]:
    """Read the records of the files that a checkpoint needs, by their path relative to the checkpoint's folder.

    Raises:
        RunError: if the checkpoint is damaged, or names a file outside that folder.
    """
    try:
        if path.is_dir():
            records = _records(_read_old_manifest(path)["beside"])
        else:
            with open_regular(path, _LARGEST_FILE) as file:
                value = read_value_without_arrays(Archive(file, f"checkpoint {path}"), _CHECKPOINT)
            records = _records(value["beside"])
        strange = [name for name in records if not _TRANSITIONS.fullmatch(name)]
        if strange:
            raise RunError(f"{path} is not a checkpoint: it names {strange[0][:80]!r}, which is not one of its files")
        return records
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{path} is not a checkpoint, or is not complete: {error}") from error


def checkpoints(parent: Path) -> list[Path]:
    """Find the checkpoints in a folder, the newest first."""
    found = [path for path in parent.glob("step_*") if path.name[5:].isdecimal()]
    return sorted(found, key=lambda path: int(path.name[5:]), reverse=True)


def remove_checkpoint(path: Path) -> None:
    """Remove a checkpoint, but not the files beside it."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def remove_old(parent: Path, keep: int) -> None:
    """Remove all but the newest checkpoints, files beside them that none needs, and files that were never finished."""
    kept, old = checkpoints(parent)[:keep], checkpoints(parent)[keep:]
    for path in old:
        remove_checkpoint(path)
    needed = {parent / name for path in kept for name in _readable_beside(path)}
    unneeded = set((parent / REPLAY).glob("*.f32")) - needed
    for path in (*unneeded, *parent.glob(".*.part"), *(parent / REPLAY).glob(".*.part")):
        path.unlink(missing_ok=True)


class ReplayLog:
    """The transitions of a replay buffer on disk, in the order in which they came.

    Each file is written once. A file that no kept checkpoint needs is removed by `remove_old`.

    Args:
        folder: folder of the files; made when it is first needed.
        buffer: the buffer.
    """

    def __init__(self, folder: Path, buffer: TransitionBuffer) -> None:
        self.folder, self.buffer = folder, buffer
        self._records: dict[str, FileRecord] = {}
        self._written = 0

    def append(self) -> dict[str, FileRecord]:
        """Write the new transitions; return the records of all files that hold transitions of the buffer.

        Raises:
            OSError: if they cannot be written; the log is then unchanged.
        """
        added, oldest = self.buffer.added, self.buffer.added - self.buffer.size()
        begin = max(self._written, oldest)
        if begin < added:
            path = self.folder / f"{begin:012d}-{added:012d}.f32"
            piece = max(1, _PIECE // (4 * self.buffer.storage[0].numel()))

            def write(file: IO[bytes]) -> None:
                for start in range(begin, added, piece):
                    file.write(self.buffer.rows_between(start, min(added, start + piece)).tobytes())

            replace_file(path, write)
            self._records[path.name] = FileRecord.of(path)
            self._written = added
        self._records = {name: r for name, r in self._records.items() if _range(name)[1] > oldest}
        return dict(self._records)

    def restore(self, records: Mapping[str, FileRecord], added: int) -> None:
        """Fill the buffer from files that were checked, and continue the log from there.

        Args:
            records: the files, by name.
            added: number of positions of the buffer that were ever filled.

        Raises:
            RunError: if transitions are missing.
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


def _records(data: Mapping[str, Any]) -> dict[str, FileRecord]:
    return {str(name): FileRecord(int(r["size"]), str(r["sha256"])) for name, r in data.items()}


def _readable_beside(path: Path) -> Iterable[str]:
    """The files that a checkpoint needs; none if it is damaged, since it is then never resumed from."""
    try:
        return files_beside(path)
    except RunError:
        return ()


def _range(name: str) -> tuple[int, int]:
    begin, _, end = name.removesuffix(".f32").partition("-")
    if not (begin.isdecimal() and end.isdecimal()):
        raise RunError(f"{name!r} does not name transitions of a replay buffer")
    return int(begin), int(end)


def _read_old_manifest(folder: Path) -> dict[str, Any]:
    """Read ``manifest.json``: the format, and records of the files in the folder and beside it."""
    manifest = read_json((folder / _OLD_MANIFEST).read_bytes(), f"checkpoint {folder}")
    if manifest["format"] != _OLD_FORMAT:
        raise RunError(f"{folder} is a checkpoint of format {manifest['format']!r}, not {_OLD_FORMAT}")
    return dict(manifest)


def _read_old_checkpoint(folder: Path) -> Any:
    try:
        records = _records(_read_old_manifest(folder)["files"])
        for name in (_OLD_STATE, _OLD_ARRAYS):
            records[name].check(folder / name)
        state = read_json((folder / _OLD_STATE).read_bytes(), f"checkpoint {folder}")
        return from_plain(state, load((folder / _OLD_ARRAYS).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError, RecursionError) as error:
        if isinstance(error, RunError) and not isinstance(error, PlainDataError):
            raise
        raise RunError(f"{folder} is not a checkpoint: {error}") from error
