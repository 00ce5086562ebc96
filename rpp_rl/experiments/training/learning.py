"""Training prepared runs to their end, and what is said of them."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from rpp_rl.agents.common.checkpoints import StopRequested
from rpp_rl.agents.common.environment_failures import environment_failure
from rpp_rl.agents.rpp_sac.many_seeds import ManySeeds
from rpp_rl.errors import EnvironmentFailureError, RPPError, RunError
from rpp_rl.experiments.run_folder import EVALUATION, FAILURE
from rpp_rl.experiments.training.begun import modules_named
from rpp_rl.experiments.training.prepared_run import PreparedRun
from rpp_rl.scripts.evaluate import EvaluateArguments, evaluate_run


def learn(prepared: PreparedRun, steps: int, fresh: bool) -> Path:
    """Train a prepared run, keep its agent whatever happens, evaluate it, and say where it is; returns the folder.

    Args:
        prepared: the run.
        steps: environment steps to take.
        fresh: whether steps are counted from zero.

    Raises:
        RPPError: if it was stopped, or met a number that is none.
    """
    ended: BaseException | None = None
    try:
        prepared.model.learn(
            steps,
            callback=prepared.callbacks,
            reset_num_timesteps=fresh,
            progress_bar=prepared.arguments.progress,
        )
    except (KeyboardInterrupt, Exception) as error:
        ended = error
    # Whatever happened, what was learnt so far is kept.
    problem = prepared.close()
    _record_failure(prepared, ended)
    sentence = _sentence(prepared, ended, problem)
    if sentence is not None:
        raise RunError(sentence) from ended
    if ended is not None:
        raise ended
    _finish(prepared)
    _say_where(prepared)
    return prepared.run.path


def learn_together(runs: list[PreparedRun], together: ManySeeds, steps: int, fresh: bool) -> list[Path]:
    """Train prepared runs as one stack of agents, as `learn` does with one; returns their folders.

    Args:
        runs: in the order of the agents.
        together: the agents.
        steps: environment steps of each.
        fresh: whether steps are counted from zero.

    Raises:
        RPPError: if some were stopped, after the others are done.
    """
    begun = 0 if fresh else together.agents[0].num_timesteps
    ended: BaseException | None = None
    errors: list[RPPError | None] = []
    try:
        with tqdm(total=steps, desc=f"{len(runs)} agents", disable=not runs[0].arguments.progress) as bar:
            errors = together.learn(
                steps,
                [prepared.callbacks for prepared in runs],
                reset_num_timesteps=fresh,
                progress=lambda step: bar.update(step - begun - bar.n),
            )
    except (KeyboardInterrupt, Exception) as error:
        ended = error
    problems = [prepared.close() for prepared in runs]
    each = [ended] * len(runs) if ended is not None else errors
    for prepared, why in zip(runs, each, strict=True):
        _record_failure(prepared, why)
    sentences = [_sentence(*parts) for parts in zip(runs, each, problems, strict=True)]
    if ended is not None and not any(sentences):
        raise ended
    said: list[str] = []
    for prepared, sentence in zip(runs, sentences, strict=True):
        if sentence is None:
            try:
                _finish(prepared)
            except EnvironmentFailureError as error:
                said.append(str(error))
    _say_where(runs[0])
    asked = [run for run, error in zip(runs, each, strict=True) if isinstance(error, StopRequested)]
    said += [s for s, error in zip(sentences, each, strict=True) if s and not isinstance(error, StopRequested)]
    if asked:
        said.append(f"stopped at step {asked[0].model.num_timesteps}; go on with: {resume_command(*asked)}")
    if said:
        raise RunError("; ".join(said))
    return [prepared.run.path for prepared in runs]


def _sentence(prepared: PreparedRun, error: BaseException | None, problem: str | None) -> str | None:
    """What ended a run before its time or keeps it from being saved, and what to do; None if that is nothing known.

    Args:
        prepared: the run.
        error: what ended it; None if it came to its end.
        problem: what could not be saved.
    """
    step = prepared.model.num_timesteps
    kept = problem or f"the agent as of step {step} is saved in {prepared.run.model}"
    if error is None:
        return None if problem is None else f"training is over, but {problem}"
    if isinstance(error, KeyboardInterrupt):
        return f"interrupted at step {step}; {problem or 'the agent is saved'}; go on with: {_go_on(prepared)}"
    if isinstance(error, StopRequested):
        return f"{error}; go on with: {resume_command(prepared)}"
    failure = error if isinstance(error, RPPError) else environment_failure(error)
    if failure is not None:
        return f"{failure}; {kept}"
    if isinstance(error, OSError):
        return f"a file of {prepared.run.path} cannot be written at step {step} ({error.strerror or error}); {kept}"
    return None


def _record_failure(prepared: PreparedRun, error: BaseException | None) -> None:
    """Leave word of what ended a run, for those who ask how it is; not of somebody who asked it to stop."""
    if error is None or isinstance(error, KeyboardInterrupt | StopRequested):
        return
    with suppress(OSError):  # the disk may be what failed
        said = {"error": type(error).__name__, "sentence": str(error), "step": prepared.model.num_timesteps}
        prepared.run.write_json(FAILURE, said)


def resume_command(*runs: PreparedRun) -> str:
    """The command that goes on with runs from their newest checkpoints."""
    command = ["rpp-rl", "train", "--resume", *(str(prepared.run.path) for prepared in runs)]
    return shlex.join([*command, *(["--trust"] if modules_named(asdict(runs[0].arguments)) else [])])


def _go_on(prepared: PreparedRun) -> str:
    """The command that goes on from a run."""
    arguments, model = prepared.arguments, str(prepared.run.model)
    command = ["rpp-rl", "train", "--algo", arguments.algo, "--env", arguments.env, "-i", model, "-n", "STEPS"]
    command += ["--seed", str(arguments.seed), "-f", str(arguments.log_folder), "--vec-env", arguments.vec_env]
    if arguments.n_envs is not None:
        command += ["--n-envs", str(arguments.n_envs)]
    for flag, pairs in (("--env-kwargs", arguments.env_kwargs), ("--hyperparams", arguments.hyperparams)):
        command += [flag, *pairs] if pairs else []
    return shlex.join(command)


def _finish(prepared: PreparedRun) -> None:
    """Evaluate the agent of a run.

    Raises:
        EnvironmentFailureError: if its environment fails.
        RunError: if that is interrupted.
    """
    run, arguments = prepared.run, prepared.arguments
    try:
        result = evaluate_run(
            EvaluateArguments(
                run.path, episodes=arguments.eval_episodes, env=arguments.env, device=arguments.device, trust=True
            )
        )
    except KeyboardInterrupt:
        raise RunError(
            f"interrupted; the trained agent is saved; evaluate it with: rpp-rl evaluate {run.path}"
        ) from None
    except Exception as error:
        failure = environment_failure(error)
        if failure is None:
            raise
        _record_failure(prepared, failure)
        raise EnvironmentFailureError(
            f"{failure}; training is over and the agent is saved; evaluate it with: rpp-rl evaluate {run.path}"
        ) from error
    run.write_json(EVALUATION, result)
    score = f"{result['mean_reward']:.2f} +- {result['std_reward']:.2f}"
    print(f"mean evaluation return  {score} ({result['episodes']} episodes)")
    print(f"run                     {run.path}")


def _say_where(prepared: PreparedRun) -> None:
    arguments = prepared.arguments
    print(f"curves                  tensorboard --logdir {arguments.tensorboard_log or arguments.log_folder}")
