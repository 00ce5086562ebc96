"""`rpp-rl bench`: how fast does this machine train, beside stable-baselines3 and beside what its arithmetic allows?"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from rpp_rl.errors import RunError

if TYPE_CHECKING:
    from stable_baselines3 import SAC

    from rpp_rl.agents.update import FastUpdate

_WARM_UP = 300
_CHUNK = 100


@dataclass(frozen=True)
class BenchArguments:
    """Time training on this machine in alternating rounds."""

    env: str = "HalfCheetah-v5"
    """Environment id; it needs a declared symmetry."""
    seconds: float = 120.0
    """About how long the whole measurement may take; at least three rounds are made."""
    threads: int = 2
    """Threads of torch."""
    batch_size: int = 256
    """Rows of a minibatch."""
    width: int = 256
    """Width of the two hidden layers."""
    json: bool = False
    """Print JSON."""


@dataclass(frozen=True)
class Spread:
    """Repeated measurements of one figure.

    Attributes:
        values: one per round.
    """

    values: tuple[float, ...]

    def to_dict(self) -> dict[str, float]:
        """Median, least and greatest."""
        ordered = sorted(self.values)
        return {"median": ordered[len(ordered) // 2], "min": ordered[0], "max": ordered[-1]}

    def __str__(self) -> str:
        numbers = self.to_dict()
        return f"{numbers['median']:.3g} ({numbers['min']:.3g} to {numbers['max']:.3g})"


def bench(arguments: Annotated[BenchArguments, arg(name="")]) -> None:
    """Time SAC's training in alternating rounds: stable-baselines3, plain networks, RPP, and the bare products."""
    import torch

    for name in ("seconds", "threads", "batch_size", "width"):
        if getattr(arguments, name) <= 0:
            raise RunError(f"--{name.replace('_', '-')} must be greater than 0, got {getattr(arguments, name)}")
    torch.set_num_threads(arguments.threads)
    start = time.perf_counter()
    agents = _agents(arguments)
    for agent in agents.values():
        agent.learn(_WARM_UP)
    floor = _floor(agents["mlp"].fast_step_for(arguments.batch_size), arguments.batch_size)
    steps: dict[str, list[float]] = {name: [] for name in agents}
    updates: dict[str, list[float]] = {name: [] for name in (*agents, "floor")}
    while len(updates["floor"]) < 3 or time.perf_counter() - start < arguments.seconds:
        for name, agent in agents.items():
            steps[name].append(_CHUNK / _timed(partial(agent.learn, _CHUNK, reset_num_timesteps=False)))
            updates[name].append(1e3 * _timed(partial(agent.train, _CHUNK, arguments.batch_size)) / _CHUNK)
        updates["floor"].append(1e3 * _timed(lambda: [floor() for _ in range(_CHUNK)]) / _CHUNK)
    ratios = {
        "rpp_sac/sb3_sac": _ratio(steps["rpp_sac"], steps["sb3_sac"]),
        "rpp_sac/mlp": _ratio(steps["rpp_sac"], steps["mlp"]),
        "update/floor": _ratio(updates["rpp_sac"], updates["floor"]),
    }
    if arguments.json:
        rows = {
            name: {
                **({"steps_per_second": Spread(tuple(steps[name])).to_dict()} if name in steps else {}),
                "update_ms": Spread(tuple(values)).to_dict(),
            }
            for name, values in updates.items()
        }
        print(json.dumps({"rows": rows, "ratios": {name: ratio.to_dict() for name, ratio in ratios.items()}}))
        return
    _show(arguments, steps, updates, ratios)


def _agents(arguments: BenchArguments) -> dict[str, Any]:
    from stable_baselines3 import SAC

    import rpp_rl
    from rpp_rl.agents import RPPSAC
    from rpp_rl.scripts.tasks import say_simulator_warnings_once

    say_simulator_warnings_once()
    common = {
        "learning_starts": _WARM_UP - 50,
        "batch_size": arguments.batch_size,
        "policy_kwargs": {"net_arch": [arguments.width, arguments.width]},
        "seed": 0,
        "device": "cpu",
    }
    made: dict[str, Callable[[], SAC]] = {
        "sb3_sac": lambda: SAC("MlpPolicy", rpp_rl.make(arguments.env), **_copied(common)),
        "mlp": lambda: RPPSAC("MlpPolicy", rpp_rl.make(arguments.env), **_copied(common)),
        "rpp_sac": lambda: RPPSAC("RPPPolicy", rpp_rl.make(arguments.env), **_copied(common)),
    }
    return {name: make() for name, make in made.items()}


def _copied(common: dict[str, Any]) -> dict[str, Any]:
    # stable-baselines3 writes into the policy_kwargs that it is given.
    return {**common, "policy_kwargs": dict(common["policy_kwargs"])}


def _floor(update: FastUpdate, batch: int) -> Callable[[], None]:
    """The matrix products that one gradient step cannot do without, on tensors of their own."""
    import torch

    products: list[tuple[int, int, int]] = []
    critics = [(update.critics, batch)] * update.critics.stack.layers.count
    for network, forward_rows in ((update.actor, 2 * batch), *critics):
        sizes = network.stack.layers.sizes
        products += [(forward_rows, n_in, n_out) for n_out, n_in in sizes]
        products += [(n_out, batch, n_in) for n_out, n_in in sizes]
        products += [(batch, n_out, n_in) for n_out, n_in in sizes[1:]]
    sizes = update.critics.stack.layers.sizes
    for _ in range(update.critics.stack.layers.count):
        # The target's pass, and that of the policy's actions with its gradient.
        products += 2 * [(batch, n_in, n_out) for n_out, n_in in sizes]
        products += [(batch, n_out, n_in) for n_out, n_in in sizes[1:]]
        products.append((batch, sizes[0][0], sizes[0][1] - update.batch.observations.shape[-1]))
    operands = [(torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)) for m, k, n in products]

    def run() -> None:
        for a, b, out in operands:
            torch.mm(a, b, out=out)

    return run


def _timed(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _ratio(one: Sequence[float], other: Sequence[float]) -> Spread:
    return Spread(tuple(a / b for a, b in zip(one, other, strict=True)))


def _show(
    arguments: BenchArguments,
    steps: dict[str, list[float]],
    updates: dict[str, list[float]],
    ratios: dict[str, Spread],
) -> None:
    from rich.console import Console
    from rich.table import Table

    names = {"sb3_sac": "stable-baselines3 SAC", "mlp": "RPPSAC, plain", "rpp_sac": "RPPSAC, RPP", "floor": "products"}
    title = f"{arguments.env}, {arguments.threads} threads, {len(updates['floor'])} rounds: median (least to greatest)"
    table = Table("", "steps per second", "ms per gradient step", title=title)
    for name, values in updates.items():
        rate = str(Spread(tuple(steps[name]))) if name in steps else ""
        table.add_row(names[name], rate, str(Spread(tuple(values))))
    Console().print(table)
    for name, ratio in ratios.items():
        print(f"{name:16} {ratio}")
