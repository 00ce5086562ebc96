"""Four small robots as examples of how to add robots of your own.

Use ids with this module, such as ``rpp_rl.envs.robots:Quadruped-v0``, or import the module.
"""

import gymnasium as gym

from rpp_rl.envs.derivation import Derived
from rpp_rl.envs.registry import REGISTRY
from rpp_rl.envs.robots.robots import Biped, Crawler, Quadruped, Robot
from rpp_rl.envs.robots.trotter import Trotter, trotter_mirror

__all__ = ["Biped", "Crawler", "Quadruped", "Robot", "Trotter"]

_ROBOTS = (
    (Quadruped, "both_mirrors", Derived("both_mirrors", ("x", "y"))),
    (Biped, "sagittal", Derived("sagittal", "y")),
    (
        Crawler,
        "sagittal",
        Derived("sagittal", "y", "the model file: a heavier right hand and more damping in the left shoulder"),
    ),
    (Trotter, "sagittal", trotter_mirror),
)

for _robot, _name, _symmetry in _ROBOTS:
    _env_id = f"{_robot.__name__}-v0"
    if _env_id not in gym.registry:
        gym.register(_env_id, f"{_robot.__module__}:{_robot.__name__}", max_episode_steps=500)
        REGISTRY.add(_env_id, _name, _symmetry)
