"""Find an off-screen renderer that works on this machine.

Each is tried in a process of its own, because a failed import cannot be undone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from rpp_rl.errors import RunError

VARIABLE = "MUJOCO_GL"
_KNOWN = ("egl", "osmesa", "glfw")
_PATIENCE = 120.0
_REMEDY = "install EGL or OSMesa (Debian's packages libegl1 and libosmesa6)"
# Render a ball with gymnasium's own class. os._exit skips the clean-up, in which some drivers crash.
_TRIAL = """
import os, sys
import mujoco
from gymnasium.envs.mujoco.mujoco_rendering import OffScreenViewer
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
seen = OffScreenViewer(model, data, 16, 16).render("rgb_array", -1).max()
print("" if seen else "its pictures are black", file=sys.stderr, flush=True)
os._exit(0 if seen else 1)
"""


def choose_renderer() -> str:
    """Choose MuJoCo's off-screen renderer: the one that MUJOCO_GL names, else the first of GLFW, EGL and OSMesa.

    GLFW is tried only where there is a display. The choice is stored in MUJOCO_GL, which gymnasium reads.

    Returns:
        The renderer's name.

    Raises:
        RunError: if none works, or the one that MUJOCO_GL names does not.
    """
    named = os.environ.get(VARIABLE, "").strip().lower()
    if named and named not in _KNOWN:
        raise RunError(
            f"no off-screen renderer works here: gymnasium does not know {VARIABLE}={named}; set it to "
            f"{', '.join(_KNOWN[:-1])} or {_KNOWN[-1]}, or unset it to have one chosen"
        )
    failures: dict[str, str] = {}
    for name in [named] if named else candidates(os.environ, sys.platform):
        failure = failure_of(name)
        if failure is None:
            os.environ[VARIABLE] = name
            return name
        failures[name] = failure
    details = "; ".join(f"{name}: {failure}" for name, failure in failures.items())
    remedy = f"{_REMEDY}, or unset {VARIABLE} to have one chosen" if named else _REMEDY
    raise RunError(f"no off-screen renderer works here ({details}); {remedy}")


def candidates(environment: Mapping[str, str], platform: str) -> Sequence[str]:
    """The names of the renderers to try, in this order.

    Args:
        environment: the environment variables.
        platform: as `sys.platform`.
    """
    if not platform.startswith("linux"):
        return ("glfw",)
    display = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return ("glfw", "egl", "osmesa") if display else ("egl", "osmesa")


def failure_of(name: str) -> str | None:
    """Render one picture in another process; returns None on success, else the last line of its errors."""
    # With -P, a file named like a library in the current folder is not imported.
    command = [sys.executable, "-P", "-c", _TRIAL]
    try:
        done = subprocess.run(  # noqa: S603 - our own text
            command,
            env={**os.environ, VARIABLE: name},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no picture within {_PATIENCE:.0f} seconds"
    if done.returncode == 0:
        return None
    # Errors of destructors follow the cause.
    text = done.stderr.decode(errors="replace").split("Exception ignored")[0]
    lines = text.strip().splitlines() or [f"exit code {done.returncode}"]
    return " ".join(lines[-1].split())[:200]
