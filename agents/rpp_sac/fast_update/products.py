"""Products of stacks of matrices, each computed in the way that is fastest where it runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

# Below this extent a batched product on a CPU falls back on loops that are slower than one call for each matrix.
_THIN = 16


def product(a: Tensor, b: Tensor, out: Tensor, bias: Tensor | None = None) -> list[Callable[[], object]]:
    """Calls that write a b + bias into `out`, for stacks of k matrices; bound once, they look at what is there then.

    Args:
        a: shape (k, m, l).
        b: shape (k, l, n).
        out: shape (k, m, n).
        bias: shape (k, n).
    """
    if a.shape[2] == 1 and bias is None:
        return [partial(torch.mul, a, b, out=out)]
    thin = min(*a.shape[1:], b.shape[2]) < _THIN
    if len(out) == 1 or (out.device.type == "cpu" and thin):
        if bias is None:
            return [partial(torch.mm, x, y, out=z) for x, y, z in zip(a, b, out, strict=True)]
        return [partial(torch.addmm, c, x, y, out=z) for c, x, y, z in zip(bias, a, b, out, strict=True)]
    if bias is None:
        return [partial(torch.bmm, a, b, out=out)]
    return [partial(torch.baddbmm, bias.unsqueeze(1), a, b, out=out)]
