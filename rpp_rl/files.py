"""Write files atomically, into folders that were checked first."""

from __future__ import annotations

import os
from pathlib import Path

from rpp_rl.errors import RunError


def replace_file(path: Path, content: bytes) -> None:
    """Write a file beside the target and rename it, and create the folders above it.

    Raises:
        OSError: if it cannot be written; an existing file is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def check_folder(folder: Path, remedy: str) -> None:
    """Check that a folder exists and is writable, or can be created.

    Args:
        folder: the folder.
        remedy: what to do otherwise.

    Raises:
        RunError: if it cannot be written to.
    """
    for part in (folder, *folder.parents):
        if part.exists():
            if not part.is_dir() or not os.access(part, os.W_OK):
                raise RunError(f"cannot write to {folder}: {part} is not a directory, or not writable; {remedy}")
            return
