"""Write checkpoints of a run while it trains, and resume from them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from rpp_rl.agents.common.checkpoints.agent_state import (
    agent_state,
    callback_state,
    restore_agent,
    restore_callback,
    restore_generators,
)
from rpp_rl.agents.common.checkpoints.files import (
    FOLDER,
    REPLAY,
    ReplayLog,
    checkpoints,
    files_beside,
    read_checkpoint,
    remove_checkpoint,
    remove_old,
    write_checkpoint,
)
from rpp_rl.agents.common.finite_checks import diverged, is_finite
from rpp_rl.agents.common.saving.saved_agent import rebuild, saved_agent
from rpp_rl.agents.common.transition_buffer import TransitionBuffer
from rpp_rl.errors import RPPError, RunError
from rpp_rl.files import check_own_files, cut_file

Agent = TypeVar("Agent", bound=OffPolicyAlgorithm)


class StopRequested(RPPError):  # noqa: N818 - not an error
    """The run was asked to stop, and has written a checkpoint first."""


class RunCheckpoint(BaseCallback):
    """Write checkpoints of a run: every `save_freq` steps, at the end, and when the run is asked to stop.

    Checkpoints are written between two rollouts, where no step is half done. If one cannot be written, for example
    because the disk is full, a warning is printed and training continues; earlier checkpoints stay valid.

    Args:
        run: folder of the run.
        save_freq: environment steps between checkpoints; 0 writes one only when the run is asked to stop.
        others: the callbacks whose state belongs to the run.
        growing: names of files in the run's folder that grow; they are cut to their length when the run is resumed.
        stop: whether the run shall stop.
        keep: number of checkpoints that are kept.
    """

    def __init__(
        self,
        run: str | Path,
        save_freq: int,
        others: Sequence[BaseCallback] = (),
        growing: Sequence[str] = (),
        stop: Callable[[], bool] = lambda: False,
        keep: int = 3,
    ) -> None:
        super().__init__()
        self.run, self.save_freq, self.others = Path(run), save_freq, tuple(others)
        self.growing, self.stop, self.keep = tuple(growing), stop, keep
        self.saved_at = 0
        # Whether the last rollout was finished; a callback that stops training leaves a step half done.
        self._rollout_finished = False
        self.replay: ReplayLog | None = None

    def _init_callback(self) -> None:
        buffer: Any = self.model.replay_buffer  # type: ignore[attr-defined]
        if self.replay is None and isinstance(buffer, TransitionBuffer):
            self.replay = ReplayLog(self.run / FOLDER / REPLAY, buffer)
        self.saved_at = self.model.num_timesteps

    def _on_rollout_start(self) -> None:
        self._rollout_finished = False
        steps = self.model.num_timesteps
        asked = self.stop()
        if asked or (self.save_freq > 0 and steps // self.save_freq > self.saved_at // self.save_freq):
            self.saved_at = steps
            self._save(asked)
        if asked:
            raise StopRequested(f"stopped at step {steps}")

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._rollout_finished = True

    def _on_training_end(self) -> None:
        steps = self.model.num_timesteps
        if self.save_freq > 0 and self._rollout_finished and steps > self.saved_at:
            self.saved_at = steps
            self._save(False)

    def _save(self, stopping: bool) -> None:
        try:
            self.save()
        except OSError as error:
            problem = f"cannot write the checkpoint of step {self.model.num_timesteps}: {error.strerror or error}"
            if stopping:
                raise RunError(f"{problem}; the run stops and can be resumed from the checkpoint before") from error
            print(f"warning: {problem}; training continues, and earlier checkpoints stay valid")

    def save(self) -> Path:
        """Write a checkpoint of the present state of the run; return its path.

        Raises:
            OSError: if it cannot be written.
            DivergedError: if the agent is not finite, so that nothing could be resumed.
            PlainDataError: if the state holds an object that is not plain data.
        """
        model: Any = self.model
        if not is_finite(model):
            raise diverged(model)
        parent = self.run / FOLDER
        path = parent / f"step_{model.num_timesteps:012d}"
        if path.exists():
            return path
        state, unsaved = agent_state(model)
        callbacks = []
        for callback in self.others:
            one, missing = callback_state(callback)
            callbacks.append(one)
            unsaved += missing
        records = {} if self.replay is None else self.replay.append()
        if self.replay is None:
            unsaved.append(f"the replay buffer, a {type(model.replay_buffer).__name__}")
        state = {
            "agent": state,
            "callbacks": callbacks,
            "replay_added": 0 if self.replay is None else self.replay.buffer.added,
            "files": {name: (self.run / name).stat().st_size for name in self.growing if (self.run / name).exists()},
            "unsaved": unsaved,
        }
        write_checkpoint(path, state, {f"{REPLAY}/{name}": record for name, record in records.items()})
        remove_old(parent, self.keep)
        return path


def newest_checkpoint(run: Path) -> tuple[Path, dict[str, Any]]:
    """Read the newest checkpoint of a run that is not damaged; print a warning for each damaged one.

    Args:
        run: folder of the run.

    Returns:
        The checkpoint's path and its state.

    Raises:
        RunError: if there is none, or the folder holds a link, through which a resume would change files elsewhere.
    """
    check_own_files(run)
    found = checkpoints(run / FOLDER)
    if not found:
        raise RunError(f"{run} has no checkpoint to resume from; train with --save-freq STEPS")
    problems = []
    for path in found:
        try:
            return path, read_checkpoint(path)
        except RunError as error:
            problems.append(str(error))
            print(f"warning: {error}; trying the checkpoint before it")
    raise RunError(f"all checkpoints of {run} are damaged: {problems[0]}")


def go_back(run: Path, checkpoint: Path, state: dict[str, Any], growing: Sequence[str]) -> None:
    """Remove what a run wrote after a checkpoint: later checkpoints, and the ends of files that grow.

    Args:
        run: folder of the run.
        checkpoint: the checkpoint's path.
        state: its state.
        growing: names of the files that grow.
    """
    for later in checkpoints(run / FOLDER):
        if int(later.name[5:]) > int(checkpoint.name[5:]):
            remove_checkpoint(later)
    for name in growing:
        size, path = state["files"].get(name), run / name
        if type(size) is not int or size < 0 or not path.is_file():
            continue
        # What a copy shares by a hard link must not grow with this run.
        if path.stat().st_size > size or path.stat().st_nlink > 1:
            cut_file(path, size)


def resume_agent(
    cls: type[Agent],
    run: Path,
    env: Any,
    checkpoint: RunCheckpoint,
    device: torch.device | str = "auto",
    custom_objects: dict[str, Any] | None = None,
) -> Agent:
    """Build an agent from a run's newest valid checkpoint; see `RPPSAC.resume`.

    Raises:
        RunError: if there is no valid checkpoint, or it does not fit.
    """
    path, state = newest_checkpoint(run)
    agent = agent_of_checkpoint(cls, path, state, env, device, custom_objects)
    unsaved = restore_run(path, state, agent, checkpoint)
    go_back(run, path, state, checkpoint.growing)
    if custom_objects:
        unsaved = [line for line in unsaved if line.partition(",")[0] not in custom_objects]
    for line in unsaved:
        logging.getLogger(__name__).warning("the resumed run differs from an undisturbed one: %s", line)
    return agent


def agent_of_checkpoint(
    cls: type[Agent],
    path: Path,
    state: dict[str, Any],
    env: Any,
    device: torch.device | str = "auto",
    custom_objects: dict[str, Any] | None = None,
) -> Agent:
    """Build the agent that a checkpoint describes, with its parameters; `restore_run` restores all else.

    Args:
        cls: class of the agent.
        path: the checkpoint's path.
        state: its state.
        env: environment to train on.
        device: device of the networks.
        custom_objects: objects that replace saved ones, by attribute.

    Raises:
        RunError: if the checkpoint does not describe an agent of the class.
    """
    with part_of(path, "description of the agent"):
        saved_state = state["agent"]
        parts = {part: saved_state[part] for part in ("parameters", "log_ent_coef")}
        saved = saved_agent({**saved_state["described"], **parts}, str(path))
        return rebuild(cls, saved, env, device, custom_objects, force_reset=False)


def restore_run(path: Path, state: dict[str, Any], model: OffPolicyAlgorithm, checkpoint: RunCheckpoint) -> list[str]:
    """Put the state of a checkpoint back into an agent and callbacks that were made in the same way.

    The checkpoint may come from another person. No path in it is followed, and whatever is wrong with it is a
    `RunError` that names the part.

    Args:
        path: the checkpoint's path.
        state: its state.
        model: the agent.
        checkpoint: the callback that writes the next checkpoints.

    Returns:
        The parts that are not restored, in words.

    Raises:
        RunError: if the checkpoint does not fit.
    """
    buffer: Any = model.replay_buffer
    if isinstance(buffer, TransitionBuffer):
        with part_of(path, "transitions"):
            checkpoint.replay = ReplayLog(checkpoint.run / FOLDER / REPLAY, buffer)
            records = {Path(name).name: record for name, record in files_beside(path).items()}
            checkpoint.replay.restore(records, int(state["replay_added"]))
    with part_of(path, "agent"):
        restore_agent(model, state["agent"])
    with part_of(path, "callbacks"):
        if len(state["callbacks"]) != len(checkpoint.others):
            raise RunError(f"{path} has other callbacks than this run; make it in the same way")
        for callback, saved in zip(checkpoint.others, state["callbacks"], strict=True):
            restore_callback(callback, saved)
    with part_of(path, "random generators"):
        restore_generators(state["agent"]["generators"])
    with part_of(path, "files and notes"):
        if not isinstance(state["files"], dict):
            raise RunError(f"{path} is not a checkpoint: its files are {str(state['files'])[:60]!r}")
        return [str(line)[:300] for line in state["unsaved"]]


@contextmanager
def part_of(path: Path, part: str) -> Iterator[None]:
    """Turn whatever goes wrong with a part of a checkpoint into one sentence.

    Raises:
        RunError: the sentence, with the checkpoint and the part.
    """
    try:
        yield
    except RunError as error:
        raise error if str(path) in str(error) else RunError(f"{path}: {error}") from error
    except Exception as error:  # a checkpoint may hold anything
        detail = " ".join(str(error).split())[:300]
        sentence = f"{path} cannot be resumed from: its {part} cannot be restored ({type(error).__name__}: {detail})"
        raise RunError(sentence) from error
