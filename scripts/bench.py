"""`rpp-rl bench`: how fast does this machine train, beside its peers and beside the bare arithmetic?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from rich.console import Console
from tyro.conf import arg

from rpp_rl.errors import RunError
from rpp_rl.experiments.benchmarks import costs, timing, training_speed
from rpp_rl.experiments.plots import check_plot


@dataclass(frozen=True)
class BenchArguments:
    """Time training on this machine in alternating rounds."""

    env: str = "HalfCheetah-v5"
    """An environment with a declared symmetry."""
    seconds: float = 240.0
    """How long to measure, after half a minute of warm-up; at least one round is made."""
    threads: int = 2
    """Threads of torch."""
    batch_size: int = 256
    """Rows of a minibatch."""
    width: int = 256
    """Width of the two hidden layers."""
    sbx_python: Path | None = None
    """A Python with sbx-rl, to time SBX's SAC too."""
    profile: bool = False
    """Show instead where the time of one gradient step goes."""
    growth: bool = False
    """Measure instead how a gradient step's time grows with width, batch, observation, group, critics and seeds."""
    plot: Path | None = None
    """With --growth: draw a figure."""
    json: bool = False
    """Print JSON."""


def bench(arguments: Annotated[BenchArguments, arg(name="")]) -> None:
    """Time SAC's training: stable-baselines3, SBX, plain networks, RPP, and the bare matrix products."""
    a = arguments
    _check(a)
    torch.set_num_threads(a.threads)
    if a.growth:
        points = costs.growth(a.seconds)
        fixed = costs.fixed_costs(a.threads, steps=20_000 if a.seconds >= 60 else 2_000)
        if a.plot is not None:
            costs.draw_growth(points, a.plot)
        found: dict[str, Any] = {"growth": [point.to_dict() for point in points], "costs": fixed}
        shown: list[Any] = [costs.growth_table(points), costs.fixed_costs_text(fixed)]
    elif a.profile:
        parts = training_speed.profile(a.env, a.seconds, a.batch_size, a.width)
        found, shown = {"profile_ms": parts}, [timing.profile_text(parts)]
    else:
        found = training_speed.measure(a.env, a.seconds, a.batch_size, a.width, a.sbx_python)
        shown = [training_speed.table(found, f"{a.env}, {a.threads} threads"), training_speed.ratios_text(found)]
    if a.json:
        print(json.dumps(found))
        return
    # A file or a pipe gets tables of full width.
    Console(width=None if Console().is_terminal else 120).print(*shown, sep="\n", highlight=False)


def _check(a: BenchArguments) -> None:
    timing.check_bounds(seconds=a.seconds, threads=a.threads, batch_size=a.batch_size, width=a.width)
    check_plot(a.plot)
    if a.plot is not None and not a.growth:
        raise RunError("--plot draws what --growth measures; give both")
    if a.growth and a.profile:
        raise RunError("--growth and --profile are two measurements; give one of them")
    for mode, unused in (("growth", ("sbx_python", "env", "batch_size", "width")), ("profile", ("sbx_python",))):
        for name in unused:
            if getattr(a, mode) and getattr(a, name) != getattr(BenchArguments, name):
                raise RunError(f"--{mode} does not use --{name.replace('_', '-')}; leave it out")
