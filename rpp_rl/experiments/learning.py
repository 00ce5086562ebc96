"""Learn in a session, then save and evaluate the agent, and say why a run ended early."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import sync_envs_normalization
from tqdm import tqdm

from rpp_rl.agents.common.building import load_agent
from rpp_rl.agents.common.checkpoints import StopRequested
from rpp_rl.agents.common.environment_failures import environment_failure
from rpp_rl.agents.common.hyperparameters import has_hyperparameter
from rpp_rl.errors import EnvironmentFailureError, RPPError, RunError
from rpp_rl.experiments.config import RunConfig, shell_command
from rpp_rl.experiments.evaluation import LoadedAgent, evaluate_loaded
from rpp_rl.experiments.evaluations import RunEvaluation
from rpp_rl.experiments.run import EVALUATION, FAILURE, Run
from rpp_rl.experiments.session import Saved, Session
from rpp_rl.experiments.watching import has_display


def learn(session: Session, steps: int, fresh: bool, progress_bar: bool) -> None:
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
    error, saved = _saved(session, error)
    _record_failure(session, error)
    sentence = _reason(session, error, saved)
    if sentence is not None:
        raise RunError(sentence) from error
    if error is not None:
        raise error
    _evaluate(session)
    _print_where([session])


def learn_together(sessions: list[Session], together: Any, steps: int, fresh: bool, progress_bar: bool) -> list[Run]:
    """Train agents as one stack, and save and evaluate each, as `learn` does with one.

    Raises:
        RPPError: if some are stopped, after the others are done.
    """
    begin = 0 if fresh else together.agents[0].num_timesteps
    errors: list[BaseException | None] = []
    for session in sessions:
        for callback in session.callbacks:
            if isinstance(callback, RunEvaluation):
                callback.run_label = f"seed {session.config.seed:<4} "

    def learn_all() -> None:
        with tqdm(total=steps, desc=f"{len(sessions)} agents", disable=not progress_bar) as bar:
            errors.extend(
                together.learn(
                    steps,
                    [session.callbacks for session in sessions],
                    reset_num_timesteps=fresh,
                    progress=lambda step: bar.update(step - begin - bar.n),
                )
            )

    failure = _caught(learn_all)
    each = errors if failure is None else [failure] * len(sessions)
    reasons: list[str] = []
    for session, ended in zip(sessions, each, strict=True):
        error, saved = _saved(session, ended)
        _record_failure(session, error)
        reason = _reason(session, error, saved)
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
    _print_where(sessions)
    if stopped:
        command = resume_command([s.run for s in stopped], bool(stopped[0].config.named_modules()))
        reasons.append(f"stopped at step {stopped[0].agent.num_timesteps}; resume with: {command}")
    if reasons:
        raise RunError("; ".join(reasons))
    return [session.run for session in sessions]


def _caught(learning: Callable[[], object]) -> BaseException | None:
    """Learn, and return what stopped it: what was learnt so far is saved in any case."""
    try:
        learning()
    except (KeyboardInterrupt, Exception) as error:
        return error
    return None


def _saved(session: Session, error: BaseException | None) -> tuple[BaseException | None, Saved]:
    """Save the agent of a session; an agent that has diverged is the reason for whatever else went wrong."""
    saved = session.save()
    stopped = isinstance(error, KeyboardInterrupt | StopRequested)
    return (error if saved.diverged is None or stopped else saved.diverged), saved


def _reason(session: Session, error: BaseException | None, kept: Saved) -> str | None:
    """Why a run ended early or is not saved, and what to do; None for an unknown error or none.

    Args:
        session: the session.
        error: the error that ended it; None if it came to its end.
        kept: what was saved.
    """
    step, problem = session.agent.num_timesteps, kept.problem
    which = "the agent as of" if kept.diverged is None else "the last finite agent, of"
    saved = problem or f"{which} step {kept.step} is saved in {session.run.model}"
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
    remedy = f"evaluate it with: {shell_command(['rpp-rl', 'evaluate', run.path])}"
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
    _print_before(session)
    score = f"{result['mean_reward']:.2f} +- {result['std_reward']:.2f}"
    print(f"mean evaluation return  {score} ({result['episodes']} episodes)")
    print(f"run                     {run.path}")


def _print_before(session: Session) -> None:
    """Print the return of the random actions with which training started."""
    episodes = session.run.monitor
    random = episodes.returns[np.cumsum(episodes.lengths) <= session.agent.learning_starts]
    if len(random) and session.config.trained_agent is None:
        print(f"before learning         {random.mean():.2f} ({len(random)} episodes of random actions)")


def _print_where(sessions: Sequence[Session]) -> None:
    session, config = sessions[0], sessions[0].config
    print(f"curves                  {shell_command(['tensorboard', '--logdir', _events(config)])}")
    see = ["enjoy", session.run.path] if has_display() else ["evaluate", session.run.path, "--video", "film"]
    print(f"watch it                {shell_command(['rpp-rl', *see])}")
    if config.use.uses_symmetry and config.trained_agent is None:
        print(f"a baseline              {shell_command(_baseline_command([session.config for session in sessions]))}")
        print(f"compare both            {shell_command(['rpp-rl', 'compare', config.log_folder])}")


def _baseline_command(configs: Sequence[RunConfig]) -> list[str]:
    """The command that trains the algorithm without a symmetry, on the same seeds, as far as it has the arguments."""
    config, name = configs[0], configs[0].use.algorithm
    shared = {k: v for k, v in config.hyperparams.items() if has_hyperparameter(name, k)}
    words = replace(config, algo=name, symmetry=None, hyperparams=shared).command()
    if len(configs) > 1:
        place = words.index("--seed")
        words[place : place + 2] = ["--seeds", ",".join(str(one.seed) for one in configs)]
    return words


def _events(config: RunConfig) -> Path:
    return config.tensorboard_log or config.log_folder


def resume_command(runs: Iterable[Run], trust: bool) -> str:
    """The command that resumes runs."""
    words = ["rpp-rl", "train", "--resume", *(run.path for run in runs)]
    return shell_command([*words, *(["--trust"] if trust else [])])
