"""Print what a model file shows of a symmetry, and write the file that declares it."""

from __future__ import annotations

import sys
from pathlib import Path

import mujoco
from rich.console import Console
from rich.table import Table

from rpp_rl.envs.model_files import ModelEnv, ModelSymmetry, load_model, model_symmetry
from rpp_rl.envs.symmetry_drafts import draft_of, write_draft
from rpp_rl.errors import RunError, SymmetryError
from rpp_rl.experiments.symmetry_reports import moves_table

_PLANES = ("x", "y", "rot90", "rot180")


def show_model(name: str, plane: str | None, out: Path | None) -> None:
    """Print the best map of a model: pairs of bodies, joints, actuators and sensors, verdict, and what is unequal.

    Args:
        name: the model, see `rpp_rl.envs.model_files.load_model`.
        plane: the reflection or turn; None tries several.
        out: the file to write; it needs a plane.

    Raises:
        RPPError: if the model cannot be loaded, has no such symmetry, or the file cannot be written.
    """
    if out is not None and plane is None:
        raise RunError("--out needs the mirror plane; add for example --plane y")
    if out is not None and (out.exists() or not out.parent.is_dir()):
        raise RunError(f"{out} exists already, or its folder does not; give another file with --out")
    mujoco.set_mju_user_warning(lambda message: None)
    env = ModelEnv(load_model(name), Path(name).stem)
    if plane is not None:
        found = model_symmetry(env, plane)
        _show(found)
        if out is not None:
            write_draft(draft_of(found.best.symmetry, env.robot), out)
            print(f"written to {out}: delete the entries that your environment does not observe")
    else:
        for each in _PLANES:
            try:
                _show(model_symmetry(env, each))
            except SymmetryError as error:
                print(error, file=sys.stderr)


def _show(found: ModelSymmetry) -> None:
    console, symmetry = Console(), found.best.symmetry
    table = Table("body", "image", "misfit", title=f"{symmetry.name}: bodies")
    for one, other, misfit in found.bodies:
        table.add_row(one, other, f"{misfit:.2g}")
    console.print(table)
    console.print(moves_table(symmetry))
    if found.sensors:
        sensors = Table("sensor", "image")
        for row in found.sensors:
            sensors.add_row(*row)
        console.print(sensors)
    print(*found.best.sentences, "", sep="\n")
