"""Which off-screen renderer works here: each is tried in a process of its own, as a failed import cannot be undone."""

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
# One picture of a ball, by the class that gymnasium renders with. It ends without the clean-up of a driver.
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
    """Let MuJoCo render off-screen: by what MUJOCO_GL says, else by the first of GLFW, EGL and OSMesa that works.

    GLFW is tried only where there is a display. The variable is set, for MuJoCo reads it when it is imported.

    Returns:
        The renderer's name.

    Raises:
        RunError: if none works, or the one that MUJOCO_GL names does not.
    """
    named = os.environ.get(VARIABLE, "").strip().lower()
    if named and named not in _KNOWN:
        raise RunError(
            f"no off-screen renderer works here: {VARIABLE}={named} is none that gymnasium knows; set it to "
            f"{', '.join(_KNOWN[:-1])} or {_KNOWN[-1]}, or unset it to have one chosen"
        )
    failures: dict[str, str] = {}
    for name in [named] if named else candidates(os.environ, sys.platform):
        failure = failure_of(name)
        if failure is None:
            os.environ[VARIABLE] = name
            return name
        failures[name] = failure
    said = "; ".join(f"{name}: {failure}" for name, failure in failures.items())
    remedy = f"{_REMEDY}, or unset {VARIABLE} to have one chosen" if named else _REMEDY
    raise RunError(f"no off-screen renderer works here ({said}); {remedy}")


def candidates(environment: Mapping[str, str], platform: str) -> Sequence[str]:
    """The renderers to try, by name, the first that may work first.

    Args:
        environment: the variables of the process.
        platform: as `sys.platform`.
    """
    if not platform.startswith("linux"):
        return ("glfw",)
    display = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return ("glfw", "egl", "osmesa") if display else ("egl", "osmesa")


def failure_of(name: str) -> str | None:
    """Render one picture in another process; None if it is one, else the last thing that was said of it."""
    # -P: a file in the current folder that is called like a library is not imported.
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
        return f"nothing is drawn within {_PATIENCE:.0f} seconds"
    if done.returncode == 0:
        return None
    # What a destructor complains of afterwards is not the cause.
    text = done.stderr.decode(errors="replace").split("Exception ignored")[0]
    lines = text.strip().splitlines() or [f"exit code {done.returncode}"]
    return " ".join(lines[-1].split())[:200]
