"""`rpp-rl train`: train an agent, evaluate it, and leave one folder that says everything about the run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from rpp_rl.errors import NonFiniteError, RPPError, RunError
from rpp_rl.scripts.settings import key_values

if TYPE_CHECKING:
    from stable_baselines3 import SAC
    from stable_baselines3.common.vec_env import VecEnv

    from rpp_rl.agents import RPPSAC
    from rpp_rl.envs.auditing.reports import SymmetryAudit
    from rpp_rl.scripts.run_folder import RunFolder

EVALUATION_SEED = 10_000  # added to the run's seed, so that evaluation never meets a training episode


@dataclass(frozen=True)
class TrainArguments:
    """Train an agent on an environment; flags are those of RL Zoo."""

    algo: Literal["rpp_sac", "equivariant_sac", "sac"] | str = "rpp_sac"
    """rpp_sac, equivariant_sac (no residual) or sac (stable-baselines3's own, the baseline)."""
    env: str = "HalfCheetah-v5"
    """Environment id, with its version."""
    symmetry: str | None = None
    """A declared symmetry (see `rpp-rl symmetries`) or a YAML file; the environment's default if left out."""
    n_timesteps: Annotated[int | None, arg(aliases=["-n"])] = None
    """Environment steps; from the hyperparameter file if left out."""
    seed: int = 0
    """Seed of everything that is drawn."""
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
    """Steps between checkpoints; -1 for none."""
    progress: Annotated[bool, arg(aliases=["-P"])] = False
    """Show a progress bar."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value."""
    n_envs: int | None = None
    """Environments in parallel; from the hyperparameter file if left out."""
    vec_env: Literal["dummy", "subproc"] = "dummy"
    """Parallel environments in this process, or in one process each."""
    trained_agent: Annotated[Path | None, arg(aliases=["-i"])] = None
    """A model or run folder to go on from, in a new run folder; the replay buffer starts empty."""
    hyperparams: Annotated[tuple[str, ...], arg(aliases=["-params"])] = ()
    """Hyperparameters to override, as key:value."""
    audit: bool = True
    """Check the symmetry on the simulator first, for a second or so."""
    verbose: int = 0
    """1 prints stable-baselines3's tables."""


def train(arguments: Annotated[TrainArguments, arg(name="")]) -> None:
    """Train an agent on an environment, evaluate it, and keep the run in a folder of its own."""
    run_training(arguments)


def run_training(arguments: TrainArguments) -> Path:
    """Train as the arguments say; returns the run folder.

    Raises:
        RPPError: for arguments that cannot be met (then nothing is written), for an environment that gives a number
            that is none, and when interrupted (then the agent is saved first).
    """
    # Learning libraries take seconds to import, so only a command that learns imports them.
    from stable_baselines3.common.vec_env import VecMonitor

    from rpp_rl.agents import FiniteVecEnv
    from rpp_rl.agents.algorithms import hyperparameters
    from rpp_rl.envs.registry import base_id
    from rpp_rl.scripts.audit import quick_audit
    from rpp_rl.scripts.run_folder import CONFIG, RunFolder, provenance
    from rpp_rl.scripts.tasks import resolve_symmetry, vec_env

    _check(arguments)
    env_id = arguments.env
    env_kwargs = key_values(arguments.env_kwargs, "--env-kwargs")
    values = hyperparameters(arguments.algo, base_id(env_id), key_values(arguments.hyperparams, "--hyperparams"))
    steps = int(values.pop("n_timesteps"))
    steps = steps if arguments.n_timesteps is None else arguments.n_timesteps
    n_envs = int(values.pop("n_envs")) if arguments.n_envs is None else arguments.n_envs
    values.pop("n_envs", None)
    if steps < 1 or n_envs < 1:
        raise RunError(f"a run needs at least one step and one environment, got {steps} and {n_envs}")
    source = _source(arguments)
    # An agent that goes on keeps the symmetry that it was built with.
    name = arguments.symmetry
    kept = source.symmetry.to_dict() if source is not None and source.symmetry is not None else None
    symmetry = kept or resolve_symmetry(env_id, name, env_kwargs, needed=arguments.algo != "sac")
    if kept is not None and name not in (None, kept["name"]):
        raise RunError(
            f"{arguments.trained_agent} has symmetry {kept['name']!r}, which --symmetry {name} cannot change"
        )

    env = vec_env(env_id, symmetry, env_kwargs, n_envs, arguments.vec_env)
    model = _build(arguments, values, env)
    run = RunFolder.create(arguments.log_folder, base_id(env_id), arguments.algo, arguments.seed)
    run.write_json(
        CONFIG,
        {
            **{k: str(v) if isinstance(v, Path) else v for k, v in asdict(arguments).items()},
            "env_kwargs": env_kwargs,
            "n_timesteps": steps,
            "n_envs": n_envs,
            "eval_freq": _eval_freq(arguments, steps),
            "hyperparameters": _read_back(model, values),
            "symmetry": symmetry,
            "evaluation_seed": arguments.seed + EVALUATION_SEED,
            "device": str(model.device),
            **provenance(),
        },
    )
    model.set_env(VecMonitor(env, str(run.path / "monitor.csv")))
    if steps <= model.learning_starts and arguments.trained_agent is None:
        print(
            f"note: the first {model.learning_starts} steps are random and nothing is learnt from {steps}; "
            "give more steps, or -params learning_starts:N"
        )
    audited = quick_audit(env_id, symmetry, env_kwargs, arguments.seed) if symmetry and arguments.audit else None
    if audited is not None:
        _record_audit(audited, run)
    names = symmetry["observation_names"] if symmetry else ()
    evaluation_env = VecMonitor(FiniteVecEnv(vec_env(env_id, symmetry, env_kwargs), names))
    _learn(model, run, arguments, steps, evaluation_env, names, audited)
    _finish(run, arguments)
    return run.path


def _check(arguments: TrainArguments) -> None:
    from rpp_rl.scripts.evaluate import check_device

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


def _source(arguments: TrainArguments) -> RPPSAC | None:
    """The agent to go on from, without its environment.

    Raises:
        RunError: if it was trained with another algorithm.
    """
    from rpp_rl.agents import RPPPolicy
    from rpp_rl.scripts.evaluate import load_agent
    from rpp_rl.scripts.run_folder import find_model, read_config

    if arguments.trained_agent is None:
        return None
    path = find_model(arguments.trained_agent)
    agent: RPPSAC = load_agent(path, arguments.device)
    trained = read_config(path).get("algo") or ("rpp_sac" if isinstance(agent.policy, RPPPolicy) else "sac")
    if trained != arguments.algo:
        raise RunError(f"{arguments.trained_agent} was trained with {trained}; go on with --algo {trained}")
    return agent


def _read_back(model: SAC, values: dict[str, Any]) -> dict[str, Any]:
    """The hyperparameters as the model has them: one that goes on from another run has that run's."""
    from rpp_rl.agents.algorithms import plain_arguments

    return {
        **{k: v if isinstance(v, str | int | float) else repr(v) for k, v in values.items()},
        **plain_arguments(model),
    }


def _build(arguments: TrainArguments, values: dict[str, Any], env: VecEnv) -> SAC:
    from rpp_rl.agents.algorithms import algorithm
    from rpp_rl.scripts.run_folder import check_model, find_model

    cls = algorithm(arguments.algo)
    common: dict[str, Any] = {"device": arguments.device, "verbose": arguments.verbose}
    try:
        if arguments.trained_agent is None:
            return cls(env=env, seed=arguments.seed, **common, **values)
        path = find_model(arguments.trained_agent)
        check_model(path)
        given = key_values(arguments.hyperparams, "--hyperparams")
        model = cls.load(path, env=env, **common, **given)
        model.set_random_seed(arguments.seed)
        return model
    except RPPError:
        raise
    except (TypeError, ValueError, AssertionError, KeyError, RuntimeError, MemoryError) as error:
        detail = " ".join(str(error).split())
        raise RunError(f"{arguments.algo} cannot be built on {arguments.env}: {detail}") from error


def _eval_freq(arguments: TrainArguments, steps: int) -> int:
    return min(10_000, max(1, steps // 5)) if arguments.eval_freq is None else arguments.eval_freq


def _learn(
    model: SAC,
    run: RunFolder,
    arguments: TrainArguments,
    steps: int,
    evaluation_env: VecEnv,
    names: Sequence[str],
    audited: SymmetryAudit | None,
) -> None:
    from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
    from stable_baselines3.common.logger import configure

    from rpp_rl.agents import RPPSAC as OWN
    from rpp_rl.agents import FiniteCheck, SymmetryCallback
    from rpp_rl.envs.registry import base_id

    events = run.path
    if arguments.tensorboard_log is not None:
        events = arguments.tensorboard_log / base_id(arguments.env) / arguments.algo / run.path.name
    model.set_logger(configure(str(events), ["tensorboard", *(["stdout"] if arguments.verbose else [])]))
    for g in audited.generators if audited is not None else ():
        model.logger.record("symmetry/dynamics_error", g.dynamics_median)
        model.logger.record("symmetry/reward_error", g.reward_error)
        model.logger.dump(0)
    n_envs = model.n_envs
    evaluation_env.seed(arguments.seed + EVALUATION_SEED)
    callbacks: list[BaseCallback] = [
        EvalCallback(
            evaluation_env,
            n_eval_episodes=arguments.eval_episodes,
            eval_freq=max(1, _eval_freq(arguments, steps) // n_envs),
            log_path=str(run.path),
            callback_after_eval=SymmetryCallback(),
            verbose=arguments.verbose,
        )
    ]
    if not isinstance(model, OWN):
        callbacks.insert(0, FiniteCheck(names))
    if arguments.save_freq > 0:
        checkpoints = str(run.path / "checkpoints")
        callbacks.append(CheckpointCallback(max(1, arguments.save_freq // n_envs), checkpoints, arguments.algo))
    try:
        model.learn(
            steps,
            callback=callbacks,
            reset_num_timesteps=arguments.trained_agent is None,
            progress_bar=arguments.progress,
        )
    except KeyboardInterrupt:
        raise RunError(
            f"interrupted at step {model.num_timesteps}; the agent is saved; go on with: {_go_on(arguments, run)}"
        ) from None
    except NonFiniteError as error:
        raise RunError(f"{error}; the agent as of step {model.num_timesteps} is saved in {run.model}") from error
    finally:
        # Whatever happened, what was learnt so far is kept.
        model.save(run.model)
        model.logger.close()
        for env in (model.get_env(), evaluation_env):
            if env is not None:
                env.close()


def _record_audit(audited: SymmetryAudit, run: RunFolder) -> None:
    run.write_json("audit.json", audited.to_dict())
    for g in audited.generators:
        if g.verdict == g.verdict.MIS_SPECIFIED:
            print(
                f"warning: generator {g.name!r} of symmetry {audited.symmetry.name!r} is {g.sentence}; "
                f"see rpp-rl audit {audited.environment}"
            )


def _go_on(arguments: TrainArguments, run: RunFolder) -> str:
    """The command that goes on from this run."""
    command = ["rpp-rl", "train", "--algo", arguments.algo, "--env", arguments.env, "-i", str(run.model), "-n", "STEPS"]
    command += ["--seed", str(arguments.seed), "-f", str(arguments.log_folder), "--vec-env", arguments.vec_env]
    if arguments.n_envs is not None:
        command += ["--n-envs", str(arguments.n_envs)]
    for flag, pairs in (("--env-kwargs", arguments.env_kwargs), ("--hyperparams", arguments.hyperparams)):
        command += [flag, *pairs] if pairs else []
    return shlex.join(command)


def _finish(run: RunFolder, arguments: TrainArguments) -> None:
    from rpp_rl.scripts.evaluate import EvaluateArguments, evaluate_run

    try:
        result = evaluate_run(EvaluateArguments(run.path, episodes=arguments.eval_episodes, device=arguments.device))
    except KeyboardInterrupt:
        raise RunError(
            f"interrupted; the trained agent is saved; evaluate it with: rpp-rl evaluate {run.path}"
        ) from None
    run.write_json("evaluation.json", result)
    score = f"{result['mean_reward']:.2f} +- {result['std_reward']:.2f}"
    print(f"mean evaluation return  {score} ({result['episodes']} episodes)")
    print(f"run                     {run.path}")
    print(f"curves                  tensorboard --logdir {arguments.tensorboard_log or arguments.log_folder}")


if __name__ == "__main__":
    from rpp_rl.scripts.main import main

    sys.exit(main(["train", *sys.argv[1:]]))
