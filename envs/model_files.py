"""Look at the symmetry of a robot from its model file alone, before there is an environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium import spaces

from rpp_rl.envs.derivation.derive import DerivedMap, derive_maps
from rpp_rl.envs.derivation.exchange import recognize_exchange
from rpp_rl.envs.simulator import Floats, Simulator, State
from rpp_rl.envs.state_map import state_map_of, terms
from rpp_rl.errors import SymmetryError

SUFFIXES = (".xml", ".mjcf", ".mjb", ".urdf")
MENAGERIE = "menagerie:"
# Seconds of a step, and states in which sensors are compared.
_STEP, _STATES = 0.02, 40


def is_model(name: str) -> bool:
    """Whether a name is that of a model, not of an environment."""
    return name.startswith(MENAGERIE) or Path(name).suffix.lower() in SUFFIXES


def load_model(name: str) -> mujoco.MjModel:
    """Compile a model.

    Args:
        name: the path of an MJCF or URDF file, or ``menagerie:<robot>`` for a robot of MuJoCo Menagerie, which its
            package downloads.

    Raises:
        SymmetryError: if it cannot be compiled, or the package is missing or does not have the robot.
    """
    try:
        if name.startswith(MENAGERIE):
            return _from_menagerie(name.removeprefix(MENAGERIE))
        if not Path(name).is_file():
            raise SymmetryError(f"the model file {name} does not exist")
        load = mujoco.MjModel.from_binary_path if name.lower().endswith(".mjb") else mujoco.MjModel.from_xml_path
        return load(name)
    except ValueError as error:
        raise SymmetryError(f"the model {name} cannot be compiled: {' '.join(str(error).split())}") from error


def _from_menagerie(robot: str) -> mujoco.MjModel:
    try:
        import mujoco_menagerie
    except ImportError as error:
        raise SymmetryError("robots of MuJoCo Menagerie need: pip install 'rpp-rl[menagerie]'") from error
    try:
        found = mujoco_menagerie.get(robot)
        return found.model(found.default_model)
    except mujoco_menagerie.MenagerieError as error:
        raise SymmetryError(f"{MENAGERIE}{robot} cannot be loaded: {' '.join(str(error).split())}") from error


class ModelEnv(gym.Env[Floats, Floats]):
    """A model as an environment: it observes positions and velocities, and its actions are the controls.

    Controls without a range have the range -1 to 1. The reward is 0.

    Args:
        model: the compiled model.
        name: the name of the robot, for messages.
    """

    def __init__(self, model: mujoco.MjModel, name: str) -> None:
        self.model, self.data, self.robot = model, mujoco.MjData(model), name
        self.frame_skip = max(1, round(_STEP / model.opt.timestep))
        low, high = (np.where(model.actuator_ctrllimited, model.actuator_ctrlrange[:, k], (-1, 1)[k]) for k in (0, 1))
        self.action_space = spaces.Box(low, high, dtype=np.float64)
        self.observation_space = spaces.Box(-np.inf, np.inf, (model.nq + model.nv,), np.float64)
        self.observation_structure = {"qpos": model.nq, "qvel": model.nv}

    def _get_obs(self) -> Floats:
        return np.concatenate([self.data.qpos, self.data.qvel])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Start near the reference pose, or the first keyframe."""
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        if self.model.nkey:
            mujoco.mj_resetDataKeyframe(self.model, self.data, 0)
        velocity = 0.1 * self.np_random.standard_normal(self.model.nv)
        mujoco.mj_integratePos(self.model, self.data.qpos, velocity, 1.0)
        self.data.qvel[:] = velocity
        mujoco.mj_forward(self.model, self.data)
        return self._get_obs(), {}

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Step the simulation."""
        self.data.ctrl[:] = action
        mujoco.mj_step(self.model, self.data, self.frame_skip)
        return self._get_obs(), 0.0, False, False, {}


@dataclass(frozen=True)
class ModelSymmetry:
    """What was found in a model for one map of the world.

    Attributes:
        best: the best map, with its misfit and audit.
        bodies: each pair of bodies that change places, with the misfit.
        sensors: the image of each number that a sensor measures; ``?`` where none was found.
    """

    best: DerivedMap
    bodies: tuple[tuple[str, str, float], ...]
    sensors: tuple[tuple[str, str], ...]


def model_symmetry(env: ModelEnv, plane: str) -> ModelSymmetry:
    """Find the best map of a model under a reflection or turn of the world.

    Args:
        env: the model.
        plane: as `reflection` of `rpp_rl.envs.derive_symmetry`.

    Raises:
        SymmetryError: if there is none; the message says why.
        UnknownNameError: for an unknown reflection.
    """
    best, *_ = derive_maps(env, plane)
    model = env.model
    (match,) = best.matches
    name = [model.body(b).name or f"body{b}" for b in range(model.nbody)]
    bodies = tuple((name[p.body], name[p.image], p.misfit) for p in match.pairs if p.body <= p.image)
    simulator = Simulator(env)
    state_map = state_map_of(model, match, np.zeros((model.nu, model.nu)), simulator.placements)
    rng = np.random.default_rng(0)
    measured: list[list[Floats]] = [[], []]
    for _ in range(_STATES if model.nsensordata else 0):
        env.reset(seed=int(rng.integers(2**31)))
        qpos = simulator.state().qpos
        mujoco.mj_integratePos(model, qpos, 0.4 * rng.standard_normal(model.nv), 1.0)
        state = State(qpos, rng.standard_normal(model.nv), np.zeros(model.nu), np.zeros(model.nv))
        for column, one in zip(measured, (state, state_map(state)), strict=True):
            simulator.set(one)
            column.append(simulator.data.sensordata.copy())
    return ModelSymmetry(best, bodies, _sensors(model, *measured) if measured[0] else ())


def _sensors(model: mujoco.MjModel, values: list[Floats], moved: list[Floats]) -> tuple[tuple[str, str], ...]:
    names: list[str] = []
    for s in range(model.nsensor):
        name, size = model.sensor(s).name or f"sensor{s}", int(model.sensor_dim[s])
        names += [name] if size == 1 else [f"{name}[{k}]" for k in range(size)]
    matrix = recognize_exchange(np.array(values), np.array(moved)).matrix
    return tuple((name, terms(row, names) or "?") for name, row in zip(names, matrix, strict=True))
