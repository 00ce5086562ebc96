"""Pictures that commands draw with matplotlib, an extra: checked before anything is computed, written whole or not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from rpp_rl.errors import RunError
from rpp_rl.files import replace_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What would differ from one drawing to the next; the same numbers give the same file.
_TIMELESS: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}


def need_matplotlib(what: str, remedy: str = "pip install 'rpp-rl[plot]'") -> None:
    """Check that figures can be drawn.

    Args:
        what: needs it, for the sentence, with its verb.
        remedy: what to do where it is missing.

    Raises:
        RunError: if matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise RunError(f"{what} matplotlib: {remedy}") from error


def check_plot(path: Path | None) -> None:
    """Check that `--plot` can be drawn, before anything is computed; nothing was asked for with None.

    Raises:
        RunError: if its ending is unknown, its folder is missing, or matplotlib is not installed.
    """
    if path is None:
        return
    if path.suffix.lower() not in _TIMELESS:
        raise RunError(f"--plot takes a file that ends in {', '.join(_TIMELESS)}, got {str(path)!r}")
    if not path.parent.is_dir():
        raise RunError(f"there is no folder {path.parent} for the picture; make it first")
    need_matplotlib("--plot needs")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure whose panels make room for their labels; width and height in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=100, layout="constrained")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure to a path that `check_plot` has let through; its kind is the path's ending.

    Raises:
        RunError: if it cannot be written; what was there is as it was.
    """
    from matplotlib import rc_context

    suffix, content = path.suffix.lower(), io.BytesIO()
    # The identifiers in an SVG file are drawn by chance without a salt.
    with rc_context({"svg.hashsalt": "rpp-rl"}):
        figure.savefig(content, format=suffix[1:], metadata=_TIMELESS[suffix])
    try:
        replace_file(path, content.getvalue())
    except OSError as error:
        raise RunError(f"the picture cannot be written to {path}: {error.strerror or error}") from error
