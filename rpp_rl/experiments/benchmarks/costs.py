"""What one pays once: memory, imports, building networks."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# Each runs in a process of its own, so that its memory and imports are its own.
_RUN = """
import rpp_rl, torch
from stable_baselines3 import SAC
from rpp_rl.agents import RPPSAC
torch.set_num_threads({threads})
agent = {agent}("{policy}", rpp_rl.make("HalfCheetah-v5"), learning_starts={steps} - 100, seed=0, device="cpu")
agent.learn({steps})
# Not getrusage, which remembers the process that this one was started from.
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak) / 1024)
"""
_IMPORT = "import time, torch; start = time.perf_counter(); import rpp_rl; print(time.perf_counter() - start)"


def costs(threads: int, steps: int) -> dict[str, Any]:
    """Bytes per transition, peak memory of short runs, seconds of import and of building Humanoid's networks.

    Args:
        threads: of torch.
        steps: environment steps of the short runs; gradient steps are taken in the last hundred.
    """
    return {
        "bytes_per_transition": _bytes_per_transition(),
        "peak_memory_mib": _peak_memory(threads, steps),
        "peak_memory_steps": steps,
        "import_seconds_beyond_torch": statistics.median(_printed(_IMPORT) for _ in range(5)),
        "humanoid_networks_seconds": _humanoid_seconds(),
    }


def _peak_memory(threads: int, steps: int) -> dict[str, float]:
    """Of whole processes; empty where the system does not tell."""
    if not Path("/proc/self/status").exists():
        return {}
    return {
        name: _printed(_RUN.format(agent=agent, policy=policy, steps=steps, threads=threads))
        for name, agent, policy in (("sb3_sac", "SAC", "MlpPolicy"), ("rpp_sac", "RPPSAC", "RPPPolicy"))
    }


def _printed(program: str) -> float:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    return float(done.stdout)


def _bytes_per_transition() -> dict[str, float]:
    import numpy as np
    from gymnasium import spaces
    from stable_baselines3.common.buffers import ReplayBuffer

    from rpp_rl.agents.common.transition_buffer import TransitionBuffer

    observations, actions = spaces.Box(-np.inf, np.inf, (17,), np.float64), spaces.Box(-1.0, 1.0, (6,), np.float32)
    theirs = ReplayBuffer(100, observations, actions, "cpu")
    names = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
    ours = TransitionBuffer(100, observations, actions, "cpu")
    return {"sb3": sum(getattr(theirs, name).nbytes for name in names) / 100, "ours": float(ours.bytes_per_transition)}


def _humanoid_seconds() -> float:
    import torch

    import rpp_rl
    from rpp_rl.agents import RPPPolicy

    # The first optimiser of a process imports much of torch, for a second; everyone's does.
    torch.optim.Adam([torch.zeros(1)])
    env: Any = rpp_rl.make("Humanoid-v5")
    start = time.perf_counter()
    RPPPolicy(env.observation_space, env.action_space, lambda _: 3e-4, symmetry=env.symmetry)
    seconds = time.perf_counter() - start
    env.close()
    return seconds
