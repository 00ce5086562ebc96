"""Maps that are spoilt in known entries: the audit names the better map and exactly these entries."""

from dataclasses import replace
from functools import cache

import gymnasium as gym
import numpy as np
import pytest
from helpers.small_models import SPRING, Slides

import rpp_rl.envs.robots  # noqa: F401, registers the robots
from rpp_rl import Representation, SignedPermutation, Symmetry
from rpp_rl.envs import REGISTRY, derive_symmetry
from rpp_rl.envs.auditing import QUICK, audit, better_maps
from rpp_rl.envs.auditing.map_comparison import _is_of_kind
from rpp_rl.envs.reflections import reflection, reflection_by_joints
from rpp_rl.envs.state_map import Move
from rpp_rl.named_groups import cyclic_group


@cache
def task(env_id):
    return gym.make(env_id)


@cache
def mirror(env_id):
    """The exact mirror of left and right."""
    return derive_symmetry(task(env_id), "y", name="mirror")


def with_images(symmetry, observation=None, action=None):
    """A symmetry with another map of observations or actions for its only generator."""
    parts = {}
    for part, image in (("observation", observation), ("action", action)):
        if image is not None:
            parts[part] = Representation(symmetry.group, [image], "spoilt")
    return replace(symmetry, name="spoilt", **parts)


def images(symmetry):
    return symmetry.observation.images[0], symmetry.action.images[0]


def index_of(symmetry, entry):
    part, name = entry.split(":")
    names = symmetry.observation_names if part == "observation" else symmetry.action_names
    return part, names.index(name)


def without_signs(symmetry):
    return with_images(symmetry, *(SignedPermutation(g.perm, (1,) * g.size) for g in images(symmetry)))


def with_other_sign(symmetry, entry):
    """Change the sign of an entry, and of the entry with which it changes places."""
    part, i = index_of(symmetry, entry)
    image = getattr(symmetry, part).images[0]
    sign = tuple(-s if k in (i, image.perm[i]) else s for k, s in enumerate(image.sign))
    return with_images(symmetry, **{part: SignedPermutation(image.perm, sign)})


def without_exchange(symmetry, entry):
    """Leave an entry, and that with which it changes places, where they are."""
    part, i = index_of(symmetry, entry)
    image = getattr(symmetry, part).images[0]
    both = (i, image.perm[i])
    perm = tuple(k if k in both else p for k, p in enumerate(image.perm))
    sign = tuple(1 if k in both else s for k, s in enumerate(image.sign))
    return with_images(symmetry, **{part: SignedPermutation(perm, sign)})


def differing(one, other):
    """Entries whose images differ, compared entry by entry."""
    found = set()
    parts = ("observation", one.observation_names), ("action", one.action_names)
    for (part, names), ours, theirs in zip(parts, images(one), images(other), strict=True):
        for i, name in enumerate(names):
            if (ours.perm[i], ours.sign[i]) != (theirs.perm[i], theirs.sign[i]):
                found.add((part, name))
    return found


def reported(env_id, symmetry):
    (found,) = better_maps(task(env_id), symmetry)
    return found


SWAPPED = {
    "Ant-v5": "observation:ankle_1",
    "Walker2d-v5": "observation:thigh_joint",
    "Humanoid-v5": "observation:right_knee",
    "Quadruped-v0": "observation:front_left_knee",
    "Biped-v0": "observation:a2",
    "Crawler-v0": "observation:left_elbow",
}
FLIPPED = {
    "Ant-v5": "observation:vy",
    "Humanoid-v5": "observation:abdomen_z",
    "Swimmer-v5": "observation:v_slider2",
    "Reacher-v5": "observation:v_joint1",
    "Quadruped-v0": "observation:wx",
    "Biped-v0": "observation:wx",
    "Crawler-v0": "observation:qx",
}
KEPT = {
    "Ant-v5": "observation:z",
    "Walker2d-v5": "observation:v_rootx",
    "Humanoid-v5": "action:abdomen_y",
    "Swimmer-v5": "observation:v_slider1",
    "Reacher-v5": "observation:target_x",
    "Quadruped-v0": "observation:vx",
    "Crawler-v0": "observation:vx",
}


# The mirror of Walker2d has no signs, and that of Swimmer and Reacher would become the identity.
@pytest.mark.parametrize("env_id", [env_id for env_id in SWAPPED if env_id != "Walker2d-v5"])
def test_a_map_without_any_signs_is_reported(env_id):
    spoilt = without_signs(mirror(env_id))
    found = reported(env_id, spoilt)
    assert {(e.part, e.name) for e in found.entries} == differing(spoilt, mirror(env_id))
    assert found.better_error < 0.3 * found.error


LARGE = ("Ant", "Humanoid", "Pusher")


def cases(pairs):
    """The cases; those of large robots take the longest."""
    return [pytest.param(*p, marks=[pytest.mark.slow] if p[0].startswith(LARGE) else []) for p in pairs]


@pytest.mark.parametrize(("env_id", "entry"), cases(SWAPPED.items()))
def test_a_forgotten_exchange_is_reported(env_id, entry):
    spoilt = without_exchange(mirror(env_id), entry)
    found = reported(env_id, spoilt)
    assert {(e.part, e.name) for e in found.entries} == differing(spoilt, mirror(env_id))
    assert len(found.entries) == 2


@pytest.mark.parametrize(("env_id", "entry"), cases([*SWAPPED.items(), *FLIPPED.items(), *KEPT.items()]))
def test_a_wrong_sign_is_reported(env_id, entry):
    spoilt = with_other_sign(mirror(env_id), entry)
    found = reported(env_id, spoilt)
    assert {(e.part, e.name) for e in found.entries} == differing(spoilt, mirror(env_id))
    assert entry in {f"{e.part}:{e.name}" for e in found.entries}
    signs = [(e.given.startswith("-"), e.better.startswith("-")) for e in found.entries]
    assert all(given != better for given, better in signs)


ROBOTS = ("Quadruped-v0", "Biped-v0", "Crawler-v0")
DECLARED = [(e, n) for e in REGISTRY.environments() if e.endswith("-v5") or e in ROBOTS for n in REGISTRY.names(e)]
WRONG = [("Ant-v5", "rpp2021"), ("Humanoid-v5", "rpp2021"), ("Swimmer-v5", "rpp2021")]


@pytest.mark.parametrize(("env_id", "name"), cases(c for c in DECLARED if c not in WRONG))
def test_the_best_map_of_its_kind_is_never_reported(env_id, name):
    others = [REGISTRY.get(env_id, other) for other in REGISTRY.names(env_id) if other != name]
    for seed in (0, 1):
        assert better_maps(task(env_id), REGISTRY.get(env_id, name), others, seed=seed) == ()


@pytest.mark.parametrize("case", WRONG, ids="-".join)
def test_the_wrong_maps_of_the_paper_are_reported(case):
    (found,) = better_maps(task(case[0]), REGISTRY.get(*case))
    assert found.better_error < 0.05 * found.error


def test_a_declared_map_is_named_in_the_sentence():
    swimmer = REGISTRY.get("Swimmer-v5", "rpp2021"), [REGISTRY.get("Swimmer-v5")]
    (found,) = better_maps(task("Swimmer-v5"), *swimmer)
    assert "symmetry 'sagittal' fits better" in str(found)
    assert "vy (given vy, better -vy)" in str(found)


def test_another_kind_of_map_is_not_reported_although_it_holds():
    # Heavier front legs break the exchange of front and back, and leave that of left and right exact.
    env = gym.make("Ant-v5")
    model = env.unwrapped.model
    for body in ("front_left_leg", "front_right_leg"):
        model.body(body).mass[:] *= 3
    fore_aft, left_right = derive_symmetry(env, "x"), derive_symmetry(env, "y")
    assert better_maps(env, fore_aft, [left_right]) == ()
    assert better_maps(env, left_right) == ()
    # The same map with a wrong sign is reported, so the audit had seen it.
    (found,) = better_maps(env, with_other_sign(fore_aft, "observation:vx"))
    assert [e.name for e in found.entries] == ["vx"]


def test_a_generator_of_several_is_named():
    turn, mirror_of = derive_symmetry(task("Reacher-v5"), ("rot180", "y")), REGISTRY.get("Reacher-v5")
    assert better_maps(task("Reacher-v5"), turn, [mirror_of]) == ()
    sign = list(turn.action.images[1].sign)
    sign[1] *= -1
    changed = [turn.action.images[0], SignedPermutation(turn.action.images[1].perm, tuple(sign))]
    spoilt = replace(turn, action=Representation(turn.group, changed, "spoilt"))
    (found,) = better_maps(task("Reacher-v5"), spoilt)
    assert found.generator == turn.group.generator_names[1]
    assert [(e.part, e.name) for e in found.entries] == [("action", "joint1")]


LEGS = [(f"{joint}_{one}", f"{joint}_{other}") for joint in ("hip", "ankle") for one, other in ((1, 4), (2, 3))]


def test_an_ant_with_exchanged_joints_and_nothing_else_is_reported():
    env = task("Ant-v5")
    found = audit(env, reflection_by_joints(env, swap=LEGS), 60, thoroughness=QUICK)
    (better,) = found.better
    assert better.better_error < 1e-9 < 0.5 < better.error
    assert better.origin == "symmetry 'sagittal'"
    changed = {(e.part, e.name) for e in better.entries if not e.name.startswith("cfrc_ext")}
    joints = {f"hip_{leg}" for leg in (1, 2, 3, 4)}
    signs = {"qx", "qz", "vy", "wx", "wz"}
    assert changed == {("action", j) for j in joints} | {("observation", n) for n in {*signs, *joints}} | {
        ("observation", f"v_{j}") for j in joints
    }
    assert found.to_dict()["better"][0]["sentence"] == str(better) == found.warnings[0]


def test_an_audit_of_the_right_map_names_no_other():
    assert audit(task("Ant-v5"), mirror("Ant-v5"), 60, thoroughness=QUICK).warnings == []


SLIDES = {"observation": [*"abc", *("va", "vb", "vc"), "one"], "action": [*"abc"]}


def flipped(*names):
    speeds = [f"v{name}" for name in names if name != "one"]
    return reflection(**SLIDES, flip=[*names, *speeds], action_flip=[*{*names} - {"one"}])


def test_a_map_that_moves_much_less_is_not_reported_although_it_holds():
    bent = f'{SPRING} springref="0.5"'
    env = Slides(a=bent, b=bent)
    assert better_maps(env, flipped("c")) == ()
    assert better_maps(env, flipped("a", "b", "c"), [flipped("c")]) == ()
    (found,) = better_maps(env, flipped("b", "c"), [flipped("c")])
    assert {e.name for e in found.entries} == {"b", "vb"}


def test_a_wrong_sign_of_a_constant_entry_is_reported():
    right = flipped("a", "b", "c")
    assert better_maps(Slides(), right) == ()
    (found,) = better_maps(Slides(), flipped("a", "b", "c", "one"), [right])
    assert [e.name for e in found.entries] == ["one"]


def test_an_entry_that_cannot_be_derived_moves_as_declared():
    # How the constant moves does not follow from the model.
    spoilt = with_other_sign(flipped("a", "b", "c", "one"), "observation:va")
    (found,) = better_maps(Slides(), spoilt)
    assert [e.name for e in found.entries] == ["va"]


def test_a_map_that_is_better_in_few_states_and_worse_in_others_is_not_reported():
    # The other map knows where the third spring rests, which counts where actions are small, and one wrong sign.
    env = Slides(a='damping="1"', c=f'{SPRING} springref="0.01"')
    given = flipped("a", "b", "c")
    right = reflection(**SLIDES, flip=[*"abc", "va", "vb", "vc"], action_flip=[*"abc"], center={"c": 0.01})
    mixed = with_other_sign(right, "action:a")
    assert better_maps(env, given, [mixed]) == ()
    (found,) = better_maps(env, given, [mixed, right])
    assert [(e.name, e.given, e.better) for e in found.entries] == [("c", "-c", "-c +0.02")]
    (found,) = better_maps(env, with_other_sign(right, "observation:c"), [right])
    assert [(e.name, e.given, e.better) for e in found.entries] == [("c", "c", "-c +0.02")]


def test_a_map_that_is_only_a_little_better_is_not_reported():
    bent = f'{SPRING} springref="0.2"'
    env, copies = Slides(a=bent, b=bent, c=bent, copies=5), 5
    image = SignedPermutation(tuple(range(7 * copies)), (*[-1] * 6, 1) * copies)
    right = Symmetry.from_generators("flip", cyclic_group(2), [image], [SignedPermutation((0, 1, 2), (-1,) * 3)])
    little = with_other_sign(right, "observation:obs[6]")
    assert better_maps(env, little, [right]) == ()
    assert better_maps(Slides(copies=copies), little, [right]) != ()


def test_a_worse_map_is_not_reported_against_an_approximate_one():
    cheetah = REGISTRY.get("HalfCheetah-v5", "fore_aft")
    others = [with_other_sign(cheetah, f"observation:{name}") for name in cheetah.observation_names]
    assert better_maps(task("HalfCheetah-v5"), cheetah, others) == ()


def test_a_turn_is_not_compared_with_the_reflection_that_moves_the_same_entries():
    swap, turn = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[0.0, -1.0], [1.0, 0.0]])
    given, candidate = (Move(matrix, np.zeros(2), matrix) for matrix in (swap, turn))
    assert _is_of_kind(replace(given, action=-swap), given)
    assert not _is_of_kind(candidate, given)
    assert _is_of_kind(replace(candidate, action=-turn), candidate)
