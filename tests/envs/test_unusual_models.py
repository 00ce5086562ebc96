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

    metadata = {"render_modes": ["human", "rgb_array", "depth_array", "rgbd_tuple"], "render_fps": 125}  # noqa: RUF012

    def __init__(self, path, text, size, ignored=(), space=None):
        self.ignored = list(ignored)
        path.write_text(text)
        box = gym.spaces.Box(-np.inf, np.inf, (size,), np.float64)
        super().__init__(str(path), 2, space or box)

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


IMU = """<mujoco><option timestep=".004"/><default><geom contype="0" conaffinity="0"/></default><worldbody>
<body name="hull" pos="0 0 1" {frame}><freejoint/><geom type="box" size="{box}" mass="3" {back}/>
<site name="imu" pos="0 {beside} .05" {back}/>
<body name="left" pos="{left}" {back}><joint name="left" axis="1 0 0" damping=".1"/>
<geom type="box" size=".05 .1 .01" pos="0 .1 0" mass="{heavy}"/></body>
<body name="right" pos="{right}" {back}><joint name="right" axis="1 0 0" damping=".1"/>
<geom type="box" size=".05 .1 .01" pos="0 -.1 0" mass=".3"/></body></body></worldbody>
<actuator><motor name="ml" joint="left" ctrlrange="-1 1"/><motor name="mr" joint="right" ctrlrange="-1 1"/></actuator>
<sensor><velocimeter site="imu"/><gyro site="imu"/><framezaxis objtype="site" objname="imu"/></sensor></mujoco>"""
STRAIGHT = {
    "frame": "",
    "back": "",
    "box": ".3 .1 .05",
    "left": "0 .1 0",
    "right": "0 -.1 0",
    "beside": 0,
    "heavy": 0.3,
}


class Sensing(Robot):
    """A robot that observes its orientation, its joints and an inertial sensor."""

    def _get_obs(self):
        return np.concatenate([self.data.qpos[3:], self.data.qvel[3:], self.data.sensordata])


@pytest.mark.parametrize("fault", [{}, {"beside": 0.02}, {"heavy": 0.303}, {"beside": -0.02, "heavy": 0.303}])
def test_sensors_of_a_nearly_symmetric_robot_are_recognized(tmp_path, fault):
    env = Sensing(tmp_path / "imu.xml", IMU.format(**{**STRAIGHT, **fault}), 20)
    symmetry = derive_symmetry(env, "y")
    signs = np.diag(symmetry.observation.matrix(1))[-9:]
    assert signs.tolist() == [1, -1, 1, -1, 1, -1, 1, -1, 1]
    (g,) = audit(env, symmetry, 30).generators
    assert (g.observation_relative < 1e-9) == ("beside" not in fault)
    assert g.observation_relative < 0.3


@pytest.mark.parametrize("degrees", [45, 30])
def test_a_root_frame_that_is_turned_against_the_plane_is_found_by_probing(tmp_path, degrees):
    a = np.deg2rad(degrees)
    turn = np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])
    left, right = (" ".join(f"{x:.12g}" for x in turn @ np.array([0, y, 0])) for y in (0.1, -0.1))
    frames = {"frame": f'euler="0 0 {degrees}"', "back": f'euler="0 0 {-degrees}"', "left": left, "right": right}
    env = Sensing(tmp_path / "turned.xml", IMU.format(**{**STRAIGHT, **frames}), 20)
    symmetry = derive_symmetry(env, "y")
    matrix = symmetry.observation.matrix(1)
    assert np.allclose(matrix @ matrix, np.eye(20))
    assert not np.allclose(np.abs(matrix), np.round(np.abs(matrix)), atol=0.05)
    (g,) = audit(env, symmetry, 30).generators
    assert g.observation_relative < 1e-5
    assert g.dynamics_p95 < 1e-4


def test_a_wrong_sign_of_a_sensor_is_still_mis_specified(tmp_path):
    env = Sensing(tmp_path / "imu.xml", IMU.format(**{**STRAIGHT, "beside": 0.02}), 20)
    right = derive_symmetry(env, "y")
    matrix = right.observation.matrix(1).copy()
    matrix[-8] *= -1
    wrong = type(right).from_generators("wrong", right.group, [matrix], right.action.images)
    assert str(audit(env, wrong, 30).verdict) == "mis-specified"


def test_adhesion_moves_with_its_body(boat):
    stick = "".join(
        f'<adhesion name="{side}_sticks" body="{side}" ctrlrange="0 1" gain="1"/>' for side in ("left", "right")
    )
    symmetry = derive_symmetry(boat(motors() + stick), "y")
    assert (symmetry.action.images[0].perm, symmetry.action.images[0].sign) == ((1, 0, 3, 2), (-1, -1, 1, 1))
    with pytest.raises(SymmetryError, match="actuator 'left_sticks' of Robot has no image"):
        derive_symmetry(boat(motors() + stick[: stick.index("/>") + 2]), "y")
