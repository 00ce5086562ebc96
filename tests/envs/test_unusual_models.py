"""Derivation on models whose actions, ranges or spaces are unusual: the right map, or one sentence with names."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.mujoco import MujocoEnv

from rpp_rl.envs import audit, derive_symmetry
from rpp_rl.errors import SymmetryError

HULL = """<mujoco><option timestep=".004" {option}/><default><geom contype="0" conaffinity="0"/></default><worldbody>
<body name="hull"><freejoint/><geom type="capsule" fromto="-{l} 0 0 {l} 0 0" size="{r}" density="{rho}"/>
<body name="left" pos="0 {r} 0"><joint name="left" axis="1 0 0" damping="{d}"/>
<geom type="box" size="{r} {r} {t}" pos="0 {r} 0" density="{rho}"/></body>
<body name="right" pos="0 -{r} 0"><joint name="right" axis="1 0 0" damping="{d}"/>
<geom type="box" size="{r} {r} {t}" pos="0 -{r} 0" density="{rho}"/></body>
</body></worldbody><actuator>{actuators}</actuator></mujoco>"""
BOAT = {"option": "", "l": 0.5, "r": 0.1, "t": 0.02, "d": 0.1, "rho": 1000}
# So light that the simulation diverges from states that suit a robot of a meter.
MINNOW = {"option": 'density="5000" gravity="0 0 0"', "l": 0.05, "r": 0.012, "t": 0.0008, "d": 1e-4, "rho": 12}


def motors(left='ctrlrange="-1 1"', right='ctrlrange="-1 1"', kind="motor"):
    return f'<{kind} name="ml" joint="left" {left}/><{kind} name="mr" joint="right" {right}/>'


class Robot(MujocoEnv):
    """A robot without a reward."""

    metadata = {"render_modes": ["human", "rgb_array", "depth_array", "rgbd_tuple"], "render_fps": 250}  # noqa: RUF012

    def __init__(self, path, text, size, ignored=(), space=None):
        self.ignored = list(ignored)
        path.write_text(text)
        box = gym.spaces.Box(-np.inf, np.inf, (size,), np.float64)
        super().__init__(str(path), 1, space or box)

    def _get_obs(self):
        seen = np.concatenate([self.data.qpos, self.data.qvel])
        return {"all": seen} if isinstance(self.observation_space, gym.spaces.Dict) else seen

    def reset_model(self):
        self.set_state(self.init_qpos, self.init_qvel)
        return self._get_obs()

    def step(self, action):
        given = np.array(action)
        given[self.ignored] = 0.0
        self.do_simulation(given, self.frame_skip)
        return self._get_obs(), 0.0, False, False, {}


@pytest.fixture
def boat(tmp_path):
    """Makes a hull with two fins."""

    def make(actuators, shape=BOAT, **options):
        return Robot(tmp_path / "boat.xml", HULL.format(**shape, actuators=actuators), 17, **options)

    return make


@pytest.mark.parametrize("empty", ["", 'ctrlrange="0 0"', 'ctrlrange="0.5 0.5"'])
@pytest.mark.parametrize("which", ["left", "right"])
def test_an_action_with_an_empty_range_is_named(boat, which, empty):
    name = {"left": "ml", "right": "mr"}[which]
    with pytest.raises(SymmetryError, match=f"action '{name}' of Robot has the range .*; give it a finite range"):
        derive_symmetry(boat(motors(**{which: empty})), "y")


@pytest.mark.parametrize(("ignored", "name"), [((0,), "ml"), ((1,), "mr"), ((0, 1), "ml")])
def test_an_action_that_nothing_answers_to_is_named(boat, ignored, name):
    with pytest.raises(SymmetryError, match=f"no control of Robot answers to action '{name}'"):
        derive_symmetry(boat(motors(), ignored=ignored), "y")


@pytest.mark.parametrize(("left", "right"), [(2.2951, 2.2436), (1.5, 2.5), (1.0, 1.001)])
def test_servos_of_unequal_ranges_are_named_with_their_ranges(boat, left, right):
    servos = motors(f'kp="1" ctrlrange="-1 {left}"', f'kp="1" ctrlrange="-{right} 1"', "position")
    with pytest.raises(SymmetryError, match="not its own image") as caught:
        derive_symmetry(boat(servos), "y")
    for part in ("'ml'", "'mr'", f"{left:g}", f"{right:g}"):
        assert part in str(caught.value)


def test_mirrored_ranges_are_allowed(boat):
    servos = motors('kp="1" ctrlrange="-1 2.5"', 'kp="1" ctrlrange="-2.5 1"', "position")
    assert derive_symmetry(boat(servos), "y").action.images[0].sign == (-1, -1)


@pytest.mark.filterwarnings("error")
def test_a_light_robot_is_measured_at_its_own_scale(boat):
    weak = 'ctrlrange="-1 1" gear="1e-5"'
    symmetry = derive_symmetry(boat(motors(weak, weak), MINNOW), "y")
    assert np.array_equal(symmetry.action.matrix(1), [[0, -1], [-1, 0]])


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Dict(all=gym.spaces.Box(-np.inf, np.inf, (17,), np.float64)),
        gym.spaces.Box(-np.inf, np.inf, (17, 1), np.float64),
    ],
    ids=["dictionary", "two axes"],
)
def test_observations_without_one_axis_are_refused(boat, space):
    with pytest.raises(SymmetryError, match=r"observations of Robot must be a Box of one axis.*FlattenObservation"):
        derive_symmetry(boat(motors(), space=space), "y")


GRIPPER = """<mujoco><option timestep=".004"/><default><geom contype="0" conaffinity="0"/></default><worldbody>
<body name="palm" pos="0 0 1"><joint name="lift" type="slide" axis="0 0 1" damping="1"/>
<geom type="box" size=".05 .05 .02"/>
<body name="one" pos="0 .04 .05"><joint name="one" type="slide" axis="0 1 0" {range}/>
<geom type="box" size=".01 .01 .03" mass=".1"/></body>
<body name="two" pos="0 -.04 .05"><joint name="two" type="slide" axis="0 {axis} 0" {range}/>
<geom type="box" size=".01 .01 .03" mass=".1"/></body></body></worldbody>
<equality><joint joint1="two" joint2="one" polycoef="0 {slope} 0 0 0"/></equality>
<actuator><motor name="lift" joint="lift" ctrlrange="-1 1"/><motor name="grip" joint="one" ctrlrange="-1 1"/></actuator>
</mujoco>"""


@pytest.mark.parametrize("limits", ['range="-.02 .02" limited="true"', ""], ids=["limited", "unlimited"])
@pytest.mark.parametrize("axis", [-1, 1])
def test_coupled_fingers_with_one_motor_keep_the_sign_of_the_grip(tmp_path, axis, limits):
    """Under the mirror the fingers change places, and the one motor closes both as before."""
    text = GRIPPER.format(axis=axis, slope=-axis, range=limits)
    env = Robot(tmp_path / "gripper.xml", text, 6)
    symmetry = derive_symmetry(env, "y")
    assert symmetry.action.images[0].sign == (1, 1)
    one, two = (symmetry.observation_names.index(name) for name in ("one", "two"))
    assert symmetry.observation.matrix(1)[one, two] == -axis
    assert audit(env, symmetry, 40).generators[0].observation_error < 1e-9
