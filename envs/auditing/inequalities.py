"""Find the quantities of a model that differ between two parts that a symmetry exchanges."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from rpp_rl.envs.simulator import Floats, Simulator, State
from rpp_rl.envs.state_map import Move, StateMap
from rpp_rl.signed_permutation import SignedPermutation

Repair = Callable[[Any], None]
_TOLERANCE = 1e-6
_SCALAR = (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)


@dataclass(frozen=True)
class Inequality:
    """A quantity that differs between a part and its image, or between a part and itself after the reflection.

    Attributes:
        kind: the quantity, such as ``"stiffness"``.
        names: names of the two parts; the same twice if a part is its own image.
        values: values of the two; the second is already moved to the side of the first.
        repair: makes the two equal in a model; None if a change of one number cannot do it.
    """

    kind: str
    names: tuple[str, str]
    values: tuple[Any, Any]
    repair: Repair | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        one, other = (np.array2string(np.asarray(v), precision=6, separator=", ") for v in self.values)
        if self.names[0] == self.names[1]:
            return f"{self.kind} of {self.names[0]}: {one}, its image {other}"
        return f"{self.kind}: {self.names[0]} {one}, {self.names[1]} {other}"


def inequalities(simulator: Simulator, move: Move, state_map: StateMap, states: list[State]) -> tuple[Inequality, ...]:
    """Find all inequalities in a model; `states` are states in which the places of bodies are compared."""
    model = simulator.model
    bodies = _body_pairs(model, state_map)
    found = [*_joints(model, state_map), *_bodies(model, bodies), *_geoms(model, bodies)]
    if simulator.controls_are_actions:
        found += _actuators(model, move)
    rotation, lengths = _world(simulator, state_map, bodies, states)
    found += [Inequality("geometry", _names(model.body, pair), (0.0, off)) for pair, off in lengths if off > 1e-5]
    if rotation is not None:
        found += _axes(simulator, state_map, rotation)
    gravity = model.opt.gravity
    if rotation is not None and not _equal(rotation @ gravity, gravity):
        moved = rotation @ gravity
        found.append(
            Inequality("gravity", ("world", "world"), (gravity.tolist(), moved.tolist()), _level((gravity + moved) / 2))
        )
    return tuple(found)


def _single(matrix: Floats) -> Iterator[tuple[int, int, float]]:
    """(i, j, sign) for every row i of a matrix that has one nonzero entry, at j, of size 1."""
    for i, row in enumerate(matrix):
        (sources,) = np.nonzero(np.abs(row) > 1e-9)
        if len(sources) == 1 and abs(abs(row[sources[0]]) - 1) < 1e-6:
            yield i, int(sources[0]), float(np.sign(row[sources[0]]))


def _joints(model: Any, state_map: StateMap) -> Iterator[Inequality]:
    offsets = state_map.offsets
    for d, e, sign in _single(state_map.velocities):
        j, k = int(model.dof_jntid[d]), int(model.dof_jntid[e])
        names = _names(model.joint, (j, k))
        if d <= e:
            for kind, attribute in (
                ("damping", "dof_damping"),
                ("armature", "dof_armature"),
                ("friction loss", "dof_frictionloss"),
            ):
                yield from _copied(model, kind, attribute, names, (d, e))
        if mujoco.mjtJoint(model.jnt_type[j]) not in _SCALAR:
            continue
        q, p = int(model.jnt_qposadr[j]), int(model.jnt_qposadr[k])
        if d <= e:
            yield from _copied(model, "stiffness", "jnt_stiffness", names, (j, k))
            if model.jnt_stiffness[j] or model.jnt_stiffness[k]:
                spring = model.qpos_spring
                yield from _differ("spring reference", names, spring[q], sign * spring[p] + offsets[q])
            if model.jnt_limited[j] or model.jnt_limited[k]:
                moved = np.sort(sign * model.jnt_range[k] + offsets[q])
                limited = model.jnt_limited[j] == model.jnt_limited[k]
                if not limited or not _equal(model.jnt_range[j], moved):
                    both = (model.jnt_range[j].tolist(), moved.tolist())
                    yield Inequality("range", names, both, _equal_ranges(j, k, sign, float(offsets[q])))


def _actuators(model: Any, move: Move) -> Iterator[Inequality]:
    for i, j, sign in _single(move.action):
        if i > j:
            continue
        names = _names(model.actuator, (i, j))
        if not _equal(np.abs(model.actuator_gear[i]), np.abs(model.actuator_gear[j])):
            gears = tuple(model.actuator_gear[a].tolist() for a in (i, j))
            yield Inequality("gear", names, (gears[0], gears[1]), _equal_gears(i, j))
        if model.actuator_ctrllimited[i]:
            moved = np.sort(sign * model.actuator_ctrlrange[j])
            yield from _differ("control range", names, model.actuator_ctrlrange[i], moved)
        yield from _differ("gain", names, model.actuator_gainprm[i], model.actuator_gainprm[j])
        yield from _differ("bias", names, model.actuator_biasprm[i], model.actuator_biasprm[j])


def _body_pairs(model: Any, state_map: StateMap) -> dict[int, int]:
    """The image of each body, from the images of its joints, or else of its children or its parent."""
    pairs = {0: 0}
    for d, e, _ in _single(state_map.velocities):
        pairs.setdefault(int(model.dof_bodyid[d]), int(model.dof_bodyid[e]))
    for body in reversed(range(1, model.nbody)):
        parent = int(model.body_parentid[body])
        if body in pairs:
            pairs.setdefault(parent, int(model.body_parentid[pairs[body]]))
    for body in range(1, model.nbody):
        if body not in pairs:
            siblings = _free_children(model, int(model.body_parentid[body]), pairs.keys())
            images = _free_children(model, pairs[int(model.body_parentid[body])], pairs.values())
            alike = len(siblings) == len(images)
            pairs.update(zip(siblings, images if alike else siblings, strict=True))
    return pairs


def _free_children(model: Any, parent: int, taken: Collection[int]) -> list[int]:
    return [c for c in range(1, model.nbody) if model.body_parentid[c] == parent and c not in taken]


def _bodies(model: Any, pairs: dict[int, int]) -> Iterator[Inequality]:
    for body, image in pairs.items():
        if body < image:
            names = _names(model.body, (body, image))
            yield from _copied(model, "mass", "body_mass", names, (body, image))
            yield from _differ("inertia", names, np.sort(model.body_inertia[body]), np.sort(model.body_inertia[image]))


def _geoms(model: Any, pairs: dict[int, int]) -> Iterator[Inequality]:
    for body, image in pairs.items():
        if body >= image:
            continue
        ours, theirs = (
            range(model.body_geomadr[b], model.body_geomadr[b] + model.body_geomnum[b]) for b in (body, image)
        )
        if len(ours) != len(theirs):
            yield Inequality("number of geoms", _names(model.body, (body, image)), (len(ours), len(theirs)))
            continue
        for one, other in zip(ours, theirs, strict=True):
            names = _names(model.geom, (one, other))
            sizes = [model.geom_size[g] for g in (one, other)]
            if model.geom_type[one] == mujoco.mjtGeom.mjGEOM_BOX:
                # The sides of a box may have another order in its frame.
                sizes = [np.sort(size) for size in sizes]
            yield from _differ("size", names, *sizes)
            yield from _differ("friction", names, model.geom_friction[one], model.geom_friction[other])


def _world(
    simulator: Simulator, state_map: StateMap, pairs: dict[int, int], states: list[State]
) -> tuple[NDArray[np.float64] | None, list[tuple[tuple[int, int], float]]]:
    """The isometry of space that best maps bodies to those of moved states, and the distance of each body from it."""
    bodies = [b for b in pairs if b and simulator.model.body_mass[b] > 0]
    images = [pairs[b] for b in bodies]
    ours, moved = [], []
    for state in states:
        simulator.set(state)
        ours.append(simulator.data.xipos[images].copy())
        simulator.set(state_map(state))
        moved.append(simulator.data.xipos[bodies].copy())
    x, y = np.concatenate(ours), np.concatenate(moved)
    rotation, shift = _isometry(x, y)
    off = np.linalg.norm(y - x @ rotation.T - shift, axis=1).reshape(len(states), -1)
    missed = np.median(off, axis=0)
    if np.median(missed) > 1e-2:
        # No isometry fits, so gravity and geometry cannot be compared.
        return None, []
    return rotation, [((b, c), float(m)) for b, c, m in zip(bodies, images, missed, strict=True)]


def _axes(simulator: Simulator, state_map: StateMap, rotation: Floats) -> Iterator[Inequality]:
    """Joints whose axis differs from the image of their partner's axis in the reference configuration."""
    model, axes = simulator.model, []
    still = np.zeros(model.nv)
    reference = State(model.qpos0.copy(), still, np.zeros(model.nu), still)
    for state in (reference, state_map(reference)):
        simulator.set(state)
        axes.append(simulator.data.xaxis.copy())
    for d, e, sign in _single(state_map.velocities):
        j, k = int(model.dof_jntid[d]), int(model.dof_jntid[e])
        kind = mujoco.mjtJoint(model.jnt_type[j])
        if kind not in _SCALAR or d > e:
            continue
        hinge = np.linalg.det(rotation) if kind == mujoco.mjtJoint.mjJNT_HINGE else 1.0
        yield from _differ("axis", _names(model.joint, (j, k)), axes[1][j], sign * hinge * rotation @ axes[0][k])


def _isometry(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """R and t with y = R x + t for most points, by least absolute distances; R is rounded to a signed permutation."""
    weights, rotation, shift = np.ones(len(x)), np.eye(3), np.zeros(3)
    for _ in range(30):
        w = weights / weights.sum()
        x_mean, y_mean = w @ x, w @ y
        u, _, vt = np.linalg.svd(((y - y_mean) * w[:, None]).T @ (x - x_mean))
        rotation = u @ vt
        snapped = SignedPermutation.from_matrix(np.where(np.abs(rotation) > 0.99, np.sign(rotation), 0.0))
        if snapped is not None:
            rotation = snapped.matrix
        shift = y_mean - rotation @ x_mean
        weights = 1 / (np.linalg.norm(y - x @ rotation.T - shift, axis=1) + 1e-6)
    return rotation, shift


def _names(table: Any, pair: tuple[int, int]) -> tuple[str, str]:
    one, other = (table(i).name or f"{table.__name__} {i}" for i in pair)
    return one, other


def _equal(one: Any, other: Any) -> bool:
    return bool(np.allclose(one, other, rtol=1e-6, atol=_TOLERANCE))


def _differ(kind: str, names: tuple[str, str], one: Any, other: Any) -> Iterator[Inequality]:
    if not _equal(one, other):
        yield Inequality(kind, names, (np.asarray(one).tolist(), np.asarray(other).tolist()))


def _copied(
    model: Any, kind: str, attribute: str, names: tuple[str, str], pair: tuple[int, int]
) -> Iterator[Inequality]:
    """Compare one number in an array of the model; the repair sets both to the mean."""
    one, other = (float(getattr(model, attribute)[i]) for i in pair)

    def repair(model: Any) -> None:
        getattr(model, attribute)[list(pair)] = (one + other) / 2

    if not _equal(one, other):
        yield Inequality(kind, names, (one, other), repair)


def _equal_ranges(j: int, k: int, sign: float, offset: float) -> Repair:
    def repair(model: Any) -> None:
        mean = (model.jnt_range[j] + np.sort(sign * model.jnt_range[k] + offset)) / 2
        model.jnt_range[k] = np.sort(sign * (mean - offset))
        model.jnt_range[j] = mean

    return repair


def _equal_gears(i: int, j: int) -> Repair:
    def repair(model: Any) -> None:
        mean = (np.abs(model.actuator_gear[i]) + np.abs(model.actuator_gear[j])) / 2
        for a in (i, j):
            model.actuator_gear[a] = np.sign(model.actuator_gear[a]) * mean

    return repair


def _level(gravity: Floats) -> Repair:
    def repair(model: Any) -> None:
        model.opt.gravity[:] = gravity

    return repair
