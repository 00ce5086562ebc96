"""The precisions of the products within the networks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch

from rpp_rl.errors import NetworkError, UnknownNameError

# None stands for the precision of the parameters.
PRECISIONS: Mapping[str, torch.dtype | None] = MappingProxyType({"float32": None, "bf16": torch.bfloat16})


def need_precision(precision: str, fast_update: bool, device: torch.device) -> None:
    """Check that a precision is known, and that a machine has it.

    Raises:
        UnknownNameError: if there is none of that name.
        NetworkError: if it is not to be had.
    """
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS)
    if precision == "float32":
        return
    if not fast_update:
        raise NetworkError("precision is the fast update's; leave fast_update=True, or precision='float32'")
    if not has_bfloat16(device):
        raise NetworkError("this machine has no bfloat16 arithmetic, so precision='bf16' would only be slower here")


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 numbers faster than it could emulate them."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
