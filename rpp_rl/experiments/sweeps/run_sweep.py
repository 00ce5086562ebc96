"""Run a sweep: check its jobs, then start or resume what is not done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rpp_rl.experiments.config import RunConfig
from rpp_rl.experiments.run import Run
from rpp_rl.experiments.sweeps.engine import Engine, LocalEngine, Show
from rpp_rl.experiments.sweeps.jobs import Job, check_jobs
from rpp_rl.experiments.sweeps.ray_cluster import RayEngine
from rpp_rl.files import check_folder


@dataclass(frozen=True)
class SweepResult:
    """The end of a sweep.

    Attributes:
        runs: all runs, in the order of their configurations.
        failures: the reason for each run that failed, by its folder.
    """

    runs: tuple[Run, ...]
    failures: Mapping[Path, str]


def sweep(
    configs: Sequence[RunConfig],
    *,
    jobs: int | None = None,
    ray: str | None = None,
    cpus_per_run: float = 1.0,
    gpus_per_run: float = 0.0,
    trust: bool = False,
    show: Show = lambda progress, over: None,
) -> SweepResult:
    """Train many runs: finished ones are skipped, interrupted ones are resumed.

    Args:
        configs: the configurations, from `Plan.configs` or your own; each needs `n_timesteps` and a folder of its own.
        jobs: runs at a time, which share the threads of this machine; None for one, on a cluster for as many as fit.
        ray: address of a Ray cluster whose machines share the folder of the runs, or "auto"; None for this machine.
        cpus_per_run: CPUs of each run on a cluster; it has as many threads.
        gpus_per_run: GPUs of each run on a cluster.
        trust: whether resumed runs may import the modules that they name.
        show: called repeatedly with a function that reads the progress of all runs, and with whether the sweep is over.

    Raises:
        RPPError: if a configuration cannot be met (then nothing has started), or when interrupted, after the runs have
            written their checkpoints.
    """
    listed = [Job(config) for config in configs]
    folders = {config.log_folder for config in configs}
    root = min(folders, key=lambda folder: len(folder.parts), default=Path())
    for folder in folders:
        check_folder(folder, "choose another folder with -f")
    check_jobs(listed, root, elsewhere=ray is not None)
    engine: Engine[Any] = (
        LocalEngine(listed, 1 if jobs is None else jobs, trust)
        if ray is None
        else RayEngine(listed, ray, jobs, cpus_per_run, gpus_per_run, trust)
    )
    failed = engine.run(show)
    reasons = {job.run.path: engine.reasons.get(job) or _last_line(job.log) for job in failed}
    return SweepResult(tuple(job.run for job in listed), reasons)


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError as error:
        return f"its log cannot be read ({error.strerror})"
    return lines[-1] if lines else "it printed nothing"
