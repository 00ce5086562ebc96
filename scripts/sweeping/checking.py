"""What is refused of a sweep before any of its runs is begun: their words are read as `rpp-rl train` reads them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import tyro

from rpp_rl.errors import RPPError, RunError
from rpp_rl.scripts.run_folder import CONFIG, read_config
from rpp_rl.scripts.settings import key_values
from rpp_rl.scripts.sweeping.engine import holds_something
from rpp_rl.scripts.sweeping.plan import Job
from rpp_rl.scripts.train import TrainArguments, check
from rpp_rl.scripts.training.begun import recorded_arguments
from rpp_rl.scripts.training.settled import Settled, build, settle

# What makes one run another one, beside its folder and its symmetry; what is left out is told by one of two programs.
_COUNTS = ("n_envs", "eval_freq", "eval_episodes", "trained_agent")
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
            _refuse_other_settings(job, arguments, settled[part])
        except RPPError as error:
            if job.root == root:
                raise
            raise RunError(f"variant {job.root.name}: {error}") from error


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


def _build(arguments: TrainArguments, settled: Settled) -> None:
    """Build an agent and let go of it; on the processor, in one environment of this process."""
    agent = build(replace(arguments, device="cpu", vec_env="dummy"), replace(settled, n_envs=1))
    env = agent.get_env()
    if env is not None:
        env.close()


def _refuse_other_settings(job: Job, arguments: TrainArguments, settled: Settled) -> None:
    """Check that what a folder holds is what the sweep asks for: it would count as done, or be gone on with."""
    config = read_config(job.folder / CONFIG) if holds_something(job.folder) else {}
    if not isinstance(config.get("arguments"), dict):
        return
    then, now = _counted(recorded_arguments(job.folder, config["arguments"])), _counted(arguments)
    # JSON has lists where a symmetry has tuples.
    then["symmetry"], now["symmetry"] = config.get("symmetry"), json.loads(json.dumps(settled.symmetry))
    for name, value in now.items():
        if value != then[name]:
            shown = "" if name == "symmetry" else f" {then[name]!r}, where this sweep has {value!r}"
            raise RunError(
                f"{job.folder} holds a run with another {name}{shown}; choose another --log-folder, or move it away"
            )


def _counted(arguments: TrainArguments) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(arguments, name) for name in _COUNTS}
    return {**found, **{name: key_values(getattr(arguments, name), flag) for name, flag in _COUNTS_BY_KEY.items()}}
