"""A training session: an agent with its run folder, logger, evaluation and checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat, configure
from stable_baselines3.common.monitor import ResultsWriter
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecMonitor
from torch.utils.tensorboard import SummaryWriter

from rpp_rl.agents.common.checkpoints import RunCheckpoint, go_back, part_of, restore_run
from rpp_rl.agents.common.finite_checks import FiniteCheck, FiniteVecEnv, diverged, is_finite
from rpp_rl.agents.common.hyperparameters import plain_arguments
from rpp_rl.envs.auditing.report import SymmetryAudit
from rpp_rl.envs.ids import base_id
from rpp_rl.errors import DivergedError
from rpp_rl.experiments.config import RunConfig, plain_data
from rpp_rl.experiments.environments import (
    monitored,
    normalized_for_evaluation,
    save_statistics,
    vec_env,
)
from rpp_rl.experiments.evaluations import RunEvaluation
from rpp_rl.experiments.provenance import provenance
from rpp_rl.experiments.resolve import Resolved
from rpp_rl.experiments.run import AUDIT, CHECKPOINTS, CONFIG, FAILURE, MONITOR, NORMALIZER, Run
from rpp_rl.experiments.tracking import Tracking

FORMAT = 2


@dataclass(frozen=True)
class Saved:
    """What became of an agent at the end of a session.

    Attributes:
        step: the environment step of the agent that was saved; None for none.
        diverged: what to say where the agent was not finite, so that an earlier one was saved; None where it was.
        problem: why something is not saved; None where everything is.
    """

    step: int | None
    diverged: DivergedError | None
    problem: str | None


@dataclass(frozen=True)
class Session:
    """An agent that is ready to learn.

    Attributes:
        config: configuration of the run.
        run: its folder.
        agent: the agent, with its environments and logger.
        evaluation_env: the environment on which it is evaluated.
        callbacks: evaluation, checks and checkpoints.
        finite: the check among them, which keeps the last finite agent.
    """

    config: RunConfig
    run: Run
    agent: OffPolicyAlgorithm
    evaluation_env: VecEnv
    callbacks: list[BaseCallback]
    finite: FiniteCheck

    def save(self) -> Saved:
        """Save the agent, or the last finite one, and close its logger and environments."""
        step: int | None = self.agent.num_timesteps
        failure = None if is_finite(self.agent) else diverged(self.agent)
        if failure is not None:
            step = self.finite.put_back(self.agent)
        problem = None if step is not None else f"{self.run.model} is not written, since the agent never was finite"
        try:
            if step is not None:
                self.agent.save(self.run.model)
                save_statistics(self.agent, self.run.path / NORMALIZER)
        except OSError as error:
            problem = f"{self.run.model} cannot be written ({error.strerror or error})"
        for part in (self.agent.logger, self.agent.get_env()):
            try:
                if part is not None:
                    part.close()
            except OSError as error:
                problem = problem or f"the files of {self.run.path} cannot be written ({error.strerror or error})"
        return Saved(step, failure, problem)


@contextmanager
def started(
    task: Resolved,
    agent: OffPolicyAlgorithm,
    audit: SymmetryAudit | None,
    stop: Callable[[], bool],
    verbose: int = 0,
    track: Tracking | None = None,
) -> Iterator[Session]:
    """Create the folder of a new run, and hold it while the agent trains.

    Args:
        task: the resolved configuration.
        agent: the agent.
        audit: audit of its symmetry; None where there is none.
        stop: tells whether to write a checkpoint and stop.
        verbose: 1 prints stable-baselines3's tables.
        track: where the run is followed; None for nowhere.
    """
    config, run = task.config, Run.create(task.config.folder)
    with run.lock(), ExitStack() as followed:
        record = record_of_run(task, agent)
        run.write(CONFIG, record)
        if track is not None:
            name = "/".join(run.path.parts[-3:])
            followed.enter_context(track.following(name, record, config.log_folder))
        env = agent.get_env()
        if env is not None:
            agent.set_env(monitored(env, str(run.path / MONITOR)))
        agent.set_logger(_logger(_events_folder(config, run), verbose))
        if audit is not None:
            run.write(AUDIT, audit.to_dict())
            for g in audit.generators:
                agent.logger.record("symmetry/dynamics_error", g.dynamics_median)
                agent.logger.record("symmetry/reward_error", g.reward_error)
                agent.logger.dump(0)
        session, _ = _accompanied(task, agent, run, stop, verbose)
        with closing(session.evaluation_env):
            yield session


@contextmanager
def reopened(
    task: Resolved,
    agent: OffPolicyAlgorithm,
    run: Run,
    found: tuple[Path, dict[str, Any]],
    stop: Callable[[], bool],
    verbose: int = 0,
) -> Iterator[Session]:
    """Put an agent back to a checkpoint of its run; the caller holds the run's lock.

    All paths follow from where the run's folder is now.

    Args:
        task: the resolved configuration.
        agent: an agent that was built in the same way.
        run: the run.
        found: path and state of the checkpoint.
        stop: tells whether to write a checkpoint and stop.
        verbose: 1 prints stable-baselines3's tables.

    Raises:
        RunError: if the checkpoint does not fit the agent.
    """
    folder, state = found
    env = agent.get_env()
    if env is not None:
        agent.set_env(monitored(env))
    logger = _logger(None, verbose)
    agent.set_logger(logger)
    session, checkpoint = _accompanied(task, agent, run, stop, verbose)
    with closing(session.evaluation_env):
        differences = restore_run(folder, state, agent, checkpoint)
        steps = agent.num_timesteps
        with part_of(folder, "evaluations"):
            evaluations = [(one, one.recorded()) for one in session.callbacks if isinstance(one, RunEvaluation)]
        # The folder changes only after the checkpoint has been found to fit.
        go_back(run.path, folder, state, [MONITOR])
        (run.path / FAILURE).unlink(missing_ok=True)
        _append_to_monitor(agent, run)
        logger.output_formats.append(_PurgedTensorBoard(_events_folder(task.config, run), steps + 1))
        for evaluation, recorded in evaluations:
            evaluation.go_back(recorded)
        print(f"resuming from step {steps}, {folder}")
        for line in [*differences, *_other_machine(run, task, agent)]:
            print(f"note: not exactly the undisturbed run: {line}")
        yield session


def record_of_run(task: Resolved, agent: OffPolicyAlgorithm) -> dict[str, Any]:
    """The content of ``config.json``: the configuration, what it was resolved to, and what repeats the run."""
    config = task.config
    hyperparameters = {k: v for k, v in task.values.items() if k != "policy_kwargs"}
    options = {k: v for k, v in (task.values.get("policy_kwargs") or {}).items() if k != "symmetry"}
    return {
        "format": FORMAT,
        "config": config.to_dict(),
        "env": config.env,
        "algo": config.algo,
        "algorithm": config.use.algorithm,
        "use": config.use.use,
        "seed": config.seed,
        "env_kwargs": plain_data(config.env_kwargs),
        "n_timesteps": task.steps,
        "n_envs": task.n_envs,
        "normalize": task.normalize,
        "eval_freq": task.eval_freq,
        "eval_episodes": config.eval_episodes,
        "eval_max_steps": config.eval_max_steps,
        "evaluation_seed": config.evaluation_seed,
        "trained_agent": None if config.trained_agent is None else str(config.trained_agent),
        # As the agent has them: an agent that continues another one has its hyperparameters.
        "hyperparameters": {
            **plain_data(hyperparameters),
            **plain_arguments(agent),
            **({"policy_kwargs": plain_data(options)} if options else {}),
        },
        "symmetry": None if task.symmetry is None else task.symmetry.to_dict(),
        "device": str(agent.device),
        "model": task.model,
        "command": config.command(),
        **provenance(),
    }


def _accompanied(
    task: Resolved, agent: OffPolicyAlgorithm, run: Run, stop: Callable[[], bool], verbose: int
) -> tuple[Session, RunCheckpoint]:
    """The session of an agent, with the callbacks that evaluate, check and save it."""
    config, names = task.config, task.observation_names
    finite = FiniteVecEnv(vec_env(config.env, task.symmetry, config.evaluation_kwargs), names, stop)
    evaluation_env = normalized_for_evaluation(VecMonitor(finite), task.normalize, task.symmetry)
    evaluation_env.seed(config.evaluation_seed)
    callbacks: list[BaseCallback] = [
        RunEvaluation(evaluation_env, run, max(1, task.eval_freq // agent.n_envs), config.eval_episodes, verbose)
    ]
    if config.save_freq > 0:
        # Model files of stable-baselines3 to evaluate; a checkpoint holds more.
        freq, folder = max(1, config.save_freq // agent.n_envs), str(run.path / CHECKPOINTS)
        callbacks.append(CheckpointCallback(freq, folder, config.algo, save_vecnormalize=True))
    checkpoint = RunCheckpoint(run.path, config.save_freq, callbacks, [MONITOR], stop)
    callbacks.append(checkpoint)
    # First of all, so that nothing is evaluated or saved that is not finite.
    check = FiniteCheck(names)
    return Session(config, run, agent, evaluation_env, [check, *callbacks], check), checkpoint


def _events_folder(config: RunConfig, run: Run) -> str:
    if config.tensorboard_log is None:
        return str(run.path)
    return str(config.tensorboard_log / base_id(config.env) / config.algo / run.path.name)


def _logger(events: str | None, verbose: int) -> Logger:
    """The logger of a run; `events` is the folder of TensorBoard's events, None for none."""
    formats = [*(["tensorboard"] if events else []), *(["stdout"] if verbose else [])]
    return configure(events, formats) if formats else Logger(None, [])


class _PurgedTensorBoard(TensorBoardOutputFormat):
    """TensorBoard's events from a step on; TensorBoard discards earlier events of that step and later ones.

    Args:
        folder: folder of the events.
        step: the first step that is written again.
    """

    def __init__(self, folder: str, step: int) -> None:
        self.writer = SummaryWriter(log_dir=folder, purge_step=step)
        self._is_closed = False


def _append_to_monitor(agent: OffPolicyAlgorithm, run: Run) -> None:
    env: Any = agent.get_env()
    while env is not None and not isinstance(env, VecMonitor):
        env = env.venv
    if env is not None:
        env.results_writer = ResultsWriter(str(run.path / MONITOR), override_existing=False)


def _other_machine(run: Run, task: Resolved, agent: OffPolicyAlgorithm) -> list[str]:
    """Differences between the machine that started a run and this one, because of which results may differ."""
    record, now = run.record, provenance()
    versions = record.get("versions", {})
    pairs = {
        **{name: (versions.get(name), version) for name, version in now["versions"].items()},
        **{name: (record.get(name), now[name]) for name in ("python", "platform", "cpu")},
        "the simulated model": (record.get("model"), task.model),
    }
    found = [f"{name}: {then} then, {here} now" for name, (then, here) in pairs.items() if then != here]
    if agent.device.type != "cpu" or record.get("device") != str(agent.device):
        found.append(f"device: {record.get('device')} then, {agent.device} now; only a CPU repeats every bit")
    return found
