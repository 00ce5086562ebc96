"""The run folders below a folder."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rpp_rl.errors import RunError, listed
from rpp_rl.experiments.run_folder import ABANDONED, CHECKPOINTS, CONFIG, EVALUATIONS

_MOST_FOLDERS = 100_000


def find_runs(roots: Sequence[Path], patterns: Sequence[str] = ()) -> list[Path]:
    """The run folders below some folders.

    Args:
        roots: folders; each may be a run folder itself.
        patterns: such as ``Ant-v5/*`` or ``*/sac/seed[0-4]``, compared with the path below the root; a run is taken if
            one fits. Those that begin with ``!`` leave out what fits.

    Returns:
        Folders with a configuration, each once.

    Raises:
        RunError: if a root is no folder.
    """
    return [folder for folder in _fitting(roots, patterns) if (folder / CONFIG).is_file()]


def nameless_runs(roots: Sequence[Path], patterns: Sequence[str] = ()) -> list[str]:
    """A note on folders with evaluations that do not say of what, if there are any; `find_runs` passes over them."""
    nameless = [str(folder) for folder in _fitting(roots, patterns) if not (folder / CONFIG).is_file()]
    if not nameless:
        return []
    return [f"passed over, since there are evaluations and no {CONFIG} that says of what: {listed(nameless)}"]


def check_root(root: Path) -> None:
    """Check that there may be runs below a path.

    Raises:
        RunError: if it is no folder.
    """
    if not root.is_dir():
        raise RunError(f"there is no folder {root}; give one that rpp-rl train has filled with runs")


def _fitting(roots: Sequence[Path], patterns: Sequence[str]) -> list[Path]:
    found: dict[Path, None] = {}
    for root in roots:
        check_root(root)
        for folder in _folders(root):
            below = "" if folder == root else folder.relative_to(root).as_posix()
            if _wanted(below or folder.name, patterns):
                found[folder] = None
    return list(found)


def _folders(root: Path) -> Iterator[Path]:
    """Folders with a configuration or with evaluations, in a fixed order; links are not followed."""
    # Not rglob, which stops at a folder that is renamed or removed meanwhile, as those of checkpoints are.
    for count, (path, folders, files) in enumerate(os.walk(root)):
        if count > _MOST_FOLDERS:
            raise RunError(f"{root} holds more than {_MOST_FOLDERS} folders; give one nearer to the runs")
        folders[:] = sorted(name for name in folders if name not in (ABANDONED, CHECKPOINTS))
        if CONFIG in files:
            folders.clear()
        if CONFIG in files or EVALUATIONS in files:
            yield Path(path)


def _wanted(name: str, patterns: Sequence[str]) -> bool:
    taken = [p for p in patterns if not p.startswith("!")]
    left = [p[1:] for p in patterns if p.startswith("!")]
    return (not taken or any(fnmatch.fnmatchcase(name, p) for p in taken)) and not any(
        fnmatch.fnmatchcase(name, p) for p in left
    )
