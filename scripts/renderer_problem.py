"""Explain why MuJoCo does not import: it loads the renderer that MUJOCO_GL names, whether or not one is needed."""

from __future__ import annotations

import os
import traceback

from rpp_rl.errors import RunError

VARIABLE = "MUJOCO_GL"


def renderer_problem(error: BaseException) -> RunError | None:
    """Explain an exception that the import of mujoco raised because of MUJOCO_GL.

    A missing library shows as an ImportError, an AttributeError or a RuntimeError, depending on the renderer. The
    traceback tells it from other errors of these classes: it passes through the top level of the package mujoco.

    Args:
        error: the exception.

    Returns:
        An error of one sentence with the remedy; None if the exception has another cause.
    """
    name = os.environ.get(VARIABLE, "").strip()
    importing = any(
        frame.f_code.co_name == "<module>" and str(frame.f_globals.get("__name__")).partition(".")[0] == "mujoco"
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )
    if not name or not importing:
        return None
    detail = " ".join(str(error).split())[:200]
    return RunError(
        f"mujoco cannot be imported with {VARIABLE}={name} ({detail}); unset {VARIABLE}, or set it to egl or "
        "osmesa and install that (Debian's packages libegl1 and libosmesa6)"
    )
