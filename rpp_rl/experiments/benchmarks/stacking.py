"""Compare five networks trained one after the other with five stacked by `torch.func.vmap`.

python -m rpp_rl.experiments.benchmarks.stacking
"""

from __future__ import annotations

import copy
import json
import statistics
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from rpp_rl.experiments.benchmarks.timing import timed
from rpp_rl.experiments.reproduction.conditions import WIDTHS, NetworkName, condition
from rpp_rl.experiments.reproduction.training import build

COUNT, BATCH, ROUNDS = 5, 500, 9


def milliseconds(work: Callable[[], object]) -> float:
    """The median time over some rounds."""
    return 1e3 * statistics.median(timed(work) for _ in range(ROUNDS))


def compare(name: NetworkName) -> dict[str, float]:
    """Milliseconds for a forward and backward pass of all networks, of the inertia experiment's size."""
    reps = condition("inertia", "perfect").representations()
    networks = [build(name, *reps, WIDTHS["inertia"]) for _ in range(COUNT)]
    x, y = torch.randn(COUNT, BATCH, reps[0].size), torch.randn(COUNT, BATCH, reps[1].size)
    parameters, buffers = stack_module_state(networks)
    form = copy.deepcopy(networks[0]).to("meta")

    def one_after_the_other() -> None:
        for network, inputs, outputs in zip(networks, x, y, strict=True):
            (network(inputs) - outputs).square().mean().backward()

    def call(p: dict[str, Tensor], b: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return functional_call(form, (p, b), (inputs,))  # type: ignore[no-any-return]

    def stacked() -> None:
        (vmap(call)(parameters, buffers, x) - y).square().mean().backward()  # type: ignore[no-untyped-call]

    return {"one_after_the_other": milliseconds(one_after_the_other), "stacked": milliseconds(stacked)}


def main() -> None:
    """Print the times as JSON."""
    torch.set_num_threads(1)
    names: tuple[NetworkName, ...] = ("mlp", "rpp")
    print(json.dumps({name: {k: round(v, 1) for k, v in compare(name).items()} for name in names}))


if __name__ == "__main__":
    main()
