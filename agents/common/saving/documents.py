"""The native file format: a zip archive of one JSON document and one `safetensors` file, nothing else.

``document.json`` has ``format``, ``kind``, the SHA-256 of the arrays, and ``value``, plain data as `rpp_rl.plain_data`
writes it; ``arrays.safetensors`` has the arrays that the document names. Neither can hold anything that runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from rpp_rl.errors import PlainDataError, RunError
from rpp_rl.files import Archive
from rpp_rl.plain_data import from_plain, to_plain

FORMAT = 1
DOCUMENT, ARRAYS = "document.json", "arrays.safetensors"
_LARGEST_DOCUMENT = 1 << 26


def write_document(path: str | Path | IO[bytes], kind: str, value: Any, suffix: str = "") -> None:
    """Write plain data to a file, which is there as a whole or, if that fails, as it was before.

    Args:
        path: a path, whose folders are made, or a file open for writing.
        kind: what it is; `read_document` asks for it.
        value: plain data with arrays and tensors in it.
        suffix: appended to a path that has none.

    Raises:
        PlainDataError: if there is something in the value that is not saved.
        OSError: if the file cannot be written.
    """
    data, arrays = to_plain(value, kind)
    packed = save(arrays)
    document = {"format": FORMAT, "kind": kind, "arrays_sha256": hashlib.sha256(packed).hexdigest(), "value": data}
    text = json.dumps(document, allow_nan=False).encode()
    if not isinstance(path, str | Path):
        _write_archive(path, text, packed)
        return
    target = Path(path)
    target = target if target.suffix or not suffix else target.with_name(target.name + suffix)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            _write_archive(file, text, packed)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def _write_archive(file: IO[bytes], document: bytes, arrays: bytes) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        # Without the time of day in it, the same agent gives the same bytes.
        archive.writestr(zipfile.ZipInfo(DOCUMENT), document)
        archive.writestr(zipfile.ZipInfo(ARRAYS), arrays)


def is_document(archive: Archive) -> bool:
    """Whether an archive has the native format."""
    return DOCUMENT in archive.names


def read_document(archive: Archive, kind: str) -> Any:
    """The plain data of a file, checked.

    Raises:
        RunError: if it is damaged, of another kind or version, or holds a NaN in its arrays.
    """
    document = read_json(archive.read(DOCUMENT), archive.name)
    if not isinstance(document, dict) or document.get("kind") != kind:
        found = document.get("kind") if isinstance(document, dict) else None
        raise RunError(f"{archive.name} holds {f'a {found}' if isinstance(found, str) else 'no'} {kind!r} document")
    if document.get("format") != FORMAT:
        raise RunError(f"{archive.name} has format {document.get('format')!r}, not {FORMAT}; use its rpp-rl version")
    packed = archive.read(ARRAYS)
    if hashlib.sha256(packed).hexdigest() != document.get("arrays_sha256"):
        raise RunError(f"{archive.name} is damaged: its arrays are not those that its document names; copy it again")
    try:
        arrays = load(packed)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{archive.name} is damaged: {error}; train or copy it again") from error
    for array in arrays.values():
        # Bounds of spaces may be infinite; parameters are checked where they are read.
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise RunError(f"{archive.name} holds a NaN, which no agent that can be used has; train it again")
    try:
        return from_plain(document.get("value"), arrays)
    except (PlainDataError, RecursionError, OverflowError) as error:
        raise RunError(f"{archive.name} is no saved {kind}: {error}") from error


def read_json(content: bytes, name: str) -> Any:
    """JSON without NaN and infinities, and not too much of it.

    Raises:
        RunError: if it is anything else.
    """
    if len(content) > _LARGEST_DOCUMENT:
        raise RunError(f"{name} has a description of {len(content)} bytes, as no saved agent has")
    try:
        return json.loads(content.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        detail = " ".join(str(error).split())[:200]
        raise RunError(f"{name} is no saved file, or only a part of one ({detail}); train or copy it again") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")
