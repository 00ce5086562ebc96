"""The best match of bodies with their mirror images is found: against all matches, and against planted mirrors."""

import itertools

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpp_rl.envs.geometry.body_matching import find_matches, refusal, size_of
from rpp_rl.envs.geometry.isometry import WORLD_MAPS, Isometry
from rpp_rl.envs.geometry.pairing import Pairing

MIRROR = WORLD_MAPS["y"]
AXES = np.eye(3)


class Tree:
    """A random robot on a free joint that is its own image under y -> -y: limbs in pairs, or in the plane."""

    def __init__(self, rng, limbs, depth, apart, perturbed=0.0):
        self.rng, self.apart, self.count = rng, apart, 0
        self.images = {"trunk": "trunk"}
        parts = [self.limb(depth, on_plane=rng.random() < 0.3) for _ in range(limbs)]
        text = "".join(parts)
        self.xml = (
            '<mujoco><compiler angle="radian"/><default><geom contype="0" conaffinity="0"/></default><worldbody>'
            '<body name="trunk" pos="0 0 1"><freejoint/><geom type="box" size=".2 .1 .05" mass="3"/>'
            f"{text}</body></worldbody></mujoco>"
        )
        self.model = mujoco.MjModel.from_xml_string(self.xml)
        if perturbed:
            body = int(rng.integers(2, self.model.nbody)) if self.model.nbody > 2 else 1
            self.model.body_mass[body] *= 1 + perturbed
            self.model.body_ipos[body] += 0.01 * perturbed

    def limb(self, depth, on_plane):
        place = self.rng.uniform(-0.2, 0.2, 3)
        place[1] = 0.0 if on_plane else self.apart * self.rng.uniform(0.5, 1.5)
        bodies = [self.body() for _ in range(int(self.rng.integers(1, depth + 1)))]
        if on_plane:
            return self.text(
                [{**b, "offset": b["offset"] * [1, 0, 1], "axis": AXES[1]} for b in bodies], place, ["m"] * 9
            )
        # Some joints of the right limb have their zero a quarter turn away.
        mirrored = [
            {
                **b,
                "offset": MIRROR @ b["offset"],
                "axis": -MIRROR @ b["axis"],
                "turn": not b["limited"] and self.turned(),
            }
            for b in bodies
        ]
        names = [[f"{side}{self.count}_{k}" for k in range(len(bodies))] for side in "lr"]
        self.count += 1
        for left, right in zip(*names, strict=True):
            self.images |= {left: right, right: left}
        return self.text(bodies, place, names[0]) + self.text(mirrored, MIRROR @ place, names[1])

    def turned(self):
        return self.rng.random() < 0.5

    def body(self):
        return {
            "offset": self.rng.uniform(-0.1, 0.1, 3),
            "axis": AXES[self.rng.integers(3)],
            "mass": self.rng.uniform(0.1, 1.0),
            "limited": self.rng.random() < 0.5,
        }

    def text(self, bodies, place, names):
        if names[0] == "m":
            names = [f"m{self.count}_{k}" for k in range(len(bodies))]
            self.count += 1
            self.images |= {name: name for name in names}
        found = ""
        for name, body, at in zip(reversed(names), reversed(bodies), range(len(bodies) - 1, -1, -1), strict=False):
            where = place if at == 0 else 2 * bodies[at - 1]["offset"]
            limits = 'range="-1 1" limited="true"' if body["limited"] else ""
            half = np.pi / 4 if body.get("turn") else 0.0
            quat = numbers([np.cos(half), *(np.sin(half) * body["axis"])])
            joint = f'<joint axis="{numbers(body["axis"])}" {limits}/>'
            found = (
                f'<body name="{name}" pos="{numbers(where)}" quat="{quat}">{joint}'
                f'<geom type="sphere" size=".03" pos="{numbers(body["offset"])}" mass="{body["mass"]}"/>{found}</body>'
            )
        return found


def numbers(vector):
    return " ".join(repr(float(x)) for x in vector)


def all_costs(model, world):
    """The cost of every match, one after the other."""
    pairing = Pairing(model, size_of(model))
    below = [[b for b in range(1, model.nbody) if model.body_parentid[b] == body] for body in range(model.nbody)]

    def children(body, image, frame):
        if len(below[body]) != len(below[image]):
            return
        for order in itertools.permutations(below[image]):
            pairs = zip(below[body], order, strict=True)
            choices = [list(subtree(one, other, frame)) for one, other in pairs]
            yield from (sum(costs) for costs in itertools.product(*choices))

    def subtree(body, image, frame):
        for pair in pairing.pairs(body, image, frame):
            yield from (pair.cost + rest for rest in children(body, image, pair.frame))

    return list(children(0, 0, world))


# Up to two limbs of two bodies, or one of three: the number of all matches grows fast.
trees = st.builds(
    lambda seed, shape, apart, perturbed: Tree(np.random.default_rng(seed), *shape, apart, perturbed),
    st.integers(0, 2**32 - 1),
    st.sampled_from([(1, 1), (2, 1), (1, 2), (2, 2), (1, 3)]),
    st.sampled_from([0.02, 0.1, 0.5]),
    st.sampled_from([0.0, 0.01, 0.3]),
)


@settings(max_examples=60, deadline=None)
@given(trees)
def test_no_match_costs_less_than_the_first(tree):
    found = find_matches(tree.model, MIRROR)
    assert found.complete
    least = min(all_costs(tree.model, Isometry(MIRROR, np.zeros(3))))
    cost = sum(pair.cost for pair in found.found[0].pairs)
    assert cost == pytest.approx(least, rel=1e-9, abs=1e-12)
    assert [match.cost for match in found.found] == sorted(match.cost for match in found.found)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 4), st.sampled_from([0.02, 0.1, 0.5]))
def test_a_planted_mirror_is_found_with_near_and_far_legs(seed, limbs, depth, apart):
    tree = Tree(np.random.default_rng(seed), limbs, depth, apart)
    found = find_matches(tree.model, MIRROR)
    assert found.complete
    best = found.found[0]
    assert best.misfit < 1e-6
    name = [tree.model.body(b).name for b in range(tree.model.nbody)]
    images = [{name[b]: name[c] for b, c in match.bodies.items() if b} for match in found.found if match.misfit < 1e-6]
    assert tree.images in images


def test_sixty_bodies_are_matched_within_the_limit():
    tree = Tree(np.random.default_rng(3), 8, 6, 0.05, 0.01)
    assert tree.model.nbody > 40
    found = find_matches(tree.model, MIRROR)
    assert found.complete
    # Without bounds on the cost it compares all that is possible.
    assert found.compared < 1000


def test_a_search_that_is_cut_off_says_so():
    tree = Tree(np.random.default_rng(3), 4, 3, 0.05)
    assert not find_matches(tree.model, MIRROR, limit=10).complete


GRIPPER = """<mujoco><default><geom contype="0" conaffinity="0"/></default><worldbody><body name="palm" pos="0 0 1">
<geom type="box" size=".05 .05 .02"/>
<body name="one" pos="0 .04 .05"><joint name="one" type="slide" axis="0 1 0" range="0 .04" limited="true"/>
<geom type="box" size=".01 .01 .03" mass=".1"/></body>
<body name="two" pos="0 -.04 .05"><joint name="two" type="slide" axis="0 -1 0" range="0 .04" limited="true"/>
<geom type="box" size=".01 .01 .03" mass=".1"/></body></body></worldbody>
<equality><joint joint1="two" joint2="one" polycoef="0 {slope} 0 0 0"/></equality>
<actuator><position joint="one" kp="10" ctrlrange="0 .04"/></actuator></mujoco>"""


def test_fingers_stay_within_their_ranges():
    (only,) = find_matches(mujoco.MjModel.from_xml_string(GRIPPER.format(slope=1)), MIRROR).found
    assert only.bodies == {0: 0, 1: 1, 2: 3, 3: 2}
    assert [joint.sign for joint in only.joints] == [1.0, 1.0]


def test_a_match_keeps_the_constraints_of_joints():
    model = mujoco.MjModel.from_xml_string(GRIPPER.format(slope=0.5))
    assert not find_matches(model, MIRROR).found
    assert "constraints" in refusal(model, MIRROR)


def test_a_match_keeps_the_pairs_of_welded_bodies():
    weld = GRIPPER.replace(
        '<joint joint1="two" joint2="one" polycoef="0 {slope} 0 0 0"/>', '<weld body1="{a}" body2="{b}"/>'
    )
    uneven = mujoco.MjModel.from_xml_string(weld.format(a="palm", b="one"))
    assert not find_matches(uneven, MIRROR).found
    even = mujoco.MjModel.from_xml_string(weld.format(a="two", b="one"))
    assert find_matches(even, MIRROR).found


def test_many_equal_bodies_end_in_time_with_the_best_first():
    cubes = "".join(f'<body pos="{k} 0 1"><freejoint/><geom type="box" size=".1 .1 .1"/></body>' for k in range(12))
    found = find_matches(mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{cubes}</worldbody></mujoco>"), MIRROR)
    assert found.complete
    assert found.found[0].cost == pytest.approx(0.0, abs=1e-6)
    assert len(found.found) == 64
