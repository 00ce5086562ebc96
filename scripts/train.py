"""`rpp-rl train`: train an agent, evaluate it, and leave one folder that says everything about the run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

from tyro.conf import arg

from rpp_rl.errors import NonFiniteError, RPPError, RunError
from rpp_rl.scripts.settings import number_list

if TYPE_CHECKING:
    from rpp_rl.agents import RPPSAC
    from rpp_rl.scripts.prepared_run import PreparedRun


@dataclass(frozen=True)
class TrainArguments:
    """Train an agent on an environment; flags are those of RL Zoo."""

    algo: Literal["rpp_sac", "equivariant_sac", "mlp_sac", "sac"] | str = "rpp_sac"
    """rpp_sac, equivariant_sac (no residual), mlp_sac (plain networks) or sac (stable-baselines3's own)."""
    env: str = "HalfCheetah-v5"
    """Environment id, with its version."""
    symmetry: str | None = None
    """A declared symmetry (see `rpp-rl symmetries`) or a YAML file; the environment's default if left out."""
    n_timesteps: Annotated[int | None, arg(aliases=["-n"])] = None
    """Environment steps; from the hyperparameter file if left out."""
    seed: int = 0
    """Seed of everything that is drawn."""
    seeds: str | None = None
    """Several seeds, such as 0-7 or 0,2,5: agents that are trained together in this process, a run folder for each."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    log_folder: Annotated[Path, arg(aliases=["-f"])] = Path("runs")
    """Where runs are kept: <log-folder>/<env>/<algo>/seed<seed>."""
    tensorboard_log: Annotated[Path | None, arg(aliases=["-tb"])] = None
    """Another folder for TensorBoard's events; beside everything else if left out."""
    eval_freq: int | None = None
    """Steps between evaluations; every 10000, or a fifth of a shorter run, if left out."""
    eval_episodes: int = 10
    """Episodes of an evaluation."""
    save_freq: int = -1
    """Steps between checkpoints, from which --resume goes on; one is always written when the run is asked to stop."""
    progress: Annotated[bool, arg(aliases=["-P"])] = False
    """Show a progress bar."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value."""
    n_envs: int | None = None
    """Environments in parallel; from the hyperparameter file if left out."""
    vec_env: Literal["dummy", "subproc"] = "dummy"
    """Parallel environments in this process, or in one process each."""
    resume: Path | None = None
    """A run folder to go on with, from its newest checkpoint, as if it had never stopped."""
    trained_agent: Annotated[Path | None, arg(aliases=["-i"])] = None
    """A model or run folder to go on from, in a new run folder; the replay buffer starts empty."""
    hyperparams: Annotated[tuple[str, ...], arg(aliases=["-params"])] = ()
    """Hyperparameters to override, as key:value."""
    audit: bool = True
    """Check the symmetry on the simulator first, for a second or so."""
    trust: bool = False
    """Run what files name: modules of a run to resume are imported, pickles of an agent to go on from unpickled."""
    verbose: int = 0
    """1 prints stable-baselines3's tables."""


def train(arguments: Annotated[TrainArguments, arg(name="")]) -> None:
    """Train an agent on an environment, evaluate it, and keep the run in a folder of its own."""
    if arguments.resume is not None:
        resume_training(arguments.resume, arguments)
    elif arguments.seeds is None:
        run_training(arguments)
    else:
        run_many(arguments)


def run_training(arguments: TrainArguments) -> Path:
    """Train as the arguments say; returns the run folder.

    Raises:
        RPPError: for arguments that cannot be met (then nothing is written), for an environment that gives a number
            that is none, and when asked to stop (then a checkpoint is written first).
    """
    # Learning libraries take seconds to import, so only a command that learns imports them.
    from rpp_rl.scripts.prepared_run import audited, complete, say_if_nothing_is_learnt
    from rpp_rl.scripts.settled import build, settle
    from rpp_rl.scripts.stopping import stop_when_asked

    _check(arguments)
    settled = settle(arguments)
    model = build(arguments, settled)
    say_if_nothing_is_learnt(arguments, model, settled.steps)
    audit = audited(arguments, settled)
    with stop_when_asked() as stop:
        prepared = complete(arguments, settled, model, audit, stop)
        with prepared.run.lock():
            _learn(prepared, settled.steps, fresh=arguments.trained_agent is None)
            return _end(prepared)


def resume_training(run: Path, given: TrainArguments) -> Path:
    """Go on with an interrupted run from its newest checkpoint; returns the run folder.

    Args:
        run: the folder.
        given: the command line, of which the number of steps, the device, progress and verbosity count.

    Raises:
        RPPError: if there is no such run or checkpoint, or another process is at it.
    """
    from rpp_rl.scripts.begun import as_begun
    from rpp_rl.scripts.going_on import go_on
    from rpp_rl.scripts.run_folder import RunFolder
    from rpp_rl.scripts.settled import build, settle
    from rpp_rl.scripts.stopping import stop_when_asked

    arguments = as_begun(run, given)
    _check(arguments)
    folder = RunFolder(run)
    with folder.lock(), stop_when_asked() as stop:
        settled = settle(arguments)
        model = build(arguments, settled)
        prepared, differences = go_on(arguments, settled, model, folder, stop)
        for line in differences:
            print(f"note: not exactly as if it had never stopped: {line}")
        total = given.n_timesteps if given.n_timesteps is not None else model._total_timesteps
        left = total - model.num_timesteps
        if left <= 0:
            prepared.evaluation_env.close()
            raise RunError(f"{run} has done its {model.num_timesteps} steps; give more with -n")
        _learn(prepared, left, fresh=False)
        return _end(prepared)


def _learn(prepared: PreparedRun, steps: int, fresh: bool) -> None:
    from rpp_rl.agents.checkpoints import StopRequested

    model = prepared.model
    try:
        model.learn(
            steps,
            callback=prepared.callbacks,
            reset_num_timesteps=fresh,
            progress_bar=prepared.arguments.progress,
        )
    except KeyboardInterrupt:
        raise RunError(
            f"interrupted at step {model.num_timesteps}; the agent is saved; go on with: {_go_on(prepared)}"
        ) from None
    except (NonFiniteError, StopRequested) as error:
        raise RunError(_stopped(prepared, error)) from error
    finally:
        # Whatever happened, what was learnt so far is kept.
        prepared.close()


def _end(prepared: PreparedRun) -> Path:
    arguments = prepared.arguments
    _finish(prepared)
    print(f"curves                  tensorboard --logdir {arguments.tensorboard_log or arguments.log_folder}")
    return prepared.run.path


def run_many(arguments: TrainArguments) -> list[Path]:
    """Train agents of several seeds together; returns the run folders.

    Raises:
        RPPError: as `run_training`; where only some of the runs were stopped, after the others are done.
    """
    from tqdm import tqdm

    from rpp_rl.agents.many_seeds import ManySeeds
    from rpp_rl.scripts.prepared_run import audited, close_all, complete, say_if_nothing_is_learnt
    from rpp_rl.scripts.settled import build, settle
    from rpp_rl.scripts.stopping import stop_when_asked

    seeds = number_list(arguments.seeds or "", "--seeds")
    _check_together(arguments, seeds)
    settled = settle(arguments)
    each = [replace(arguments, seed=seed, seeds=None) for seed in seeds]
    # Every algorithm but sac, which is refused, is an RPPSAC.
    together = ManySeeds(lambda seed: cast("RPPSAC", build(each[seeds.index(seed)], settled)), seeds)
    say_if_nothing_is_learnt(arguments, together.agents[0], settled.steps)
    audit = audited(arguments, settled)
    steps = settled.steps
    with ExitStack() as held:
        stop = held.enter_context(stop_when_asked())
        runs = [complete(one, settled, agent, audit, stop) for one, agent in zip(each, together.agents, strict=True)]
        for prepared in runs:
            held.enter_context(prepared.run.lock())
        try:
            bar = held.enter_context(tqdm(total=steps, desc=f"{len(seeds)} agents", disable=not arguments.progress))
            callbacks = [prepared.callbacks for prepared in runs]
            errors = together.learn(steps, callbacks, progress=lambda step: bar.update(step - bar.n))
        except KeyboardInterrupt:
            commands = "; ".join(_go_on(prepared) for prepared in runs)
            raise RunError(f"interrupted; the agents are saved; go on with: {commands}") from None
        finally:
            close_all(runs)
    for prepared, error in zip(runs, errors, strict=True):
        if error is None:
            _finish(prepared)
    print(f"curves                  tensorboard --logdir {arguments.tensorboard_log or arguments.log_folder}")
    stopped = [_stopped(run, error) for run, error in zip(runs, errors, strict=True) if error is not None]
    if stopped:
        raise RunError("; ".join(stopped))
    return [prepared.run.path for prepared in runs]


def _check_together(arguments: TrainArguments, seeds: Sequence[int]) -> None:
    for seed in seeds:
        _check(replace(arguments, seed=seed))
    if arguments.trained_agent is not None:
        raise RunError("--seeds starts new agents; leave out -i, or go on with one run at a time")
    if arguments.seed != TrainArguments.seed:
        raise RunError(f"--seed {arguments.seed} and --seeds {arguments.seeds} are both given; give one of them")
    if arguments.algo == "sac":
        raise RunError("sac is stable-baselines3's own, which trains one agent at a time; use mlp_sac, or --seed")


def _check(arguments: TrainArguments) -> None:
    from rpp_rl.scripts.evaluate import check_device
    from rpp_rl.scripts.run_folder import EVALUATION_SEED

    if arguments.eval_episodes < 1:
        raise RunError(f"--eval-episodes must be at least 1, got {arguments.eval_episodes}")
    if arguments.eval_freq is not None and arguments.eval_freq < 1:
        raise RunError(f"--eval-freq must be at least 1, got {arguments.eval_freq}")
    if not 0 <= arguments.seed < 2**32 - EVALUATION_SEED:
        raise RunError(f"--seed must be a number from 0 to {2**32 - EVALUATION_SEED - 1}, got {arguments.seed}")
    check_device(arguments.device)
    events = arguments.tensorboard_log
    if events is not None and any(p.is_file() for p in (events, *events.parents)):
        raise RunError(f"-tb {events} is a file, or lies in one; choose a folder")


def _stopped(prepared: PreparedRun, error: RPPError) -> str:
    from rpp_rl.agents.checkpoints import StopRequested

    if isinstance(error, StopRequested):
        return f"{error}; go on with: {resume_command(prepared)}"
    return f"{error}; the agent as of step {prepared.model.num_timesteps} is saved in {prepared.run.model}"


def resume_command(prepared: PreparedRun) -> str:
    """The command that goes on with a run from its newest checkpoint."""
    from rpp_rl.scripts.begun import modules_named

    command = ["rpp-rl", "train", "--resume", str(prepared.run.path)]
    return shlex.join([*command, *(["--trust"] if modules_named(asdict(prepared.arguments)) else [])])


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
    from rpp_rl.scripts.evaluate import EvaluateArguments, evaluate_run

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
    run.write_json("evaluation.json", result)
    score = f"{result['mean_reward']:.2f} +- {result['std_reward']:.2f}"
    print(f"mean evaluation return  {score} ({result['episodes']} episodes)")
    print(f"run                     {run.path}")


if __name__ == "__main__":
    from rpp_rl.scripts.main import main

    sys.exit(main(["train", *sys.argv[1:]]))
