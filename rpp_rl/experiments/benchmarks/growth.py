"""How the cost of a gradient step grows with everything that can be made larger."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from gymnasium import spaces

from rpp_rl import Symmetry, cyclic_group, dihedral_group, regular_representation, trivial_representation
from rpp_rl.agents import MlpPolicy, RPPPolicy
from rpp_rl.agents.rpp_sac.fast_update import FastUpdate, Temperature
from rpp_rl.experiments.benchmarks.spread import Spread, ratio, timed
from rpp_rl.experiments.plots import new_figure, save_figure
from rpp_rl.groups import Group

GROUPS: Mapping[int, Group] = MappingProxyType(
    {2: cyclic_group(2), 4: dihedral_group(2), 8: dihedral_group(4), 16: dihedral_group(8)}
)


@dataclass(frozen=True)
class Size:
    """How large everything is."""

    width: int = 256
    batch: int = 256
    observation: int = 16
    group: int = 2
    critics: int = 2
    seeds: int = 1


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


@dataclass(frozen=True)
class Point:
    """A measurement at one size.

    Attributes:
        axis: what is varied; everything else is as `Size` has it.
        value: how large it is.
        mlp: milliseconds of a step with plain networks.
        rpp: milliseconds of a step with both pathways.
        ratio: of the two, round by round.
    """

    axis: str
    value: int
    mlp: Spread
    rpp: Spread
    ratio: Spread


def growth(seconds: float, axes: Mapping[str, tuple[int, ...]] = AXES) -> list[Point]:
    """Measure along every axis, plain and RPP in alternating rounds, in about `seconds`; three rounds at least."""
    sizes = [(axis, value) for axis, values in axes.items() for value in values]
    return [_point(axis, value, seconds / len(sizes)) for axis, value in sizes]


def _point(axis: str, value: int, seconds: float) -> Point:
    size = replace(Size(), **{axis: value})
    plain, rpp = (_step(cls, size) for cls in (MlpPolicy, RPPPolicy))
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
    # A whole number of regular representations, but for the rest.
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
        """Take it."""
        self.update.step(0.99, 0.005)


def draw(points: list[Point], path: Path) -> None:
    """A picture: one panel for each axis, both scales logarithmic.

    Raises:
        RunError: if it cannot be written.
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
