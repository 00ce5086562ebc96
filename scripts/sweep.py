"""`rpp-rl sweep`: every algorithm on every environment with every seed, each an ordinary run folder."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from rpp_rl.errors import RunError

if TYPE_CHECKING:
    from rpp_rl.experiments.sweeps.engine import Engine
    from rpp_rl.experiments.sweeps.plan import Job, Plan


@dataclass(frozen=True)
class SweepArguments:
    """Run a comparison: finished runs are skipped, interrupted ones go on, failed ones are told at the end."""

    plan: Path | None = None
    """A YAML file with algos, envs, seeds, n_timesteps, options and variants; flags win over all but variants."""
    algos: tuple[str, ...] = ()
    """Algorithms, as for --algo of rpp-rl train."""
    envs: tuple[str, ...] = ()
    """Environment ids, with their versions."""
    seeds: str | None = None
    """Seeds, such as 0-9; the same for all algorithms."""
    n_timesteps: Annotated[int | None, arg(aliases=["-n"])] = None
    """Environment steps of each run."""
    jobs: int | None = None
    """Runs at a time, which share the threads of this machine; 1 if left out, with --ray as many as fit."""
    ray: str | None = None
    """Run on the machines of a Ray cluster: 'auto' for the one that this machine is in, or its HOST:PORT."""
    cpus_per_run: float = 1.0
    """With --ray, the CPUs of each run; it has as many threads."""
    gpus_per_run: float = 0.0
    """With --ray, the GPUs of each run; 0.5 lets two runs share one."""
    ray_bring_back: bool = False
    """With --ray, for machines that do not share the log folder: runs are in folders of theirs, and brought back."""
    log_folder: Annotated[Path, arg(aliases=["-f"])] = Path("runs")
    """Where runs are kept: <log-folder>/<env>/<algo>/seed<seed>, and what each printed in seed<seed>.log."""
    eval_freq: int | None = None
    """Steps between evaluations, as for rpp-rl train."""
    eval_episodes: int | None = None
    """Episodes of an evaluation, as for rpp-rl train."""
    save_freq: int | None = None
    """Steps between checkpoints; a twentieth of a run if left out."""
    hyperparams: Annotated[tuple[str, ...], arg(aliases=["-params"])] = ()
    """Hyperparameters for all runs, as key:value."""
    trust: bool = False
    """Let runs that go on import modules of environments that they name."""


def sweep(arguments: Annotated[SweepArguments, arg(name="")]) -> None:
    """Run every combination, a few at a time; rerun the command to go on after an interruption."""
    from rpp_rl.experiments.sweeps.checks import check_jobs
    from rpp_rl.experiments.sweeps.plan import plan_from, read_plan
    from rpp_rl.experiments.sweeps.progress_table import Display
    from rpp_rl.files import check_folder

    given: dict[str, Any] = dict(read_plan(arguments.plan)) if arguments.plan is not None else {}
    for key in ("algos", "envs", "seeds", "n_timesteps"):
        if getattr(arguments, key) not in (None, ()):
            given[key] = getattr(arguments, key)
    plan = plan_from(given)
    plan = plan.with_options(_flags(arguments, plan))
    jobs = plan.jobs(arguments.log_folder)
    check_folder(arguments.log_folder, "choose another folder with -f")
    check_jobs(jobs, arguments.log_folder, elsewhere=arguments.ray is not None)
    engine = _engine(arguments, jobs)
    with Display() as display:
        failed = engine.run(display.show)
    for job in failed:
        print(f"failed: {job.name}: {engine.reasons.get(job) or _last_line(job.log)}; see {job.log}")
    where = shlex.quote(str(arguments.log_folder))
    print(f"{len(jobs) - len(failed)} of {len(jobs)} runs are done; curves: tensorboard --logdir {where}")
    if failed:
        raise SystemExit(1)


def _engine(arguments: SweepArguments, jobs: Sequence[Job]) -> Engine[Any]:
    """What runs the jobs: processes of this machine, or those of a cluster."""
    if arguments.ray is not None:
        from rpp_rl.experiments.sweeps.away import BringingEngine
        from rpp_rl.experiments.sweeps.ray_cluster import RayEngine

        return (BringingEngine if arguments.ray_bring_back else RayEngine)(
            jobs,
            arguments.ray,
            at_once=arguments.jobs,
            cpus=arguments.cpus_per_run,
            gpus=arguments.gpus_per_run,
            trust=arguments.trust,
        )
    from rpp_rl.experiments.sweeps.local import LocalEngine

    for name in ("cpus_per_run", "gpus_per_run", "ray_bring_back"):
        if getattr(arguments, name) != getattr(SweepArguments, name):
            raise RunError(f"--{name.replace('_', '-')} is for --ray")
    return LocalEngine(jobs, 1 if arguments.jobs is None else arguments.jobs, arguments.trust)


def _flags(arguments: SweepArguments, plan: Plan) -> tuple[str, ...]:
    words: list[str] = []
    for flag, value in (("--eval-freq", arguments.eval_freq), ("--eval-episodes", arguments.eval_episodes)):
        words += [] if value is None else [flag, str(value)]
    if arguments.save_freq is not None or "--save-freq" not in plan.options:
        freq = max(1, plan.steps // 20) if arguments.save_freq is None else arguments.save_freq
        words += ["--save-freq", str(freq)]
    return (*words, *(["--hyperparams", *arguments.hyperparams] if arguments.hyperparams else []))


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError as error:
        return f"its log cannot be read ({error.strerror})"
    return lines[-1] if lines else "it printed nothing"


if __name__ == "__main__":
    from rpp_rl.scripts.main import main

    sys.exit(main(["sweep", *sys.argv[1:]]))
