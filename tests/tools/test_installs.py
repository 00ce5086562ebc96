"""Type checkers find the library in both kinds of install, as a user's program sees it."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """\
import rpp_rl
from rpp_rl.agents import RPPTD3

env = rpp_rl.make("Reacher-v5")
agent = rpp_rl.agents.RPPSAC("MlpPolicy", env, seed=0)
reveal_type(env)
reveal_type(agent)
reveal_type(rpp_rl.envs.REGISTRY.names("Reacher-v5"))
reveal_type(rpp_rl.experiments.RunConfig(seed="three").seed)
reveal_type(RPPTD3("MlpPolicy", "Reacher-v5").symmetry)
"""


def checked(folder, python):
    """What mypy says about a user's program outside of the repository, with the packages of an interpreter."""
    (folder / "program.py").write_text(PROGRAM)
    words = [sys.executable, "-m", "mypy", "--python-executable", python, "--cache-dir", ROOT / ".mypy_cache" / "user"]
    return subprocess.run([*words, "program.py"], cwd=folder, capture_output=True, text=True, check=False).stdout


def need_types(said):
    for line, revealed in [
        (6, '"rpp_rl.envs.wrapper.SymmetryWrapper"'),
        (7, '"rpp_rl.agents.rpp_sac.rpp_sac.RPPSAC"'),
        (8, '"tuple[str, ...]"'),
        (9, '"int"'),
        (10, "Symmetry | None"),
    ]:
        assert any(f"program.py:{line}:" in row and revealed in row for row in said.splitlines()), said
    assert 'incompatible type "str"; expected "int"' in said
    assert "Found 1 error in 1 file" in said, said


@pytest.mark.slow
def test_types_are_found_in_an_editable_install(tmp_path):
    need_types(checked(tmp_path, sys.executable))


@pytest.mark.slow
def test_types_are_found_in_an_installed_wheel(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    packages = next((tmp_path / "venv").glob("lib/*/site-packages"))
    (wheel,) = tmp_path.glob("*.whl")
    words = ["install", "--no-deps", "--no-index", "--target", packages, wheel]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, capture_output=True)
    # The dependencies of this environment, without its editable install of the library.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    need_types(checked(tmp_path, python))
