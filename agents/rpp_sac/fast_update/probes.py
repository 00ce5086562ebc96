"""Whether parameters are as they were left, also where torch does not count what is written to them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rpp_rl.agents.rpp_sac.fast_update.layers import Learnt

# Numbers of each parameter that are looked at, all where there are fewer.
_LOOKED_AT = 8


class Probes:
    """Some numbers of every parameter, as they were when they were last remembered.

    Writes through `.data`, and those of fused optimisers, leave a tensor's version as it is. Whoever writes to a whole
    parameter changes the numbers that are looked at; a write through `.data` to single others is not seen.

    Args:
        learnt: the vectors of the parameters.
    """

    def __init__(self, learnt: Sequence[Learnt]) -> None:
        places = [_places(pathway) for pathway in learnt]
        vectors, sizes = [pathway.vector for pathway in learnt], [len(each) for each in places]
        like = vectors[0] if vectors else torch.zeros(0)
        self._left, self._found = (like.new_zeros(sum(sizes)) for _ in range(2))
        self._to_left, self._to_found = (
            list(zip(vectors, places, torch.split(numbers, sizes), strict=True))
            for numbers in (self._left, self._found)
        )
        self.remember()

    def remember(self) -> None:
        """Take the parameters as they are now."""
        _read(self._to_left)

    def are_unchanged(self) -> bool:
        """Whether the parameters are what they were."""
        _read(self._to_found)
        return torch.equal(self._left, self._found)


def _read(wanted: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
    for vector, places, out in wanted:
        torch.index_select(vector, 0, places, out=out)


def _places(pathway: Learnt) -> Tensor:
    places: list[int] = []
    for slot in pathway.slots:
        size = slot.parameter.numel()
        count = min(_LOOKED_AT, size)
        places += [slot.start + size * i // count for i in range(count)]
    return torch.tensor(places, dtype=torch.int64, device=pathway.vector.device)
