"""Check the device that a user names: stable-baselines3 takes the CPU where a GPU is missing, without a word."""

from __future__ import annotations

import torch

from rpp_rl.errors import RunError


def check_device(device: torch.device | str) -> None:
    """Check that torch has a device.

    Raises:
        RunError: if it has not.
    """
    name = str(device)
    kind, colon, index = name.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (colon and (kind != "cuda" or not index.isdecimal())):
        raise RunError(f"unknown device {name!r}; use auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise RunError(f"device {name} asked for, but torch sees {torch.cuda.device_count()} CUDA devices; use auto")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise RunError("device mps asked for, but torch sees none; use auto")
