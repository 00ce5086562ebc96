"""The trainers that are timed beside one another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.logger import configure

import rpp_rl
from rpp_rl.agents import RPPSAC, ManySeeds
from rpp_rl.agents.rpp_sac.fast_update.precision import has_bfloat16
from rpp_rl.experiments.benchmarks.sbx_process import Sbx
from rpp_rl.experiments.benchmarks.spread import timed

# Enough for the first gradient steps of everyone: kernels chosen, graphs captured, programs compiled.
WARM_UP = 300
SEEDS_TOGETHER = 8


class Contender(Protocol):
    """Something that trains."""

    def measure(self, steps: int) -> tuple[float, float]:
        """Seconds for environment steps with a gradient step each, and for as many gradient steps alone."""

    def close(self) -> None:
        """Let go of it."""


class Lone:
    """One agent of stable-baselines3 or of ours.

    Args:
        agent: with `learning_starts` below `WARM_UP`.
    """

    def __init__(self, agent: SAC) -> None:
        self.agent = agent
        agent.set_logger(configure(format_strings=[]))
        agent.learn(WARM_UP)

    def measure(self, steps: int) -> tuple[float, float]:
        """Train on, then take gradient steps only."""
        whole = timed(lambda: self._wait(self.agent.learn(steps, reset_num_timesteps=False)))
        # One call for each step, as in training.
        alone = timed(lambda: self._wait([self.agent.train(1, self.agent.batch_size) for _ in range(steps)]))  # type: ignore[func-returns-value]
        return whole, alone

    def _wait(self, done: object) -> None:
        if self.agent.device.type == "cuda":
            torch.cuda.synchronize()

    def close(self) -> None:
        """Close the environment."""
        if self.agent.env is not None:
            self.agent.env.close()


class Together:
    """Several agents of ours in one stack; a step is one of each.

    Args:
        build: makes the agent of a seed.
    """

    def __init__(self, build: Callable[[int], RPPSAC]) -> None:
        self.agents = ManySeeds(build, range(SEEDS_TOGETHER))
        self.agents.learn(WARM_UP)

    def measure(self, steps: int) -> tuple[float, float]:
        """Seconds per step of one agent: of the whole stack, divided by its size."""
        whole = timed(lambda: self._wait(self.agents.learn(steps, reset_num_timesteps=False)))
        alone = timed(
            lambda: self._wait([self.agents.take_gradient_steps(1) for _ in range(steps)])  # type: ignore[func-returns-value]
        )
        return whole / SEEDS_TOGETHER, alone / SEEDS_TOGETHER

    def _wait(self, done: object) -> None:
        if self.agents.agents[0].device.type == "cuda":
            torch.cuda.synchronize()

    def close(self) -> None:
        """Close the environments."""
        for agent in self.agents.agents:
            if agent.env is not None:
                agent.env.close()


def settings(env: str, batch_size: int, width: int, device: str = "cpu", seed: int = 0) -> dict[str, Any]:
    """What all agents have in common; made anew for each, since stable-baselines3 writes into it.

    Raises:
        RPPError: if the environment has no declared symmetry.
    """
    return {
        "env": rpp_rl.make(env),
        "learning_starts": WARM_UP - 50,
        "batch_size": batch_size,
        "policy_kwargs": {"net_arch": [width, width]},
        "seed": seed,
        "device": device,
    }


def contenders(
    env: str, batch_size: int, width: int, sbx_python: Path | None, device: str = "cpu"
) -> dict[str, Contender]:
    """All that can be timed on a device, by name.

    Raises:
        RPPError: if the environment has no declared symmetry, or SBX does not start.
    """
    common = partial(settings, env, batch_size, width, device)
    first = common()
    sbx = None
    if sbx_python is not None:
        # First of all, since it is what may not start.
        wanted = {"env": env, "batch_size": batch_size, "width": width, "warm_up": WARM_UP}
        sbx = Sbx(sbx_python, wanted, device)
    made: dict[str, Contender] = {
        "sb3_sac": Lone(SAC("MlpPolicy", **first)),
        "mlp": Lone(RPPSAC("MlpPolicy", **common())),
        "rpp_sac": Lone(RPPSAC("RPPPolicy", **common())),
    }
    if has_bfloat16(torch.device(device)):
        made["rpp_sac_bf16"] = Lone(RPPSAC("RPPPolicy", precision="bf16", **common()))
    made["rpp_sac_8_seeds"] = Together(lambda seed: RPPSAC("RPPPolicy", buffer_size=20_000, **common(seed=seed)))
    # A JAX that sees no GPU has been timed on the processor already.
    if sbx is not None and device != "cpu" and sbx.backend == "cpu":
        sbx.close()
    elif sbx is not None:
        made["sbx_sac"] = sbx
    return made
