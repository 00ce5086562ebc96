import os
import subprocess
import sys

import gymnasium as gym
import pytest

import rpp_rl
from rpp_rl.envs import REGISTRY, audit, read_symmetry
from rpp_rl.errors import RPPError

WALKER = """
observation: [z, pitch, a, b, c, d, e, f, vx, vz, vpitch, va, vb, vc, vd, ve, vf]
action: 6
swap: [[a, d], [b, e], [c, f], [va, vd], [vb, ve], [vc, vf]]
action_swap: [[0, 3], [1, 4], [2, 5]]
"""


def test_a_file_declares_what_the_registry_has(tmp_path):
    path = tmp_path / "legs.yaml"
    path.write_text(WALKER)
    read, declared = read_symmetry(path), REGISTRY.get("Walker2d-v5")
    assert read.name == "legs"
    assert read.observation.images == declared.observation.images
    assert read.action.images == declared.action.images
    assert rpp_rl.make("Walker2d-v5", str(path)).symmetry == read
    assert str(audit("Walker2d-v5", str(path), 30).verdict) == "exact"


def test_an_environment_with_a_file_can_be_made_again_from_its_spec(tmp_path):
    path = tmp_path / "legs.yaml"
    path.write_text(WALKER)
    env = rpp_rl.make("Walker2d-v5", str(path))
    assert gym.make(env.spec).get_wrapper_attr("symmetry") == env.symmetry


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        ("", "must be a mapping with observation and action"),
        ("- 1", "must be a mapping"),
        ("observation: [a", "is not valid YAML"),
        ("observation: !!python/object/apply:os.system ['touch canary']\naction: 1", "is not valid YAML"),
        ("observation: 2\naction: 1\nflips: [0]", "did you mean 'flip'?"),
        ("observation: [left, right]\naction: 1\nflip: [rigt]", "did you mean 'right'?"),
        ("observation: [x, on]\naction: 1", "quote a name such as 'on'"),
        ("observation: [a, a]\naction: 1", "observation names 'a' twice"),
        ("observation: 2\naction: 1\nswap: [0, 1]", "must be a list of pairs"),
        ("observation: 2\naction: 1\nswap: [[0, 1], [1, 0]]", "cannot change places"),
        ("observation: 2\naction: 1\nflip: 1", "flip must be a list"),
        ("observation: 2\naction: 1\nflip: [2]", "does not exist"),
        ("observation: 2\naction: 1\nflip: [{}]", "must be a list of names or indices"),
        ("observation: true\naction: 1", "observation must be a list"),
        ("observation: 2\naction: 1\nname: 3", "name must be text"),
        ("observation: 2\naction: 1\nswap: [[0, 1]]\nflip: [0]", "is wrong at entry"),
    ],
)
def test_bad_files_are_refused(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "robot.yaml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RPPError, match=message.replace("?", r"\?")) as caught:
        read_symmetry(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "canary").exists()


def package(folder, body):
    """An installed package, as an importer sees it, with an entry point."""
    (folder / "other_robots.py").write_text(body)
    info = folder / "other_robots-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-robots\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rpp_rl.symmetries]\nother = other_robots:register\n")


def run(folder, code):
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_another_package_declares_symmetries(tmp_path):
    package(
        tmp_path,
        "import rpp_rl\ndef register():\n"
        "    rpp_rl.register_symmetry('Pendulum-v1', observation=3, action=1, flip=[1, 2], action_flip=[0])\n",
    )
    done = run(tmp_path, "import rpp_rl; print(rpp_rl.make('Pendulum-v1').symmetry.name)")
    assert done.stdout.split() == ["mirror"], done.stderr


def test_a_package_that_fails_is_reported_and_does_no_harm(tmp_path):
    package(tmp_path, "def register():\n    raise RuntimeError('out of order')\n")
    done = run(tmp_path, "import rpp_rl; print(rpp_rl.make('Ant-v5').symmetry.name)")
    assert done.stdout.split() == ["sagittal"]
    assert "other_robots:register could not be registered: RuntimeError('out of order')" in done.stderr
