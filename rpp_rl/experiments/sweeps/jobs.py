"""The jobs of a sweep: each starts or resumes one run, after its folder and settings have been checked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rpp_rl.errors import RPPError, RunError
from rpp_rl.experiments.config import RunConfig
from rpp_rl.experiments.resolve import Resolved, build, resolved
from rpp_rl.experiments.run import ABANDONED, AUDIT, CHECKPOINTS, CONFIG, LOCK, MONITOR, Run
from rpp_rl.symmetry import Symmetry

# What a run leaves behind that is killed before its first evaluation and checkpoint.
_FIRST_FILES = (CONFIG, MONITOR, LOCK, AUDIT)
_EVENTS = "events.out.tfevents."
# Settings that make one run different from another, besides its folder and its symmetry.
_SETTINGS = ("n_envs", "eval_episodes", "trained_agent", "env_kwargs", "hyperparams")
_MOST_ABANDONED = 10_000


@dataclass(frozen=True, eq=False)
class Job:
    """One run of a sweep.

    Attributes:
        config: its configuration.
    """

    config: RunConfig

    @property
    def run(self) -> Run:
        """The run, which need not exist yet."""
        return Run(self.config.folder)

    @property
    def steps(self) -> int:
        """Environment steps of the run."""
        return self.config.n_timesteps or 0

    @property
    def log(self) -> Path:
        """The file of everything that the run prints."""
        folder = self.config.folder
        return folder.with_name(f"{folder.name}.log")

    @property
    def name(self) -> str:
        """Environment, algorithm and seed, for messages."""
        return f"{self.config.env} {self.config.algo} {self.config.seed}"

    def work(self, trust: bool) -> dict[str, Any]:
        """What `rpp_rl.experiments.sweeps.worker` is to do: start the run, or resume it.

        A run that was killed before its first checkpoint makes room: it is moved aside, or removed where it holds no
        evaluation.

        Args:
            trust: whether a run that is resumed may import modules that the sweep does not name.

        Raises:
            RunError: if the folder holds something else, or a run that cannot be resumed.
        """
        self.check_folder()
        if self.run.checkpoints or self.run.is_locked():
            return {"resume": str(self.run.path), "n_timesteps": self.steps, "trust": trust or self._is_trusted()}
        if self.run.holds_results():
            raise RunError(
                f"{self.run.path} holds an agent or its results, but no checkpoint to resume from; move it away, or "
                "choose another --log-folder"
            )
        if self.run.path.exists():
            self._make_room()
        return {"train": self.config.to_dict()}

    def check_folder(self) -> None:
        """Check that the run's folder is missing, empty, or a run's.

        Raises:
            RunError: if there is something else.
        """
        folder = self.run.path
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder} must be the folder of a run, but it is a file; move it away")
        if folder.is_symlink() and not self.run.holds_results():
            raise RunError(f"{folder} is a link that leads to no run; remove it")
        foreign = [] if (folder / CONFIG).is_file() else [p for p in _files(folder) if not _is_first_file(p)]
        if foreign:
            raise RunError(f"{folder} must be the folder of a run, but it holds {foreign[0]}; move it away")

    def note(self, sentence: str) -> None:
        """Add a sentence to the log, if it can be written."""
        with suppress(OSError), self.log.open("a", encoding="utf-8") as log:
            log.write(f"rpp-rl: {sentence}\n")

    def _is_trusted(self) -> bool:
        """Whether the run imports only modules that the sweep itself names."""
        recorded = self.run.config
        return recorded.trained_agent is None and recorded.named_modules() == self.config.named_modules()

    def _make_room(self) -> None:
        folder = self.run.path
        try:
            if all(_is_first_file(path) for path in _files(folder)):
                shutil.rmtree(folder)
                return
            aside = folder.parent / ABANDONED
            aside.mkdir(exist_ok=True)
            taken = {path.name for path in aside.iterdir()}
            name = next(n for k in range(1, _MOST_ABANDONED) if (n := f"{folder.name}-{k}") not in taken)
            folder.rename(aside / name)
            self.note(f"an earlier run without a checkpoint was moved to {aside / name}")
        except OSError as error:
            raise RunError(f"{folder} cannot be moved aside: {error.strerror or error}") from error


def check_jobs(jobs: Sequence[Job], root: Path, elsewhere: bool = False) -> None:
    """Check the jobs of a sweep before the first one starts; nothing is written.

    An agent is built for every algorithm and variant, since only that checks its hyperparameters; the symmetry is
    resolved for every environment besides.

    Args:
        jobs: the jobs.
        root: folder of all runs; the runs of a variant lie in a folder below it.
        elsewhere: whether the runs train on other machines, whose devices are not known here.

    Raises:
        RPPError: for what training would refuse, and where a folder holds a run with other settings.
    """
    checked: dict[tuple[Path, str, str], Resolved] = {}
    built: set[tuple[Path, str]] = set()
    intervals: dict[Job, int] = {}
    for job in jobs:
        config = job.config
        part = (config.log_folder, config.algo, config.env)
        try:
            if part not in checked:
                with resolved(replace(config, device="cpu") if elsewhere else config) as task:
                    checked[part] = task
                    if part[:2] not in built:
                        built.add(part[:2])
                        _build_once(task)
            job.check_folder()
            interval = _check_settings(job, checked[part])
            if config.eval_freq is None:
                intervals[job] = interval
        except RPPError as error:
            if config.log_folder == root:
                raise
            raise RunError(f"variant {config.log_folder.name}: {error}") from error
    _check_intervals(intervals)


def _build_once(task: Resolved) -> None:
    """Build an agent and discard it; on the CPU, with one environment in this process."""
    config = replace(task.config, device="cpu", vec_env="dummy")
    env = build(replace(task, config=config, n_envs=1)).get_env()
    if env is not None:
        env.close()


def _check_settings(job: Job, task: Resolved) -> int:
    """Check that the run in a job's folder has the job's settings, since it would be resumed, or counted as done.

    Returns:
        Environment steps between its evaluations.

    Raises:
        RunError: if a setting differs.
    """
    interval = task.eval_freq
    if not job.run.holds_results():
        return interval
    record = job.run.record
    if "config" not in record and "arguments" not in record:
        return interval
    recorded = record.get("eval_freq")
    # Left out, it is what it was: a run with more steps keeps its interval.
    found = recorded if type(recorded) is int else interval
    there = job.run.config
    then: dict[str, Any] = {name: getattr(there, name) for name in _SETTINGS}
    now: dict[str, Any] = {name: getattr(job.config, name) for name in _SETTINGS}
    then["symmetry"], now["symmetry"] = _symmetry_in(record), task.symmetry
    then["eval_freq"], now["eval_freq"] = found, found if job.config.eval_freq is None else interval
    for name, value in now.items():
        # As JSON has it: tuples are lists there.
        if _comparable(value) != _comparable(then[name]):
            shown = "" if name == "symmetry" else f" {then[name]!r}, where this sweep has {value!r}"
            raise RunError(
                f"{job.run.path} holds a run with another {name}{shown}; choose another --log-folder, or move it away"
            )
    return found


def _symmetry_in(record: Mapping[str, Any]) -> Symmetry | None:
    recorded = record.get("symmetry")
    return None if recorded is None else Symmetry.from_dict(recorded)


def _comparable(value: Any) -> Any:
    return value if isinstance(value, Symmetry) else json.loads(json.dumps(value, default=str))


def _check_intervals(found: Mapping[Job, int]) -> None:
    """Check that runs of one environment whose interval is left out are evaluated at the same steps."""
    first: dict[str, Job] = {}
    for job, interval in found.items():
        other = first.setdefault(job.config.env, job)
        if found[other] != interval:
            raise RunError(
                f"{other.run.path} is evaluated every {found[other]} steps and {job.run.path} every {interval}, so "
                "they cannot be compared at every step; give one with --eval-freq"
            )


def _files(folder: Path) -> list[Path]:
    """All files below a folder, by their paths in it."""
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())


def _is_first_file(path: Path) -> bool:
    if path.parts[0] == CHECKPOINTS:
        return path.suffix != ".zip"  # zip files are models; anything else is an incomplete checkpoint
    return path.name in _FIRST_FILES or path.name.startswith((_EVENTS, f".{CONFIG}."))
