"""Train runs: configure, build, (resume,) learn, evaluate, record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import sync_envs_normalization
from tqdm import tqdm

from rpp_rl.agents.common.algorithms import load_agent
from rpp_rl.agents.common.checkpoints import StopRequested
from rpp_rl.agents.common.environment_failures import environment_failure
from rpp_rl.errors import EnvironmentFailureError, RPPError, RunError
from rpp_rl.experiments.config import RunConfig, refuse_modules, shell_command
from rpp_rl.experiments.evaluation import LoadedAgent, evaluate_loaded
from rpp_rl.experiments.resolve import Resolved, audited, build, resolved
from rpp_rl.experiments.run import CONFIG, EVALUATION, FAILURE, Run
from rpp_rl.experiments.session import Session, reopened, started
from rpp_rl.experiments.signals import stop_when_asked
from rpp_rl.symmetry import Symmetry


def train(config: RunConfig, *, progress_bar: bool = False, verbose: int = 0, trust: bool = False) -> Run:
    """Train an agent, evaluate it, and keep everything in a run folder.

    Args:
        config: configuration of the run.
        progress_bar: whether to show a progress bar.
        verbose: 1 prints stable-baselines3's tables.
        trust: whether to unpickle what the file of a trained agent holds besides plain data.

    Returns:
        The run, in ``config.folder`` or, where that exists, in a folder with a number after it.

    Raises:
        RPPError: for a configuration that cannot be met (then nothing is written), for a NaN or an infinity from the
            environment, and when asked to stop by a signal (then a checkpoint is written first).
    """
    with resolved(config, trust) as task:
        agent = build(task, verbose, trust)
        _note_that_nothing_is_learnt(task, agent)
        audit = audited(task)
        with stop_when_asked() as stop, started(task, agent, audit, stop, verbose) as session:
            _learn(session, task.steps, config.trained_agent is None, progress_bar)
            return session.run


def train_together(
    config: RunConfig, seeds: Sequence[int], *, progress_bar: bool = False, verbose: int = 0
) -> list[Run]:
    """Train agents of several seeds together in this process, each in a run folder of its own.

    Args:
        config: configuration of the runs; its seed is replaced.
        seeds: a seed for each run.
        progress_bar: as for `train`.
        verbose: as for `train`.

    Raises:
        RPPError: as for `train`. If only some runs are stopped, it is raised after the others are done.
    """
    if config.use.together is None:
        raise RunError(f"{config.algo} trains one agent at a time; give --seed, or another algorithm")
    if config.trained_agent is not None:
        raise RunError("several seeds start new agents; leave out -i, or continue one agent at a time")
    configs = {seed: replace(config, seed=seed) for seed in seeds}
    with resolved(configs[seeds[0]]) as task, ExitStack() as sessions:
        tasks = {seed: replace(task, config=one) for seed, one in configs.items()}
        together = config.use.together(lambda seed: build(tasks[seed], verbose), seeds)
        _note_that_nothing_is_learnt(task, together.agents[0])
        audit = audited(task)
        stop = sessions.enter_context(stop_when_asked())
        opened = [
            sessions.enter_context(started(tasks[seed], agent, audit, stop, verbose))
            for seed, agent in zip(seeds, together.agents, strict=True)
        ]
        return _learn_together(opened, together, task.steps, True, progress_bar)


def resume(
    runs: Sequence[Run | str | Path],
    *,
    n_timesteps: int | None = None,
    device: str | None = None,
    progress_bar: bool = False,
    verbose: int = 0,
    trust: bool = False,
) -> list[Run]:
    """Resume interrupted runs from their newest checkpoints; several are trained together.

    Args:
        runs: runs or their folders.
        n_timesteps: environment steps of the whole run; None for those of its configuration.
        device: another device.
        progress_bar: as for `train`.
        verbose: as for `train`.
        trust: whether to import the modules that the configurations name.

    Raises:
        RPPError: if there is no such run or checkpoint, another process holds it, or the runs do not fit together.
    """
    found = [run if isinstance(run, Run) else Run(Path(run)) for run in runs]
    configs = [_config_to_resume(run, device, trust) for run in found]
    _check_alike(found, configs)
    with ExitStack() as held:
        for run in found:
            held.enter_context(run.lock())
        stop = held.enter_context(stop_when_asked())

        def restored(number: int) -> Session:
            task = held.enter_context(resolved(configs[number], trust))
            _check_symmetry(task, found[number])
            agent = build(task, verbose, trust)
            return held.enter_context(reopened(task, agent, found[number], stop, verbose))

        if len(found) == 1:
            session = restored(0)
            _learn(session, _steps_left([session], n_timesteps), False, progress_bar)
            return found
        sessions: list[Session] = []

        def agent_of(number: int) -> OffPolicyAlgorithm:
            sessions.append(restored(number))
            return sessions[-1].agent

        together = configs[0].use.together(agent_of, range(len(found)))  # type: ignore[misc]
        return _learn_together(sessions, together, _steps_left(sessions, n_timesteps), False, progress_bar)


def resume_command(runs: Iterable[Run], trust: bool) -> str:
    """The command that resumes runs."""
    words = ["rpp-rl", "train", "--resume", *(run.path for run in runs)]
    return shell_command([*words, *(["--trust"] if trust else [])])


def _config_to_resume(run: Run, device: str | None, trust: bool) -> RunConfig:
    config = run.config
    if not trust:
        refuse_modules(config.named_modules(), run.path / CONFIG)
    return config if device is None else replace(config, device=device)


def _check_alike(runs: Sequence[Run], configs: Sequence[RunConfig]) -> None:
    for run, config in zip(runs, configs, strict=True):
        alike = (config.algo, config.env) == (configs[0].algo, configs[0].env)
        if len(runs) > 1 and (not alike or config.use.together is None):
            raise RunError(f"{run.path} cannot be resumed together with {runs[0].path}; resume one at a time")


def _check_symmetry(task: Resolved, run: Run) -> None:
    """Check that a run's environment has the symmetry with which it was started.

    Raises:
        RunError: if it has another one.
    """
    recorded, symmetry = run.record.get("symmetry"), task.symmetry
    if symmetry != (None if recorded is None else Symmetry.from_dict(recorded)):
        raise RunError(
            f"the symmetry of {task.config.env} has changed since {run.path} was started, and an agent keeps the "
            "symmetry that it was built with; declare it as it was, or start a new run"
        )


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


def _note_that_nothing_is_learnt(task: Resolved, agent: OffPolicyAlgorithm) -> None:
    if task.steps <= agent.learning_starts and task.config.trained_agent is None:
        print(
            f"note: the first {agent.learning_starts} steps are random and nothing is learnt from {task.steps}; "
            "give more steps, or -params learning_starts:N"
        )


def _learn(session: Session, steps: int, fresh: bool, progress_bar: bool) -> None:
    """Train, save the agent whatever happens, and evaluate it.

    Args:
        session: the session.
        steps: environment steps to take.
        fresh: whether steps are counted from zero.
        progress_bar: whether to show a progress bar.

    Raises:
        RPPError: if the run is stopped, or its environment fails.
    """
    error = _caught(
        lambda: session.agent.learn(
            steps, callback=session.callbacks, reset_num_timesteps=fresh, progress_bar=progress_bar
        )
    )
    problem = session.save()
    _record_failure(session, error)
    sentence = _reason(session, error, problem)
    if sentence is not None:
        raise RunError(sentence) from error
    if error is not None:
        raise error
    _evaluate(session)
    _print_where(session)


def _learn_together(sessions: list[Session], together: Any, steps: int, fresh: bool, progress_bar: bool) -> list[Run]:
    """Train agents as one stack, and save and evaluate each, as `_learn` does with one.

    Raises:
        RPPError: if some are stopped, after the others are done.
    """
    begin = 0 if fresh else together.agents[0].num_timesteps
    errors: list[BaseException | None] = []

    def learn() -> None:
        with tqdm(total=steps, desc=f"{len(sessions)} agents", disable=not progress_bar) as bar:
            errors.extend(
                together.learn(
                    steps,
                    [session.callbacks for session in sessions],
                    reset_num_timesteps=fresh,
                    progress=lambda step: bar.update(step - begin - bar.n),
                )
            )

    failure = _caught(learn)
    each = errors if failure is None else [failure] * len(sessions)
    reasons: list[str] = []
    for session, error in zip(sessions, each, strict=True):
        problem = session.save()
        _record_failure(session, error)
        reason = _reason(session, error, problem)
        if reason is None and error is None:
            try:
                _evaluate(session)
            except EnvironmentFailureError as failed:
                reason = str(failed)
        if reason is not None and not isinstance(error, StopRequested):
            reasons.append(reason)
    stopped = [session for session, error in zip(sessions, each, strict=True) if isinstance(error, StopRequested)]
    if failure is not None and not reasons and not stopped:
        raise failure
    _print_where(sessions[0])
    if stopped:
        command = resume_command([s.run for s in stopped], bool(stopped[0].config.named_modules()))
        reasons.append(f"stopped at step {stopped[0].agent.num_timesteps}; resume with: {command}")
    if reasons:
        raise RunError("; ".join(reasons))
    return [session.run for session in sessions]


def _caught(learn: Callable[[], object]) -> BaseException | None:
    """Learn, and return what stopped it: what was learnt so far is saved in any case."""
    try:
        learn()
    except (KeyboardInterrupt, Exception) as error:
        return error
    return None


def _reason(session: Session, error: BaseException | None, problem: str | None) -> str | None:
    """Why a run ended early or is not saved, and what to do; None for an unknown error or none.

    Args:
        session: the session.
        error: the error that ended it; None if it came to its end.
        problem: what could not be saved.
    """
    step = session.agent.num_timesteps
    saved = problem or f"the agent as of step {step} is saved in {session.run.model}"
    if error is None:
        return None if problem is None else f"training is over, but {problem}"
    if isinstance(error, KeyboardInterrupt):
        command = _continue_command(session)
        return f"interrupted at step {step}; {problem or 'the agent is saved'}; continue with: {command}"
    if isinstance(error, StopRequested):
        command = resume_command([session.run], bool(session.config.named_modules()))
        return f"{error}; resume with: {command}"
    failure = error if isinstance(error, RPPError) else environment_failure(error)
    if failure is not None:
        return f"{failure}; {saved}"
    if isinstance(error, OSError):
        return f"a file of {session.run.path} cannot be written at step {step} ({error.strerror or error}); {saved}"
    return None


def _continue_command(session: Session) -> str:
    """The command that continues the saved agent in a new run."""
    config = replace(session.config, trained_agent=session.run.model, n_timesteps=None)
    return shell_command([*config.command(), "-n", "STEPS"])


def _record_failure(session: Session, error: BaseException | None) -> None:
    """Write the error that ended a run to its folder; an interruption is not one."""
    if error is None or isinstance(error, KeyboardInterrupt | StopRequested):
        return
    with suppress(OSError):  # the disk may be what failed
        failure = {"error": type(error).__name__, "sentence": str(error), "step": session.agent.num_timesteps}
        session.run.write(FAILURE, failure)


def _evaluate(session: Session) -> None:
    """Evaluate the agent as it was saved, and record the result, which makes the run done.

    Raises:
        EnvironmentFailureError: if its environment fails.
        RunError: if the evaluation is interrupted.
    """
    run, config = session.run, session.config
    remedy = f"evaluate it with: rpp-rl evaluate {run.path}"
    try:
        env = session.evaluation_env
        trained_on = session.agent.get_env()
        if trained_on is not None:
            sync_envs_normalization(trained_on, env)
        agent = load_agent(run.model, str(session.agent.device))
        loaded = LoadedAgent(run.model, agent, env, config.env, dict(config.env_kwargs), config.evaluation_seed)
        result = evaluate_loaded(loaded, config.eval_episodes)
    except KeyboardInterrupt:
        raise RunError(f"interrupted; the trained agent is saved; {remedy}") from None
    except Exception as error:
        failure = environment_failure(error)
        if failure is None:
            raise
        _record_failure(session, failure)
        raise EnvironmentFailureError(f"{failure}; training is over and the agent is saved; {remedy}") from error
    run.write(EVALUATION, result)
    score = f"{result['mean_reward']:.2f} +- {result['std_reward']:.2f}"
    print(f"mean evaluation return  {score} ({result['episodes']} episodes)")
    print(f"run                     {run.path}")


def _print_where(session: Session) -> None:
    config = session.config
    print(f"curves                  tensorboard --logdir {config.tensorboard_log or config.log_folder}")
