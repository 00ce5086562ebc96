"""Audits of gymnasium's models, whose asymmetries are known, and of models that are broken on purpose."""

import json
from dataclasses import replace
from functools import cache

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import FlattenObservation, FrameStackObservation, RescaleAction, TimeAwareObservation

import rpp_rl
from rpp_rl import Representation, SignedPermutation
from rpp_rl.envs import REGISTRY, audit
from rpp_rl.envs.auditing import QUICK
from rpp_rl.envs.auditing.report import Verdict
from rpp_rl.envs.auditing.rollouts import relative_error, samples
from rpp_rl.envs.simulator import Simulator
from rpp_rl.envs.state_lifting import Lifting
from rpp_rl.envs.state_map import Move
from rpp_rl.errors import SymmetryError, UnknownNameError

# The verdict, and the known inequalities of the model: kinds and one of the names.
KNOWN = {
    ("Ant-v5", "sagittal"): ("exact", {}),
    ("Ant-v5", "dihedral"): ("approximate", {}),
    ("Ant-v5", "rpp2021"): ("mis-specified", {"range": "ankle_1"}),
    ("HalfCheetah-v5", "rpp2021"): ("weak", {"range": "bthigh"}),
    ("HalfCheetah-v5", "fore_aft"): (
        "weak",
        {"stiffness": "bthigh", "damping": "bfoot", "range": "bshin", "mass": "bshin", "gear": "bfoot"},
    ),
    ("Hopper-v5", "rpp2021"): ("weak", {"range": "leg_joint", "geometry": "foot"}),
    ("Humanoid-v5", "sagittal"): ("near-exact", {"stiffness": "left_knee", "armature": "left_hip_y"}),
    ("Humanoid-v5", "rpp2021"): ("mis-specified", {"range": "left_hip_x"}),
    ("HumanoidStandup-v5", "sagittal"): (
        "near-exact",
        {"stiffness": "left_knee", "armature": "left_hip_y", "range": "left_hip_y"},
    ),
    ("InvertedDoublePendulum-v5", "sagittal"): ("near-exact", {"gravity": "world"}),
    ("InvertedPendulum-v5", "sagittal"): ("near-exact", {"geometry": "pole"}),
    ("Pusher-v5", "sagittal"): ("near-exact", {"range": "r_shoulder_pan_joint"}),
    ("Reacher-v5", "sagittal"): ("exact", {}),
    ("Reacher-v5", "dihedral"): ("exact", {}),
    ("Swimmer-v5", "sagittal"): ("exact", {}),
    ("Swimmer-v5", "rpp2021"): ("mis-specified", {}),
    ("Walker2d-v5", "sagittal"): ("exact", {}),
    ("Walker2d-v5", "rpp2021"): ("exact", {}),
}
# Bounds of the median relative error of a step, for those that are not exact.
MEDIAN = {
    ("Ant-v5", "rpp2021"): (1.0, 4.0),
    ("HalfCheetah-v5", "rpp2021"): (0.3, 1.2),
    ("HalfCheetah-v5", "fore_aft"): (0.2, 0.8),
    ("Hopper-v5", "rpp2021"): (0.5, 1.4),
    ("Humanoid-v5", "sagittal"): (1e-3, 2e-2),
    ("Humanoid-v5", "rpp2021"): (2.0, 20.0),
    ("HumanoidStandup-v5", "sagittal"): (1e-3, 2e-2),
    ("InvertedDoublePendulum-v5", "sagittal"): (1e-7, 2e-6),
    ("InvertedPendulum-v5", "sagittal"): (5e-4, 1e-2),
    ("Pusher-v5", "sagittal"): (0.0, 1e-8),
    ("Swimmer-v5", "rpp2021"): (0.1, 1.0),
}


@cache
def audited(env_id, name):
    return audit(env_id, name, 300)


def with_wrong_sign(symmetry, i):
    """The symmetry with the other sign of an entry and of its partner."""
    image = symmetry.observation.images[0]
    sign = tuple(-s if k in (i, image.perm[i]) else s for k, s in enumerate(image.sign))
    rep = Representation(symmetry.group, [SignedPermutation(image.perm, sign)], "wrong sign")
    return replace(symmetry, name="wrong sign", observation=rep)


def test_every_declaration_of_the_eleven_tasks_is_tried():
    declared = {(e, n) for e in REGISTRY.environments() if e.endswith("-v5") for n in REGISTRY.names(e)}
    assert declared == set(KNOWN)


# The audits of large robots and of large groups take the longest.
CASES = [
    pytest.param(
        case, marks=[pytest.mark.slow] if case[0].startswith(("Humanoid", "Ant")) or "dihedral" in case[1] else []
    )
    for case in KNOWN
]


@pytest.mark.parametrize("case", CASES, ids="-".join)
class TestKnownTasks:
    def test_the_verdict_and_the_size_of_the_error_are_known(self, case):
        done = audited(*case)
        verdict, _ = KNOWN[case]
        assert str(done.verdict) == verdict
        low, high = MEDIAN.get(case, (0.0, 1e-9))
        for g in done.generators:
            assert low <= g.dynamics_median <= high
            if verdict == "exact":
                assert g.dynamics_p95 < 1e-9
                assert g.exact_share == 1
                assert g.observation_error < 1e-9
                assert g.reward_error < 1e-9
                assert g.termination_mismatch == 0
                assert g.rollout25_median < 1e-6
                assert not g.unequal

    def test_unequal_quantities_are_named(self, case):
        (_, known), found = KNOWN[case], [u for g in audited(*case).generators for u in g.unequal]
        for kind, name in known.items():
            assert name in [n for u in found if u.kind == kind for n in u.names], (kind, name)

    def test_an_audit_converts_to_json(self, case):
        data = json.loads(json.dumps(audited(*case).to_dict()))
        assert data["verdict"] == KNOWN[case][0]
        keys = {"observation_error", "dynamics_median", "dynamics_p95", "reward_error", "termination_mismatch"}
        keys |= {"reset_invariant", "rollout25_median", "unequal", "untested"}
        assert all(keys <= g.keys() for g in data["generators"])
        assert all(u.keys() == {"kind", "names", "values"} for g in data["generators"] for u in g["unequal"])


RIGHT = [case for case in CASES if KNOWN[case.values[0]][0] in ("exact", "near-exact")]


@pytest.mark.parametrize("case", RIGHT, ids="-".join)
def test_only_entries_that_never_move_are_untested(case):
    allowed = ("cfrc_ext.", "qfrc_constraint.", "object.", "goal.")
    assert all(n.startswith(allowed) for g in audited(*case).generators for n in g.untested)


@pytest.mark.slow
def test_unequal_values_are_those_of_the_model():
    model = rpp_rl.make("Humanoid-v5").unwrapped.model
    (g,) = audited("Humanoid-v5", "sagittal").generators
    by_kind = {u.kind: u for u in g.unequal}
    for kind, array in (("stiffness", model.jnt_stiffness), ("armature", None)):
        for name, value in zip(by_kind[kind].names, by_kind[kind].values, strict=True):
            joint = model.joint(name)
            assert value == (array[joint.id] if array is not None else joint.armature[0])


@pytest.mark.slow
def test_repairing_everything_unequal_makes_the_humanoid_exact():
    (g,) = audited("Humanoid-v5", "sagittal").generators
    assert g.causes["all of these"] == pytest.approx(1, abs=1e-3)
    assert g.causes["stiffness"] > 5 * g.causes["armature"] > 0


def test_a_reward_that_breaks_the_symmetry_is_distinguished_from_dynamics():
    turn, mirror = audited("Ant-v5", "dihedral").generators
    assert str(turn.axes["dynamics"]) == str(mirror.axes["dynamics"]) == "exact"
    assert turn.reward_error > 0.1
    assert mirror.reward_error < 1e-9
    assert "not a symmetry of the task" in turn.sentence


def test_asymmetric_resets_are_found():
    (sagittal,) = audited("Pusher-v5", "sagittal").generators
    assert set(sagittal.reset_broken) == {"object.y", "goal.y"}
    assert all(g.reset_invariant for g in audited("Ant-v5", "sagittal").generators)
    turn, _ = audited("Reacher-v5", "dihedral").generators
    assert "cos(joint0)" in turn.reset_broken


def test_a_suspect_is_named():
    (g,) = audited("Swimmer-v5", "rpp2021").generators
    assert g.suspects == ("vy",)
    assert "vy" in g.sentence


@pytest.mark.parametrize(
    "env_id",
    [
        "Walker2d-v5",
        "Swimmer-v5",
        *(pytest.param(env_id, marks=pytest.mark.slow) for env_id in ("Ant-v5", "Humanoid-v5")),
    ],
)
def test_a_single_wrong_sign_is_found_and_named(env_id):
    symmetry = REGISTRY.get(env_id, "sagittal")
    # An entry that the simulator knows as a velocity: the last one that is not a force.
    i = [k for k, name in enumerate(symmetry.observation_names) if name.startswith(("vy", "v_", "vyaw", "vfoot"))][-1]
    done = audit(env_id, with_wrong_sign(symmetry, i), 150)
    (g,) = done.generators
    assert str(done.verdict) == "mis-specified"
    assert symmetry.observation_names[i] in g.suspects


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("mass", lambda m: m.body_mass.__setitem__(m.body("leg_left").id, 9.0)),
        ("damping", lambda m: m.dof_damping.__setitem__(m.joint("leg_left_joint").dofadr[0], 3.0)),
        ("armature", lambda m: m.dof_armature.__setitem__(m.joint("foot_left_joint").dofadr[0], 0.5)),
        ("stiffness", lambda m: m.jnt_stiffness.__setitem__(m.joint("thigh_left_joint").id, 20.0)),
        ("range", lambda m: m.jnt_range.__setitem__((m.joint("leg_left_joint").id, 0), -1.0)),
        ("gear", lambda m: m.actuator_gear.__setitem__((5, 0), 30.0)),
        ("friction", lambda m: m.geom_friction.__setitem__((m.geom("foot_left_geom").id, 0), 0.3)),
        ("control range", lambda m: m.actuator_ctrlrange.__setitem__((3, 1), 0.5)),
    ],
)
def test_an_asymmetry_put_into_a_model_is_found(kind, damage):
    env = rpp_rl.make("Walker2d-v5")
    damage(env.unwrapped.model)
    done = audit(env, states=200)
    (g,) = done.generators
    assert {u.kind for u in g.unequal} == {kind}
    if kind != "control range":
        assert done.verdict > 0
    if kind in ("mass", "damping", "armature", "stiffness", "gear"):
        # A repaired body keeps its inertia, so a mass is repaired only in part.
        assert g.causes[kind] > (0.5 if kind == "mass" else 0.99)


@pytest.mark.slow
def test_an_audit_leaves_the_environment_as_it_was():
    env = rpp_rl.make("Humanoid-v5")
    rng = np.random.default_rng(0)
    actions = [rng.uniform(-0.4, 0.4, 17) for _ in range(20)]

    def run():
        env.reset(seed=5)
        return np.array([env.step(a)[0] for a in actions])

    before = run()
    audit(env, states=50)
    np.testing.assert_array_equal(run(), before)


def test_the_same_seed_gives_the_same_audit():
    one, other = (audit("Hopper-v5", states=60, seed=3).to_dict() for _ in range(2))
    assert one == other
    assert one != audit("Hopper-v5", states=60, seed=4).to_dict()


def test_wrappers_of_single_observations_and_actions_are_applied():
    plain = audit(rpp_rl.make("Walker2d-v5"), states=60, thoroughness=QUICK)
    wrapped = FlattenObservation(RescaleAction(rpp_rl.make("Walker2d-v5"), -0.5, 0.5))
    assert str(audit(wrapped, states=60, thoroughness=QUICK).verdict) == str(plain.verdict) == "exact"


@pytest.mark.parametrize("wrap", [TimeAwareObservation, lambda env: FrameStackObservation(env, 2)])
def test_wrappers_that_remember_are_refused_by_name(wrap):
    with pytest.raises(SymmetryError, match=r"(TimeAware|FrameStack)Observation remembers"):
        audit(wrap(gym.make("Walker2d-v5")), REGISTRY.get("Walker2d-v5"))


def test_environments_that_cannot_be_audited_are_refused():
    with pytest.raises(SymmetryError, match="observation of 17 entries, but that of Pendulum-v1 has 3"):
        audit(gym.make("Pendulum-v1"), REGISTRY.get("Walker2d-v5"))
    with pytest.raises(UnknownNameError, match="its versions are v2, v3, v4, v5"):
        audit("Walker2d-v6")
    with pytest.raises(SymmetryError, match="at least one state"):
        audit("Walker2d-v5", states=0)
    with pytest.raises(SymmetryError, match="observation of 8 entries"):
        audit("Walker2d-v5", REGISTRY.get("Swimmer-v5"))


def test_a_policy_gives_a_fourth_kind_of_rollouts():
    simulator = Simulator(gym.make("Walker2d-v5"))
    drawn = samples(simulator, 400, policy=lambda observation: np.full(6, 0.25))
    kinds = {s.kind for s in drawn}
    assert kinds == {"uniform", "small", "held", "policy"}
    assert all((s.action == 0.25).all() for s in drawn if s.kind == "policy")
    held = [s.action for s in drawn if s.kind == "held"]
    assert len({tuple(a) for a in held}) < len(held) / 3


def test_the_whole_state_is_moved():
    # Solvers converge from any start, so errors would not show a warm start that was not moved.
    simulator = Simulator(gym.make("Walker2d-v5"))
    state = samples(simulator, 30)[-1].state
    move = Move.of(REGISTRY.get("Walker2d-v5"), 0)
    state_map = Lifting(simulator).lift(move)
    moved = state_map(state)
    legs = [0, 1, 2, 6, 7, 8, 3, 4, 5]
    for name in ("qpos", "qvel", "warmstart"):
        assert np.abs(getattr(state, name)).max() > 0
        np.testing.assert_array_equal(getattr(moved, name), getattr(state, name)[legs])
    np.testing.assert_array_equal(moved.ctrl, state.ctrl[[3, 4, 5, 0, 1, 2]])
    again = state_map(moved)
    np.testing.assert_array_equal(again.warmstart, state.warmstart)


def test_lifting_finds_the_plane_and_the_angles_that_an_observation_hides():
    pusher = Lifting(Simulator(gym.make("Pusher-v5")))
    state_map = pusher.lift(Move.of(REGISTRY.get("Pusher-v5"), 0))
    np.testing.assert_allclose(np.unique(np.round(state_map.offsets, 9)), [-1.1, 0])
    reacher = Lifting(Simulator(gym.make("Reacher-v5")))
    turn = reacher.lift(Move.of(REGISTRY.get("Reacher-v5", "dihedral"), 0))
    assert turn.offsets[0] == pytest.approx(np.pi / 2)
    np.testing.assert_array_equal(turn.positions[2:, 2:], [[0, -1], [1, 0]])


class Blind(gym.ObservationWrapper):
    """Walker2d without the velocity of its height."""

    def __init__(self, env):
        super().__init__(env)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (16,))

    def observation(self, observation):
        return np.delete(observation, 9)


def blind(env_id, **kwargs):
    rho = np.delete(np.delete(REGISTRY.get("Walker2d-v5").observation.matrix(1), 9, axis=0), 9, axis=1)
    sigma = REGISTRY.get("Walker2d-v5").action.matrix(1)
    symmetry = rpp_rl.Symmetry.from_generators("mirror", REGISTRY.get("Walker2d-v5").group, [rho], [sigma])
    return Blind(gym.make(env_id, **kwargs)), symmetry


def test_unobserved_coordinates_move_as_in_the_model():
    env, symmetry = blind("Walker2d-v5")
    (g,) = audit(env, symmetry, 30, thoroughness=QUICK).generators
    assert g.verdict == Verdict.EXACT


def test_a_wrong_sign_is_named_where_the_observation_hides_most_of_the_state():
    symmetry = rpp_rl.make("rpp_rl.envs.robots:Biped-v0").symmetry
    (image,) = symmetry.observation.images
    roll = symmetry.observation_names.index("wx")
    sign = tuple(-s if i == roll else s for i, s in enumerate(image.sign))
    changed = Representation(symmetry.group, [SignedPermutation(image.perm, sign)], "wrong sign")
    (g,) = audit("Biped-v0", replace(symmetry, observation=changed), 50).generators
    assert g.verdict == Verdict.MIS_SPECIFIED
    assert g.observation_worst == "wx"


def test_relative_error_of_an_unrelated_step_is_the_square_root_of_two():
    rng = np.random.default_rng(0)
    change, other = rng.standard_normal((2, 2000, 50))
    assert np.median(relative_error(other - change, change)) == pytest.approx(2**0.5, rel=0.05)
    assert (relative_error(0 * change, change) == 0).all()
    # A state at rest is measured against the typical change, not against its own.
    change[0] = 0
    assert relative_error(change * 0 + 1e-3, change)[0] < 0.01
