"""The trainers that are timed beside one another."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Protocol

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.logger import configure

import rpp_rl
from rpp_rl.agents import RPPSAC, ManySeeds
from rpp_rl.agents.update.precision import has_bfloat16
from rpp_rl.errors import RunError
from rpp_rl.scripts.benchmarks.spread import timed

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


class Sbx:
    """SBX's SAC, in a process with a Python of its own.

    Args:
        python: that has sbx-rl.
        wanted: environment, batch size and width.
        device: where to train, if JAX sees it.

    Attributes:
        backend: where JAX trains.

    Raises:
        RunError: if it does not start.
    """

    def __init__(self, python: Path, wanted: Mapping[str, Any], device: str = "cpu") -> None:
        environment = {**os.environ, "JAX_PLATFORMS": "cpu"} if device == "cpu" else None
        with as_file(files("rpp_rl.scripts.benchmarks").joinpath("sbx_child.py")) as script:
            command = [str(python), str(script), json.dumps(dict(wanted))]
            try:
                self._process = subprocess.Popen(  # noqa: S603 - the user names the Python
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=environment,
                )
            except OSError as error:
                raise RunError(f"--sbx-python {python} does not start: {error.strerror}") from error
            ready, _, self.backend = self._answer().partition(" ")
            if ready != "ready":
                detail = (self._process.communicate()[1].strip().splitlines() or ["it said nothing"])[-1]
                raise RunError(f"--sbx-python {python} cannot train with SBX: {detail}; give a Python with sbx-rl")

    def _answer(self) -> str:
        return self._process.stdout.readline().strip() if self._process.stdout is not None else ""

    def measure(self, steps: int) -> tuple[float, float]:
        """Let it train."""
        if self._process.stdin is not None:
            self._process.stdin.write(f"{steps}\n")
            self._process.stdin.flush()
        answer = self._answer()
        if not answer:
            raise RunError("SBX stopped in the middle of the measurement; run it alone to see why")
        whole, alone = json.loads(answer)
        return float(whole), float(alone)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def contenders(
    env: str, batch_size: int, width: int, sbx_python: Path | None, device: str = "cpu"
) -> dict[str, Contender]:
    """All that can be timed on a device, by name.

    Raises:
        RPPError: if the environment has no declared symmetry, or SBX does not start.
    """

    def common(seed: int = 0) -> dict[str, Any]:
        # stable-baselines3 writes into the policy_kwargs that it is given.
        return {
            "env": rpp_rl.make(env),
            "learning_starts": WARM_UP - 50,
            "batch_size": batch_size,
            "policy_kwargs": {"net_arch": [width, width]},
            "seed": seed,
            "device": device,
        }

    made: dict[str, Contender] = {
        "sb3_sac": Lone(SAC("MlpPolicy", **common())),
        "mlp": Lone(RPPSAC("MlpPolicy", **common())),
        "rpp_sac": Lone(RPPSAC("RPPPolicy", **common())),
    }
    if has_bfloat16(torch.device(device)):
        made["rpp_sac_bf16"] = Lone(RPPSAC("RPPPolicy", precision="bf16", **common()))
    made["rpp_sac_8_seeds"] = Together(lambda seed: RPPSAC("RPPPolicy", buffer_size=20_000, **common(seed)))
    if sbx_python is not None:
        wanted = {"env": env, "batch_size": batch_size, "width": width, "warm_up": WARM_UP}
        sbx = Sbx(sbx_python, wanted, device)
        # A JAX that sees no GPU has been timed on the processor already.
        if device != "cpu" and sbx.backend == "cpu":
            sbx.close()
        else:
            made["sbx_sac"] = sbx
    return made
