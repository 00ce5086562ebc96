"""`rpp-rl bench`: how fast does this machine train, beside its peers and beside what its arithmetic allows?"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from rpp_rl.errors import RunError
from rpp_rl.experiments.plots import check_plot

if TYPE_CHECKING:
    from rich.table import Table

    from rpp_rl.experiments.benchmarks.growth import Point

# Steps of one trainer in one round: enough to be timed, few enough that all trainers meet the same moment.
_LEAST_CHUNK, _GREATEST_CHUNK, _ROUNDS = 10, 100, 7
_BOUNDS = {"seconds": (0.1, 86_400), "threads": (1, 1024), "batch_size": (1, 1 << 16), "width": (1, 4096)}
# Environment steps of the runs whose memory is taken, where there is time for them.
_RUN, _SHORT_RUN, _TIME_FOR_RUN = 20_000, 2_000, 60.0
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


@dataclass(frozen=True)
class BenchArguments:
    """Time training on this machine in alternating rounds."""

    env: str = "HalfCheetah-v5"
    """Environment id; it needs a declared symmetry."""
    seconds: float = 240.0
    """How long to measure, beside the half minute in which everything warms up; one round is made at least."""
    threads: int = 2
    """Threads of torch."""
    batch_size: int = 256
    """Rows of a minibatch."""
    width: int = 256
    """Width of the two hidden layers."""
    sbx_python: Path | None = None
    """A Python that has sbx-rl, to time SBX's SAC too."""
    profile: bool = False
    """Say instead where the milliseconds of one gradient step go."""
    growth: bool = False
    """Measure instead how a gradient step's cost grows with width, batch, observation, group, critics and seeds."""
    plot: Path | None = None
    """With --growth: draw a picture."""
    json: bool = False
    """Print JSON."""


def bench(arguments: Annotated[BenchArguments, arg(name="")]) -> None:
    """Time SAC's training: stable-baselines3, SBX, plain networks, RPP, and the bare products."""
    import torch

    from rpp_rl.experiments.environments import say_simulator_warnings_once

    _check(arguments)
    torch.set_num_threads(arguments.threads)
    say_simulator_warnings_once()
    if arguments.growth:
        _bench_growth(arguments)
    elif arguments.profile:
        _bench_profile(arguments)
    else:
        _bench_rounds(arguments)


def _check(arguments: BenchArguments) -> None:
    """Check what was asked for, before anything is measured.

    Raises:
        RunError: for numbers out of bounds, and for flags that do not go together.
    """
    for name, (least, greatest) in _BOUNDS.items():
        value = getattr(arguments, name)
        if not least <= value <= greatest:
            raise RunError(f"--{name.replace('_', '-')} must be from {least} to {greatest}, got {value}")
    if arguments.plot is not None and not arguments.growth:
        raise RunError("--plot draws what --growth measures; give both")
    if arguments.growth and arguments.profile:
        raise RunError("--growth and --profile are two measurements; give one of them")
    # Growth is that of networks and data of its own.
    unused = {"growth": ("sbx_python", "env", "batch_size", "width"), "profile": ("sbx_python",)}
    for mode, names in unused.items():
        for name in names:
            if getattr(arguments, mode) and getattr(arguments, name) != getattr(BenchArguments, name):
                raise RunError(f"--{mode} does not look at --{name.replace('_', '-')}; leave it out")
    check_plot(arguments.plot)


def _bench_rounds(arguments: BenchArguments) -> None:
    import torch

    from rpp_rl.experiments.provenance import provenance

    deadline = time.perf_counter() + arguments.seconds
    found = _measure(arguments, "cpu", deadline if not torch.cuda.is_available() else deadline - arguments.seconds / 2)
    if torch.cuda.is_available():
        on_gpu = _measure(arguments, "cuda", deadline)
        for part in ("rows", "ratios"):
            found[part].update({f"cuda/{name}": value for name, value in on_gpu[part].items()})
    found["machine"] = provenance()
    if arguments.json:
        print(json.dumps(found))
    else:
        _show(arguments, found)


def _measure(arguments: BenchArguments, device: str, deadline: float) -> dict[str, Any]:
    """Alternating rounds of all trainers until the deadline."""
    import torch

    from rpp_rl.experiments.benchmarks.contenders import Lone, contenders
    from rpp_rl.experiments.benchmarks.floor import floor
    from rpp_rl.experiments.benchmarks.spread import Spread, ratio, timed

    trainers = contenders(arguments.env, arguments.batch_size, arguments.width, arguments.sbx_python, device)
    lone = trainers["mlp"]
    update = lone.agent.fast_step_for(arguments.batch_size) if isinstance(lone, Lone) else None  # type: ignore[attr-defined]
    if update is None:
        raise RunError("the fast update does not know the networks of this environment")
    products = floor(update)

    def run_products(steps: int) -> None:
        for _ in range(steps):
            products()
        if device == "cuda":
            torch.cuda.synchronize()

    steps: dict[str, list[float]] = {name: [] for name in trainers}
    updates: dict[str, list[float]] = {name: [] for name in (*trainers, "floor")}
    chunk, rounds = _LEAST_CHUNK, 0
    while not rounds or time.perf_counter() < deadline:
        start = time.perf_counter()
        for name, trainer in trainers.items():
            if rounds and time.perf_counter() > deadline:
                break
            whole, alone = trainer.measure(chunk)
            steps[name].append(chunk / whole)
            updates[name].append(1e3 * alone / chunk)
        else:
            run_products(3)
            updates["floor"].append(1e3 * timed(lambda chunk=chunk: run_products(chunk)) / chunk)  # type: ignore[misc]
        if not rounds:
            # The first round is short, and says how long the others may be.
            left = (deadline - time.perf_counter()) / (time.perf_counter() - start)
            chunk = min(_GREATEST_CHUNK, max(_LEAST_CHUNK, int(_LEAST_CHUNK * left / _ROUNDS)))
        rounds += 1
    for trainer in trainers.values():
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


def _show(arguments: BenchArguments, found: Mapping[str, Any]) -> None:
    from rich.table import Table

    title = f"{arguments.env}, {arguments.threads} threads, {found['rounds']} rounds: median (least to greatest)"
    table = Table("", "steps per second", "ms per gradient step", title=title)
    for name, row in found["rows"].items():
        table.add_row(_title(name), _cell(row.get("steps_per_second")), _cell(row["update_ms"]))
    _print(table)
    for name, spread in found["ratios"].items():
        print(f"{name:24} {_cell(spread)}")


def _print(table: Table) -> None:
    """Print a table, in full width where the output is no terminal."""
    from rich.console import Console

    console = Console()
    (console if console.is_terminal else Console(width=120)).print(table)


def _title(name: str) -> str:
    return TITLES[name.removeprefix("cuda/")] + (" on the GPU" if name.startswith("cuda/") else "")


def _cell(spread: Mapping[str, float] | None) -> str:
    return "" if spread is None else f"{spread['median']:.3g} ({spread['min']:.3g} to {spread['max']:.3g})"


def _bench_profile(arguments: BenchArguments) -> None:
    from rpp_rl.agents import RPPSAC
    from rpp_rl.experiments.benchmarks.contenders import Lone, settings
    from rpp_rl.experiments.benchmarks.profile import profile

    agent = RPPSAC("RPPPolicy", **settings(arguments.env, arguments.batch_size, arguments.width))
    trainer = Lone(agent)
    parts = profile(agent, arguments.seconds)
    trainer.close()
    if arguments.json:
        print(json.dumps({"profile_ms": parts}))
        return
    whole = parts["whole"]
    for name, milliseconds in sorted(parts.items(), key=lambda part: -part[1]):
        print(f"{name:32} {milliseconds:7.3f} ms {milliseconds / whole:6.1%}")


def _bench_growth(arguments: BenchArguments) -> None:
    from rpp_rl.experiments.benchmarks.costs import costs
    from rpp_rl.experiments.benchmarks.growth import draw, growth

    points = growth(arguments.seconds)
    once = costs(arguments.threads, _RUN if arguments.seconds >= _TIME_FOR_RUN else _SHORT_RUN)
    if arguments.plot is not None:
        draw(points, arguments.plot)
    if arguments.json:
        table = [
            {"axis": p.axis, "value": p.value, **{k: getattr(p, k).to_dict() for k in ("mlp", "rpp", "ratio")}}
            for p in points
        ]
        print(json.dumps({"growth": table, "costs": once}))
        return
    _show_growth(points, once)


def _show_growth(points: list[Point], once: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table("", "", "plain, ms", "RPP, ms", "RPP / plain", title="a gradient step: median (least to greatest)")
    previous = ""
    for point in points:
        axis = point.axis if point.axis != previous else ""
        table.add_row(axis, str(point.value), str(point.mlp), str(point.rpp), str(point.ratio), end_section=False)
        previous = point.axis
    _print(table)
    stored, peak = once["bytes_per_transition"], once["peak_memory_mib"]
    print(f"bytes per transition of HalfCheetah-v5   {stored['ours']:.0f}, stable-baselines3 {stored['sb3']:.0f}")
    if peak:
        print(
            f"peak memory of {once['peak_memory_steps']} steps             {peak['rpp_sac']:.0f} MiB, "
            f"stable-baselines3 {peak['sb3_sac']:.0f} MiB"
        )
    print(f"import rpp_rl, beyond torch              {once['import_seconds_beyond_torch']:.2f} s")
    print(f"Humanoid-v5's networks                   {once['humanoid_networks_seconds']:.2f} s")
