"""Derived maps against those written by hand, and on robots that are in no benchmark."""

from pathlib import Path

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from helpers.by_hand import BY_HAND

from rpp_rl.envs import audit, derive_symmetries, derive_symmetry, robots
from rpp_rl.envs.auditing.report import Verdict
from rpp_rl.errors import RPPError, SymmetryError
from rpp_rl.representations import as_matrix


def same_maps(one, other):
    pairs = zip(
        (*one.observation.images, *one.action.images), (*other.observation.images, *other.action.images), strict=True
    )
    centers = (s.center or (0.0,) * s.observation.size for s in (one, other))
    return all(np.array_equal(as_matrix(a), as_matrix(b)) for a, b in pairs) and np.allclose(*centers)


@pytest.mark.parametrize(("env_id", "reflection", "by_hand"), BY_HAND)
def test_derived_symmetries_equal_those_written_by_hand(env_id, reflection, by_hand):
    env = gym.make(env_id)
    derived, expected = derive_symmetry(env, reflection), by_hand()
    env.close()
    assert same_maps(derived, expected)
    assert derived.group == expected.group


def made(env_id, **kwargs):
    return gym.make(env_id, **kwargs)


EXACT_ROBOTS = [
    ("rpp_rl.envs.robots:Quadruped-v0", ("x", "y"), 4),
    ("rpp_rl.envs.robots:Quadruped-v0", "rot180", 2),
    ("rpp_rl.envs.robots:Biped-v0", "y", 2),
]


@pytest.mark.slow
@pytest.mark.parametrize(("env_id", "reflection", "order"), EXACT_ROBOTS)
def test_the_example_robots_are_exact(env_id, reflection, order):
    env = made(env_id)
    symmetry = derive_symmetry(env, reflection)
    assert symmetry.group.order == order
    found = audit(env, symmetry, 80)
    assert str(found.verdict) == "exact"
    for g in found.generators:
        assert g.observation_error < 1e-12
        assert g.dynamics_p95 < 1e-10
        assert g.contact_median is not None
        assert not g.unequal
        assert not g.untested


def test_misleading_names_of_the_biped_do_not_matter():
    symmetry = derive_symmetry(made("rpp_rl.envs.robots:Biped-v0"), "y")
    image, names = symmetry.observation.images[0], symmetry.observation_names
    moved = {name: ("-" if s < 0 else "") + names[p] for name, p, s in zip(names, image.perm, image.sign, strict=True)}
    assert moved["a1"] == "omega"
    # The frame of beta is turned, so its axes point the other way.
    assert moved["a2"] == "-psi"
    assert moved["a3"] == "chi"
    assert (moved["up[1]"], moved["velocity[1]"], moved["wx"], moved["wy"]) == ("-up[1]", "-velocity[1]", "-wx", "wy")
    assert moved["ctrl.m0"] == "ctrl.m4"


def test_the_deliberate_asymmetry_of_the_crawler_is_named():
    env = made("rpp_rl.envs.robots:Crawler-v0")
    (g,) = audit(env, derive_symmetry(env, "y"), 300).generators
    assert g.observation_error < 1e-12
    assert 0.01 < g.dynamics_median < 0.3
    named = {(u.kind, u.names) for u in g.unequal}
    assert ("damping", ("left_shoulder_lift", "right_shoulder_lift")) in named
    assert ("mass", ("left_hand", "right_hand")) in named
    assert {kind for kind, _ in named} == {"damping", "mass", "inertia"}
    assert g.causes["all of these"] > 0.9


def test_random_frames_of_bodies_change_nothing(tmp_path):
    """The same quadruped with every limb's frame turned at random."""
    rng = np.random.default_rng(0)
    path = tmp_path / "turned.xml"
    path.write_text(in_other_frames(Path(robots.__file__).with_name("quadruped.xml"), rng))

    class Turned(robots.Quadruped):
        model_file = str(path)

    env = Turned()
    (g,) = audit(env, derive_symmetry(env, "y"), 60).generators
    # Six digits are written to the file.
    assert g.dynamics_p95 < 1e-4


def in_other_frames(path, rng):
    """The model with each limb's frame turned about the axes by quarter turns, its contents turned back."""
    spec = mujoco.MjSpec.from_file(str(path))
    for body in spec.bodies[2:]:
        turn = np.zeros(4)
        mujoco.mju_euler2Quat(turn, rng.integers(0, 4, 3) * np.pi / 2, "xyz")
        back = np.zeros(4)
        mujoco.mju_negQuat(back, turn)
        quat = np.zeros(4)
        mujoco.mju_mulQuat(quat, body.quat, turn)
        body.quat = quat
        for part in (*body.joints, *body.geoms, *body.bodies):
            part.pos = rotated(part.pos, back)
        for joint in body.joints:
            joint.axis = rotated(joint.axis, back)
        for geom in body.geoms:
            # NaN marks a fromto that is not given.
            if np.isfinite(geom.fromto).all():
                geom.fromto = np.concatenate([rotated(geom.fromto[:3], back), rotated(geom.fromto[3:], back)])
        for child in body.bodies:
            quat = np.zeros(4)
            mujoco.mju_mulQuat(quat, back, child.quat)
            child.quat = quat
    spec.compile()
    return spec.to_xml()


def rotated(vector, quat):
    out = np.zeros(3)
    mujoco.mju_rotVecQuat(out, np.array(vector, dtype=float), quat)
    return out


def test_several_maps_are_returned_and_the_moving_one_comes_first():
    identity_last = derive_symmetries(made("Walker2d-v5"), "y")
    assert len(identity_last) == 2
    assert "chosen among 2 maps" in identity_last[0].source
    assert np.array_equal(as_matrix(identity_last[1].observation.images[0]), np.eye(17))


def test_the_audit_chooses_among_several_maps(tmp_path):
    """The two legs of each pair are in one place; c and d differ in damping, so only a and b are images."""
    legs = "".join(
        f'<body pos="{x} 0 0"><joint name="{name}" axis="0 1 0" damping="{damping}"/>'
        '<geom type="capsule" fromto="0 0 0 0 0 -0.3" size="0.03" contype="0"/></body>'
        for name, x, damping in (("a", 0.2, 0.1), ("b", 0.2, 0.1), ("c", -0.2, 0.1), ("d", -0.2, 2.0))
    )
    path = tmp_path / "legs.xml"
    path.write_text(
        f"""<mujoco><option timestep="0.005"/><default><motor ctrlrange="-1 1"/></default><worldbody>
        <body pos="0 0 1"><joint name="pitch" axis="0 1 0" damping="0.1"/>
        <geom type="box" size="0.3 0.1 0.05" contype="0"/>{legs}</body></worldbody><actuator>
        <motor joint="a"/><motor joint="b"/><motor joint="c"/><motor joint="d"/></actuator></mujoco>"""
    )

    class Legs(robots.Robot):
        model_file = str(path)

        def _get_obs(self):
            return np.concatenate([self.data.qpos, self.data.qvel])

        def step(self, action):
            self.do_simulation(action, self.frame_skip)
            return self._get_obs(), 0.0, False, False, {}

    found = derive_symmetries(Legs(), "y")
    assert found[0].action.images[0].perm == (1, 0, 2, 3)
    assert len(found) == 4


@pytest.mark.parametrize(
    ("env_id", "reflection", "message"),
    [
        ("HalfCheetah-v5", "y", "moves nothing in HalfCheetah-v5: every state is its own image"),
        ("Humanoid-v5", "rot90", "no joints have axes that are the mirror images"),
        ("Pusher-v5", "x", "no similar body is at the mirror image"),
        ("Hopper-v5", "x", "range of joint 'thigh_joint' is 0 to 2.62, and joint 'thigh_joint' has -2.62 to 0"),
        ("Ant-v5", "z", "gravity"),
        ("Swimmer-v5", "rot90", "observe angles by their sines and cosines"),
        ("Ant-v5", "w", "unknown reflection 'w'"),
        ("Pendulum-v1", "y", "a MuJoCo environment like"),
    ],
)
def test_models_without_the_symmetry_are_refused_with_a_reason(env_id, reflection, message):
    with pytest.raises(RPPError, match=message) as caught:
        derive_symmetry(made(env_id), reflection)
    assert "\n" not in str(caught.value)


def test_a_map_that_its_own_audit_refutes_is_not_returned(tmp_path):
    """The model file does not show a strong wind from the side."""
    path = tmp_path / "sled.xml"
    path.write_text(
        """<mujoco><option timestep="0.005"/><worldbody><body name="sled" pos="0 0 1"><joint name="way" type="slide"
        axis="0 1 0"/><geom size="0.1" mass="1"/></body></worldbody><actuator><motor joint="way" ctrlrange="-1 1"/>
        </actuator></mujoco>"""
    )

    class Windy(robots.Robot):
        model_file = str(path)

        def _get_obs(self):
            return self.data.qvel.copy()

        def step(self, action):
            self.data.xfrc_applied[1, 1] = self.wind
            self.do_simulation(action, self.frame_skip)
            return self._get_obs(), 0.0, False, False, {}

        wind = 0.0

    assert derive_symmetry(Windy(), "y").observation.images[0].sign == (-1,)
    Windy.wind = 20.0
    with pytest.raises(SymmetryError, match=r"the map derived from Windy does not hold: .*mis-specified"):
        derive_symmetry(Windy(), "y")


class Commanded(robots.Crawler):
    """A crawler with a target that is not part of the simulator."""

    def _get_obs(self):
        return np.append(super()._get_obs(), getattr(self, "command", 0.5))


def test_an_entry_that_is_not_in_the_simulator_is_refused():
    env = Commanded()
    with pytest.raises(SymmetryError, match=r"how entry 'obs\[23\]' .* cannot be derived; `rpp-rl new-symmetry`"):
        derive_symmetry(env, "y")


class Scaled(robots.Crawler):
    """A crawler whose actions are in per cent, of which the right ones are read backwards."""

    def __init__(self):
        super().__init__()
        self.action_space = gym.spaces.Box(-100.0, 100.0, (6,))

    def step(self, action):
        return super().step(np.asarray(action) / 100 * np.array([1, 1, 1, -1, -1, -1]))


def test_scaled_actions_are_recognized():
    symmetry = derive_symmetry(Scaled(), "y")
    assert symmetry.action.images[0].perm == (3, 4, 5, 0, 1, 2)
    assert symmetry.action.images[0].sign == (-1,) * 6


def test_muscles_of_one_joint_change_places(tmp_path):
    """Two one-sided actuators that pull a hinge to either side: the mirror exchanges them, without a sign."""
    path = tmp_path / "muscles.xml"
    path.write_text(
        """<mujoco><option timestep="0.005"/><worldbody><body pos="0 0 1"><joint name="a" type="hinge" axis="1 0 0"/>
        <geom type="capsule" fromto="0 0 0 0 0 -0.5" size="0.05"/></body></worldbody>
        <actuator><motor name="left" joint="a" gear="1" ctrlrange="0 1"/>
        <motor name="right" joint="a" gear="-1" ctrlrange="0 1"/></actuator></mujoco>"""
    )

    class Pulled(robots.Robot):
        model_file = str(path)

        def _get_obs(self):
            return np.concatenate([self.data.qpos, self.data.qvel])

    symmetry = derive_symmetry(Pulled(), "y")
    assert (symmetry.action.images[0].perm, symmetry.action.images[0].sign) == ((1, 0), (1, 1))
    assert symmetry.observation.images[0].sign == (-1, -1)


def test_a_tilted_joint_is_named_and_no_other():
    env = made("rpp_rl.envs.robots:Crawler-v0")
    symmetry = derive_symmetry(env, "y")
    model = env.unwrapped.model
    model.jnt_axis[model.joint("left_elbow").id] = [0.0, np.sin(0.1), np.cos(0.1)]
    (g,) = audit(env, symmetry, 30).generators
    (tilted,) = (u for u in g.unequal if u.kind == "axis")
    assert tilted.names == ("left_elbow", "right_elbow")
    # Nor is the derivation thrown off by a small tilt.
    assert same_maps(derive_symmetry(env, "y"), symmetry)


def test_the_activations_of_slow_actuators_are_mirrored_too(tmp_path):
    text = Path(robots.__file__).with_name("quadruped.xml").read_text()
    path = tmp_path / "slow.xml"
    slow = '<general dyntype="filter" dynprm="0.1" ctrllimited="true" ctrlrange="-1 1" joint='
    path.write_text(text.replace("<motor joint=", slow))

    class Slow(robots.Quadruped):
        model_file = str(path)

    env = Slow()
    (g,) = audit(env, derive_symmetry(env, "y"), 60).generators
    assert env.unwrapped.model.na == 12
    assert g.verdict == Verdict.EXACT
