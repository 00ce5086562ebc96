"""Write files atomically, and read zip archives that may be damaged or hostile."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

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


# Agents are stored without compression; one that somebody has compressed again shrinks a little, a bomb a thousandfold.
_MOST_EXPANSION = 20
_LARGEST_MEMBER = 1 << 33
_MOST_MEMBERS = 1000
_DAMAGE = (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError, RuntimeError, zlib.error)


class Archive:
    """A zip archive whose members are read into memory, one at a time.

    Args:
        file: open for reading.
        name: what messages call it.

    Raises:
        RunError: if it is no archive, only a part of one, or one that would expand beyond all proportion.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name = name
        try:
            size = file.seek(0, 2)
            file.seek(0)
            self._archive = zipfile.ZipFile(file)
            members = self._archive.infolist()
        except _DAMAGE as error:
            raise self._no_file(error) from error
        expanded = sum(member.file_size for member in members)
        if len(members) > _MOST_MEMBERS or expanded > _MOST_EXPANSION * size or expanded > _LARGEST_MEMBER:
            raise RunError(
                f"{name} claims to expand from {size} bytes to {expanded} in {len(members)} parts, as no file of a "
                "run does; get it again from where it was made"
            )
        self.names = frozenset(member.filename for member in members)

    def read(self, member: str, largest: int = _LARGEST_MEMBER) -> bytes:
        """The content of a member, checked against its CRC.

        Args:
            member: its name.
            largest: bytes that it may have.

        Raises:
            RunError: if it is missing, damaged or larger.
        """
        try:
            if self._archive.getinfo(member).file_size > largest:
                raise RunError(f"{self.name} has a {member} larger than it can be; get it again from where it was made")
            return self._archive.read(member)
        except KeyError:
            raise RunError(f"{self.name} has no {member}: it is only a part of a file; copy it again") from None
        except RunError:
            raise
        except _DAMAGE as error:
            raise self._no_file(error) from error

    def _no_file(self, error: Exception) -> RunError:
        detail = " ".join(str(error).split())[:200]
        return RunError(f"{self.name} is no saved file, or only a part of one ({detail}); train or copy it again")


def name_of(path: Any) -> str:
    """What messages call a path or an open file."""
    return str(path) if isinstance(path, str | Path) else "the file"
