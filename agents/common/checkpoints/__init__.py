"""Checkpoints from which training goes on as if nothing had happened."""

from rpp_rl.agents.common.checkpoints.callback import RunCheckpoint, StopRequested
from rpp_rl.agents.common.checkpoints.restoring import go_back, newest_checkpoint, restore_run, resume_agent

__all__ = ["RunCheckpoint", "StopRequested", "go_back", "newest_checkpoint", "restore_run", "resume_agent"]
