"""A quadruped that follows commands, and its mirror, declared by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpp_rl.envs.reflections import reflection
from rpp_rl.envs.robots.robots import Quadruped
from rpp_rl.envs.simulator import Floats
from rpp_rl.symmetry import Symmetry

_LEGS = ("front_left", "front_right", "hind_left", "hind_right")
_JOINTS = tuple(f"{leg}_{joint}" for leg in _LEGS for joint in ("roll", "thigh", "knee"))
# The actuators of diagonal legs follow each other in the model file.
_DRIVEN = tuple(
    f"{leg}_{joint}"
    for leg in ("front_left", "hind_right", "front_right", "hind_left")
    for joint in ("roll", "thigh", "knee")
)


class Trotter(Quadruped):
    """A quadruped that follows commanded velocities in a trot, as robots that learn to walk do.

    The simulator does not hold its command, its last action and the phase of its gait. `get_extra_state` and
    `set_extra_state` let an audit mirror them.
    """

    def __init__(self, **kwargs: Any) -> None:
        # Velocities in x, y (m/s) and about z (rad/s); the last action; sine and cosine of the phase.
        self.command, self.last_action, self.phase = np.zeros(3), np.zeros(12), np.array([0.0, 1.0])
        super().__init__(**kwargs)

    def get_extra_state(self) -> Floats:
        """Command, last action and phase, shape (17,)."""
        return np.concatenate([self.command, self.last_action, self.phase])

    def set_extra_state(self, x: Floats) -> None:
        """Set them."""
        self.command, self.last_action, self.phase = np.split(np.array(x), [3, 15])

    def _get_obs(self) -> Floats:
        return np.concatenate([self.data.qpos[2:], self.data.qvel, self.get_extra_state()])

    def reset_model(self) -> Floats:
        """Draw a command and a phase."""
        self.command = self.np_random.uniform([-0.5, -0.3, -0.5], [1.0, 0.3, 0.5])
        angle = self.np_random.uniform(0, 2 * np.pi)
        self.phase, self.last_action = np.array([np.sin(angle), np.cos(angle)]), np.zeros(12)
        return super().reset_model()

    def step(self, action: Any) -> tuple[Floats, Any, bool, bool, dict[str, Any]]:
        """Step the simulation; the gait takes half a second."""
        turn = 4 * np.pi * self.dt
        sine, cosine = self.phase
        self.phase = np.array(
            [sine * np.cos(turn) + cosine * np.sin(turn), cosine * np.cos(turn) - sine * np.sin(turn)]
        )
        self.last_action = np.array(action, dtype=np.float64)
        return super().step(action)

    def reward(self, velocity: Floats) -> float:
        """Nearness to the command, and feet that are up when the phase says so; diagonal legs move together."""
        wanted, data = self.command, self.data
        missed = np.append(velocity[:2] - wanted[:2], data.qvel[5] - wanted[2])
        front_left, front_right, hind_left, hind_right = (data.body(f"{leg}_shank").xpos[2] for leg in _LEGS)
        lifted = front_left + hind_right - front_right - hind_left
        return float(np.exp(-np.square(missed).sum()) + self.phase[0] * lifted)


def trotter_mirror() -> Symmetry:
    """The mirror of `Trotter` in its plane: left and right legs change places, and the gait is half a turn further."""
    state = ["z", "qw", "qx", "qy", "qz", *_JOINTS, "vx", "vy", "vz", "wx", "wy", "wz", *(f"v_{j}" for j in _JOINTS)]
    kept = ["command_x", "command_y", "command_wz", *(f"last_{joint}" for joint in _DRIVEN), "sin_phase", "cos_phase"]
    return reflection(
        observation=[*state, *kept],
        action=_DRIVEN,
        swap=[(joint, joint.replace("left", "right")) for joint in _JOINTS if "left" in joint],
        flip=[
            *("qx", "qz", "vy", "wx", "wz", "command_y", "command_wz", "sin_phase", "cos_phase"),
            *(joint for joint in _JOINTS if "roll" in joint),
        ],
        name="sagittal",
    )
