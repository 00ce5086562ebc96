"""Functions behind the commands `symmetries` and `new-symmetry`, called from Python."""

import gymnasium as gym
import pytest

from rpp_rl.envs import declared_symmetries, draft_symmetry, read_symmetry, try_reflections, write_draft
from rpp_rl.envs.listing import moves
from rpp_rl.errors import SymmetryError, UnknownNameError


def test_declared_symmetries_come_with_the_default_first():
    assert [s.name for s in declared_symmetries("Ant-v5")["Ant-v5"]] == ["sagittal", "dihedral", "rpp2021"]
    assert len(declared_symmetries()) >= 11
    with pytest.raises(UnknownNameError, match="did you mean 'Ant-v5'"):
        declared_symmetries("Amt-v5")


def test_moves_name_the_image_of_each_entry():
    (reacher, *_) = declared_symmetries("Reacher-v5")["Reacher-v5"]
    observation, action = moves(reacher)
    assert ("sin(joint0)", "-sin(joint0)") in observation
    assert action == [("joint0", "-joint0"), ("joint1", "-joint1")]


def test_each_reflection_is_derived_or_refused_with_a_reason():
    found, refused = try_reflections(gym.make("Reacher-v5"), ("y", "rot90", "z"))
    assert [one.symmetry.name for one in found] == ["derived_y", "derived_rot90"]
    assert all(one.misfit < 1e-6 and str(one.audit.verdict) == "exact" for one in found)
    (error,) = refused
    assert isinstance(error, SymmetryError)
    assert "no symmetry under 'z': gravity" in str(error)


def test_a_draft_is_a_symmetry_file(tmp_path):
    drafted = draft_symmetry(gym.make("InvertedPendulum-v5"), "x")
    assert drafted.unknown == ()
    write_draft(drafted, tmp_path / "mirror.yaml")
    read = read_symmetry(tmp_path / "mirror.yaml")
    (declared,) = declared_symmetries("InvertedPendulum-v5")["InvertedPendulum-v5"]
    assert read.observation == declared.observation
    assert read.action == declared.action
