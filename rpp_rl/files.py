"""Write files atomically, and read zip archives that may be damaged or hostile."""

from __future__ import annotations

import errno
import os
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from rpp_rl.errors import RunError

# Agents are stored without compression: compressed again they shrink a little, a zip bomb a thousandfold.
_MOST_EXPANSION = 20
_LARGEST_MEMBER = 1 << 33
_MOST_MEMBERS = 1000
_DAMAGE = (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError, RuntimeError, zlib.error)


def replace_file(path: Path, content: bytes | Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically: the old file stays until the new one is complete and on disk.

    Args:
        path: the file; missing folders above it are made.
        content: the bytes, or a function that writes to an open binary file.

    Raises:
        OSError: if the file cannot be written; the old file is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                content(file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    _sync_folder(path.parent)


def open_regular(path: Path, largest: int) -> IO[bytes]:
    """Open a file for reading; a pipe or a device in its place is neither waited for nor read without end.

    Args:
        path: the file.
        largest: the most bytes that it may have.

    Raises:
        OSError: if it cannot be opened, is not a regular file, or is larger.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb")
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_size <= largest:
        return file
    file.close()
    what = f"it is larger than {largest >> 20} MiB" if stat.S_ISREG(status.st_mode) else "it is not a regular file"
    raise OSError(errno.EINVAL, what, str(path))


def check_folder(folder: Path, remedy: str) -> None:
    """Check that files can be written to a folder, which may still have to be made.

    Args:
        folder: the folder.
        remedy: what the user can do instead, for the error message.

    Raises:
        RunError: if the folder, or the nearest one above it that exists, is not a directory or not writable.
    """
    existing = next(part for part in (folder, *folder.absolute().parents) if part.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        which = "it" if existing == folder else str(existing)
        raise RunError(f"cannot write to {folder}: {which} is not a directory, or not writable; {remedy}")


def check_own_files(folder: Path) -> None:
    """Check that a folder holds only folders and regular files, at any depth, before files in it are changed.

    Through a link somewhere in it a command would change a file elsewhere.

    Raises:
        RunError: if something else is there.
    """
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in (*folders, *files)):
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                what = "a link" if stat.S_ISLNK(mode) else "neither a file nor a folder"
                raise RunError(f"{path} is {what}, and files of {folder} are to be changed; put a copy in its place")


def cut_file(path: Path, size: int) -> None:
    """Keep the first bytes of a file. Another name of the same file, as a copy of hard links has it, keeps them all.

    Raises:
        OSError: if the file cannot be read or written; it is then unchanged.
    """
    with path.open("rb") as file:
        content = file.read(size)
    replace_file(path, content)


def _sync_folder(folder: Path) -> None:
    """Make renamed files survive a loss of power."""
    if os.name == "nt":  # which cannot open folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Archive:
    """A zip archive whose members are read into memory, one at a time; nothing is unpacked to disk.

    Args:
        file: the archive, open for reading.
        name: its name in error messages.

    Attributes:
        names: the names of the members.

    Raises:
        RunError: if the file is not a complete zip archive, or would expand to more than 20 times its size.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name = name
        try:
            size = file.seek(0, 2)
            file.seek(0)
            self._archive = zipfile.ZipFile(file)
            members = self._archive.infolist()
        except _DAMAGE as error:
            raise self._damaged(error) from error
        expanded = sum(member.file_size for member in members)
        if len(members) > _MOST_MEMBERS or expanded > _MOST_EXPANSION * size or expanded > _LARGEST_MEMBER:
            raise RunError(
                f"{name} claims to expand from {size} bytes to {expanded} in {len(members)} parts, more than any saved "
                "file does; copy it again from where it was made"
            )
        self.names = frozenset(member.filename for member in members)

    def read(self, member: str, largest: int = _LARGEST_MEMBER) -> bytes:
        """Read the content of a member, checked against its CRC.

        Args:
            member: its name.
            largest: the most bytes that it may have.

        Raises:
            RunError: if the member is missing, damaged or larger.
        """
        try:
            if self._archive.getinfo(member).file_size > largest:
                raise RunError(f"{self.name}: {member} is larger than it can be; copy the file again")
            return self._archive.read(member)
        except KeyError:
            raise RunError(f"{self.name} has no {member}: the file is not complete; copy it again") from None
        except RunError:
            raise
        except _DAMAGE as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> RunError:
        detail = " ".join(str(error).split())[:200]
        return RunError(f"{self.name} is not a saved file, or is not complete ({detail}); train or copy it again")


def name_of(path: Any) -> str:
    """The name of a path or an open file in messages."""
    return str(path) if isinstance(path, str | Path) else "the file"
