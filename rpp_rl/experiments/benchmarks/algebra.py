"""Time the algebra: solving equivariant bases with empty caches, and one step of the layers of an EMLP.

``python -m rpp_rl.experiments.benchmarks.algebra`` prints a table. Where the package `emlp` is installed, its times for
the same bases stand beside ours (its progress bars need ``TQDM_DISABLE=1``).
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from rpp_rl import (
    EMLP,
    EquivariantLinear,
    Group,
    Representation,
    bases,
    cyclic_group,
    defining_representation,
    invariants,
    lorentz_group,
    orthogonal_group,
    special_linear_group,
    special_orthogonal_group,
    symmetric_group,
    tensor_representation,
    trivial_representation,
    uniform_rep,
)
from rpp_rl.emlp_layers import Bilinear
from rpp_rl.experiments.benchmarks.timing import Spread, timed
from rpp_rl.representations import gated

ROUNDS, WARM_UP = 15, 3
BATCH, CHANNELS = 256, 256


@dataclass(frozen=True)
class BasisCase:
    """One basis to time.

    Attributes:
        group: the group.
        theirs: `emlp`'s name of the group and its argument; None where it takes more than a minute, or was not tried.
        power_in: rank of the input tensor; 0 stands for a hidden layer of 384 channels on both sides.
        power_out: rank of the output tensor.
    """

    group: Group
    theirs: tuple[str, int] | None
    power_in: int = 0
    power_out: int = 0

    @property
    def label(self) -> str:
        """The name in the table."""
        spaces = f"V**{self.power_in} -> V**{self.power_out}" if self.power_in else "uniform_rep(384) -> the same"
        return f"{self.group.name}: {spaces}"

    @property
    def representations(self) -> tuple[Representation, Representation]:
        """The representations on inputs and outputs."""
        if not self.power_in:
            hidden = uniform_rep(384, self.group)
            return hidden, hidden
        return tensor_representation(self.group, self.power_in), tensor_representation(self.group, self.power_out)


CASES = (
    BasisCase(orthogonal_group(3), ("O", 3), 2, 2),
    BasisCase(orthogonal_group(3), None, 4, 4),
    BasisCase(orthogonal_group(3), ("O", 3)),
    BasisCase(special_orthogonal_group(3), ("SO", 3)),
    BasisCase(special_linear_group(3), None),
    BasisCase(lorentz_group(), ("SO13p", 0), 3, 3),
    BasisCase(lorentz_group(), None),
    BasisCase(symmetric_group(5), ("S", 5), 2, 2),
    BasisCase(symmetric_group(5), None, 3, 3),
    BasisCase(symmetric_group(5), None),
)


def main() -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    print_bases()
    print_layers()


def print_bases() -> None:
    """Print the seconds that each basis takes with empty caches, and those of `emlp`."""
    has_emlp = importlib.util.find_spec("emlp") is not None
    print(f"{'basis, solved with empty caches':44} {'rank':>7} {'seconds':>9} {'emlp':>9}")
    for case in CASES:
        rep_in, rep_out = case.representations
        for cache in (bases.equivariant_basis, bases._atom_basis, invariants._solved):
            cache.cache_clear()
        seconds = timed(partial(bases.equivariant_basis, rep_in, rep_out))
        rank = bases.equivariant_basis(rep_in, rep_out).rank
        theirs = emlp_seconds(case) if has_emlp else math.nan
        print(f"{case.label:44} {rank:7d} {seconds:9.3f} {theirs:9.3f}", flush=True)


def emlp_seconds(case: BasisCase) -> float:
    """Seconds that `emlp` takes for the same basis; NaN where it fails."""
    if case.theirs is None:
        return math.nan
    groups: Any = importlib.import_module("emlp.groups")
    reps: Any = importlib.import_module("emlp.reps")
    layers: Any = importlib.import_module("emlp.nn")
    name, argument = case.theirs
    group = getattr(groups, name)(argument) if argument else getattr(groups, name)()
    if case.power_in:
        rep_in, rep_out = reps.V(group) ** case.power_in, reps.V(group) ** case.power_out
    else:
        rep_in = rep_out = layers.uniform_rep(384, group)
    try:
        return timed((rep_in >> rep_out).equivariant_basis)
    except Exception as error:
        print(f"emlp fails: {error!r}")
        return math.nan


def print_layers() -> None:
    """Print the milliseconds of a forward and backward pass at batch 256 and 256 channels."""
    print(f"\n{f'forward and backward, batch {BATCH}, one thread':44} {'milliseconds':>26} {'to dense':>9}")
    dense = passes(nn.Linear(CHANNELS, CHANNELS), CHANNELS)
    print(f"{'dense layer, 256 -> 256':44} {dense!s:>26} {1.0:9.2f}")
    for group in (
        special_orthogonal_group(3),
        orthogonal_group(3),
        symmetric_group(5),
        cyclic_group(2),
        lorentz_group(),
    ):
        hidden = uniform_rep(CHANNELS, group)
        inner = gated(hidden)
        rows: dict[str, nn.Module] = {
            f"{group.name}: bilinear, {inner.size} channels": Bilinear(inner, inner),
            f"{group.name}: equivariant linear": EquivariantLinear(inner, inner),
        }
        for label, layer in rows.items():
            print_row(label, passes(layer, inner.size), dense)
    group = orthogonal_group(3)
    V = defining_representation(group)
    rep_in = 5 * trivial_representation(group) + 5 * V
    for rpp in (False, True):
        network = EMLP(rep_in, V * V, CHANNELS, rpp=rpp)
        print_row(f"{group.name}: {'RPP-EMLP' if rpp else 'EMLP'}, 3 x 256", passes(network, rep_in.size), dense)
    plain = nn.Sequential(nn.Linear(20, 256), nn.SiLU(), *(nn.Linear(256, 256), nn.SiLU()) * 2, nn.Linear(256, 9))
    print_row("plain network, 3 x 256", passes(plain, 20), dense)


def print_row(label: str, spread: Spread, dense: Spread) -> None:
    """Print one line of the table of layers."""
    print(f"{label:44} {spread!s:>26} {spread.to_dict()['median'] / dense.to_dict()['median']:9.2f}", flush=True)


def passes(layer: Callable[[torch.Tensor], torch.Tensor], size: int) -> Spread:
    """Milliseconds of a forward and backward pass, over some rounds."""
    x = torch.randn(BATCH, size, requires_grad=True)
    seconds = [timed(lambda: torch.autograd.backward(layer(x).sum())) for _ in range(WARM_UP + ROUNDS)]
    return Spread(tuple(1e3 * s for s in seconds[WARM_UP:]))


if __name__ == "__main__":
    main()
