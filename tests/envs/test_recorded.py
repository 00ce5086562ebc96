"""Recorded transitions of tasks with known symmetries, against right and wrong maps."""

from functools import cache

import gymnasium as gym
import numpy as np
import pytest

from rpp_rl.envs import REGISTRY, reflection
from rpp_rl.envs.auditing.recorded import Recorded, recorded_check
from rpp_rl.errors import SymmetryError


@cache
def recorded(env_id, count, seed=0):
    """Transitions under random actions."""
    env = gym.make(env_id)
    env.action_space.seed(seed)
    x, _ = env.reset(seed=seed)
    rows = []
    for _ in range(count):
        action = env.action_space.sample()
        y, reward, terminated, truncated, _ = env.step(action)
        rows.append((x, action, y, reward))
        x = env.reset()[0] if terminated or truncated else y
    return Recorded(*(np.array(column, dtype=float) for column in zip(*rows, strict=True)))


def part_of(found, mask):
    return Recorded(*(v[mask] for v in (found.observations, found.actions, found.next_observations, found.rewards)))


def pendulum(*flip, action_flip=("torque",)):
    return reflection(["cos", "sin", "velocity"], ["torque"], flip=flip, action_flip=action_flip)


RIGHT = pendulum("sin", "velocity")
WRONG = {
    "no torque": pendulum("sin", "velocity", action_flip=()),
    "no sine": pendulum("velocity"),
    "no velocity": pendulum("sin"),
    "upside down": pendulum("cos"),
    "half a turn": pendulum("cos", "sin"),
    "torque alone": pendulum(),
}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("count", [500, 3000])
def test_the_right_map_is_never_contradicted(count, seed):
    check = recorded_check(RIGHT, recorded("Pendulum-v1", count, seed))
    assert check.holds is True, check


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", WRONG)
def test_wrong_maps_are_contradicted(name, seed):
    check = recorded_check(WRONG[name], recorded("Pendulum-v1", 1000, seed))
    assert check.holds is False, check
    assert "velocity" in check.detail


def test_the_wrong_entry_of_a_larger_robot_is_named():
    found = recorded("Swimmer-v5", 2500)
    assert recorded_check(REGISTRY.get("Swimmer-v5"), found).holds is True
    check = recorded_check(REGISTRY.get("Swimmer-v5", "rpp2021"), found)
    assert check.holds is False
    assert "contradicted by vy;" in check.detail


def test_too_few_transitions_are_not_judged():
    check = recorded_check(RIGHT, recorded("Pendulum-v1", 150))
    assert check.holds is None
    assert "150 transitions are too few" in check.detail


@pytest.mark.parametrize("symmetry", [RIGHT, WRONG["no sine"]], ids=["right", "wrong"])
def test_one_sided_data_are_not_judged(symmetry):
    found = recorded("Pendulum-v1", 3000)
    # In these data the pendulum hangs on one side and moves one way.
    one_sided = part_of(found, (found.observations[:, 1] > 0.3) & (found.observations[:, 2] > 1))
    check = recorded_check(symmetry, one_sided)
    assert check.holds is None, check


def test_noise_is_not_judged():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 1000, 3))
    check = recorded_check(RIGHT, Recorded(x, rng.uniform(-1, 1, (1000, 1)), x + y, rng.standard_normal(1000)))
    assert check.holds is None, check


def test_other_sizes_are_refused():
    with pytest.raises(SymmetryError, match=r"3 entries of the observation and 1 of the action.*has 8 and 2"):
        recorded_check(REGISTRY.get("Swimmer-v5"), recorded("Pendulum-v1", 500))
