"""Files that commands write: there whole or not at all, in folders that were checked before anything was computed."""

from __future__ import annotations

import os
from pathlib import Path

from rpp_rl.errors import RunError


def replace_file(path: Path, content: bytes) -> None:
    """Write a file aside and then in place of what was there, with the folders above it.

    Raises:
        OSError: if it cannot be written; what was there is as it was.
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


def check_folder(folder: Path, what: str, remedy: str) -> None:
    """Check that a folder is or can be made there.

    Args:
        folder: the folder.
        what: is to be written there, for the sentence.
        remedy: what to do instead, likewise.

    Raises:
        RunError: if not.
    """
    for part in (folder, *folder.parents):
        if part.exists():
            if not part.is_dir() or not os.access(part, os.W_OK):
                raise RunError(
                    f"{what} can be written to {folder}, since {part} is no folder or may not be written to; {remedy}"
                )
            return
