"""The versions, source and machine of a run, which are needed to repeat it."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import rpp_rl

PACKAGES = ("rpp-rl", "torch", "numpy", "gymnasium", "mujoco", "stable-baselines3", "tensorboard")
# Seconds: git answers within milliseconds, unless a network drive hangs.
_PATIENCE = 10.0


def provenance() -> dict[str, Any]:
    """Versions, git commits and machine, for the record of a run."""
    return {
        "versions": {name: version(name) for name in PACKAGES},
        "git": {"here": git_commit(Path.cwd()), "rpp_rl": git_commit(Path(rpp_rl.__file__).parent)},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "gpu": gpu_names(),
    }


def git_commit(folder: Path) -> str | None:
    """The commit of a folder, with ``-dirty`` where files differ from it; None outside of a repository."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def cpu_name() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} threads" if names else platform.machine()


def gpu_names() -> list[str]:
    """Names of the CUDA devices."""
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
