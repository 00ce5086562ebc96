"""A run that is ready to learn: arguments resolved, agent built, folder made, everything that accompanies learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
from stable_baselines3.common.logger import Logger, configure
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from rpp_rl.agents import RPPSAC, FiniteCheck, FiniteVecEnv, RPPPolicy, SymmetryCallback
from rpp_rl.agents.algorithms import algorithm, hyperparameters, plain_arguments
from rpp_rl.agents.checkpoints import RunCheckpoint
from rpp_rl.agents.model_files.safe_files import load_safely
from rpp_rl.agents.update.transition_buffer import TransitionBuffer
from rpp_rl.envs.registry import base_id
from rpp_rl.errors import RPPError, RunError
from rpp_rl.scripts.audit import quick_audit
from rpp_rl.scripts.evaluate import load_agent
from rpp_rl.scripts.run_folder import (
    CONFIG,
    EVALUATION_SEED,
    MONITOR,
    RunFolder,
    find_model,
    provenance,
    read_config,
)
from rpp_rl.scripts.settings import key_values
from rpp_rl.scripts.tasks import resolve_symmetry, vec_env

if TYPE_CHECKING:
    from rpp_rl.envs.auditing.reports import SymmetryAudit
    from rpp_rl.scripts.train import TrainArguments


@dataclass(frozen=True)
class Settled:
    """What the arguments of a run come to, whatever its seed.

    Attributes:
        values: arguments of the algorithm.
        steps: environment steps.
        n_envs: environments in parallel.
        env_kwargs: arguments of the environment.
        symmetry: of the task, as a dictionary; None where there is none.
    """

    values: dict[str, Any]
    steps: int
    n_envs: int
    env_kwargs: dict[str, Any]
    symmetry: dict[str, Any] | None


@dataclass(frozen=True)
class PreparedRun:
    """An agent with its folder, evaluation and callbacks.

    Attributes:
        arguments: of the run.
        model: the agent, with its environment and logger.
        run: the folder.
        steps: to learn for.
        evaluation_env: what it is evaluated on.
        callbacks: evaluation, checks and checkpoints.
        checkpoint: the last of them.
    """

    arguments: TrainArguments
    model: SAC
    run: RunFolder
    steps: int
    evaluation_env: VecEnv
    callbacks: list[BaseCallback]
    checkpoint: RunCheckpoint

    def close(self) -> None:
        """Save the agent as it is now, and let go of files and environments."""
        self.model.save(self.run.model)
        self.model.logger.close()
        for env in (self.model.get_env(), self.evaluation_env):
            if env is not None:
                env.close()


def settle(arguments: TrainArguments) -> Settled:
    """Resolve hyperparameters and symmetry.

    Raises:
        RPPError: for arguments that cannot be met.
    """
    env_id = arguments.env
    env_kwargs = key_values(arguments.env_kwargs, "--env-kwargs")
    values = hyperparameters(arguments.algo, base_id(env_id), key_values(arguments.hyperparams, "--hyperparams"))
    steps, n_envs = int(values.pop("n_timesteps")), int(values.pop("n_envs"))
    steps = steps if arguments.n_timesteps is None else arguments.n_timesteps
    n_envs = n_envs if arguments.n_envs is None else arguments.n_envs
    if steps < 1 or n_envs < 1:
        raise RunError(f"a run needs at least one step and one environment, got {steps} and {n_envs}")
    source = _source(arguments)
    # An agent that goes on keeps the symmetry that it was built with.
    name = arguments.symmetry
    kept = source.symmetry.to_dict() if source is not None and source.symmetry is not None else None
    needed = arguments.algo not in ("sac", "mlp_sac")
    symmetry = kept or resolve_symmetry(env_id, name, env_kwargs, needed=needed)
    if kept is not None and name not in (None, kept["name"]):
        raise RunError(
            f"{arguments.trained_agent} has symmetry {kept['name']!r}, which --symmetry {name} cannot change"
        )
    return Settled(values, steps, n_envs, env_kwargs, symmetry)


def _source(arguments: TrainArguments) -> RPPSAC | None:
    """The agent to go on from, without its environment.

    Raises:
        RunError: if it was trained with another algorithm.
    """
    if arguments.trained_agent is None:
        return None
    path = find_model(arguments.trained_agent)
    agent: RPPSAC = load_agent(path, arguments.device, arguments.trust)
    trained = read_config(path).get("algo") or ("rpp_sac" if isinstance(agent.policy, RPPPolicy) else "sac")
    if trained != arguments.algo:
        raise RunError(f"{arguments.trained_agent} was trained with {trained}; go on with --algo {trained}")
    return agent


def build(arguments: TrainArguments, settled: Settled) -> SAC:
    """The agent on its environments.

    Raises:
        RPPError: if it cannot be built so.
    """
    env = vec_env(arguments.env, settled.symmetry, settled.env_kwargs, settled.n_envs, arguments.vec_env)
    cls = algorithm(arguments.algo)
    common: dict[str, Any] = {"device": arguments.device, "verbose": arguments.verbose}
    values = dict(settled.values)
    if cls is SAC and values.get("n_steps", 1) == 1 and not values.get("optimize_memory_usage"):
        # The same transitions, in a buffer that checkpoints know.
        values.setdefault("replay_buffer_class", TransitionBuffer)
    try:
        if arguments.trained_agent is None:
            return cls(env=env, seed=arguments.seed, **common, **values)
        given = key_values(arguments.hyperparams, "--hyperparams")
        model = load_safely(cls, find_model(arguments.trained_agent), env, trust=arguments.trust, **common, **given)
        model.set_random_seed(arguments.seed)
        return model
    except RPPError:
        raise
    except (TypeError, ValueError, AssertionError, KeyError, RuntimeError, MemoryError) as error:
        detail = " ".join(str(error).split())
        raise RunError(f"{arguments.algo} cannot be built on {arguments.env}: {detail}") from error


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
    audit: SymmetryAudit | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> PreparedRun:
    """Make the run folder, and what accompanies learning; `stop` tells whether to write a checkpoint and stop."""
    run = RunFolder.create(arguments.log_folder, base_id(arguments.env), arguments.algo, arguments.seed)
    _write_config(arguments, settled, model, run)
    env = model.get_env()
    if env is not None:
        model.set_env(VecMonitor(env, str(run.path / MONITOR)))
    if audit is not None:
        run.write_json("audit.json", audit.to_dict())
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
            "eval_freq": _eval_freq(arguments, settled),
            "hyperparameters": _read_back(model, settled.values),
            "symmetry": settled.symmetry,
            "evaluation_seed": arguments.seed + EVALUATION_SEED,
            "device": str(model.device),
            **provenance(),
        },
    )


def accompanied(
    arguments: TrainArguments, settled: Settled, model: SAC, run: RunFolder, stop: Callable[[], bool]
) -> PreparedRun:
    """An agent with its folder, and the evaluation, checks and checkpoints that accompany learning."""
    names = settled.symmetry["observation_names"] if settled.symmetry else ()
    evaluation_env = VecMonitor(FiniteVecEnv(vec_env(arguments.env, settled.symmetry, settled.env_kwargs), names))
    evaluation_env.seed(arguments.seed + EVALUATION_SEED)
    evaluation = EvalCallback(
        evaluation_env,
        n_eval_episodes=arguments.eval_episodes,
        eval_freq=max(1, _eval_freq(arguments, settled) // model.n_envs),
        log_path=str(run.path),
        callback_after_eval=SymmetryCallback(),
        verbose=arguments.verbose,
    )
    callbacks: list[BaseCallback] = [evaluation]
    if arguments.save_freq > 0:
        # stable-baselines3's model files, to evaluate; what a run goes on from is more.
        models = CheckpointCallback(
            max(1, arguments.save_freq // model.n_envs), str(run.path / "checkpoints"), arguments.algo
        )
        callbacks.append(models)
    checkpoint = RunCheckpoint(run.path, arguments.save_freq, callbacks, [MONITOR], stop)
    callbacks.append(checkpoint)
    if not isinstance(model, RPPSAC):
        callbacks.insert(0, FiniteCheck(names))
    return PreparedRun(arguments, model, run, settled.steps, evaluation_env, callbacks, checkpoint)


def _eval_freq(arguments: TrainArguments, settled: Settled) -> int:
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


def close_all(runs: Sequence[PreparedRun]) -> None:
    """Save and close several runs; one that cannot be saved does not keep the others from it.

    Raises:
        OSError: of the first that cannot be saved.
    """
    failed: list[OSError] = []
    for prepared in runs:
        try:
            prepared.close()
        except OSError as error:
            failed.append(error)
    if failed:
        raise failed[0]
