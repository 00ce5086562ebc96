"""Checkpoints from which a run resumes bit for bit."""

from rpp_rl.agents.common.checkpoints.run_checkpoint import (
    RunCheckpoint,
    StopRequested,
    go_back,
    newest_checkpoint,
    restore_run,
    resume_agent,
)

__all__ = ["RunCheckpoint", "StopRequested", "go_back", "newest_checkpoint", "restore_run", "resume_agent"]
