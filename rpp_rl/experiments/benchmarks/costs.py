"""Costs of training: how a gradient step's time grows with every size, and what memory, import and building cost."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer

import rpp_rl
from rpp_rl import Symmetry, cyclic_group, dihedral_group, regular_representation, trivial_representation
from rpp_rl.agents import PlainPolicy, RPPPolicy
from rpp_rl.agents.common.transition_buffer import TransitionBuffer
from rpp_rl.agents.rpp_sac.fast_update import FastUpdate, Temperature
from rpp_rl.experiments.benchmarks.timing import Spread, ratio, timed
from rpp_rl.experiments.plots import new_figure, save_figure
from rpp_rl.groups import Group

if TYPE_CHECKING:
    from rich.table import Table

GROUPS: Mapping[int, Group] = MappingProxyType(
    {2: cyclic_group(2), 4: dihedral_group(2), 8: dihedral_group(4), 16: dihedral_group(8)}
)
AXES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "width": (64, 128, 256, 512, 1024),
        "batch": (64, 256, 1024, 4096),
        "observation": (8, 16, 64, 376),
        "group": (2, 4, 8, 16),
        "critics": (2, 5, 10),
        "seeds": (1, 2, 4, 8),
    }
)
# These programs run in processes of their own, to measure their own memory and imports.
_TRAIN = """
import rpp_rl, torch
from stable_baselines3 import SAC
from rpp_rl.agents import RPPSAC
torch.set_num_threads({threads})
agent = {agent}("{policy}", rpp_rl.make("HalfCheetah-v5"), learning_starts={steps} - 100, seed=0, device="cpu")
agent.learn({steps})
# getrusage would include the process that started this one.
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak) / 1024)
"""
_IMPORT = "import time, torch; start = time.perf_counter(); import rpp_rl; print(time.perf_counter() - start)"


@dataclass(frozen=True)
class Size:
    """The sizes of a gradient step."""

    width: int = 256
    batch: int = 256
    observation: int = 16
    group: int = 2
    critics: int = 2
    seeds: int = 1


@dataclass(frozen=True)
class Point:
    """The measurement at one size.

    Attributes:
        axis: the size that varies; all others are as in `Size`.
        value: its value.
        mlp: milliseconds of a step with plain networks.
        rpp: milliseconds of a step with both pathways.
        ratio: of the two, round by round.
    """

    axis: str
    value: int
    mlp: Spread
    rpp: Spread
    ratio: Spread

    def to_dict(self) -> dict[str, Any]:
        """The point as plain data."""
        spreads = {name: getattr(self, name).to_dict() for name in ("mlp", "rpp", "ratio")}
        return {"axis": self.axis, "value": self.value, **spreads}


def growth(seconds: float, axes: Mapping[str, tuple[int, ...]] = AXES) -> list[Point]:
    """Time the gradient step along every axis, plain and RPP in alternating rounds.

    Args:
        seconds: the whole time; at least three rounds are made for each point.
        axes: the values of each size.
    """
    sizes = [(axis, value) for axis, values in axes.items() for value in values]
    return [_point(axis, value, seconds / len(sizes)) for axis, value in sizes]


def _point(axis: str, value: int, seconds: float) -> Point:
    size = replace(Size(), **{axis: value})
    plain, rpp = (_step(cls, size) for cls in (PlainPolicy, RPPPolicy))
    found: list[tuple[float, float]] = []
    deadline = time.perf_counter() + seconds
    # The first round warms up.
    while len(found) < 4 or time.perf_counter() < deadline:
        found.append((_milliseconds(plain), _milliseconds(rpp)))
    plain_ms, rpp_ms = zip(*found[1:], strict=True)
    return Point(axis, value, Spread(plain_ms), Spread(rpp_ms), ratio(rpp_ms, plain_ms))


def _milliseconds(step: Step, repeats: int = 5) -> float:
    return 1e3 * timed(lambda: [step() for _ in range(repeats)]) / repeats  # type: ignore[func-returns-value]


def _step(cls: type[RPPPolicy], size: Size) -> Step:
    # As many regular representations as fit; trivial ones fill the rest.
    group = GROUPS[size.group]
    regular = regular_representation(group)
    copies, rest = divmod(size.observation, size.group)
    observation = copies * regular if copies else rest * trivial_representation(group)
    if copies and rest:
        observation = observation + rest * trivial_representation(group)
    symmetry = Symmetry("growth", observation, regular if size.group > 4 else (4 // size.group) * regular)
    policies = [
        cls(
            spaces.Box(-np.inf, np.inf, (symmetry.observation.size,), np.float32),
            spaces.Box(-1.0, 1.0, (symmetry.action.size,), np.float32),
            lambda _: 3e-4,
            symmetry=symmetry,
            net_arch=[size.width, size.width],
            n_critics=size.critics,
        )
        for _ in range(size.seeds)
    ]
    return Step(policies, size.batch)


class Step:
    """A gradient step on one random minibatch."""

    def __init__(self, policies: list[RPPPolicy], batch: int) -> None:
        logs = [torch.zeros(1, requires_grad=True) for _ in policies]
        temperature = Temperature(logs, [torch.optim.Adam([log], lr=3e-4) for log in logs], -1.0)
        self.update = FastUpdate(policies, temperature, batch)
        self.update.batch.rows.normal_()
        self.update.batch.dones.zero_()

    def __call__(self) -> None:
        """Take the step."""
        self.update.step(0.99, 0.005)


def draw_growth(points: list[Point], path: Path) -> None:
    """Draw one panel for each axis, with logarithmic scales.

    Raises:
        RunError: if the figure cannot be written.
    """
    axes_of = list(dict.fromkeys(point.axis for point in points))
    figure = new_figure(11, 6.5)
    panels = np.atleast_1d(np.array(figure.subplots(2, -(-len(axes_of) // 2), sharey=True))).flatten()
    for axis, panel in zip(axes_of, panels, strict=False):
        here = [point for point in points if point.axis == axis]
        for name, label in (("mlp", "plain"), ("rpp", "RPP")):
            spreads = [getattr(point, name).to_dict() for point in here]
            medians = [spread["median"] for spread in spreads]
            ends = [[s["median"] - s["min"] for s in spreads], [s["max"] - s["median"] for s in spreads]]
            panel.errorbar([p.value for p in here], medians, yerr=ends, label=label, marker="o", capsize=2)
        panel.set(xscale="log", yscale="log", xlabel=axis)
        panel.set_xticks([p.value for p in here], [str(p.value) for p in here])
        panel.minorticks_off()
    panels[0].set_ylabel("ms per gradient step")
    panels[0].legend()
    save_figure(figure, path)


def growth_table(points: list[Point]) -> Table:
    """A table of what `growth` found."""
    from rich.table import Table

    table = Table("", "", "plain, ms", "RPP, ms", "RPP / plain", title="a gradient step: median (min to max)")
    previous = ""
    for point in points:
        axis = point.axis if point.axis != previous else ""
        table.add_row(axis, str(point.value), str(point.mlp), str(point.rpp), str(point.ratio))
        previous = point.axis
    return table


def fixed_costs(threads: int, steps: int = 20_000) -> dict[str, Any]:
    """Measure bytes per transition, peak memory of short runs, and seconds to import and to build Humanoid's networks.

    Args:
        threads: threads of torch.
        steps: environment steps of the short runs; the last hundred take gradient steps too.
    """
    return {
        "bytes_per_transition": _bytes_per_transition(),
        "peak_memory_mib": _peak_memory(threads, steps),
        "peak_memory_steps": steps,
        "import_seconds_beyond_torch": statistics.median(_printed(_IMPORT) for _ in range(5)),
        "humanoid_networks_seconds": _humanoid_seconds(),
    }


def fixed_costs_text(costs: Mapping[str, Any]) -> str:
    """What `fixed_costs` measured, one line each."""
    stored, peak = costs["bytes_per_transition"], costs["peak_memory_mib"]
    lines = [f"bytes per transition of HalfCheetah-v5   {stored['ours']:.0f}, stable-baselines3 {stored['sb3']:.0f}"]
    if peak:
        ours, theirs = f"{peak['rpp_sac']:.0f} MiB", f"{peak['sb3_sac']:.0f} MiB"
        lines.append(
            f"peak memory of {costs['peak_memory_steps']} steps             {ours}, stable-baselines3 {theirs}"
        )
    lines.append(f"import rpp_rl, beyond torch              {costs['import_seconds_beyond_torch']:.2f} s")
    lines.append(f"Humanoid-v5's networks                   {costs['humanoid_networks_seconds']:.2f} s")
    return "\n".join(lines)


def _peak_memory(threads: int, steps: int) -> dict[str, float]:
    """Peak memory of whole processes; empty where the system does not report it."""
    if not Path("/proc/self/status").exists():
        return {}
    return {
        name: _printed(_TRAIN.format(agent=agent, policy=policy, steps=steps, threads=threads))
        for name, agent, policy in (("sb3_sac", "SAC", "MlpPolicy"), ("rpp_sac", "RPPSAC", "RPPPolicy"))
    }


def _printed(program: str) -> float:
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    return float(done.stdout)


def _bytes_per_transition() -> dict[str, float]:
    observations, actions = spaces.Box(-np.inf, np.inf, (17,), np.float64), spaces.Box(-1.0, 1.0, (6,), np.float32)
    theirs = ReplayBuffer(100, observations, actions, "cpu")
    names = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
    ours = TransitionBuffer(100, observations, actions, "cpu")
    return {"sb3": sum(getattr(theirs, name).nbytes for name in names) / 100, "ours": float(ours.bytes_per_transition)}


def _humanoid_seconds() -> float:
    # The first optimizer of a process imports much of torch, which takes a second; do not count it.
    torch.optim.Adam([torch.zeros(1)])
    env: Any = rpp_rl.make("Humanoid-v5")
    seconds = timed(lambda: RPPPolicy(env.observation_space, env.action_space, lambda _: 3e-4, symmetry=env.symmetry))
    env.close()
    return seconds
