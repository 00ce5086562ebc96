"""The layout of an observation: the names of its entries, and the quantities of MuJoCo that it consists of."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from rpp_rl.envs.geometry.body_matching import Match
from rpp_rl.envs.geometry.isometry import Isometry, tensor_map
from rpp_rl.envs.geometry.pairing import BALL, FREE, HINGE
from rpp_rl.envs.simulator import Floats, Simulator, State
from rpp_rl.envs.state_map import StateMap

_AXES = ("x", "y", "z")
_QUATERNION = ("w", "x", "y", "z")
_INERTIA = ("Ixx", "Iyy", "Izz", "Ixy", "Ixz", "Iyz", "m_x", "m_y", "m_z", "m")
_TOLERANCE = 1e-6


def position_names(model: Any) -> tuple[str, ...]:
    """One name per entry of qpos: the name of its joint, or x, y, z, qw, qx, qy and qz for a single free joint."""
    return tuple(_joint_names(model, [*_AXES, *(f"q{c}" for c in _QUATERNION)], [f"q{c}" for c in _QUATERNION], ""))


def velocity_names(model: Any) -> tuple[str, ...]:
    """One name per entry of qvel: v_ and the name of its joint, or vx, vy, vz, wx, wy, wz for a single free joint."""
    return tuple(_joint_names(model, [f"{k}{c}" for k in "vw" for c in _AXES], [f"w{c}" for c in _AXES], "v_"))


def action_names(model: Any, size: int) -> tuple[str, ...]:
    """One name per action: that of its actuator or driven joint; act[0], act[1], ... if actions are not actuators."""
    names = [_actuator_name(model, i) for i in range(model.nu)]
    if size != model.nu or len(set(names)) < size:
        return tuple(f"act[{i}]" for i in range(size))
    return tuple(names)


def driven_joints(model: Any) -> dict[str, str]:
    """The name of the joint that each actuator drives, by the name of the actuator."""
    kinds = (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT)
    on_joints = (i for i in range(model.nu) if mujoco.mjtTrn(model.actuator_trntype[i]) in kinds)
    return {_actuator_name(model, i): joint_name(model, int(model.actuator_trnid[i, 0])) for i in on_joints}


def joint_name(model: Any, joint: int) -> str:
    """The name of a joint; ``joint<index>`` if it has none."""
    return model.joint(joint).name or f"joint{joint}"


def body_name(model: Any, body: int) -> str:
    """The name of a body; ``body<index>`` if it has none."""
    return model.body(body).name or f"body{body}"


def _actuator_name(model: Any, i: int) -> str:
    if model.actuator(i).name:
        return str(model.actuator(i).name)
    if mujoco.mjtTrn(model.actuator_trntype[i]) in (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT):
        return joint_name(model, int(model.actuator_trnid[i, 0]))
    return f"actuator{i}"


def _joint_names(model: Any, free: list[str], ball: list[str], prefix: str) -> Iterator[str]:
    only = int((model.jnt_type == FREE).sum()) == 1
    for j in range(model.njnt):
        name = joint_name(model, j)
        if model.jnt_type[j] == FREE:
            yield from (entry if only else f"{name}.{entry}" for entry in free)
        elif model.jnt_type[j] == BALL:
            yield from (f"{name}.{entry}" for entry in ball)
        else:
            yield prefix + name


@dataclass(frozen=True)
class Quantity:
    """One of MuJoCo's arrays as a vector.

    Attributes:
        names: one name per entry.
        read: reads the vector from MuJoCo's data.
        matrix: the matrix by which the vector moves, for a match and its state map.
        offset: the offset by which it moves; None for zero.
    """

    names: tuple[str, ...]
    read: Callable[[Any], Floats]
    matrix: Callable[[Match, StateMap], Floats]
    offset: Callable[[StateMap], Floats] | None = None


def quantities(model: Any) -> dict[str, Quantity]:
    """The quantities that gymnasium's robots observe, by their keys in `observation_structure`."""
    velocities = velocity_names(model)
    bodies = [body_name(model, b) for b in range(model.nbody)]

    def per_body(field: str, components: tuple[str, ...], kind: Callable[[Isometry], Floats]) -> Quantity:
        names = tuple(f"{field}.{body}.{component}" for body in bodies for component in components)
        return Quantity(
            names,
            lambda data: getattr(data, field).ravel(),
            lambda match, _: np.asarray(np.kron(_body_matrix(match, model.nbody), kind(match.world)), dtype=np.float64),
        )

    def spatial(rotational: str, linear: str) -> tuple[str, ...]:
        return tuple(f"{part}_{axis}" for part in (rotational, linear) for axis in _AXES)

    return {
        "qpos": Quantity(
            position_names(model), lambda data: data.qpos, lambda _, state_map: state_map.positions, lambda m: m.offsets
        ),
        "qvel": Quantity(velocities, lambda data: data.qvel, lambda _, state_map: state_map.velocities),
        "cinert": per_body("cinert", _INERTIA, lambda g: _blocks(tensor_map(g.linear), g.linear, np.eye(1))),
        "cvel": per_body("cvel", spatial("w", "v"), lambda g: _blocks(g.pseudo, g.linear)),
        "qfrc_actuator": Quantity(
            tuple(f"qfrc_actuator.{name.removeprefix('v_')}" for name in velocities),
            lambda data: data.qfrc_actuator,
            lambda _, state_map: np.asarray(np.linalg.inv(state_map.velocities).T, dtype=np.float64),
        ),
        "cfrc_ext": per_body("cfrc_ext", spatial("torque", "force"), lambda g: _blocks(g.pseudo, g.linear)),
    }


@dataclass(frozen=True)
class Layout:
    """An observation that consists of the last entries of several of MuJoCo's arrays.

    Attributes:
        parts: the quantities, each with the number of its last entries that are observed.
    """

    parts: tuple[tuple[Quantity, int], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """One name per entry of the observation."""
        return tuple(name for quantity, size in self.parts for name in quantity.names[-size:])

    def map(self, match: Match, state_map: StateMap) -> tuple[Floats, Floats]:
        """The matrix rho and the offset c of x -> rho x + c, shapes (entries, entries) and (entries,)."""
        blocks, offsets = [], []
        for quantity, size in self.parts:
            blocks.append(quantity.matrix(match, state_map)[-size:, -size:])
            offsets.append(quantity.offset(state_map)[-size:] if quantity.offset else np.zeros(size))
        return _blocks(*blocks), np.concatenate(offsets)


def layout_of(simulator: Simulator, state: State) -> Layout | None:
    """The layout given by `observation_structure`; None without one, or if an observation contradicts it."""
    structure = getattr(simulator.base, "observation_structure", None)
    if simulator.observation_wrappers or not isinstance(structure, dict):
        return None
    sizes = {key: int(size) for key, size in structure.items() if key != "skipped_qpos" and size}
    known = quantities(simulator.model)
    if not sizes or not sizes.keys() <= known.keys():
        return None
    layout = Layout(tuple((known[key], size) for key, size in sizes.items()))
    observed = look(simulator, state)
    held = np.concatenate([quantity.read(simulator.data)[-size:] for quantity, size in layout.parts])
    if held.shape != observed.shape:
        return None
    # Some robots clip velocities and forces.
    agrees = (np.abs(held - observed) < _TOLERANCE) | ((np.abs(held) > np.abs(observed)) & (held * observed > 0))
    return layout if agrees.all() else None


def look(simulator: Simulator, state: State) -> Floats:
    """The observation of a state, including contact forces."""
    simulator.set(state)
    mujoco.mj_rnePostConstraint(simulator.model, simulator.data)
    return simulator.observe()


def recognized_names(simulator: Simulator, states: list[State]) -> tuple[str, ...]:
    """Names of recognized entries: coordinates, sines, cosines, places and their differences; obs[i] for others."""
    observations, rows = [], []
    for state in states:
        observations.append(look(simulator, state))
        rows.append(_named_values(simulator))
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    places = [f"{body_name(simulator.model, b)}." for b in range(1, simulator.model.nbody)]
    for one, other in itertools.permutations(places, 2):
        columns |= {f"{one}{axis}-{other}{axis}": columns[one + axis] - columns[other + axis] for axis in _AXES}
    names: list[str] = []
    for i, values in enumerate(np.array(observations).T):
        name = next((n for n in _alike(values, columns) if n not in names), f"obs[{i}]")
        names.append(name)
    return tuple(names)


def _alike(values: Floats, columns: dict[str, Floats]) -> Iterator[str]:
    """The names of the columns that equal the values, up to clipping."""
    spread = float(values.std())
    for name, column in columns.items() if spread > 1e-6 else ():
        if np.abs(values - column.clip(values.min(), values.max())).max() < 1e-5 * spread:
            yield name


def _named_values(simulator: Simulator) -> dict[str, float]:
    model, data = simulator.model, simulator.data
    values = dict(zip(position_names(model), data.qpos, strict=True))
    values |= dict(zip(velocity_names(model), data.qvel, strict=True))
    for j in np.flatnonzero(model.jnt_type == HINGE).tolist():
        angle = data.qpos[model.jnt_qposadr[j]]
        values |= {f"cos({joint_name(model, j)})": np.cos(angle), f"sin({joint_name(model, j)})": np.sin(angle)}
    for b in range(1, model.nbody):
        values |= {f"{body_name(model, b)}.{axis}": data.xpos[b, k] for k, axis in enumerate(_AXES)}
    for s in range(model.nsite):
        name = model.site(s).name or f"site{s}"
        values |= {f"{name}.{axis}": data.site_xpos[s, k] for k, axis in enumerate(_AXES)}
    for s in range(model.nsensor):
        start, name = int(model.sensor_adr[s]), model.sensor(s).name or f"sensor{s}"
        values |= {f"{name}[{k}]": data.sensordata[start + k] for k in range(int(model.sensor_dim[s]))}
    values |= {f"ctrl.{_actuator_name(model, i)}": data.ctrl[i] for i in range(model.nu)}
    forces = zip(velocity_names(model), data.qfrc_constraint, strict=True)
    values |= {f"qfrc_constraint.{name.removeprefix('v_')}": force for name, force in forces}
    return values


def _body_matrix(match: Match, count: int) -> Floats:
    matrix = np.zeros((count, count))
    for body, image in match.bodies.items():
        matrix[image, body] = 1.0
    return matrix


def _blocks(*matrices: Floats) -> Floats:
    size = sum(len(m) for m in matrices)
    total, start = np.zeros((size, size)), 0
    for m in matrices:
        total[start : start + len(m), start : start + len(m)] = m
        start += len(m)
    return total
