"""The gated nonlinearity of EMLP, and its residual."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rpp_rl.representations import Representation, gated


class GatedNonlinearity(nn.Module):
    """x -> sigmoid(gate(x)) * x, and with a residual sigmoid(gate(x)) * x + w * swish(x).

    Inputs carry `gated(rep)`, outputs `rep`: each summand that is not a permutation representation is scaled by the
    sigmoid of its scalar gate, which is invariant; every other entry is its own gate, which makes it swish (Finzi,
    Welling and Wilson 2021, section 5). The residual swishes every entry on its own, so it breaks the symmetry
    (Finzi, Benton and Wilson 2021, section 4).

    Attributes:
        weight_basic: w, shape (rep.size,), or None.

    Args:
        rep: representation on outputs.
        rpp: whether there is a residual.
        residual_init_scale: every entry of w starts here.
    """

    gate: Tensor
    weight_basic: nn.Parameter | None

    def __init__(self, rep: Representation, rpp: bool = False, residual_init_scale: float = 1e-3) -> None:
        super().__init__()
        self.rep_in, self.rep_out = gated(rep), rep
        self.residual_init_scale = residual_init_scale
        self.register_buffer("gate", torch.from_numpy(_gate_positions(rep)), persistent=False)
        if rpp:
            self.weight_basic = nn.Parameter(torch.full((rep.size,), float(residual_init_scale)))
        else:
            self.register_parameter("weight_basic", None)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of shape (..., rep.size) for inputs of shape (..., gated(rep).size)."""
        values = x[..., : self.rep_out.size]
        y = torch.sigmoid(x.index_select(-1, self.gate)) * values
        return y if self.weight_basic is None else y + self.weight_basic * functional.silu(values)

    def pathways(self) -> dict[str, tuple[nn.Parameter | None, ...]]:
        """The layer's own parameters by pathway."""
        return {"basic": (self.weight_basic,)}

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"{self.rep_out.size} channels, {self.rep_in.size - self.rep_out.size} gates"


def _gate_positions(rep: Representation) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Where in `gated(rep)` the gate of each entry of `rep` is."""
    positions, following = np.arange(rep.size), rep.size
    for atom, place in zip(rep.atoms, rep.places, strict=True):
        if not atom.is_permutation:
            positions[place] = following
            following += 1
    return positions
