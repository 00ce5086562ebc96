"""A run that is ready to learn: arguments resolved, agent built, folder made, everything that accompanies learning."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
from stable_baselines3.common.logger import Logger, configure
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from rpp_rl.agents import FiniteCheck, FiniteVecEnv, SymmetryCallback
from rpp_rl.agents.common.algorithms import checks_itself, plain_arguments
from rpp_rl.agents.common.checkpoints import RunCheckpoint
from rpp_rl.envs.registry import base_id
from rpp_rl.experiments.environments import simulated_model, vec_env
from rpp_rl.experiments.provenance import provenance
from rpp_rl.experiments.run_folder import (
    AUDIT,
    CHECKPOINTS,
    CONFIG,
    EVALUATION_SEED,
    MONITOR,
    RunFolder,
)
from rpp_rl.experiments.training.normalization import (
    evaluated,
    monitored,
    save_normalizer,
)
from rpp_rl.experiments.training.settled import Settled
from rpp_rl.scripts.audit import quick_audit

if TYPE_CHECKING:
    from rpp_rl.envs.auditing.reports import SymmetryAudit
    from rpp_rl.scripts.train import TrainArguments


@dataclass(frozen=True)
class PreparedRun:
    """An agent with its folder, evaluation and callbacks.

    Attributes:
        arguments: of the run.
        model: the agent, with its environment and logger.
        run: the folder.
        evaluation_env: what it is evaluated on.
        callbacks: evaluation, checks and checkpoints.
        checkpoint: the last of them.
    """

    arguments: TrainArguments
    model: SAC
    run: RunFolder
    evaluation_env: VecEnv
    callbacks: list[BaseCallback]
    checkpoint: RunCheckpoint

    def close(self) -> str | None:
        """Save the agent as it is now, and let go of files and environments; returns what could not be saved."""
        problem = None
        try:
            self.model.save(self.run.model)
            save_normalizer(self.model, self.run.path)
        except OSError as error:
            problem = f"{self.run.model} cannot be written ({error.strerror or error})"
        for part in (self.model.logger, self.model.get_env(), self.evaluation_env):
            try:
                if part is not None:
                    part.close()
            except OSError as error:
                problem = problem or f"the files of {self.run.path} cannot be written ({error.strerror or error})"
        return problem


def audited(arguments: TrainArguments, settled: Settled) -> SymmetryAudit | None:
    """A short audit of the symmetry, with a warning where it is wrong; None where there is none or none is wanted."""
    if not settled.symmetry or not arguments.audit:
        return None
    found = quick_audit(arguments.env, settled.symmetry, settled.env_kwargs, arguments.seed)
    for g in found.generators if found is not None else ():
        if found is not None and g.verdict == g.verdict.MIS_SPECIFIED:
            print(
                f"warning: generator {g.name!r} of symmetry {found.symmetry.name!r} is {g.sentence}; "
                f"see rpp-rl audit {found.environment}"
            )
    return found


def complete(
    arguments: TrainArguments,
    settled: Settled,
    model: SAC,
    audit: SymmetryAudit | None,
    stop: Callable[[], bool],
    held: ExitStack,
) -> PreparedRun:
    """Make the run folder, and what accompanies learning.

    Args:
        arguments: of the run.
        settled: what they come to.
        model: the agent.
        audit: of its symmetry; None where there is none.
        stop: tells whether to write a checkpoint and stop.
        held: gets the lock of the folder.
    """
    run = RunFolder.create(arguments.log_folder, base_id(arguments.env), arguments.algo, arguments.seed)
    held.enter_context(run.lock())
    _write_config(arguments, settled, model, run)
    env = model.get_env()
    if env is not None:
        model.set_env(monitored(env, str(run.path / MONITOR)))
    if audit is not None:
        run.write_json(AUDIT, audit.to_dict())
    model.set_logger(logger_of(arguments, events_folder(arguments, run)))
    for g in audit.generators if audit is not None else ():
        model.logger.record("symmetry/dynamics_error", g.dynamics_median)
        model.logger.record("symmetry/reward_error", g.reward_error)
        model.logger.dump(0)
    return accompanied(arguments, settled, model, run, stop)


def _write_config(arguments: TrainArguments, settled: Settled, model: SAC, run: RunFolder) -> None:
    raw = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(arguments).items()}
    run.write_json(
        CONFIG,
        {
            **raw,
            "arguments": raw,
            "env_kwargs": settled.env_kwargs,
            "n_timesteps": settled.steps,
            "n_envs": settled.n_envs,
            "normalize": settled.normalize,
            "eval_freq": evaluation_interval(arguments, settled),
            "hyperparameters": _read_back(model, settled.values),
            "symmetry": settled.symmetry,
            "evaluation_seed": arguments.seed + EVALUATION_SEED,
            "device": str(model.device),
            "model": simulated_model(arguments.env, settled.env_kwargs),
            **provenance(),
        },
    )


def accompanied(
    arguments: TrainArguments, settled: Settled, model: SAC, run: RunFolder, stop: Callable[[], bool]
) -> PreparedRun:
    """An agent with its folder, and the evaluation, checks and checkpoints that accompany learning."""
    names = settled.symmetry["observation_names"] if settled.symmetry else ()
    checked = FiniteVecEnv(vec_env(arguments.env, settled.symmetry, settled.env_kwargs), names)
    evaluation_env = evaluated(VecMonitor(checked), settled.normalize, settled.symmetry)
    evaluation_env.seed(arguments.seed + EVALUATION_SEED)
    evaluation = EvalCallback(
        evaluation_env,
        n_eval_episodes=arguments.eval_episodes,
        eval_freq=max(1, evaluation_interval(arguments, settled) // model.n_envs),
        log_path=str(run.path),
        callback_after_eval=SymmetryCallback(),
        verbose=arguments.verbose,
    )
    callbacks: list[BaseCallback] = [evaluation]
    if arguments.save_freq > 0:
        # stable-baselines3's model files, to evaluate; what a run goes on from is more.
        models = CheckpointCallback(
            max(1, arguments.save_freq // model.n_envs),
            str(run.path / CHECKPOINTS),
            arguments.algo,
            save_vecnormalize=True,
        )
        callbacks.append(models)
    checkpoint = RunCheckpoint(run.path, arguments.save_freq, callbacks, [MONITOR], stop)
    callbacks.append(checkpoint)
    if not checks_itself(model):
        callbacks.insert(0, FiniteCheck(names))
    return PreparedRun(arguments, model, run, evaluation_env, callbacks, checkpoint)


def evaluation_interval(arguments: TrainArguments, settled: Settled) -> int:
    """Environment steps between evaluations."""
    return arguments.eval_freq or min(10_000, max(1, settled.steps // 5))


def events_folder(arguments: TrainArguments, run: RunFolder) -> str:
    """The folder of TensorBoard's events."""
    if arguments.tensorboard_log is None:
        return str(run.path)
    return str(arguments.tensorboard_log / base_id(arguments.env) / arguments.algo / run.path.name)


def logger_of(arguments: TrainArguments, events: str | None) -> Logger:
    """The logger of a run; `events` is the folder of TensorBoard's events, None for none."""
    formats = [*(["tensorboard"] if events else []), *(["stdout"] if arguments.verbose else [])]
    return configure(events, formats) if formats else Logger(None, [])


def _read_back(model: SAC, values: dict[str, Any]) -> dict[str, Any]:
    """The hyperparameters as the model has them: one that goes on from another run has that run's."""
    return {
        **{k: v if isinstance(v, str | int | float) else repr(v) for k, v in values.items()},
        **plain_arguments(model),
    }


def say_if_nothing_is_learnt(arguments: TrainArguments, model: SAC, steps: int) -> None:
    """Print a note where a run is over before learning starts."""
    if steps <= model.learning_starts and arguments.trained_agent is None:
        print(
            f"note: the first {model.learning_starts} steps are random and nothing is learnt from {steps}; "
            "give more steps, or -params learning_starts:N"
        )
