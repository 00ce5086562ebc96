"""Train runs: configure, build, (resume,) learn, evaluate, record."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from rpp_rl.agents.common.checkpoints import StopRequested, newest_checkpoint, part_of
from rpp_rl.envs.ids import import_module_of
from rpp_rl.errors import RPPError, RunError
from rpp_rl.experiments.config import RunConfig, refuse_modules, text_path
from rpp_rl.experiments.learning import learn, learn_together
from rpp_rl.experiments.resolve import Resolved, audited, build, build_from_checkpoint, resolved
from rpp_rl.experiments.run import CONFIG, Run
from rpp_rl.experiments.session import Session, reopened, started
from rpp_rl.experiments.signals import stop_when_asked
from rpp_rl.experiments.tracking import Tracking
from rpp_rl.files import check_own_files
from rpp_rl.symmetry import Symmetry


def train(
    config: RunConfig,
    *,
    progress_bar: bool = False,
    verbose: int = 0,
    trust: bool = False,
    track: Tracking | None = None,
) -> Run:
    """Train an agent, evaluate it, and keep everything in a run folder.

    Args:
        config: configuration of the run.
        progress_bar: whether to show a progress bar.
        verbose: 1 prints stable-baselines3's tables.
        trust: whether to unpickle what the file of a trained agent holds besides plain data.
        track: where the run is followed, beside TensorBoard.

    Returns:
        The run, in ``config.folder`` or, where that exists, in a folder with a number after it.

    Raises:
        RPPError: for a configuration that cannot be met (then nothing is written), for a NaN or an infinity from the
            environment, and when asked to stop by a signal (then a checkpoint is written first).
    """
    with resolved(config, trust) as task:
        agent = build(task, verbose, trust)
        note_what_may_surprise(task, agent)
        audit = audited(task)
        with stop_when_asked() as stop, started(task, agent, audit, stop, verbose, track) as session:
            learn(session, task.steps, config.trained_agent is None, progress_bar)
            return session.run


def train_seeds(
    config: RunConfig,
    seeds: Sequence[int],
    *,
    progress_bar: bool = False,
    verbose: int = 0,
    trust: bool = False,
    track: Tracking | None = None,
) -> list[Run]:
    """Train agents of several seeds, each in a run folder of its own.

    They learn together in this process where the algorithm can (`RPPSAC`) and no run is followed, and else one after
    the other.

    Args:
        config: configuration of the runs; its seed is replaced.
        seeds: a seed for each run.
        progress_bar: as for `train`.
        verbose: as for `train`.
        trust: as for `train`.
        track: as for `train`.

    Raises:
        RPPError: as for `train`. If only some runs fail, it is raised after the others are done.
    """
    if config.trained_agent is not None:
        raise RunError("several seeds start new agents; leave out -i, or continue one agent at a time")
    if config.use.together is None or track is not None:
        return _one_after_the_other(config, seeds, progress_bar, verbose, trust, track)
    configs = {seed: replace(config, seed=seed) for seed in seeds}
    with resolved(configs[seeds[0]]) as task, ExitStack() as sessions:
        tasks = {seed: replace(task, config=one) for seed, one in configs.items()}
        together = config.use.together(lambda seed: build(tasks[seed], verbose), seeds)
        note_what_may_surprise(task, together.agents[0])
        audit = audited(task)
        stop = sessions.enter_context(stop_when_asked())
        opened = [
            sessions.enter_context(started(tasks[seed], agent, audit, stop, verbose))
            for seed, agent in zip(seeds, together.agents, strict=True)
        ]
        return learn_together(opened, together, task.steps, True, progress_bar)


def _one_after_the_other(
    config: RunConfig, seeds: Sequence[int], progress_bar: bool, verbose: int, trust: bool, track: Tracking | None
) -> list[Run]:
    done: list[Run] = []
    failures: list[str] = []
    for seed in seeds:
        one = replace(config, seed=seed)
        try:
            done.append(train(one, progress_bar=progress_bar, verbose=verbose, trust=trust, track=track))
        except RPPError as error:
            if isinstance(error.__cause__, KeyboardInterrupt | StopRequested) or not one.folder.exists():
                raise
            failures.append(str(error))
    if failures:
        raise RunError("; ".join(dict.fromkeys(failures)))
    return done


def resume(
    runs: Sequence[Run | str | Path],
    *,
    n_timesteps: int | None = None,
    device: str | None = None,
    tensorboard_log: str | Path | None = None,
    progress_bar: bool = False,
    verbose: int = 0,
    trust: bool = False,
) -> list[Run]:
    """Resume interrupted runs from their newest checkpoints; several are trained together.

    A run is its folder: it may have been copied, moved or renamed, and nothing outside of it is read or changed.

    Args:
        runs: runs or their folders.
        n_timesteps: environment steps of the whole run; None for those of its configuration.
        device: another device.
        tensorboard_log: another folder for TensorBoard's events; None for the run's own.
        progress_bar: as for `train`.
        verbose: as for `train`.
        trust: whether to import the modules that the configurations name.

    Raises:
        RPPError: if there is no such run or checkpoint, another process holds it, or the runs do not fit together.
    """
    found = [Run(text_path(run.path if isinstance(run, Run) else run)) for run in runs]
    continued = [_config_to_resume(run, trust) for run in found]
    configs = [
        replace(
            config,
            trained_agent=None,
            log_folder=_log_folder(run),
            tensorboard_log=None if tensorboard_log is None else Path(tensorboard_log),
            device=config.device if device is None else device,
        )
        for run, config in zip(found, continued, strict=True)
    ]
    _check_alike(found, configs)
    with ExitStack() as held:
        for run in found:
            held.enter_context(run.lock())
        stop = held.enter_context(stop_when_asked())

        def restored(number: int) -> Session:
            run = found[number]
            checkpoint = newest_checkpoint(run.path)
            _check_symmetry(configs[number].symmetry, run, *checkpoint)
            with part_of(run.path / CONFIG, "configuration"):
                task = held.enter_context(resolved(configs[number]))
                # A run that continued an agent has its hyperparameters from there.
                is_new = continued[number].trained_agent is None
                agent = build(task, verbose) if is_new else build_from_checkpoint(task, *checkpoint)
            return held.enter_context(reopened(task, agent, run, checkpoint, stop, verbose))

        if len(found) == 1:
            session = restored(0)
            learn(session, _steps_left([session], n_timesteps), False, progress_bar)
            return found
        sessions: list[Session] = []

        def agent_of(number: int) -> OffPolicyAlgorithm:
            sessions.append(restored(number))
            return sessions[-1].agent

        together = configs[0].use.together(agent_of, range(len(found)))  # type: ignore[misc]
        return learn_together(sessions, together, _steps_left(sessions, n_timesteps), False, progress_bar)


def _config_to_resume(run: Run, trust: bool) -> RunConfig:
    """The configuration of a run with what was read from files when it was started.

    Raises:
        RunError: if it cannot be read, names a module outside of the library without `trust`, or lies beside a link.
    """
    check_own_files(run.path)
    record = run.record
    env = str(record.get("env", ""))
    if trust:
        import_module_of(env)  # it may register the algorithm
    else:
        refuse_modules([env], run.path / CONFIG)
    config = run.config
    if not trust:
        refuse_modules(config.named_modules(), run.path / CONFIG)
    with part_of(run.path / CONFIG, "symmetry and normalization"):
        symmetry = record.get("symmetry")
        normalize = {"normalize": record["normalize"] or False} if "normalize" in record else {}
        return replace(
            config,
            symmetry=config.symmetry if symmetry is None else Symmetry.from_dict(symmetry),
            hyperparams={**config.hyperparams, **normalize},
        )


def _check_symmetry(symmetry: Symmetry | str | None, run: Run, path: Path, state: dict[str, Any]) -> None:
    """Check that ``config.json`` has the symmetry with which the agent of a checkpoint was built.

    Raises:
        RunError: if it has another one.
    """
    with part_of(path, "symmetry"):
        built = state["agent"]["described"]["policy_kwargs"].get("symmetry")
        if built is not None and Symmetry.from_dict(built) != symmetry:
            raise RunError(
                f"the symmetry in {run.path / CONFIG} has changed since the run was started, and an agent keeps the "
                "symmetry that it was built with; restore the file, or start a new run"
            )


def _log_folder(run: Run) -> Path:
    """The folder of all runs, ``<log_folder>/<env>/<algo>/seed<seed>``, as far as the run still lies so."""
    above = run.path.absolute().parents
    return above[2] if len(above) > 2 and run.path.absolute().parent.name == run.record.get("algo") else above[0]


def _check_alike(runs: Sequence[Run], configs: Sequence[RunConfig]) -> None:
    for run, config in zip(runs, configs, strict=True):
        alike = (config.algo, config.env) == (configs[0].algo, configs[0].env)
        if len(runs) > 1 and (not alike or config.use.together is None):
            raise RunError(f"{run.path} cannot be resumed together with {runs[0].path}; resume one at a time")


def _steps_left(sessions: Sequence[Session], n_timesteps: int | None) -> int:
    """Environment steps that each of the runs has left; the new total is written to their configurations.

    There are none left where a run was killed after its last step, and before its agent was evaluated.

    Raises:
        RunError: if the runs are done, or differ.
    """
    agents = [session.agent for session in sessions]
    done = {agent.num_timesteps for agent in agents}
    totals = {n_timesteps if n_timesteps is not None else agent._total_timesteps for agent in agents}
    if len(done) > 1 or len(totals) > 1:
        raise RunError(f"the runs have done {sorted(done)} of {sorted(totals)} steps; resume one at a time")
    total = totals.pop()
    left = total - min(done)
    if left < 0 or (left == 0 and all(session.run.has_done(total) for session in sessions)):
        raise RunError(f"{sessions[0].run.path} has done its {min(done)} steps; give more with -n")
    for session in sessions:
        record = session.run.record
        if record.get("n_timesteps") != total:
            session.run.write(CONFIG, {**record, "n_timesteps": total})
    return left


def note_what_may_surprise(task: Resolved, agent: OffPolicyAlgorithm) -> None:
    """Print a note if nothing will be learnt, or if an evaluation may not end."""
    config, spec = task.config, task.probe.spec
    if task.steps <= agent.learning_starts and config.trained_agent is None:
        print(
            f"note: the first {agent.learning_starts} steps are random and nothing is learnt from {task.steps}; "
            "give more steps, or -params learning_starts:N"
        )
    has_limit = spec is None or spec.max_episode_steps is not None or "max_episode_steps" in config.evaluation_kwargs
    if not has_limit:
        print(
            f"note: {config.env} has no time limit, so an evaluation lasts until its episodes end by themselves; "
            "--eval-max-steps cuts them off"
        )
