"""Find runs and models on disk."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rpp_rl.errors import RunError
from rpp_rl.experiments.run import ABANDONED, BEST_MODEL, CHECKPOINTS, CONFIG, EVALUATIONS, MODEL, Run

_MOST_FOLDERS = 100_000


def find_model(path: Path, best: bool = False) -> Path:
    """Find the model file of a run: the file itself, or the final model of a run folder.

    Args:
        path: a run folder or a model file.
        best: whether to take the best agent of a run's evaluations instead of the final one.

    Raises:
        RunError: if there is none.
    """
    if best:
        if path.is_file():
            raise RunError(f"--load-best needs a run folder, got the file {path}; give its folder, or leave it out")
        if not (path / BEST_MODEL).is_file():
            raise RunError(f"{path} holds no {BEST_MODEL}; give a run folder that has been evaluated at least once")
        return path / BEST_MODEL
    if path.is_dir():
        if not (path / MODEL).is_file():
            raise RunError(f"{path} holds no {MODEL}; give a folder that rpp-rl train made, or a model file")
        return path / MODEL
    for candidate in (path, path.with_name(path.name + ".zip")):
        if candidate.is_file():
            return candidate
    raise RunError(f"cannot find a run or model at {path}; rpp-rl train makes one")


def run_of(model: Path) -> Run | None:
    """The run that a model file belongs to: the one in its folder or in the folder above; None for neither."""
    return next((Run(folder) for folder in (model.parent, model.parent.parent) if (folder / CONFIG).is_file()), None)


def record_of(model: Path) -> dict[str, Any]:
    """The record of the run that a model file belongs to; empty where it belongs to none.

    Raises:
        RunError: if there is one that cannot be read.
    """
    run = run_of(model)
    return {} if run is None else run.record


def find_runs(roots: str | Path | Sequence[str | Path] = "runs", patterns: Sequence[str] = ()) -> list[Run]:
    """Find the runs below some folders.

    Args:
        roots: a folder or several; each may be a run folder itself.
        patterns: such as ``Ant-v5/*`` or ``*/sac/seed[0-4]``, compared with the path below the root. A run is taken if
            one of them fits; patterns that begin with ``!`` leave out what fits.

    Returns:
        Runs with a configuration, each once, in a fixed order.

    Raises:
        RunError: if a root is not a directory.
    """
    return [Run(folder) for folder in _matching(roots, patterns) if (folder / CONFIG).is_file()]


def folders_without_config(roots: Sequence[Path], patterns: Sequence[str] = ()) -> list[Path]:
    """Folders with evaluations and without a configuration, which `find_runs` leaves out."""
    return [folder for folder in _matching(roots, patterns) if not (folder / CONFIG).is_file()]


def check_root(root: Path) -> None:
    """Check that a folder of runs exists.

    Raises:
        RunError: if it is not a directory.
    """
    if not root.is_dir():
        raise RunError(f"there is no folder {root}; give one that rpp-rl train has filled with runs")


def _matching(roots: str | Path | Sequence[str | Path], patterns: Sequence[str]) -> list[Path]:
    wanted = [p for p in patterns if not p.startswith("!")]
    unwanted = [p[1:] for p in patterns if p.startswith("!")]
    found: dict[Path, None] = {}
    for root in map(Path, [roots] if isinstance(roots, str | Path) else roots):
        check_root(root)
        for folder in _folders(root):
            name = folder.name if folder == root else folder.relative_to(root).as_posix()
            if (not wanted or _fits(name, wanted)) and not _fits(name, unwanted):
                found[folder] = None
    return list(found)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _folders(root: Path) -> Iterator[Path]:
    """Folders with a configuration or with evaluations, in a fixed order; links are not followed."""
    # Unlike rglob, os.walk survives folders that are renamed or removed meanwhile, as those of checkpoints are.
    for count, (path, folders, files) in enumerate(os.walk(root)):
        if count > _MOST_FOLDERS:
            raise RunError(f"{root} holds more than {_MOST_FOLDERS} folders; give one nearer to the runs")
        folders[:] = sorted(name for name in folders if name not in (ABANDONED, CHECKPOINTS))
        if CONFIG in files:
            folders.clear()
        if CONFIG in files or EVALUATIONS in files:
            yield Path(path)
