"""Going on with a run that was interrupted: its files cut to the checkpoint, its agent as it was then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.logger import TensorBoardOutputFormat
from stable_baselines3.common.monitor import ResultsWriter
from stable_baselines3.common.vec_env import VecMonitor
from torch.utils.tensorboard import SummaryWriter

from rpp_rl.agents.common.checkpoints import go_back, newest_checkpoint, restore_run
from rpp_rl.experiments.environments import simulated_model
from rpp_rl.experiments.provenance import provenance
from rpp_rl.experiments.run_folder import CONFIG, FAILURE, MONITOR, RunFolder, read_config
from rpp_rl.experiments.training.normalization import monitored
from rpp_rl.experiments.training.prepared_run import PreparedRun, accompanied, events_folder, logger_of
from rpp_rl.experiments.training.settled import Settled

if TYPE_CHECKING:
    from rpp_rl.scripts.train import TrainArguments


def go_on(
    arguments: TrainArguments, settled: Settled, model: SAC, run: RunFolder, stop: Callable[[], bool]
) -> tuple[PreparedRun, list[str]]:
    """What `complete` makes, in the folder of a run that was interrupted and as of its newest checkpoint.

    Returns:
        The run, and what will not be as if it had never stopped, in words.

    Raises:
        RunError: if there is no whole checkpoint, or it does not fit.
    """
    folder, state = newest_checkpoint(run.path)
    steps = int(state["agent"]["counters"]["num_timesteps"])
    env = model.get_env()
    if env is not None:
        model.set_env(monitored(env))
    logger = logger_of(arguments, None)
    model.set_logger(logger)
    prepared = accompanied(arguments, settled, model, run, stop)
    unsaved = restore_run(folder, state, model, prepared.checkpoint)
    # Only now that the checkpoint fits is anything in the folder changed.
    go_back(run.path, folder, state)
    (run.path / FAILURE).unlink(missing_ok=True)
    _reopen_monitor(model, run)
    logger.output_formats.append(PurgedTensorBoard(events_folder(arguments, run), steps + 1))
    for callback in prepared.callbacks:
        if isinstance(callback, EvalCallback):
            _rewrite_evaluations(callback)
    print(f"going on from step {steps}, {folder}")
    return prepared, [*unsaved, *_differences(arguments, settled, run, model)]


class PurgedTensorBoard(TensorBoardOutputFormat):
    """TensorBoard's events, going on at a step: what was written from that step on before is no part of the curve.

    Args:
        folder: where the events are.
        step: the first one that is written anew.
    """

    def __init__(self, folder: str, step: int) -> None:
        self.writer = SummaryWriter(log_dir=folder, purge_step=step)
        self._is_closed = False


def _reopen_monitor(model: SAC, run: RunFolder) -> None:
    env: Any = model.get_env()
    while env is not None and not isinstance(env, VecMonitor):
        env = env.venv
    if env is not None:
        env.results_writer = ResultsWriter(str(run.path / MONITOR), override_existing=False)


def _rewrite_evaluations(callback: EvalCallback) -> None:
    """Leave those evaluations in the file that the callback knows of."""
    if callback.log_path is None:
        return
    if not callback.evaluations_timesteps:
        Path(f"{callback.log_path}.npz").unlink(missing_ok=True)
        return
    np.savez(
        callback.log_path,
        timesteps=callback.evaluations_timesteps,
        results=callback.evaluations_results,
        ep_lengths=callback.evaluations_length,
    )


def _differences(arguments: TrainArguments, settled: Settled, run: RunFolder, model: SAC) -> list[str]:
    """What differs between the machine that began a run and this one, so that it may not be exact."""
    config = read_config(run.path / CONFIG)
    now = provenance()
    versions = config.get("versions", {})
    found = [
        f"{name} {versions.get(name)} then, {version} now"
        for name, version in now["versions"].items()
        if versions.get(name) != version
    ]
    found += [
        f"{k} {config.get(k)} then, {now[k]} now" for k in ("python", "platform", "cpu") if config.get(k) != now[k]
    ]
    simulated = simulated_model(arguments.env, settled.env_kwargs)
    if config.get("model") != simulated:
        found.append(f"the simulated model was {config.get('model')}, and is {simulated} now")
    if model.device.type != "cpu" or config.get("device") != str(model.device):
        found.append(f"trained on {config['device']}, going on on {model.device}: only a CPU repeats every bit")
    return found
