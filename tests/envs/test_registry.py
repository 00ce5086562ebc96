import sys

import gymnasium as gym
import numpy as np
import pytest

import rpp_rl
import rpp_rl.envs
from rpp_rl import Symmetry
from rpp_rl.envs import REGISTRY, SymmetryRegistry, SymmetryWrapper, reflection
from rpp_rl.envs.ids import import_module_of
from rpp_rl.errors import RPPError, SymmetryError, UnknownNameError

V5 = [e for e in REGISTRY.environments() if e.endswith("-v5")]


class Toy(gym.Env):
    """Two legs and a torso, in four numbers."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (4,))
    action_space = gym.spaces.Box(-1.0, 1.0, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


gym.register("Toy-v0", Toy)
LEGS = reflection(
    ["left", "right", "height", "roll"],
    ["left", "right"],
    swap=[("left", "right")],
    flip=["roll"],
    action_swap=[("left", "right")],
)


def test_all_eleven_tasks_are_declared():
    assert len(V5) == 11
    paper = {e for e in V5 if "rpp2021" in REGISTRY.names(e)}
    assert paper == {f"{e}-v5" for e in ("Ant", "HalfCheetah", "Hopper", "Humanoid", "Swimmer", "Walker2d")}


@pytest.mark.parametrize("env_id", V5)
def test_making_an_environment_attaches_the_default(env_id):
    default = REGISTRY.get(env_id)
    for made in (env_id, env_id.removesuffix("-v5"), f"gymnasium:{env_id}"):
        env = rpp_rl.make(made)
        assert env.symmetry == default
        assert env.symmetry.name == REGISTRY.names(env_id)[0]
        env.close()


@pytest.mark.parametrize("env_id", V5)
def test_every_declaration_survives_json(env_id):
    for name in REGISTRY.names(env_id):
        symmetry = REGISTRY.get(env_id, name)
        assert Symmetry.from_json(symmetry.to_json()) == symmetry
        assert len(set(symmetry.observation_names)) == symmetry.observation.size


def test_a_derived_symmetry_follows_the_arguments_of_the_task():
    env = rpp_rl.make("Ant-v5", include_cfrc_ext_in_observation=False, exclude_current_positions_from_observation=False)
    assert env.symmetry.observation_names[:3] == ("x", "y", "z")
    assert env.symmetry.observation.size == env.observation_space.shape[0] == 29
    assert env.symmetry.transform_observation(1, np.arange(29.0))[1] == -1.0


def test_the_spec_rebuilds_the_environment():
    for env in (rpp_rl.make("Ant-v5", symmetry="rpp2021"), rpp_rl.make("Ant-v5", symmetry=REGISTRY.get("Ant-v5"))):
        again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
        assert again.symmetry == env.symmetry
        assert again.spec == env.spec


def test_observations_pass_through_unchanged():
    plain, wrapped = gym.make("Ant-v5"), rpp_rl.make("Ant-v5")
    for env in (plain, wrapped):
        env.action_space.seed(0)
    np.testing.assert_array_equal(plain.reset(seed=3)[0], wrapped.reset(seed=3)[0])
    action = plain.action_space.sample()
    for a, b in zip(plain.step(action)[:4], wrapped.step(action)[:4], strict=True):
        np.testing.assert_array_equal(a, b)


def test_outer_wrappers_find_the_symmetry():
    env = gym.wrappers.TimeLimit(rpp_rl.make("Walker2d-v5"), 5)
    assert env.get_wrapper_attr("symmetry") == REGISTRY.get("Walker2d-v5")


def test_a_reflection_is_declared_by_name_or_by_index():
    by_index = reflection(4, 2, swap=[(0, 1)], flip=[3], action_swap=[(0, 1)])
    assert by_index.observation == LEGS.observation
    assert by_index.action == LEGS.action
    np.testing.assert_array_equal(LEGS.transform_observation(1, np.array([1.0, 2.0, 3.0, 4.0])), [2, 1, 3, -4])


def test_a_users_environment_is_registered_and_made():
    registry = SymmetryRegistry()
    registry.add("Toy-v0", "legs", lambda: LEGS)
    registry.add("Toy-v0", "nothing", lambda: Symmetry.trivial(4, 2), default=True)
    assert registry.names("Toy-v0") == ("nothing", "legs")
    with pytest.raises(SymmetryError, match="already has a symmetry named 'legs'"):
        registry.add("Toy-v0", "legs", lambda: LEGS)
    assert rpp_rl.make("Toy-v0", LEGS).symmetry == LEGS
    assert rpp_rl.make("Toy-v0", LEGS.to_dict()).symmetry == LEGS
    assert rpp_rl.make("Toy-v0", "trivial").symmetry == Symmetry.trivial(4, 2)


def test_a_repeated_registration_is_equal_or_refused():
    gym.register("Twice-v0", Toy)
    options = {"observation": 4, "action": 2, "name": "roll"}
    first = rpp_rl.register_symmetry("Twice-v0", flip=[3], **options)
    assert rpp_rl.register_symmetry("Twice-v0", flip=[3], **options) == first
    assert REGISTRY.names("Twice-v0") == ("roll",)
    with pytest.raises(SymmetryError, match="already has a symmetry named 'roll'"):
        rpp_rl.register_symmetry("Twice-v0", flip=[2], **options)
    assert REGISTRY.get("Twice-v0") == first


def test_register_symmetry_makes_the_environment_known():
    gym.register("Registered-v0", Toy)
    symmetry = rpp_rl.register_symmetry("Registered-v0", observation=4, action=2, flip=[3], name="roll")
    assert rpp_rl.make("Registered-v0").symmetry == symmetry
    assert rpp_rl.make("Registered-v0", "roll").symmetry == symmetry
    with pytest.raises(SymmetryError, match="not both"):
        rpp_rl.register_symmetry("Registered-v0", symmetry, name="roll")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rpp_rl.make("HalfCheeta-v5"), "did you mean 'HalfCheetah-v5'"),
        (lambda: rpp_rl.make("HalfCheetah-v99"), "unknown environment 'HalfCheetah-v99'"),
        (lambda: rpp_rl.make("nowhere:HalfCheetah-v5"), "module of 'nowhere:HalfCheetah-v5' cannot be imported"),
        (
            lambda: rpp_rl.make("Walker2d-v5", "sagital"),
            "unknown symmetry of Walker2d-v5 'sagital': did you mean 'sagittal'",
        ),
        (lambda: rpp_rl.make("Pendulum-v1"), "no symmetry is declared for Pendulum-v1"),
        (lambda: rpp_rl.make("CartPole-v1", "trivial"), "action space of CartPole-v1 is Discrete"),
        (lambda: rpp_rl.make("Toy-v0", REGISTRY.get("Ant-v5")), "observation of 105 entries, but that of Toy-v0 has 4"),
        (
            lambda: rpp_rl.make("Hopper-v5", exclude_current_positions_from_observation=False),
            "observation of 11 entries, but that of Hopper-v5 has 12",
        ),
        (lambda: reflection(4, 2, swap=[("left", "right")]), "'left' must be an index from 0 to 3"),
        (lambda: reflection(["left", "right"], 2, swap=[("left", "rigth")]), "did you mean 'right'"),
        (lambda: reflection(4, 2, swap=[(0, 1), (1, 2)]), "may be in one pair"),
        (lambda: reflection(4, 2, flip=[4]), "entries are 0 to 3"),
        (lambda: reflection(4, 2, swap=[(0, 1)], flip=[0]), "'mirror' is wrong at entry 0"),
    ],
)
def test_bad_input_is_one_sentence(make, message):
    with pytest.raises(RPPError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_action_bounds_must_be_preserved():
    class Lopsided(Toy):
        action_space = gym.spaces.Box(np.array([-1.0, 0.0]), np.array([1.0, 1.0]))

    with pytest.raises(SymmetryError, match="'mirror' maps the action bounds"):
        SymmetryWrapper(Lopsided(), LEGS)


def test_a_dictionary_observation_is_refused():
    class Nested(Toy):
        observation_space = gym.spaces.Dict({"x": gym.spaces.Box(-1, 1, (4,))})

    with pytest.raises(SymmetryError, match="FlattenObservation"):
        SymmetryWrapper(Nested(), LEGS)


def test_unknown_names_carry_what_is_known():
    with pytest.raises(UnknownNameError) as caught:
        REGISTRY.get("Hopper-v5", "sagittal")
    assert caught.value.known == ["rpp2021"]


@pytest.mark.parametrize("code", ["raise ValueError('two\\nlines')", "def (", "1 / 0", "import nothing_like_this"])
def test_a_module_that_cannot_be_imported_is_one_sentence(tmp_path, monkeypatch, code):
    (tmp_path / "broken_robots.py").write_text(code + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_robots", raising=False)
    with pytest.raises(RPPError, match="the module of 'broken_robots:Robot-v0' cannot be imported") as caught:
        import_module_of("broken_robots:Robot-v0")
    assert "\n" not in str(caught.value)


def test_remedies_name_the_module_of_the_environment(tmp_path, monkeypatch):
    (tmp_path / "late_robots.py").write_text(
        "import gymnasium\ngymnasium.register('Late-v0', 'gymnasium.envs.mujoco.swimmer_v5:SwimmerEnv')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "late_robots", raising=False)
    recipe = rpp_rl.register_symmetry("late_robots:Late-v0", reflection="y")
    assert rpp_rl.make("late_robots:Late-v0").symmetry.name == recipe.name == "derived_y"
    with pytest.raises(SymmetryError, match="rpp-rl new-symmetry late_robots:Pendulum-v1 writes a draft"):
        REGISTRY.names("late_robots:Pendulum-v1")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (gym.spec("Ant-v5"), "write 'Ant-v5'"),
        (None, "got 'None'; write one such as"),
        (Toy, r"gymnasium.register\("),
        (Toy(), r"gymnasium.register\("),
    ],
)
def test_what_is_not_an_id_gets_advice_that_fits(given, sentence):
    with pytest.raises(SymmetryError, match=sentence):
        rpp_rl.register_symmetry(given, LEGS)


@pytest.mark.parametrize(
    ("env_id", "sentence"),
    [
        ("Amt-v5", "did you mean 'Ant-v5'\\? One of your own needs its module: my_robots:Amt-v5"),
        ("Amt", "needs its module: my_robots:MyRobot-v0"),
        ("Beetle-v3", "if it is yours, name its module: my_robots:Beetle-v3"),
    ],
)
def test_an_unknown_id_gets_a_similar_one_or_the_way_to_name_a_module(env_id, sentence):
    with pytest.raises(UnknownNameError, match=sentence):
        rpp_rl.make(env_id)
