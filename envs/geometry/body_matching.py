"""Match the bodies and joints of a model with their mirror images by geometry; names do not matter.

The cost of a match is the sum of the costs of its pairs of bodies (`rpp_rl.envs.geometry.pairing`). Given the image of
a body, the images of its children are found apart from all others, so the best matches of a tree follow from those of
its subtrees. The search first admits matches of very small cost only, and then of larger ones, until there are some:
costly pairs are never followed while a better match exists, and the best match found is the best that there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import mujoco
import numpy as np

from rpp_rl.envs.geometry.equalities import keeps_equalities
from rpp_rl.envs.geometry.isometry import Floats, Isometry
from rpp_rl.envs.geometry.pairing import AXES, TOLERANCE, JointImage, Pair, Pairing

MOST = 64
"""The most matches that are returned; a model with many equal parts has a factorial number of them."""
LIMIT = 20_000
"""The most pairs of bodies that a search compares, about two seconds."""
# The root mean square cost of a match below which it counts as perfect, and the factor from bound to bound.
_FITS, _FACTOR = 1e-3, 4.0
# Matches that are worse than the best by this factor plus this difference are returned too.
_CLOSE, _CLOSE_BY = 1.1, 0.01


@dataclass(frozen=True, eq=False)
class Match:
    """A one-to-one map of bodies and joints.

    Attributes:
        world: the isometry of the world.
        pairs: each matched body with its image.
    """

    world: Isometry
    pairs: tuple[Pair, ...]

    @property
    def bodies(self) -> dict[int, int]:
        """The image of each body, including the world (0)."""
        return {0: 0, **{pair.body: pair.image for pair in self.pairs}}

    @property
    def joints(self) -> tuple[JointImage, ...]:
        """The image of each joint."""
        return tuple(joint for pair in self.pairs for joint in pair.joints)

    @property
    def misfit(self) -> float:
        """The root mean square distance of bodies from the images of their partners, relative to the model's size."""
        return float(np.sqrt(np.mean([pair.misfit**2 for pair in self.pairs]))) if self.pairs else 0.0

    @property
    def cost(self) -> float:
        """The root mean square cost of the pairs."""
        return float(np.sqrt(np.mean([pair.cost for pair in self.pairs]))) if self.pairs else 0.0


@dataclass(frozen=True, eq=False)
class Matches:
    """What a search found.

    Attributes:
        found: the matches, the best first, and those that are nearly as good.
        complete: whether none better can exist; False if the search was cut off.
        compared: the number of pairs of bodies that were compared.
    """

    found: tuple[Match, ...]
    complete: bool
    compared: int


def find_matches(
    model: mujoco.MjModel, linear: Floats, placed: frozenset[int] = frozenset(), limit: int = LIMIT
) -> Matches:
    """Find the matches under a linear map of the world about the origin or about a top-level body.

    Args:
        model: the compiled model.
        linear: an orthogonal matrix, shape (3, 3).
        placed: bodies that the task places anywhere; the image of each is itself.
        limit: the most pairs of bodies to compare.
    """
    search = _Search(model, placed, limit)
    worlds = worlds_of(model, linear, placed)
    found: list[Match] = []
    complete = True
    try:
        for bound in search.bounds():
            for world in worlds:
                found += search.within(world, bound)
                if any(match.cost < _FITS for match in found):
                    break
            if found:
                break
        if found:
            best = min(found, key=lambda match: match.cost)
            close = search.total(_CLOSE * best.cost + _CLOSE_BY)
            found = search.within(best.world, close)
    except _CutOffError:
        complete = False
    return Matches(tuple(sorted(found, key=lambda match: match.cost)[:MOST]), complete, search.compared)


def refusal(model: mujoco.MjModel, linear: Floats, placed: frozenset[int] = frozenset()) -> str:
    """Explain why no match exists: the first body without an image, and the reason."""
    search = _Search(model, placed, LIMIT)
    try:
        for world in worlds_of(model, linear, placed):
            search.within(world, np.inf)
    except _CutOffError:
        return f"the search for mirror images was cut off after {LIMIT} comparisons of bodies"
    pairing = search.pairing
    beside = f"; {pairing.out_of_range}" if pairing.out_of_range else ""
    for body in range(1, model.nbody):
        if body in pairing.refused and body not in pairing.accepted:
            name = model.body(body).name or f"body{body}"
            if pairing.refused[body] == AXES:
                return f"no joints have axes that are the mirror images of the joint axes of body {name!r}{beside}"
            return (
                f"no similar body is at the mirror image of body {name!r}, within {TOLERANCE:.0%} of the robot's "
                f"size{beside}"
            )
    if search.uneven:
        return "the constraints between joints or bodies are not their own mirror images"
    return f"the trees of bodies on the two sides have different branches{beside}"


def size_of(model: mujoco.MjModel) -> float:
    """The diagonal of the box around all bodies but the world, in the reference configuration."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    moving = [g for g in range(model.ngeom) if model.geom_bodyid[g] > 0]
    reach = model.geom_rbound[moving, None]
    points = np.concatenate([data.geom_xpos[moving] - reach, data.geom_xpos[moving] + reach, data.xpos[1:]])
    return float(np.linalg.norm(points.max(axis=0) - points.min(axis=0)))


def worlds_of(model: mujoco.MjModel, linear: Floats, placed: frozenset[int] = frozenset()) -> list[Isometry]:
    """Isometries of a linear part that fix the origin, or then a top-level body that the task does not place."""
    shifts = [np.zeros(3)]
    for body in range(1, model.nbody):
        if model.body_parentid[body] == 0 and body not in placed:
            shift = model.body_pos[body] - linear @ model.body_pos[body]
            if all(np.linalg.norm(shift - s) > 1e-6 for s in shifts):
                shifts.append(shift)
    return [Isometry(linear, shift) for shift in shifts]


class _CutOffError(Exception):
    """A search has compared as many pairs of bodies as it may."""


@dataclass(frozen=True, eq=False)
class _Part:
    """A match of some subtrees: its cost, the sum of those of its pairs, and the pairs."""

    cost: float
    pairs: tuple[Pair, ...]


class _Search:
    """A search for the matches of a model up to a given cost.

    Args:
        model: the compiled model.
        placed: bodies that the task places anywhere.
        limit: the most pairs of bodies to compare.
    """

    def __init__(self, model: mujoco.MjModel, placed: frozenset[int], limit: int) -> None:
        self.model, self.limit, self.compared = model, limit, 0
        self.uneven = False
        self.pairing = Pairing(model, size_of(model), placed)
        self.children_of: list[list[int]] = [[] for _ in range(model.nbody)]
        for body in range(1, model.nbody):
            self.children_of[model.body_parentid[body]].append(body)

    def total(self, cost: float) -> float:
        """The sum of costs of a match with this root mean square."""
        return float(max(1, self.model.nbody - 1) * cost**2)

    def bounds(self) -> Iterator[float]:
        """The bounds on the cost of a match that are tried one after the other; the last admits all."""
        cost = _FITS
        while cost < 1:
            yield self.total(cost)
            cost *= _FACTOR
        yield np.inf

    def within(self, world: Isometry, bound: float) -> list[Match]:
        """The best matches of a cost up to a bound, the best first; at most `MOST`.

        Raises:
            _CutOffError: if it compares too many pairs of bodies.
        """
        self._bound = bound
        self._known: dict[tuple[int, int, bytes], list[_Part]] = {}
        matches = [Match(world, part.pairs) for part in self._children(0, 0, world)]
        kept = [match for match in matches if keeps_equalities(self.model, match.joints, match.bodies)]
        self.uneven = self.uneven or len(kept) < len(matches)
        return kept

    def _children(self, body: int, image: int, frame: Isometry) -> list[_Part]:
        """The best ways to match the children of a body with those of its image."""
        ours, theirs = self.children_of[body], self.children_of[image]
        if len(ours) != len(theirs):
            return []
        options = []
        for one in ours:
            to_each = [(other, self._subtree(one, other, frame)) for other in theirs]
            options.append(sorted(((o, p) for o, p in to_each if p), key=lambda option: option[1][0].cost))
            if not options[-1]:
                return []
        # What the children from each one on cost at least.
        least = np.cumsum([0.0, *(choices[0][1][0].cost for choices in reversed(options))])[::-1]
        found: list[_Part] = []
        self._assign(options, least, frozenset(), _Part(0.0, ()), found)
        return found

    def _assign(
        self,
        options: list[list[tuple[int, list[_Part]]]],
        least: Floats,
        used: frozenset[int],
        so_far: _Part,
        found: list[_Part],
    ) -> None:
        """Extend a match of the first children by the others, and keep the best matches in `found`."""
        done = len(options) - len(least) + 1
        if done == len(options):
            found.append(so_far)
            found.sort(key=lambda part: part.cost)
            del found[MOST:]
            return
        for image, parts in options[done]:
            if image in used:
                continue
            for part in parts:
                cost = so_far.cost + part.cost
                # Some ways of equal cost are enough.
                if cost + least[1] > self._bound or (len(found) == MOST and cost + least[1] >= found[-1].cost):
                    break
                extended = _Part(cost, so_far.pairs + part.pairs)
                self._assign(options, least[1:], used | {image}, extended, found)

    def _subtree(self, body: int, image: int, parent: Isometry) -> list[_Part]:
        """The best ways to match the subtree of a body with that of its image, given their parents' frame."""
        place = np.round(np.concatenate([parent.linear.ravel(), parent.shift]), 9) + 0.0
        key = (body, image, place.tobytes())
        if key not in self._known:
            self._known[key] = self._new_subtree(body, image, parent)
        return self._known[key]

    def _new_subtree(self, body: int, image: int, parent: Isometry) -> list[_Part]:
        found: list[_Part] = []
        for pair in self.pairing.pairs(body, image, parent):
            self.compared += 1
            if self.compared > self.limit:
                raise _CutOffError
            if pair.cost > self._bound:
                continue
            below = self._children(body, image, pair.frame)
            found += [_Part(pair.cost + part.cost, (pair, *part.pairs)) for part in below]
            if not pair.turned and found and min(part.cost for part in found) < _FITS**2:
                # Other offsets are tried only if the reference configuration is not its own image.
                break
        found = [part for part in found if part.cost <= self._bound]
        return sorted(found, key=lambda part: part.cost)[:MOST]
