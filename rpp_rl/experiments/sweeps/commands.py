"""With which words a run of a sweep is begun or gone on with, and what in its folder keeps it from that."""

from __future__ import annotations

import io
import shutil
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import asdict, replace
from pathlib import Path

import tyro

from rpp_rl.agents.common.checkpoints.archive import checkpoints
from rpp_rl.errors import RunError
from rpp_rl.experiments.progress import is_locked
from rpp_rl.experiments.run_folder import (
    ABANDONED,
    AUDIT,
    CHECKPOINTS,
    CONFIG,
    EVALUATION,
    LOCK,
    MONITOR,
    RunFolder,
    read_config,
)
from rpp_rl.experiments.sweeps.plan import Job
from rpp_rl.experiments.training.begun import modules_named
from rpp_rl.scripts.train import TrainArguments

# What a run leaves behind that is killed before it has evaluated anything.
_BEGINNING = (CONFIG, MONITOR, LOCK, AUDIT)


def arguments_of(job: Job) -> TrainArguments:
    """A run's words as `rpp-rl train` reads them.

    Raises:
        RunError: for a word that it does not know.
    """
    said = io.StringIO()
    try:
        with redirect_stderr(said), redirect_stdout(said):
            return tyro.cli(TrainArguments, args=job.command()[1:], prog="rpp-rl train")
    except SystemExit as error:
        raise RunError(f"rpp-rl train does not take these options: {_sentence(said.getvalue())}") from error


def _sentence(text: str) -> str:
    """What tyro says between the rules of its box; all of it where it draws none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rules = [i for i, line in enumerate(lines) if set(line) <= set("-─╭╮╰╯")]
    return " ".join(lines[rules[0] + 1 : rules[1]] if len(rules) > 1 else lines)[:300]


def words_of(job: Job, trust: bool, root: Path | None = None) -> list[str]:
    """The words of `rpp-rl` that begin a run, or go on with one.

    What a run has left that was killed before its first checkpoint makes room: it is moved aside, or removed where it
    holds no evaluation.

    Args:
        job: the run.
        trust: whether it may import modules that it names when it goes on, also those that the sweep does not name.
        root: the folder of all runs where it is to run, if that is another one.

    Raises:
        RunError: if its folder holds something else, or a run that cannot go on.
    """
    there = job if root is None else replace(job, root=root)
    refuse_strange(job.folder)
    if checkpoints(job.folder / CHECKPOINTS) or is_locked(job.folder):
        trusted = ["--trust"] if trust or _names_what_the_sweep_names(job) else []
        return ["train", "--resume", str(there.folder), "-n", str(job.steps), *trusted]
    if holds_run(job.folder):
        raise RunError(
            f"{job.folder} holds an agent or its results, but no checkpoint to go on from; move it away, or choose "
            "another --log-folder"
        )
    if job.folder.exists():
        _make_room(job)
    return there.command()


def holds_run(folder: Path) -> bool:
    """Whether a folder holds more than the beginning of a run that was killed before its first checkpoint."""
    names = (RunFolder(folder).model, folder / EVALUATION)
    return any(name.exists() for name in names) or bool(checkpoints(folder / CHECKPOINTS)) or is_locked(folder)


def refuse_strange(folder: Path) -> None:
    """Check that there is no run's folder, or room for one.

    Raises:
        RunError: if there is something else.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file, where the folder of a run is to be; move it away")
    if folder.is_symlink() and not holds_run(folder):
        raise RunError(f"{folder} is a link, and no run is where it leads; remove it")
    strange = [] if (folder / CONFIG).is_file() else [p for p in _files(folder) if not _is_of_beginning(p)]
    if strange:
        raise RunError(f"{folder} is no run's folder, and holds {strange[0]}; move it away")


def note(job: Job, sentence: str) -> None:
    """Add a sentence to what a run has printed, where that can be written."""
    with suppress(OSError), job.log.open("a", encoding="utf-8") as log:
        log.write(f"rpp-rl: {sentence}\n")


def _names_what_the_sweep_names(job: Job) -> bool:
    """Whether a run that was begun would import only modules that the sweep itself is told to."""
    begun = read_config(job.folder / CONFIG).get("arguments")
    if not isinstance(begun, dict) or begun.get("trained_agent") is not None:
        return False
    return modules_named(begun) == modules_named(asdict(arguments_of(job)))


def _make_room(job: Job) -> None:
    try:
        if all(_is_of_beginning(path) for path in _files(job.folder)):
            shutil.rmtree(job.folder)
            return
        aside = job.folder.parent / ABANDONED
        aside.mkdir(exist_ok=True)
        taken = {path.name for path in aside.iterdir()}
        name = next(n for k in range(1, 10_000) if (n := f"{job.folder.name}-{k}") not in taken)
        job.folder.rename(aside / name)
        note(job, f"what was here has no checkpoint to go on from, and is in {aside / name} now")
    except OSError as error:
        raise RunError(f"{job.folder} cannot be moved aside: {error.strerror or error}") from error


def _files(folder: Path) -> list[Path]:
    """All below a folder that is no folder, by their paths in it."""
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())


def _is_of_beginning(path: Path) -> bool:
    if path.parts[0] == CHECKPOINTS:
        return path.suffix != ".zip"  # one that is not whole; stable-baselines3's are models
    # Besides, a configuration that was being written.
    return path.name in _BEGINNING or path.name.startswith(("events.out.tfevents.", f".{CONFIG}."))
