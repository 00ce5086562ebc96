"""Reading members of zip archives from strangers: nothing is unpacked to disk, and sizes are bounded beforehand."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

from rpp_rl.errors import RunError

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
