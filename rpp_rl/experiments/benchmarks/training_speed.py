"""Time SAC's training on this machine: stable-baselines3, SBX, plain networks, RPP, and the bare matrix products."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.logger import configure

import rpp_rl
from rpp_rl.agents import RPPSAC, ManySeeds
from rpp_rl.agents.rpp_sac.fast_update import FastUpdate
from rpp_rl.agents.rpp_sac.fast_update.cuda_graphs import Captured
from rpp_rl.agents.rpp_sac.fast_update.support import has_bfloat16
from rpp_rl.errors import RunError
from rpp_rl.experiments.benchmarks.sbx_process import Sbx
from rpp_rl.experiments.benchmarks.timing import Spread, profile_step, ratio, spread_text, timed
from rpp_rl.experiments.environments import make_checked
from rpp_rl.experiments.provenance import provenance

if TYPE_CHECKING:
    from rich.table import Table

# Enough for the first gradient steps of every trainer: kernels chosen, graphs captured, programs compiled.
WARM_UP = 300
SEEDS_TOGETHER = 8
# Steps of a trainer in one round: enough to be timed, few enough that all trainers share the machine's moods.
_MIN_CHUNK, _MAX_CHUNK, _ROUNDS = 10, 100, 7
RATIOS = {
    "rpp_sac/sb3_sac": ("rpp_sac", "sb3_sac"),
    "rpp_sac/sbx_sac": ("rpp_sac", "sbx_sac"),
    "rpp_sac/mlp": ("rpp_sac", "mlp"),
    "rpp_sac_bf16/sb3_sac": ("rpp_sac_bf16", "sb3_sac"),
    "rpp_sac_8_seeds/rpp_sac": ("rpp_sac_8_seeds", "rpp_sac"),
}
TITLES = {
    "sb3_sac": "stable-baselines3 SAC",
    "sbx_sac": "SBX SAC",
    "mlp": "RPPSAC, plain",
    "rpp_sac": "RPPSAC, RPP",
    "rpp_sac_bf16": "RPPSAC, RPP, bf16",
    "rpp_sac_8_seeds": "RPPSAC, RPP, 8 seeds",
    "floor": "products",
}


def measure(
    env: str, seconds: float, batch_size: int = 256, width: int = 256, sbx_python: Path | None = None
) -> dict[str, Any]:
    """Time all trainers in alternating rounds, on the CPU and on a GPU where there is one.

    Args:
        env: an environment with a declared symmetry.
        seconds: how long to measure, after half a minute of warm-up; at least one round is made.
        batch_size: rows of a minibatch.
        width: width of the two hidden layers.
        sbx_python: a Python with sbx-rl, to time SBX's SAC too.

    Returns:
        Plain data: ``rows`` with steps per second and milliseconds of a gradient step by trainer, ``ratios``,
        ``rounds`` and ``machine``. Names on the GPU start with ``cuda/``.

    Raises:
        RPPError: if the environment has no declared symmetry, or SBX does not start.
    """
    given = (env, batch_size, width, sbx_python)
    deadline = time.perf_counter() + seconds
    has_gpu = torch.cuda.is_available()
    found = _measure_on("cpu", deadline - seconds / 2 if has_gpu else deadline, *given)
    if has_gpu:
        on_gpu = _measure_on("cuda", deadline, *given)
        for part in ("rows", "ratios"):
            found[part].update({f"cuda/{name}": value for name, value in on_gpu[part].items()})
    found["machine"] = provenance()
    return found


def _measure_on(
    device: str, deadline: float, env: str, batch_size: int, width: int, sbx_python: Path | None
) -> dict[str, Any]:
    all_trainers = trainers(env, batch_size, width, sbx_python, device)
    run_products = _products_of(all_trainers["mlp"], batch_size)
    steps: dict[str, list[float]] = {name: [] for name in all_trainers}
    updates: dict[str, list[float]] = {name: [] for name in (*all_trainers, "floor")}
    chunk, rounds = _MIN_CHUNK, 0
    while not rounds or time.perf_counter() < deadline:
        start = time.perf_counter()
        for name, trainer in all_trainers.items():
            if rounds and time.perf_counter() > deadline:
                break
            whole, alone = trainer.measure(chunk)
            steps[name].append(chunk / whole)
            updates[name].append(1e3 * alone / chunk)
        else:
            run_products(3)
            updates["floor"].append(1e3 * timed(partial(run_products, chunk)) / chunk)
        if not rounds:
            # The first round is short and sets the length of the others.
            left = (deadline - time.perf_counter()) / (time.perf_counter() - start)
            chunk = min(_MAX_CHUNK, max(_MIN_CHUNK, int(_MIN_CHUNK * left / _ROUNDS)))
        rounds += 1
    for trainer in all_trainers.values():
        trainer.close()
    ratios = {name: ratio(steps[a], steps[b]) for name, (a, b) in RATIOS.items() if a in steps and b in steps}
    ratios["update/floor"] = ratio(updates["rpp_sac"], updates["floor"])
    rows: dict[str, dict[str, Any]] = {name: {"update_ms": values} for name, values in updates.items()}
    for name, values in steps.items():
        rows[name]["steps_per_second"] = values
    return {
        "rows": {name: {k: Spread(tuple(v)).to_dict() for k, v in row.items()} for name, row in rows.items()},
        "ratios": {name: spread.to_dict() for name, spread in ratios.items()},
        "rounds": rounds,
    }


def table(found: Mapping[str, Any], title: str) -> Table:
    """A table of the rows that `measure` found."""
    from rich.table import Table

    full_title = f"{title}, {found['rounds']} rounds: median (min to max)"
    shown = Table("", "steps per second", "ms per gradient step", title=full_title)
    for name, row in found["rows"].items():
        label = TITLES[name.removeprefix("cuda/")] + (" on the GPU" if name.startswith("cuda/") else "")
        speed = spread_text(row["steps_per_second"]) if "steps_per_second" in row else ""
        shown.add_row(label, speed, spread_text(row["update_ms"]))
    return shown


def ratios_text(found: Mapping[str, Any]) -> str:
    """The ratios that `measure` found, one line each."""
    return "\n".join(f"{name:24} {spread_text(spread)}" for name, spread in found["ratios"].items())


def profile(env: str, seconds: float, batch_size: int = 256, width: int = 256) -> dict[str, float]:
    """Measure where the time of one gradient step of `rpp_sac` goes, see `profile_step`."""
    agent = RPPSAC("RPPPolicy", **settings(env, batch_size, width))
    trainer = SingleAgent(agent)
    parts = profile_step(agent, seconds)
    trainer.close()
    return parts


class Trainer(Protocol):
    """An agent, or several, that can be timed."""

    def measure(self, steps: int) -> tuple[float, float]:
        """Seconds for environment steps with one gradient step each, and for as many gradient steps alone."""

    def close(self) -> None:
        """Close the environments."""


class SingleAgent:
    """One agent of stable-baselines3 or of this library.

    Args:
        agent: with `learning_starts` below `WARM_UP`.
    """

    def __init__(self, agent: SAC) -> None:
        self.agent = agent
        agent.set_logger(configure(format_strings=[]))
        agent.learn(WARM_UP)

    def measure(self, steps: int) -> tuple[float, float]:
        """Train, then take gradient steps only, one call for each as in training."""
        whole = timed(lambda: _finish(self.agent, self.agent.learn(steps, reset_num_timesteps=False)))
        alone = timed(lambda: _finish(self.agent, [self.agent.train(1, self.agent.batch_size) for _ in range(steps)]))  # type: ignore[func-returns-value]
        return whole, alone

    def close(self) -> None:
        """Close the environment."""
        if self.agent.env is not None:
            self.agent.env.close()


class StackedAgents:
    """Several agents of this library in one stack; a step is one of each.

    Args:
        build: makes the agent of a seed.
    """

    def __init__(self, build: Callable[[int], RPPSAC]) -> None:
        self.stack = ManySeeds(build, range(SEEDS_TOGETHER))
        self.stack.learn(WARM_UP)

    def measure(self, steps: int) -> tuple[float, float]:
        """Seconds for one agent: those of the stack, divided by its size."""
        first = self.stack.agents[0]
        whole = timed(lambda: _finish(first, self.stack.learn(steps, reset_num_timesteps=False)))
        alone = timed(lambda: _finish(first, [self.stack.take_gradient_steps(1) for _ in range(steps)]))  # type: ignore[func-returns-value]
        return whole / SEEDS_TOGETHER, alone / SEEDS_TOGETHER

    def close(self) -> None:
        """Close the environments."""
        for agent in self.stack.agents:
            if agent.env is not None:
                agent.env.close()


def _finish(agent: SAC, done: object) -> None:
    """Wait until the GPU has done its work."""
    if agent.device.type == "cuda":
        torch.cuda.synchronize()


def settings(env: str, batch_size: int, width: int, device: str = "cpu", seed: int = 0) -> dict[str, Any]:
    """The arguments that all agents share; a new dictionary for each, because stable-baselines3 writes into it.

    Raises:
        RPPError: if the environment has no declared symmetry.
    """
    return {
        "env": make_checked(rpp_rl.make, env, {}),
        "learning_starts": WARM_UP - 50,
        "batch_size": batch_size,
        "policy_kwargs": {"net_arch": [width, width]},
        "seed": seed,
        "device": device,
    }


def trainers(env: str, batch_size: int, width: int, sbx_python: Path | None, device: str = "cpu") -> dict[str, Trainer]:
    """All trainers for a device, by name.

    Raises:
        RPPError: if the environment has no declared symmetry, or SBX does not start.
    """
    common = partial(settings, env, batch_size, width, device)
    first = common()
    sbx = None
    if sbx_python is not None:
        # First, because it may fail to start.
        wanted = {"env": env, "batch_size": batch_size, "width": width, "warm_up": WARM_UP}
        sbx = Sbx(sbx_python, wanted, device)
    made: dict[str, Trainer] = {
        "sb3_sac": SingleAgent(SAC("MlpPolicy", **first)),
        "mlp": SingleAgent(RPPSAC("PlainPolicy", **common())),
        "rpp_sac": SingleAgent(RPPSAC("RPPPolicy", **common())),
    }
    if has_bfloat16(torch.device(device)):
        made["rpp_sac_bf16"] = SingleAgent(RPPSAC("RPPPolicy", precision="bf16", **common()))
    made["rpp_sac_8_seeds"] = StackedAgents(lambda seed: RPPSAC("RPPPolicy", buffer_size=20_000, **common(seed=seed)))
    # A JAX without a GPU was timed on the CPU already.
    if sbx is not None and device != "cpu" and sbx.backend == "cpu":
        sbx.close()
    elif sbx is not None:
        made["sbx_sac"] = sbx
    return made


def _products_of(trainer: Trainer, batch_size: int) -> Callable[[int], None]:
    """A function that computes the matrix products of some gradient steps of an agent."""
    update = trainer.agent._fast_step_for(batch_size) if isinstance(trainer, SingleAgent) else None  # type: ignore[attr-defined]
    if update is None:
        raise RunError("the fast update does not support the networks of this environment; choose another with --env")
    products = bare_products(update)

    def run(steps: int) -> None:
        for _ in range(steps):
            products()
        if update.batch.rows.is_cuda:
            torch.cuda.synchronize()

    return run


def bare_products(update: FastUpdate) -> Callable[[], None]:
    """A function that computes the matrix products of one gradient step, a lower bound for every implementation.

    The actor passes once over both observations of a transition, forward and back. Each critic passes over the stored
    action forward and back, and over the policy's action forward and back to the action. Each target passes once. The
    products are in float32, on tensors of their own. On a GPU they are one graph, as the step is.
    """
    batch, critics = update.batch_size, update.critics.stack.layers
    products: list[tuple[int, int, int]] = []
    for layers, forward_rows in ((update.actor.stack.layers, 2 * batch), *[(critics, batch)] * critics.count):
        products += [(forward_rows, n_in, n_out) for n_out, n_in in layers.sizes]
        products += [(n_out, batch, n_in) for n_out, n_in in layers.sizes]
        products += [(batch, n_out, n_in) for n_out, n_in in layers.sizes[1:]]
    action_size = update.batch.actions.shape[-1]
    for _ in range(critics.count):
        products += 2 * [(batch, n_in, n_out) for n_out, n_in in critics.sizes]
        products += [(batch, n_out, n_in) for n_out, n_in in critics.sizes[1:]]
        products.append((batch, critics.sizes[0][0], action_size))
    device = update.batch.rows.device
    operands = [
        (torch.randn(m, k, device=device), torch.randn(k, n, device=device), torch.empty(m, n, device=device))
        for m, k, n in products
    ]

    def run() -> None:
        for a, b, out in operands:
            torch.mm(a, b, out=out)

    return Captured(run, [], device)
