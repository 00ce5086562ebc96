"""Folders of files that are there as a whole or not at all: written aside, synced, renamed; checked when read.

A checkpoint is a folder with ``state.json``, ``arrays.safetensors`` and ``manifest.json``, which has size and SHA-256
of both and of every file beside it that the checkpoint needs. Nothing that is read is unpickled or run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load, save

from rpp_rl.errors import PlainDataError, RunError
from rpp_rl.plain_data import from_plain, to_plain

FORMAT = 1
# Of a run the folder of its checkpoints, and in it that of its replay buffer, to which each checkpoint adds a piece.
FOLDER, REPLAY = "checkpoints", "replay"
MANIFEST, STATE, ARRAYS = "manifest.json", "state.json", "arrays.safetensors"
# Neither is ever this large; a file that is will not be read into memory.
_LARGEST_JSON, _LARGEST_ARRAYS = 1 << 26, 1 << 33


@dataclass(frozen=True)
class FileRecord:
    """A file as a manifest has it.

    Attributes:
        size: bytes.
        sha256: hexadecimal.
    """

    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileRecord:
        """That of a file as it is now."""
        digest = hashlib.sha256()
        size = 0
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
        return cls(size, digest.hexdigest())


def write_checkpoint(folder: Path, state: Any, beside: Mapping[str, FileRecord]) -> None:
    """Write a checkpoint, atomically.

    Args:
        folder: its name; must not be there yet.
        state: plain data, see `rpp_rl.plain_data`.
        beside: other files that it needs, by their path relative to the folder's parent.

    Raises:
        PlainDataError: if the state has something in it that is not saved.
        OSError: if the disk is full or may not be written to; then nothing is left behind.
    """
    data, arrays = to_plain(state, "state")
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        _write(aside / STATE, json.dumps(data).encode())
        _write(aside / ARRAYS, save(arrays))
        own = {name: FileRecord.of(aside / name) for name in (STATE, ARRAYS)}
        manifest = {
            "format": FORMAT,
            "files": {name: vars(record) for name, record in own.items()},
            "beside": {name: vars(record) for name, record in beside.items()},
        }
        _write(aside / MANIFEST, json.dumps(manifest).encode())
        sync_folder(aside)
        aside.rename(folder)
        sync_folder(folder.parent)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def read_checkpoint(folder: Path) -> Any:
    """The state of a checkpoint, checked.

    Raises:
        RunError: if a file is missing, truncated or changed, or is none of a checkpoint.
    """
    manifest = read_manifest(folder)
    for name, record in manifest["files"].items():
        _check(folder / name, record)
    for name, record in manifest["beside"].items():
        _check(folder.parent / name, record)
    try:
        data = json.loads((folder / STATE).read_text(encoding="utf-8"))
        return from_plain(data, load((folder / ARRAYS).read_bytes()))
    except (OSError, ValueError, SafetensorError, PlainDataError, RecursionError) as error:
        raise RunError(f"{folder} is no checkpoint: {error}") from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint, with `FileRecord`s.

    Raises:
        RunError: if there is none, or none of this form; paths that leave the run are refused.
    """
    try:
        _limit(folder / MANIFEST, _LARGEST_JSON)
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise RunError(f"{folder} is a checkpoint of format {manifest['format']!r}, not {FORMAT}; use its version")
        parts = {
            part: {str(name): FileRecord(int(r["size"]), str(r["sha256"])) for name, r in manifest[part].items()}
            for part in ("files", "beside")
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{folder} is no checkpoint, or only a part of one: {error}") from error
    names = [*parts["files"], *parts["beside"]]
    if set(parts["files"]) != {STATE, ARRAYS} or any(_leaves(name) for name in names):
        raise RunError(f"{folder} is no checkpoint: its manifest names other files than a checkpoint has")
    return parts


def checkpoints(parent: Path) -> list[Path]:
    """The checkpoints in a folder, the newest first."""
    found = [path for path in parent.glob("step_*") if path.is_dir() and path.name[5:].isdecimal()]
    return sorted(found, key=lambda path: int(path.name[5:]), reverse=True)


def remove_old(parent: Path, keep: int) -> None:
    """Remove all but the newest checkpoints, and the pieces of replay buffers beside them that no kept one needs."""
    kept, old = checkpoints(parent)[:keep], checkpoints(parent)[keep:]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    needed = {parent / name for folder in kept for name in _beside(folder)}
    for path in (parent / REPLAY).glob("*.f32"):
        if path not in needed:
            path.unlink(missing_ok=True)


def _beside(folder: Path) -> Iterable[str]:
    """The files beside a checkpoint that it needs; none if it is damaged, and so cannot be gone on from."""
    try:
        return list(read_manifest(folder)["beside"])
    except RunError:
        return ()


def sync_folder(folder: Path) -> None:
    """Make what was created or renamed in a folder survive a loss of power."""
    if os.name == "nt":  # which opens no folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _check(path: Path, record: FileRecord) -> None:
    try:
        _limit(path, record.size)
        found = FileRecord.of(path)
    except OSError as error:
        raise RunError(f"{path} of a checkpoint is missing: {error.strerror}") from error
    if found != record:
        raise RunError(f"{path} of a checkpoint is truncated or damaged")


def _limit(path: Path, most: int) -> None:
    if path.stat().st_size > min(most, _LARGEST_ARRAYS):
        raise RunError(f"{path} is larger than a file of a checkpoint can be")


def _leaves(name: str) -> bool:
    path = Path(name)
    return path.is_absolute() or ".." in path.parts
