"""Train for long: memory, file handles, threads and speed stay constant."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor

import rpp_rl
from faults.table import Row
from rpp_rl.agents import RPPSAC, SymmetryCallback
from rpp_rl.agents.common.checkpoints import RunCheckpoint

MEGABYTE = 1 << 20


def resident_megabytes() -> float:
    """Memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


class Gauges(BaseCallback):
    """Record memory, file handles, threads and processor time of this process, twenty times along a run."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every, self.readings = every, []

    def _on_step(self) -> bool:
        if self.num_timesteps % self.every == 0:
            handles = len(os.listdir("/proc/self/fd"))
            self.readings.append((time.process_time(), resident_megabytes(), handles, threading.active_count()))
        return True


def soak(steps: int) -> list[Row]:
    """Train for this many steps with a small buffer, checkpoints, evaluations and TensorBoard."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        agent = RPPSAC(
            "RPPPolicy",
            Monitor(rpp_rl.make("InvertedPendulum-v5")),
            *(1e-3, 2000),
            learning_starts=100,
            batch_size=16,
            policy_kwargs={"net_arch": [16, 16]},
            seed=0,
        )
        agent.set_logger(configure(scratch, ["tensorboard"]))
        evaluation = EvalCallback(
            Monitor(rpp_rl.make("InvertedPendulum-v5")),
            n_eval_episodes=1,
            eval_freq=max(1, steps // 40),
            log_path=scratch,
            callback_after_eval=SymmetryCallback(),
            verbose=0,
        )
        gauges = Gauges(steps // 20)
        checkpoint = RunCheckpoint(Path(scratch), max(1, steps // 100), [evaluation])
        agent.learn(steps, [evaluation, checkpoint, gauges])
        agent.logger.close()
    when, memory, handles, threads = np.array(gauges.readings).T
    # The first quarter fills the buffer and allocates what stays.
    settled = len(memory) // 4
    rates = gauges.every / np.diff(when)
    grown = memory[-1] - memory[settled]
    first, last = (float(np.median(part)) for part in (rates[settled : settled + 5], rates[-5:]))
    what = f"{steps} steps with a buffer of 2000, 100 checkpoints, 40 evaluations"
    return [
        Row(
            "soak",
            what,
            "memory grows by less than 8 MiB after the first quarter",
            1,
            int(grown < 8),
            f"{memory[settled]:.0f} to {memory[-1]:.0f} MiB",
        ),
        Row(
            "soak",
            "the same",
            "file handles and threads as many at the end as after the first quarter",
            1,
            int(handles[-1] <= handles[settled] and threads[-1] <= threads[settled]),
            f"{handles[-1]:.0f} handles, {threads[-1]:.0f} threads",
        ),
        Row(
            "soak",
            "the same",
            "steps per second of processor time at the end as at the beginning",
            0,
            0,
            f"{first:.0f} then, {last:.0f} at the end",
        ),
    ]
