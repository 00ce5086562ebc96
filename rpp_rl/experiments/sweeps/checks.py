"""What is refused of a sweep before any of its runs is begun: their words are read as `rpp-rl train` reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rpp_rl.errors import RPPError, RunError
from rpp_rl.experiments.options import key_values
from rpp_rl.experiments.run_folder import CONFIG, read_config
from rpp_rl.experiments.sweeps.commands import arguments_of, holds_run, refuse_strange
from rpp_rl.experiments.sweeps.plan import Job
from rpp_rl.experiments.training.begun import recorded_arguments
from rpp_rl.experiments.training.prepared_run import evaluation_interval
from rpp_rl.experiments.training.settled import Settled, build, settle
from rpp_rl.scripts.train import TrainArguments, check

# What makes one run another one, beside its folder and its symmetry; what is left out is told by one of two programs.
_COUNTS = ("n_envs", "eval_episodes", "trained_agent")
_COUNTS_BY_KEY = {"env_kwargs": "--env-kwargs", "hyperparams": "--hyperparams"}


def check_jobs(jobs: Sequence[Job], root: Path, elsewhere: bool = False) -> None:
    """Check everything that can be known of the runs of a sweep; nothing is written.

    An agent is built for every algorithm of every part, since only that tells what it is to learn with; environment and
    symmetry are made for every environment besides.

    Args:
        jobs: the runs.
        root: the folder of all; runs of variants are told by the folder that they have below it.
        elsewhere: whether they run on other machines, whose devices are not known here.

    Raises:
        RPPError: for what `rpp-rl train` would refuse, and where a folder holds a run with other settings.
    """
    settled: dict[tuple[Path, str, str], Settled] = {}
    built: set[tuple[Path, str]] = set()
    intervals: dict[Job, int] = {}
    for job in jobs:
        try:
            arguments = arguments_of(job)
            arguments = replace(arguments, device="cpu") if elsewhere else arguments
            check(arguments)
            part = (job.root, job.algo, job.env)
            if part not in settled:
                settled[part] = settle(arguments)
            if part[:2] not in built:
                built.add(part[:2])
                _build(arguments, settled[part])
            refuse_strange(job.folder)
            interval = _refuse_other_settings(job, arguments, settled[part])
            if arguments.eval_freq is None:
                intervals[job] = interval
        except RPPError as error:
            if job.root == root:
                raise
            raise RunError(f"variant {job.root.name}: {error}") from error
    _refuse_other_intervals(intervals)


def _build(arguments: TrainArguments, settled: Settled) -> None:
    """Build an agent and let go of it; on the processor, in one environment of this process."""
    agent = build(replace(arguments, device="cpu", vec_env="dummy"), replace(settled, n_envs=1))
    env = agent.get_env()
    if env is not None:
        env.close()


def _refuse_other_settings(job: Job, arguments: TrainArguments, settled: Settled) -> int:
    """Check that what a folder holds is what the sweep asks for: it would count as done, or be gone on with.

    Returns:
        Steps between its evaluations.
    """
    interval = evaluation_interval(arguments, settled)
    config = read_config(job.folder / CONFIG) if holds_run(job.folder) else {}
    if not isinstance(config.get("arguments"), dict):
        return interval
    then, now = _counted(recorded_arguments(job.folder, config["arguments"])), _counted(arguments)
    # JSON has lists where a symmetry has tuples.
    then["symmetry"], now["symmetry"] = config.get("symmetry"), json.loads(json.dumps(settled.symmetry))
    recorded = config.get("eval_freq")
    found = recorded if type(recorded) is int else interval
    # What is left out is what it was: a longer run has no other interval than it began with.
    then["eval_freq"], now["eval_freq"] = found, found if arguments.eval_freq is None else interval
    for name, value in now.items():
        if value != then[name]:
            shown = "" if name == "symmetry" else f" {then[name]!r}, where this sweep has {value!r}"
            raise RunError(
                f"{job.folder} holds a run with another {name}{shown}; choose another --log-folder, or move it away"
            )
    return found


def _refuse_other_intervals(found: Mapping[Job, int]) -> None:
    """Check that runs of one environment that say nothing of it are evaluated at the same steps."""
    first: dict[str, Job] = {}
    for job, interval in found.items():
        other = first.setdefault(job.env, job)
        if found[other] != interval:
            raise RunError(
                f"{other.folder} is evaluated every {found[other]} steps and {job.folder} every {interval}, so that "
                f"they could not be compared at every step; give one with --eval-freq"
            )


def _counted(arguments: TrainArguments) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(arguments, name) for name in _COUNTS}
    return {**found, **{name: key_values(getattr(arguments, name), flag) for name, flag in _COUNTS_BY_KEY.items()}}
