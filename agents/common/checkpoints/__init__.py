"""Checkpoints from which a run resumes bit for bit."""

from rpp_rl.agents.common.checkpoints.run_checkpoint import (
    RunCheckpoint,
    StopRequested,
    agent_of_checkpoint,
    go_back,
    newest_checkpoint,
    part_of,
    restore_run,
    resume_agent,
)

__all__ = [
    "RunCheckpoint",
    "StopRequested",
    "agent_of_checkpoint",
    "go_back",
    "newest_checkpoint",
    "part_of",
    "restore_run",
    "resume_agent",
]
