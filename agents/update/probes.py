"""Whether parameters are as they were left, also where torch does not count what is written to them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rpp_rl.agents.update.layers import Learnt

# Numbers of each parameter that are looked at.
_LOOKED_AT = 8


class Probes:
    """Some numbers of every parameter, as they were when they were last remembered.

    Writes through `.data`, and those of fused optimisers, leave a tensor's version as it is. Whoever writes to a whole
    parameter changes the numbers that are looked at; a write through `.data` to single others is not seen.

    Args:
        learnt: the vectors of the parameters.
    """

    def __init__(self, learnt: Sequence[Learnt]) -> None:
        self._vectors = [(pathway.vector, _places(pathway)) for pathway in learnt]
        self.remember()

    def remember(self) -> None:
        """Take the parameters as they are now."""
        self._left = self._now()

    def are_unchanged(self) -> bool:
        """Whether the parameters are what they were."""
        return torch.equal(self._left, self._now())

    @torch.no_grad()
    def _now(self) -> Tensor:
        return torch.cat([vector.index_select(0, places) for vector, places in self._vectors])


def _places(pathway: Learnt) -> Tensor:
    places: list[int] = []
    for slot in pathway.slots:
        size = slot.parameter.numel()
        places += [slot.start + size * i // _LOOKED_AT for i in range(min(_LOOKED_AT, size))]
    return torch.tensor(places, dtype=torch.int64, device=pathway.vector.device)
