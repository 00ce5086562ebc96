"""The file format of this library: a zip archive of JSON, tensors and a checksum.

``document.json`` holds ``format``, ``kind``, the SHA-256 of the arrays, and ``value``, plain data as
`rpp_rl.plain_data` writes it. ``arrays.safetensors`` holds the arrays that ``value`` refers to. Neither can hold code.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from rpp_rl.errors import PlainDataError, RunError
from rpp_rl.files import Archive, replace_file
from rpp_rl.plain_data import from_plain, to_plain

FORMAT = 1
DOCUMENT, ARRAYS = "document.json", "arrays.safetensors"
_LARGEST_DOCUMENT = 1 << 28


def write_document(path: str | Path | IO[bytes], kind: str, value: Any, suffix: str = "") -> None:
    """Write plain data to a file, atomically where it is given as a path.

    Args:
        path: a path, whose folders are made, or a file open for writing.
        kind: the kind of content; `read_document` checks it.
        value: plain data with arrays and tensors in it.
        suffix: appended to a path that has none.

    Raises:
        PlainDataError: if the value holds an object that is not plain data.
        OSError: if the file cannot be written; an old file is unchanged.
    """
    data, arrays = to_plain(value, kind)
    packed = save(arrays)
    document = {"format": FORMAT, "kind": kind, "arrays_sha256": hashlib.sha256(packed).hexdigest(), "value": data}
    text = json.dumps(document, allow_nan=False).encode()

    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            # Without the time of day, the same value gives the same bytes.
            archive.writestr(zipfile.ZipInfo(DOCUMENT), text)
            archive.writestr(zipfile.ZipInfo(ARRAYS), packed)

    if isinstance(path, str | Path):
        target = Path(path)
        replace_file(target if target.suffix or not suffix else target.with_name(target.name + suffix), write)
    else:
        write(path)


def is_document(archive: Archive) -> bool:
    """Whether an archive has this format."""
    return DOCUMENT in archive.names


def read_document(archive: Archive, kind: str, allow_nan: bool = False) -> Any:
    """Read the plain data of a file and check it.

    Args:
        archive: the file.
        kind: the kind of content that it must have.
        allow_nan: whether its arrays may hold NaN. Infinity is allowed, since bounds of spaces may be infinite.

    Raises:
        RunError: if the file is damaged, has another kind or format, or holds a NaN that is not allowed.
    """
    document = _json_part(archive, kind)
    packed = archive.read(ARRAYS)
    if hashlib.sha256(packed).hexdigest() != document.get("arrays_sha256"):
        raise RunError(f"{archive.name} is damaged: its arrays do not match their checksum; copy it again")
    try:
        arrays = load(packed)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{archive.name} is damaged: {error}; train or copy it again") from error
    for array in arrays.values():
        if not allow_nan and array.dtype.kind == "f" and np.isnan(array).any():
            raise RunError(f"{archive.name} holds a NaN, so it cannot be used; train it again")
    try:
        return from_plain(document.get("value"), arrays)
    except (PlainDataError, RecursionError, OverflowError) as error:
        raise RunError(f"{archive.name} is not a saved {kind}: {error}") from error


def read_value_without_arrays(archive: Archive, kind: str) -> Any:
    """Read the JSON of a file's value and leave its arrays unread.

    Raises:
        RunError: if the file is damaged, or has another kind or format.
    """
    return _json_part(archive, kind).get("value")


def read_json(content: bytes, name: str) -> Any:
    """Parse JSON of limited size that holds neither NaN nor infinity.

    Raises:
        RunError: if the content is not such JSON.
    """
    if len(content) > _LARGEST_DOCUMENT:
        raise RunError(f"{name} has a description of {len(content)} bytes, more than any saved file has")
    try:
        return json.loads(content.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        detail = " ".join(str(error).split())[:200]
        raise RunError(f"{name} is not a saved file, or is not complete ({detail}); train or copy it again") from error


def _json_part(archive: Archive, kind: str) -> dict[str, Any]:
    document = read_json(archive.read(DOCUMENT), archive.name)
    if not isinstance(document, dict) or document.get("kind") != kind:
        found = document.get("kind") if isinstance(document, dict) else None
        raise RunError(
            f"{archive.name} holds {f'a {found}' if isinstance(found, str) else 'no'} document, not a {kind}"
        )
    if document.get("format") != FORMAT:
        raise RunError(f"{archive.name} has format {document.get('format')!r}, not {FORMAT}; use its rpp-rl version")
    return document


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a finite number")
