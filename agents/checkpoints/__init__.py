"""Checkpoints from which training goes on as if nothing had happened."""

from rpp_rl.agents.checkpoints.callback import RunCheckpoint, StopRequested
from rpp_rl.agents.checkpoints.restoring import cut_files, newest_checkpoint, restore_run

__all__ = ["RunCheckpoint", "StopRequested", "cut_files", "newest_checkpoint", "restore_run"]
