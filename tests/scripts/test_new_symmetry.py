import json
import shlex

import numpy as np
import pytest
import yaml

import rpp_rl
from rpp_rl.envs import REGISTRY
from rpp_rl.representations import as_matrix

BIPED = "rpp_rl.envs.robots:Biped-v0"


@pytest.mark.parametrize(
    ("env_id", "reflection"), [("Ant-v5", "y"), ("Pusher-v5", "y"), ("Reacher-v5", "y"), (BIPED, "y")]
)
def test_the_file_declares_the_derived_symmetry(main, tmp_path, env_id, reflection):
    code, out, _ = main("new-symmetry", env_id, "--reflection", reflection, "--out", "mirror.yaml")
    assert code == 0
    assert "audit" in out
    read, declared = rpp_rl.make(env_id, str(tmp_path / "mirror.yaml")).symmetry, REGISTRY.get(env_id)
    for one, other in ((read.observation, declared.observation), (read.action, declared.action)):
        assert np.array_equal(as_matrix(one.images[0]), as_matrix(other.images[0]))
    np.testing.assert_allclose(read.center or 0, declared.center or 0)


def test_unknown_entries_are_marked_and_refused_until_declared(main, tmp_path):
    assert main("new-symmetry", "Pendulum-v1")[0] == 0
    path = tmp_path / "Pendulum-v1.yaml"
    data = yaml.safe_load(path.read_text())
    assert data["unknown"] == ["obs[0]", "obs[1]", "obs[2]", "act[0]"]
    code, _, err = main("train", "--env", "Pendulum-v1", "--symmetry", path, "-n", "10")
    assert code == 2
    assert "still unknown how obs[0]" in err
    del data["unknown"]
    path.write_text(yaml.safe_dump({**data, "flip": ["obs[1]", "obs[2]"], "action_flip": ["act[0]"]}))
    assert rpp_rl.make("Pendulum-v1", str(path)).symmetry.action.images[0].sign == (-1,)


def recommended(out):
    """The words of each command that the output recommends."""
    return [shlex.split(line.split("rpp-rl ", 1)[1]) for line in out.splitlines() if "rpp-rl " in line]


@pytest.mark.parametrize(
    ("env_id", "words"),
    [
        ("Reacher-v5", ()),
        ("Swimmer-v5", ("--out", "my mirror.yaml")),
        ("Walker2d-v5", ("--env-kwargs", "exclude_current_positions_from_observation:false", "frame_skip:2")),
        (BIPED, ()),
    ],
)
def test_every_recommended_command_works(main, env_id, words):
    code, out, err = main("new-symmetry", env_id, *words)
    assert code == 0, err
    (command,) = recommended(out)
    assert command[0] == "audit"
    code, out, err = main(*command, "--states", 30, "--json")
    assert code == 0, err
    assert json.loads(out)["symmetries"][0]["verdict"] in ("exact", "near-exact")


def test_the_recommended_command_works_without_a_simulator_once_the_file_is_filled_in(main, tmp_path):
    code, out, _ = main("new-symmetry", "Pendulum-v1")
    assert code == 0
    (command,) = recommended(out)
    assert f"then check it with: rpp-rl {shlex.join(command)}" in out
    path = tmp_path / "Pendulum-v1.yaml"
    data = yaml.safe_load(path.read_text())
    for name in data.pop("unknown"):
        assert name in out
    path.write_text(yaml.safe_dump({**data, "flip": ["obs[1]", "obs[2]"], "action_flip": ["act[0]"]}))
    code, out, err = main(*command)
    assert code == 0, err
    assert "one mirrored step: holds" in out


def test_no_command_is_recommended_that_cannot_work(main, tmp_path):
    (tmp_path / "blind_robots.py").write_text(
        "import gymnasium as gym\n"
        "from gymnasium.envs.mujoco.walker2d_v5 import Walker2dEnv\n"
        "class Blind(Walker2dEnv):\n"
        "    def _get_obs(self):\n"
        "        return super()._get_obs() + self.np_random.standard_normal(17)\n"
        "gym.register('Blind-v0', Blind)\n"
    )
    code, out, err = main("new-symmetry", "blind_robots:Blind-v0")
    assert code == 0, err
    assert recommended(out) == []
    assert "it cannot be checked: Blind-v0 has no method that returns the observation of its current state" in out


def test_a_file_is_never_overwritten(main, tmp_path):
    (tmp_path / "Pendulum-v1.yaml").write_text("mine")
    code, _, err = main("new-symmetry", "Pendulum-v1")
    assert code == 2
    assert "is not overwritten" in err
    assert (tmp_path / "Pendulum-v1.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("new-symmetry", "Walker2d-v5", "--out", "nowhere/x.yaml"), "there is no folder nowhere"),
        (("new-symmetry", "Walkr2d-v5"), "did you mean"),
        (("new-symmetry", "Ant-v5", "--reflection", "rot90"), "a symmetry file can declare nothing else"),
        (("new-symmetry", "Ant-v5", "--reflection", "q"), "unknown reflection 'q'"),
        (("symmetries", "--derive"), "needs an environment"),
        (("symmetries", "Ant-v5", "--reflection", "y"), "belong to --derive"),
        (("symmetries", "Humanoid-v5", "--derive", "--reflection", "x"), "has no symmetry under 'x'"),
    ],
)
def test_bad_input_is_refused(main, tmp_path, arguments, message):
    code, _, err = main(*arguments)
    assert code == 2
    assert message in err
    assert not list(tmp_path.glob("*.yaml"))


def test_derive_prints_symmetries_and_reasons_against_others(main):
    code, out, err = main("symmetries", "rpp_rl.envs.robots:Quadruped-v0", "--derive")
    assert code == 0
    assert "front_left_roll" in out
    assert "no symmetry under 'rot90'" in err
    found = json.loads(main("symmetries", "Ant-v5", "--derive", "--reflection", "rot90,y", "--json")[1])
    assert [g["name"] for g in found[0]["generators"]] == ["turn", "mirror"]
