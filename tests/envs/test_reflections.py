"""Reflections declared by the names of joints."""

import gymnasium as gym
import numpy as np
import pytest

import rpp_rl
from rpp_rl.envs import REGISTRY, declared_symmetries, read_symmetry, reflection
from rpp_rl.errors import RPPError, SymmetryError
from rpp_rl.representations import as_matrix

WALKER = {
    "swap": [
        ("thigh_joint", "thigh_left_joint"),
        ("leg_joint", "leg_left_joint"),
        ("foot_joint", "foot_left_joint"),
    ]
}


def test_joints_stand_for_positions_velocities_actions_and_their_past():
    names = ["left", "right", "roll", "qvel.left", "qvel.right", "v_roll", "previous_left", "previous_right"]
    names += ["left[t-1]", "right[t-1]", "sin(roll)", "cos(roll)", "height"]
    symmetry = reflection(names, ["left", "right"], swap=[("left", "right")], flip=["roll"])
    moved = [names[p] for p in symmetry.observation.images[0].perm]
    assert moved[:2] == ["right", "left"]
    assert moved[3:5] == ["qvel.right", "qvel.left"]
    assert moved[6:10] == ["previous_right", "previous_left", "right[t-1]", "left[t-1]"]
    flipped = {n for n, s in zip(names, symmetry.observation.images[0].sign, strict=True) if s < 0}
    assert flipped == {"roll", "v_roll", "sin(roll)"}
    assert symmetry.action.images[0].perm == (1, 0)


def test_a_name_is_not_found_within_another():
    names = ["hip", "left_hip", "right_hip", "hip_yaw"]
    symmetry = reflection(names, 1, flip=["hip"])
    assert symmetry.observation.images[0].sign == (-1, 1, 1, 1)


def test_bodies_change_places_with_all_their_components():
    names = ["left_foot.x", "left_foot.y", "right_foot.x", "right_foot.y"]
    symmetry = reflection(names, 1, swap=[("left_foot", "right_foot")], flip=["left_foot.y", "right_foot.y"])
    np.testing.assert_array_equal(symmetry.transform_observation(1, np.array([1.0, 2, 3, 4])), [3, -4, 1, -2])


def test_given_names_of_actions_replace_those_of_joints():
    symmetry = reflection(["a", "b"], ["a", "b"], swap=[("a", "b")], action_flip=["a", "b"])
    assert symmetry.action.images[0].perm == (0, 1)
    assert symmetry.action.images[0].sign == (-1, -1)


def test_numbers_of_numpy_are_numbers():
    symmetry = reflection(np.int64(4), np.int32(2), swap=[(np.int64(0), 1)], flip=[np.int64(3)], action_swap=[(0, 1)])
    assert symmetry == reflection(4, 2, swap=[(0, 1)], flip=[3], action_swap=[(0, 1)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rpp_rl.register_symmetry("Walker2d-v5", reflection=5), "reflection must be a mirror axis or a turn"),
        (lambda: reflection(2, 1, flip=[0], name=3), "name must be text, got 3"),
        (lambda: reflection(2, 1, flip={0}), "flip must be a list of names or indices"),
        (lambda: reflection(2, 1, swap=np.array([[0, 1]])), "swap must be a list of pairs"),
    ],
)
def test_arguments_of_another_kind_are_refused(make, message):
    with pytest.raises(RPPError, match=message):
        make()


def test_a_symmetry_is_registered_with_the_joints_of_the_model():
    gym.register("Strolling-v0", "gymnasium.envs.mujoco.walker2d_v5:Walker2dEnv", max_episode_steps=100)
    symmetry = rpp_rl.register_symmetry("Strolling-v0", **WALKER)
    declared = REGISTRY.get("Walker2d-v5")
    assert symmetry.observation.images == declared.observation.images
    assert symmetry.action.images == declared.action.images
    assert rpp_rl.make("Strolling-v0").symmetry == symmetry


def test_a_symmetry_is_registered_with_a_reflection_of_the_model():
    gym.register("Creeping-v0", "rpp_rl.envs.robots:Crawler", max_episode_steps=100)
    recipe = rpp_rl.register_symmetry("Creeping-v0", reflection="y", name="sides", breaks="a heavy hand")
    symmetry = rpp_rl.make("Creeping-v0").symmetry
    assert (symmetry.name, symmetry.breaks, symmetry.group.order) == ("sides", "a heavy hand", 2)
    # The same cell of a notebook may run twice.
    assert rpp_rl.register_symmetry("Creeping-v0", reflection="y", name="sides", breaks="a heavy hand") == recipe


def test_a_robot_that_cannot_be_derived_fails_alone_and_when_it_is_used():
    gym.register("Still-v0", "gymnasium.envs.mujoco.half_cheetah_v5:HalfCheetahEnv", max_episode_steps=100)
    gym.register("Mobile-v0", "rpp_rl.envs.robots:Crawler", max_episode_steps=100)
    for env_id in ("Still-v0", "Mobile-v0"):
        rpp_rl.register_symmetry(env_id, reflection="y")
    assert rpp_rl.make("Mobile-v0").symmetry.name == "derived_y"
    with pytest.raises(SymmetryError, match="moves nothing in Still-v0"):
        rpp_rl.make("Still-v0")
    with pytest.raises(SymmetryError, match="moves nothing in Still-v0"):
        rpp_rl.register_symmetry("Still-v0", reflection="y", name="now", check=True)
    assert "now" not in REGISTRY.names("Still-v0")
    with pytest.warns(UserWarning, match="moves nothing in Still-v0"):
        listed = declared_symmetries()
    assert "Mobile-v0" in listed
    assert "Still-v0" not in listed
    # Other tests list all symmetries, in the same process.
    REGISTRY._by_env.pop("Still-v0")


def test_a_derived_map_that_is_only_approximate_is_warned_of_with_its_numbers():
    numbers = r"symmetry limps: approximate \(audit of 100 states; median error of a step 0\."
    with pytest.warns(UserWarning, match=numbers):
        rpp_rl.register_symmetry("rpp_rl.envs.robots:Crawler-v0", reflection="y", name="limps", check=True)


def test_a_file_without_names_takes_those_of_the_model(tmp_path):
    path = tmp_path / "legs.yaml"
    path.write_text(
        "swap: [[thigh_joint, thigh_left_joint], [leg_joint, leg_left_joint], [foot_joint, foot_left_joint]]"
    )
    symmetry = rpp_rl.make("Walker2d-v5", str(path)).symmetry
    declared = REGISTRY.get("Walker2d-v5")
    assert np.array_equal(as_matrix(symmetry.observation.images[0]), as_matrix(declared.observation.images[0]))
    with pytest.raises(RPPError, match="must be a mapping with observation and action"):
        read_symmetry(path)
    with pytest.raises(RPPError, match="give the names of observation and action"):
        rpp_rl.make("Pendulum-v1", str(path))


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: reflection(["a", "b", "v_a"], 1, swap=[("a", "b")]), "only one of the two has an entry 'v_NAME'"),
        *((lambda n=n: reflection(n, 1), "must have 1 to 1000000 entries") for n in (0, -1, 10**9, 10**20)),
        (lambda: reflection(["a", "b"], 1, flip=["c"]), "unknown observation entry 'c'"),
        (lambda: reflection(["a", "b"], ["m"], flip=["n"]), "unknown observation entry 'n'"),
        (lambda: reflection(["a", "b"], 1, center={"c": 1.0}), "unknown observation entry 'c'"),
        (lambda: rpp_rl.register_symmetry("Nowhere-v0", flip=["a"]), "not registered with gymnasium"),
        (lambda: rpp_rl.register_symmetry("Walker2d-v5", reflection="y", flip=["a"]), "leave out flip"),
        (lambda: rpp_rl.register_symmetry("Walker2d-v5", flip=["shin_joint"]), "did you mean"),
    ],
)
def test_bad_declarations_are_refused(declare, message):
    with pytest.raises(RPPError, match=message) as caught:
        declare()
    assert "\n" not in str(caught.value)
