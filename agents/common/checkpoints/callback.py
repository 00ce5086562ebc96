"""Writes checkpoints of a run, between two rollouts, where everything is settled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from rpp_rl.agents.common.checkpoints.agent_state import agent_state, callback_state
from rpp_rl.agents.common.checkpoints.archive import FOLDER, REPLAY, remove_old, write_checkpoint
from rpp_rl.agents.common.checkpoints.replay_log import ReplayLog
from rpp_rl.agents.common.transition_buffer import TransitionBuffer
from rpp_rl.errors import RPPError, RunError


class StopRequested(RPPError):  # noqa: N818 - nothing went wrong
    """The run was asked to stop, and has written a checkpoint first."""


class RunCheckpoint(BaseCallback):
    """Keep a run's newest checkpoints, every `save_freq` steps, at the end, and when it is asked to stop.

    If a checkpoint cannot be written, for example since the disk is full, that is printed and training goes on; earlier
    checkpoints stay valid.

    Args:
        run: the folder of the run.
        save_freq: environment steps between checkpoints; 0 writes one when asked to stop only.
        others: the callbacks whose state belongs to the run.
        growing: names of files in the run's folder that grow, and are cut to their length when the run goes on.
        stop: tells whether the run shall stop.
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
        # Whether the last rollout came to its end; one that a callback breaks off leaves a step half done.
        self._settled = False
        self.replay: ReplayLog | None = None

    def _init_callback(self) -> None:
        buffer: Any = self.model.replay_buffer  # type: ignore[attr-defined]
        if self.replay is None and isinstance(buffer, TransitionBuffer):
            self.replay = ReplayLog(self.run / FOLDER / REPLAY, buffer)
        self.saved_at = self.model.num_timesteps

    def _on_rollout_start(self) -> None:
        self._settled = False
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
        self._settled = True

    def _on_training_end(self) -> None:
        steps = self.model.num_timesteps
        if self.save_freq > 0 and self._settled and steps > self.saved_at:
            self.saved_at = steps
            self._save(False)

    def _save(self, asked: bool) -> None:
        try:
            self.save()
        except OSError as error:
            sentence = f"the checkpoint of step {self.model.num_timesteps} is not written: {error.strerror or error}"
            if asked:
                raise RunError(f"{sentence}; the run stops, and can go on from the one before") from error
            print(f"warning: {sentence}; training goes on, and earlier checkpoints stay good")

    def save(self) -> Path:
        """Write a checkpoint of the run as it is now; returns its folder.

        Raises:
            OSError: if it cannot be written.
            PlainDataError: if there is something in the run that is not saved.
        """
        model: Any = self.model
        parent = self.run / FOLDER
        folder = parent / f"step_{model.num_timesteps:012d}"
        if folder.exists():
            return folder
        parent.mkdir(parents=True, exist_ok=True)
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
        write_checkpoint(folder, state, {f"{REPLAY}/{name}": record for name, record in records.items()})
        remove_old(parent, self.keep)
        return folder
