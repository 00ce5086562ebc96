"""What a task keeps outside of positions and velocities: places are mirrored, the rest is named as not reachable."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.mujoco import MujocoEnv

from rpp_rl.envs import audit, derive_symmetry, reflection
from rpp_rl.envs.auditing.report import Verdict
from rpp_rl.envs.robots.trotter import Trotter, trotter_mirror
from rpp_rl.envs.simulator import Simulator
from rpp_rl.errors import SymmetryError

XML = """<mujoco><option timestep=".01"/><default><joint damping="2"/><geom contype="0" conaffinity="0"/></default>
<worldbody><body name="puck" pos="0 {y} .1"><joint name="x" type="slide" axis="1 0 0"/>
<joint name="y" type="slide" axis="0 1 0"/><geom type="sphere" size=".1" mass="1"/></body>{goal}</worldbody>
<actuator><motor name="fx" joint="x" gear="10" ctrlrange="-1 1"/><motor name="fy" joint="y" gear="10" ctrlrange="-1 1"/>
</actuator></mujoco>"""
GOALS = {
    "mocap": '<body name="flag" pos=".8 .3 .1" mocap="true"><geom type="sphere" size=".05"/></body>',
    "body": '<body name="flag" pos=".8 .3 .1"><geom type="sphere" size=".05"/></body>',
    "site": '<site name="flag" pos=".8 0 .1"/>',
    "geom": '<geom name="flag" type="sphere" size=".05" pos=".8 0 .1"/>',
    "site on a turned table": '<body pos="1 0 0" euler="0 0 90"><site name="flag" pos=".8 0 .1"/></body>',
}
NAMES = ["x", "y", "vx", "vy", "goal_x", "goal_y"]


class Push(MujocoEnv):
    """Push a puck to a goal that each reset places."""

    metadata = {"render_modes": ["human", "rgb_array", "depth_array", "rgbd_tuple"], "render_fps": 50}  # noqa: RUF012

    def __init__(self, path, goal="", y=0.0, size=6):
        self.kind = goal
        path.write_text(XML.format(goal=GOALS.get(goal, ""), y=y))
        super().__init__(str(path), 2, gym.spaces.Box(-np.inf, np.inf, (size,), np.float64))

    def goal(self):
        return getattr(self.data, {"mocap": "body"}.get(self.kind, self.kind.split()[0]))("flag").xpos[:2]

    def puck(self):
        return self.data.body("puck").xpos[:2]

    def _get_obs(self):
        return np.concatenate([self.puck(), self.data.qvel, self.goal()])

    def place_goal(self):
        place = np.array([*self.np_random.uniform(-1, 1, 2), 0.1])
        if self.kind == "mocap":
            self.data.mocap_pos[0] = place
        else:
            getattr(self.model, self.kind.split()[0])("flag").pos = place

    def reset_model(self):
        self.place_goal()
        self.set_state(self.init_qpos + self.np_random.uniform(-0.5, 0.5, 2), self.init_qvel)
        return self._get_obs()

    def step(self, action):
        self.do_simulation(action, self.frame_skip)
        return self._get_obs(), -float(np.linalg.norm(self.puck() - self.goal())), False, False, {}


class Relative(Push):
    """The goal is observed relative to the puck."""

    def _get_obs(self):
        return np.concatenate([self.data.qpos, self.data.qvel, self.goal() - self.puck()])


class Remembered(Push):
    """The goal is an attribute, and no part of the model."""

    place = np.zeros(2)

    def goal(self):
        return self.place

    def place_goal(self):
        self.place = self.np_random.uniform(-1, 1, 2)


class Reachable(Remembered):
    """The same, with the attribute as extra state."""

    def get_extra_state(self):
        return self.place

    def set_extra_state(self, x):
        self.place = x


def mirror(**changes):
    flip = ["y", "vy", "goal_y", "fy"]
    return reflection(**{"observation": NAMES, "action": ["fx", "fy"], "flip": flip, "name": "hand", **changes})


@pytest.fixture
def push(tmp_path):
    return lambda kind=Push, *args, **kwargs: kind(tmp_path / "push.xml", *args, **kwargs)


@pytest.mark.parametrize("kind", [Push, Relative], ids=["absolute", "relative"])
@pytest.mark.parametrize("goal", GOALS)
def test_a_goal_is_mirrored_wherever_it_is_kept(push, goal, kind):
    env = push(kind, goal)
    assert audit(env, mirror(), 30).verdict == Verdict.EXACT
    derived = derive_symmetry(env, "y")
    assert np.array_equal(derived.observation.matrix(1), mirror().observation.matrix(1))
    assert not np.any(derived.center)
    assert audit(env, derived, 30).verdict == Verdict.EXACT


@pytest.mark.parametrize("goal", GOALS)
def test_a_declaration_that_leaves_a_goal_in_place_is_mis_specified(push, goal):
    wrong = audit(push(Push, goal), mirror(flip=["y", "vy", "fy"]), 30)
    assert wrong.verdict == Verdict.MIS_SPECIFIED


@pytest.mark.parametrize("goal", ["mocap", "site"])
def test_the_plane_is_that_of_the_robot(push, goal):
    """The puck's rails cross at y = 0.5, so the goal is mirrored in the plane y = 0.5."""
    env = push(Push, goal, y=0.5)
    given = audit(env, mirror(center={"y": 0.5, "goal_y": 0.5}), 30)
    assert given.verdict == Verdict.EXACT


def test_what_no_state_determines_counts_neither_for_nor_against_a_map(push):
    env = push(Remembered)
    for flip in (["y", "vy", "goal_y", "fy"], ["y", "vy", "fy"]):
        done = audit(env, mirror(flip=flip), 30)
        (g,) = done.generators
        assert g.unreachable == ("goal_x", "goal_y")
        assert {"goal_x", "goal_y"} <= set(g.untested)
        assert (g.axes["observation"], g.axes["dynamics"]) == (Verdict.EXACT, Verdict.EXACT)
        assert any("not reachable" in line and "goal_y" in line for line in g.findings)
        assert done.to_dict()["generators"][0]["unreachable"] == ["goal_x", "goal_y"]


class Pointed(Remembered):
    """The goal that is an attribute is observed relative to the puck."""

    def _get_obs(self):
        return np.concatenate([self.puck(), self.data.qvel, self.goal() - self.puck()])


@pytest.mark.parametrize("kind", [Remembered, Reachable, Pointed])
def test_nothing_is_derived_of_what_the_simulator_does_not_hold(push, kind):
    with pytest.raises(SymmetryError, match="cannot be derived, since it is kept outside of the simulator"):
        derive_symmetry(push(kind), "y")


def test_an_extra_state_is_mirrored(push):
    env = push(Reachable)
    assert audit(env, mirror(), 30).verdict == Verdict.EXACT
    # Its mirror image is what the declaration says; the reward shows that it is wrong.
    (wrong,) = audit(env, mirror(flip=["y", "vy", "fy"]), 30).generators
    assert wrong.axes["task"] == Verdict.APPROXIMATE
    assert not wrong.unreachable


def test_an_extra_state_needs_both_methods_and_a_vector(push):
    class Half(Remembered):
        def get_extra_state(self):
            return self.place

    class Table(Reachable):
        def get_extra_state(self):
            return self.place[None]

    with pytest.raises(SymmetryError, match="both methods get_extra_state"):
        Simulator(push(Half))
    with pytest.raises(SymmetryError, match="must return a vector of numbers"):
        Simulator(push(Table))


def test_model_fields_that_cannot_be_mirrored_are_named(push):
    class Slippery(Push):
        def place_goal(self):
            super().place_goal()
            self.model.dof_damping[:] = self.np_random.uniform(1, 3)

    done = audit(push(Slippery, "site"), mirror(), 40)
    assert done.unmirrored == ("dof_damping",)
    assert any("dof_damping" in warning for warning in done.warnings)


def test_the_trotter_is_exact_with_its_command_last_action_and_phase():
    (g,) = audit("rpp_rl.envs.robots:Trotter-v0", states=40).generators
    assert g.verdict == Verdict.EXACT
    assert not g.unreachable
    assert not g.untested


@pytest.mark.slow
@pytest.mark.parametrize("entries", [["command_wz"], ["sin_phase", "cos_phase"]])
def test_a_wrong_sign_of_the_trotters_command_or_phase_is_noticed(entries):
    right = trotter_mirror()
    matrix = right.observation.matrix(1).copy()
    for entry in entries:
        index = right.observation_names.index(entry)
        matrix[index] *= -1
    wrong = type(right).from_generators(
        "wrong",
        right.group,
        [matrix],
        right.action.images,
        observation_names=right.observation_names,
        action_names=right.action_names,
    )
    (g,) = audit(Trotter(), replace(wrong, source="wrong on purpose"), 40).generators
    assert g.axes["task"] > Verdict.NEAR_EXACT
