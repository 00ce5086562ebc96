"""Going on from the newest good checkpoint of a run."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any, TypeVar

import torch
from stable_baselines3 import SAC

from rpp_rl.agents.common.checkpoints.agent_state import restore_agent, restore_callback, restore_generators
from rpp_rl.agents.common.checkpoints.archive import FOLDER, REPLAY, checkpoints, read_checkpoint, read_manifest
from rpp_rl.agents.common.checkpoints.callback import RunCheckpoint
from rpp_rl.agents.common.checkpoints.replay_log import ReplayLog
from rpp_rl.agents.common.saving.saved_agent import rebuild, saved_agent
from rpp_rl.agents.common.transition_buffer import TransitionBuffer
from rpp_rl.errors import RunError

Agent = TypeVar("Agent", bound=SAC)


def newest_checkpoint(run: Path) -> tuple[Path, dict[str, Any]]:
    """The newest checkpoint of a run that is whole, and its state; damaged ones are said and passed over.

    Raises:
        RunError: if there is none.
    """
    found = checkpoints(run / FOLDER)
    if not found:
        raise RunError(f"{run} has no checkpoint to go on from; train with --save-freq STEPS")
    problems = []
    for folder in found:
        try:
            return folder, read_checkpoint(folder)
        except RunError as error:
            problems.append(str(error))
            print(f"warning: {error}; the checkpoint before it is tried")
    raise RunError(f"no checkpoint of {run} is whole: {problems[0]}")


def go_back(run: Path, folder: Path, state: dict[str, Any]) -> None:
    """Take away what a run has left after a checkpoint: later checkpoints, and the ends of files that grow."""
    for later in checkpoints(run / FOLDER):
        if int(later.name[5:]) > int(folder.name[5:]):
            shutil.rmtree(later)
    for name, size in state["files"].items():
        path = run / Path(name).name
        if path.exists() and path.stat().st_size > size:
            os.truncate(path, size)


def resume_agent(
    cls: type[Agent],
    run: Path,
    env: Any,
    checkpoint: RunCheckpoint,
    device: torch.device | str = "auto",
    custom_objects: dict[str, Any] | None = None,
) -> Agent:
    """An agent of a class as of a run's newest whole checkpoint; see `RPPSAC.resume`.

    Raises:
        RunError: if there is no whole checkpoint, or it does not fit.
    """
    folder, state = newest_checkpoint(run)
    try:
        agent_state = state["agent"]
        parts = {part: agent_state[part] for part in ("parameters", "log_ent_coef")}
        saved = saved_agent({**agent_state["described"], **parts}, str(folder))
    except (KeyError, TypeError) as error:
        raise RunError(f"{folder} does not say how its agent was made ({error}); use its rpp-rl version") from error
    agent = rebuild(cls, saved, env, device, custom_objects, force_reset=False)
    unsaved = restore_run(folder, state, agent, checkpoint)
    go_back(run, folder, state)
    if custom_objects:
        unsaved = [line for line in unsaved if line.partition(",")[0] not in custom_objects]
    for line in unsaved:
        logging.getLogger(__name__).warning("not exactly as if it had never stopped: %s", line)
    return agent


def restore_run(folder: Path, state: dict[str, Any], model: SAC, checkpoint: RunCheckpoint) -> list[str]:
    """Put the state of a checkpoint back into an agent and callbacks that were made in the same way.

    Returns:
        What will not be as it was, in words.

    Raises:
        RunError: if the checkpoint does not fit.
    """
    buffer: Any = model.replay_buffer
    if isinstance(buffer, TransitionBuffer):
        checkpoint.replay = ReplayLog(checkpoint.run / FOLDER / REPLAY, buffer)
        records = {Path(name).name: record for name, record in read_manifest(folder)["beside"].items()}
        checkpoint.replay.restore(records, int(state["replay_added"]))
    restore_agent(model, state["agent"])
    if len(state["callbacks"]) != len(checkpoint.others):
        raise RunError("the checkpoint has other callbacks than this run; make it in the same way")
    for callback, saved in zip(checkpoint.others, state["callbacks"], strict=True):
        restore_callback(callback, saved)
    restore_generators(state["agent"]["generators"])
    return [str(line) for line in state["unsaved"]]
