"""Run folders brought from machine to machine: in pieces, checked, and never a whole one replaced by a half.

A run folder goes on from its newest checkpoint, so this is what is brought: the newest checkpoint, the files beside it
that it needs, and after it everything that grows, which `--resume` cuts to the checkpoint. Here the same order holds:
a checkpoint appears when all that it needs is there, the last words of a run when all else is there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from rpp_rl.agents.common.checkpoints.archive import FileRecord, checkpoints, read_manifest, remove_old
from rpp_rl.errors import RunError
from rpp_rl.experiments.run_folder import CHECKPOINTS, EVALUATION, LOCK

# Bytes that are sent at a time.
PIECE = 1 << 22
_ASIDE, _KEPT = ".incoming", 3


def snapshot(run: Path, into: Path) -> dict[str, FileRecord]:
    """Keep a run's folder as it is now, while the run goes on.

    Args:
        run: the folder.
        into: a folder of the same disk, which is made anew.

    Returns:
        What is kept, by name relative to the folder.
    """
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    for checkpoint in checkpoints(run / CHECKPOINTS):
        try:
            _keep_checkpoint(checkpoint, into / CHECKPOINTS)
            break
        except (OSError, RunError):  # it was old, and was removed just now
            shutil.rmtree(into / CHECKPOINTS, ignore_errors=True)
    for name in _other_files(run):
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            shutil.copyfile(run / name, into / name)
    return {path.relative_to(into).as_posix(): FileRecord.of(path) for path in into.rglob("*") if path.is_file()}


def take(run: Path, records: Mapping[str, FileRecord], read: Callable[[str, int], bytes]) -> None:
    """Bring a run's folder up to a snapshot of it.

    Args:
        run: the folder here.
        records: what the snapshot has; see `snapshot`.
        read: gives a piece of a file of it, by name and offset.

    Raises:
        RunError: if what comes is not what was to come; then the folder is as good as before.
        OSError: if it cannot be written.
    """
    aside = run / _ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    missing = [name for name, record in records.items() if not _is_here(run / name, record)]
    # A checkpoint is whole or not at all.
    steps = {_checkpoint_of(name) for name in missing} - {None}
    missing += [name for name in records if name not in missing and _checkpoint_of(name) in steps]
    try:
        for name in missing:
            _receive(aside / name.replace("/", "__"), name, records[name], read)
        for name in sorted(missing, key=lambda n: (n == EVALUATION, _checkpoint_of(n) is not None)):
            _install(run, aside, name)
        for step in sorted(filter(None, steps)):
            shutil.rmtree(run / CHECKPOINTS / step, ignore_errors=True)
            (aside / step).rename(run / CHECKPOINTS / step)
        if EVALUATION in missing:
            (aside / EVALUATION).replace(run / EVALUATION)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    remove_old(run / CHECKPOINTS, _KEPT)


def pieces(run: Path) -> Iterator[tuple[str, int, bytes]]:
    """The files of a run's folder, as name, offset and content."""
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run)
        if path.is_file() and name.parts[0] not in (_ASIDE, LOCK):
            with path.open("rb") as file:
                offset = 0
                while (content := file.read(PIECE)) or offset == 0:
                    yield name.as_posix(), offset, content
                    offset += len(content) or PIECE


def inside(folder: Path, name: str) -> Path:
    """A file of a folder, by the name that another machine gave it.

    Raises:
        RunError: if the name leaves the folder.
    """
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise RunError(f"{name!r} is no file of a run folder")
    return folder / name


def _keep_checkpoint(checkpoint: Path, into: Path) -> None:
    """A link to each file of a checkpoint, none of which is ever written again."""
    names = [f"{checkpoint.name}/{path.name}" for path in checkpoint.iterdir()]
    for name in (*names, *read_manifest(checkpoint)["beside"]):
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(checkpoint.parent / name, into / name)


def _other_files(run: Path) -> Iterator[Path]:
    # Not rglob, which stops at a folder that is renamed or removed meanwhile, as those of checkpoints are.
    for folder, below, files in os.walk(run):
        name = Path(folder).relative_to(run)
        if name == Path(CHECKPOINTS):
            below.clear()
        below.sort()
        yield from (name / file for file in sorted(files) if file != LOCK and (run / name / file).is_file())


def _checkpoint_of(name: str) -> str | None:
    """The checkpoint that a file is of, by its folder's name."""
    parts = name.split("/")
    return parts[1] if len(parts) == 3 and parts[0] == CHECKPOINTS and parts[1].startswith("step_") else None


def _is_here(path: Path, record: FileRecord) -> bool:
    return path.is_file() and path.stat().st_size == record.size and FileRecord.of(path) == record


def _receive(path: Path, name: str, record: FileRecord, read: Callable[[str, int], bytes]) -> None:
    received = 0
    with path.open("wb") as file:
        while received < record.size:
            content = read(name, received)
            if not content:
                break
            file.write(content)
            received += len(content)
        file.flush()
        os.fsync(file.fileno())
    if FileRecord.of(path) != record:
        raise RunError(f"{name} of a run did not come as it was")


def _install(run: Path, aside: Path, name: str) -> None:
    """Put a file where it belongs; those of checkpoints and the last one, beside each other for later."""
    step = _checkpoint_of(name)
    if name == EVALUATION:
        return
    target = inside(run, name) if step is None else aside / step / Path(name).name
    target.parent.mkdir(parents=True, exist_ok=True)
    (aside / name.replace("/", "__")).replace(target)
