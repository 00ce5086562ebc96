"""Write docs/robots.md: the symmetry that model files have, found from the files alone.

python docs/generate/robots.py docs/robots.md [FOLDER ...]

The example robots and gymnasium's models are always among them. FOLDER holds other packages, unpacked.
"""

import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import gymnasium
import mujoco

from rpp_rl.envs import robots
from rpp_rl.envs.geometry.body_matching import find_matches
from rpp_rl.envs.geometry.isometry import world_map
from rpp_rl.envs.model_files import ModelEnv, load_model, model_symmetry
from rpp_rl.errors import RPPError
from rpp_rl.experiments.markdown import markdown_table

HEAD = """# Robots, from their model files

    pip download --no-deps dm-control -d packages && unzip -q packages/dm_control-*.whl -d packages
    python docs/generate/robots.py docs/robots.md packages

This writes the page; do not edit it by hand. It shows what `rpp-rl symmetries FILE` finds of the mirror y -> -y, or
else of x -> -x, in the example robots, in gymnasium's models and in those of dm-control (mujoco {mujoco}). The misfit
is the root mean square distance of bodies from the images of their partners, relative to the robot's size. The
verdict is that of a quick audit of the bare model: positions and velocities, with the controls as actions. "Unequal"
counts the quantities of the model that differ between the two sides, "compared" the pairs of bodies that the search
compared, and the seconds are those of this search.

"""
PLANES = ("y", "x")
TESTS = {"test_assets", "testing"}


def models(folders: list[Path]) -> Iterator[Path]:
    """The model files: of the example robots, of gymnasium, and in other folders."""
    own = Path(robots.__file__).parent
    assets = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
    for folder in (own, assets, *folders):
        yield from (path for path in sorted(folder.glob("**/*.xml")) if not TESTS & set(path.parts))


def row(path: Path) -> tuple[str, ...] | None:
    """What is found in a model; None for a file that is not a robot by itself."""
    try:
        model = load_model(str(path))
    except RPPError:
        return None
    if not model.nu or model.nbody < 3:
        return None
    name = f"{path.parent.name}/{path.stem}"
    refused = ""
    for plane in PLANES:
        started = time.perf_counter()
        matches = find_matches(model, world_map(plane))
        searched = f"{matches.compared}", f"{time.perf_counter() - started:.2f}"
        try:
            found = model_symmetry(ModelEnv(model, path.stem), plane)
        except RPPError as error:
            refused = refused or f"{plane}: {str(error).partition(': ')[2] or error}"
            continue
        audit = found.best.audit
        if audit is None:
            refused = refused or f"{plane}: every state is its own image"
            continue
        shown = f"{found.best.misfit:.2g}", str(audit.verdict), str(len(audit.generators[0].unequal))
        return (name, str(model.nbody - 1), plane, *shown, *searched)
    return (name, str(model.nbody - 1), "none", "", refused, "", *searched)


def main(page: Path, folders: list[Path]) -> None:
    """Write the page."""
    mujoco.set_mju_user_warning(lambda message: None)
    found = []
    for path in models(folders):
        cells = row(path)
        if cells is not None:
            found.append(cells)
            print(*cells, flush=True)
    header = ("model", "bodies", "mirror", "misfit", "verdict", "unequal", "compared", "seconds")
    page.write_text(HEAD.format(mujoco=version("mujoco")) + markdown_table(header, found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
