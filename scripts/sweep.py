"""`rpp-rl sweep`: train every algorithm on every environment with every seed, each in an ordinary run folder."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from rpp_rl.errors import RunError
from rpp_rl.experiments.config import shell_command
from rpp_rl.experiments.options import key_values
from rpp_rl.experiments.sweeps import plan_from, read_plan
from rpp_rl.experiments.sweeps import sweep as sweep_runs
from rpp_rl.experiments.sweeps.progress_table import Display
from rpp_rl.scripts.main import main
from rpp_rl.scripts.whole_numbers import Steps


@dataclass(frozen=True)
class SweepArguments:
    """Train many runs: finished ones are skipped, interrupted ones are resumed, failed ones are listed at the end."""

    plan: Path | None = None
    """A YAML file with algos, envs, seeds, n_timesteps, options and variants; flags win over all but variants."""
    algos: tuple[str, ...] = ()
    """Algorithms, as for --algo of rpp-rl train."""
    envs: tuple[str, ...] = ()
    """Environment ids, with their versions."""
    seeds: str | None = None
    """Seeds, such as 0-9; the same for all algorithms."""
    n_timesteps: Annotated[Steps, arg(aliases=["-n"])] = None
    """Environment steps of each run."""
    jobs: int | None = None
    """Runs at a time, which share the threads of this machine; 1 if left out, with --ray as many as fit."""
    ray: str | None = None
    """Run on a Ray cluster whose machines share the log folder: 'auto' for this machine's, or its HOST:PORT."""
    cpus_per_run: float = 1.0
    """With --ray, the CPUs of each run; it has as many threads."""
    gpus_per_run: float = 0.0
    """With --ray, the GPUs of each run; 0.5 lets two runs share one."""
    log_folder: Annotated[Path, arg(aliases=["-f"])] = Path("runs")
    """Folder of all runs: <log-folder>/<env>/<algo>/seed<seed>, and what each prints in seed<seed>.log."""
    eval_freq: Steps = None
    """Environment steps between evaluations, as for rpp-rl train."""
    eval_episodes: int | None = None
    """Episodes of an evaluation, as for rpp-rl train."""
    save_freq: Steps = None
    """Environment steps between checkpoints; a twentieth of a run if left out."""
    hyperparams: Annotated[tuple[str, ...], arg(aliases=["-params"])] = ()
    """Hyperparameters for all runs, as key:value."""
    trust: bool = False
    """Let resumed runs import the modules of environments that they name."""


def sweep(arguments: Annotated[SweepArguments, arg(name="")]) -> None:
    """Run every combination, a few at a time; the same command resumes after an interruption."""
    a = arguments
    given: dict[str, Any] = dict(read_plan(a.plan)) if a.plan is not None else {}
    given |= {k: v for k in ("algos", "envs", "seeds", "n_timesteps") if (v := getattr(a, k)) not in (None, ())}
    flags = {k: v for k in ("eval_freq", "eval_episodes", "save_freq") if (v := getattr(a, k)) is not None}
    configs = plan_from(given).configs(a.log_folder, {**flags, "hyperparams": key_values(a.hyperparams, "-params")})
    shares = {"cpus_per_run": a.cpus_per_run, "gpus_per_run": a.gpus_per_run}
    if a.ray is None and (a.cpus_per_run, a.gpus_per_run) != (1.0, 0.0):
        raise RunError("--cpus-per-run and --gpus-per-run need --ray")
    with Display() as display:
        done = sweep_runs(configs, jobs=a.jobs, ray=a.ray, trust=a.trust, show=display.show, **shares)
    for config in configs:
        if config.folder in done.failures:
            name, reason = f"{config.env} {config.algo} {config.seed}", done.failures[config.folder]
            print(f"failed: {name}: {reason}; see {config.folder}.log")
    curves = shell_command(["tensorboard", "--logdir", a.log_folder])
    print(f"{len(configs) - len(done.failures)} of {len(configs)} runs are done; curves: {curves}")
    if done.failures:
        raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main(["sweep", *sys.argv[1:]]))
