"""`rpp-rl symmetries` on model files."""

from pathlib import Path

import gymnasium as gym
import pytest

import rpp_rl
from rpp_rl.envs import read_symmetry, robots
from rpp_rl.envs.model_files import ModelEnv, load_model, model_symmetry
from rpp_rl.errors import SymmetryError

FILES = Path(robots.__file__).parent


def test_a_model_shows_pairs_of_all_parts_the_verdict_and_what_is_unequal(main):
    code, out, _ = main("symmetries", FILES / "crawler.xml", "--plane", "y")
    assert code == 0
    for words in ("left_hand", "right_hand", "v_left_elbow", "approximate (audit of", "unequal mass: left_hand 0.2"):
        assert words in out
    code, out, err = main("symmetries", FILES / "biped.xml")
    assert (code, out.count("misfit of the bodies")) == (0, 1)
    assert "gyro[0]" in out
    assert "no symmetry under 'x'" in err


def test_the_images_of_sensors_are_found():
    found = model_symmetry(ModelEnv(load_model(str(FILES / "biped.xml")), "biped"), "y")
    assert dict(found.sensors)["gyro[0]"] == "-gyro[0]"
    assert dict(found.sensors)["velocity[1]"] == "-velocity[1]"
    assert all(image != "?" for _, image in found.sensors)


def test_the_pairs_of_bodies_are_those_of_the_map_that_is_shown(tmp_path):
    """Each leg of a planar walker fits its own mirror image as well as the other leg's."""
    assets = Path(gym.__file__).parent / "envs" / "mujoco" / "assets"
    found = model_symmetry(ModelEnv(load_model(str(assets / "walker2d_v5.xml")), "walker"), "y")
    assert ("thigh", "thigh_left") in {(one, other) for one, other, _ in found.bodies}
    names = found.best.symmetry.action_names
    assert found.best.symmetry.action.images[0].perm[names.index("thigh_joint")] == names.index("thigh_left_joint")


def test_the_file_declares_the_symmetry_of_an_environment(main, tmp_path):
    path = tmp_path / "mirror.yaml"
    assert main("symmetries", FILES / "crawler.xml", "--plane", "y", "--out", path)[0] == 0
    # The crawler does not observe x and y.
    path.write_text(path.read_text().replace("flip: [y, ", "flip: ["))
    env = gym.make("rpp_rl.envs.robots:Crawler-v0")
    declared = read_symmetry(path, env)
    derived = rpp_rl.make("rpp_rl.envs.robots:Crawler-v0").symmetry
    assert declared.observation.images == derived.observation.images
    assert declared.action.images == derived.action.images
    # Nothing is overwritten.
    code, _, err = main("symmetries", FILES / "crawler.xml", "--plane", "y", "--out", path)
    assert code == 2
    assert "exists already" in err


def test_robots_of_the_menagerie_are_loaded_from_its_cache(main, tmp_path, monkeypatch):
    pytest.importorskip("mujoco_menagerie")
    (tmp_path / "unitree_g1").mkdir()
    (tmp_path / "unitree_g1" / "g1.xml").write_text((FILES / "biped.xml").read_text())
    monkeypatch.setenv("MENAGERIE_ROOT", str(tmp_path))
    code, out, _ = main("symmetries", "menagerie:unitree_g1", "--plane", "y")
    assert code == 0
    assert "exact (audit of" in out
    for name in ("unitree_g2", "unitree_h1"):
        code, _, err = main("symmetries", f"menagerie:{name}", "--plane", "y")
        assert code == 2
        assert f"menagerie:{name} cannot be loaded" in err


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("missing.xml", None, "does not exist"),
        ("broken.xml", "<mujoco><worldbody>", "cannot be compiled"),
        ("text.urdf", "hello", "cannot be compiled"),
    ],
)
def test_a_model_that_cannot_be_compiled_gets_one_sentence(tmp_path, name, content, sentence):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(SymmetryError, match=sentence) as caught:
        load_model(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_options_that_do_not_belong_together_are_refused(main, tmp_path):
    code, _, err = main("symmetries", FILES / "crawler.xml", "--out", tmp_path / "x.yaml")
    assert code == 2
    assert "--plane y" in err
    code, _, err = main("symmetries", FILES / "crawler.xml", "--json")
    assert code == 2
    assert "for environments only" in err
    code, _, err = main("symmetries", "Ant-v5", "--out", tmp_path / "x.yaml")
    assert code == 2
    assert "rpp-rl new-symmetry" in err
