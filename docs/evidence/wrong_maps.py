"""Symmetries that are wrong on purpose: the mirror of a task with the sign of every observation flipped as well.

The map is a representation of the same group, s -> sign(g) rho(g) s. It constrains networks as much as the right one,
but no trajectory of the task has such an image. What an agent gains with this map, it does not gain from symmetry.

PYTHONPATH=docs/evidence rpp-rl train --env wrong_maps:Walker2d-v5 --symmetry wrong --algo rpp_sac
"""

from dataclasses import replace

from rpp_rl import sign_representation
from rpp_rl.envs import REGISTRY, register_symmetry

for _env in ("Reacher-v5", "Swimmer-v5", "Walker2d-v5", "HalfCheetah-v5"):
    _true = REGISTRY.get(_env)
    _flipped = sign_representation(_true.group) * _true.observation
    _wrong = replace(_true, name="wrong", observation=_flipped, breaks="wrong on purpose", source="a control")
    register_symmetry(_env, _wrong)
