"""Measure the seconds and the memory of a checkpoint with a full replay buffer, and of a run without checkpoints."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch

import rpp_rl
from faults.soak import resident_megabytes
from faults.table import Row
from rpp_rl.agents import RPPSAC
from rpp_rl.agents.common.checkpoints import RunCheckpoint


class _Peak(threading.Thread):
    """Record the peak memory of this process, read every millisecond."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.over = 0.0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.001):
            self.most = max(self.most, resident_megabytes())


def checkpoint_cost(transitions: int) -> list[Row]:
    """Save an agent of HalfCheetah-v5 with a full buffer, then once more after a thousand new transitions."""
    agent = RPPSAC("RPPPolicy", rpp_rl.make("HalfCheetah-v5"), buffer_size=transitions, learning_starts=10, seed=0)
    agent.learn(20)
    with tempfile.TemporaryDirectory() as scratch:
        # The first checkpoint imports and allocates; leave that out.
        first = RunCheckpoint(scratch, 0)
        first.init_callback(agent)
        first.save()
    buffer = agent.replay_buffer
    buffer.storage.copy_(torch.from_numpy(np.random.default_rng(0).standard_normal(buffer.storage.shape, np.float32)))
    buffer.count(transitions)
    before = resident_megabytes()
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = RunCheckpoint(scratch, 0)
        checkpoint.init_callback(agent)
        peak = _Peak()
        peak.start()
        began = time.monotonic()
        checkpoint.save()
        seconds = time.monotonic() - began
        peak.over.set()
        peak.join()
        disk = sum(p.stat().st_size for p in Path(scratch).rglob("*") if p.is_file()) / (1 << 20)
        buffer.count(transitions + 1000)
        agent.num_timesteps += 1000
        began = time.monotonic()
        checkpoint.save()
        again = time.monotonic() - began
    idle = _seconds_without(agent)
    return [
        Row(
            "cost",
            f"a checkpoint of {transitions} transitions of HalfCheetah-v5",
            "memory grows by less than a quarter of the buffer",
            1,
            int(peak.most - before < buffer.storage.numel() * 4 / (1 << 20) / 4),
            f"{seconds:.2f} s, {disk:.0f} MiB on disk, {peak.most - before:.0f} MiB more memory at most; "
            f"{again:.2f} s for the next, 1000 transitions later",
        ),
        Row(
            "cost",
            "a run without --save-freq",
            "what it costs",
            0,
            0,
            f"{1e6 * idle:.2f} microseconds an environment step",
        ),
    ]


def _seconds_without(agent: RPPSAC) -> float:
    """The seconds that the callback takes for one step without checkpoints."""
    callback = RunCheckpoint("nowhere", 0)
    callback.init_callback(agent)
    began = time.monotonic()
    for _ in range(10_000):
        callback.on_rollout_start()
        callback.on_step()
    return (time.monotonic() - began) / 10_000
