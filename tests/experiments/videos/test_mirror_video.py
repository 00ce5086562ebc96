"""Two trajectories of one policy, from a state and from its mirror image."""

import numpy as np
import pytest

from rpp_rl.envs.simulator import Simulator
from rpp_rl.envs.wrapper import make
from rpp_rl.errors import SymmetryError
from rpp_rl.experiments.videos.mirror_video import Pair, csv_text
from rpp_rl.symmetry import Symmetry


@pytest.fixture(params=["Swimmer-v5", "Walker2d-v5"])
def task(request):
    """A pair of simulators, the symmetry, and a linear policy that is not equivariant."""
    envs = [make(request.param) for _ in range(2)]
    for env in envs:
        env.reset(seed=3)
    symmetry = envs[0].symmetry
    pair = Pair.of(*(Simulator(env) for env in envs), symmetry, 1)
    envs[0].reset(seed=3)
    weights = np.random.default_rng(0).standard_normal((symmetry.action.size, symmetry.observation.size)) / 10
    yield pair, weights
    for env in envs:
        env.close()


def equivariant(pair, weights):
    rho, sigma = pair.move.observation, pair.move.action
    return (weights + sigma.T @ weights @ rho) / 2


def run(pair, weights, steps=30):
    return list(pair.run(lambda x: np.tanh(weights @ x), pair.one.state(), steps))


def test_the_trajectories_of_an_equivariant_policy_stay_mirror_images(task):
    pair, weights = task
    moments = run(pair, equivariant(pair, weights), 10)
    assert max(m.distance for m in moments) < 1e-8
    assert max(m.action_distance for m in moments) < 1e-9
    assert max(m.observation_distance for m in moments) < 1e-8
    assert [m.step for m in moments] == list(range(len(moments)))
    rewards = [(m.reward, m.moved_reward) for m in moments[1:]]
    np.testing.assert_allclose(*zip(*rewards, strict=True), atol=1e-8)


def test_the_trajectories_of_another_policy_part(task):
    pair, weights = task
    start = pair.one.state()
    moments = run(pair, weights, 10)
    assert moments[0].distance == 0
    assert moments[0].action_distance > 1e-4
    assert max(m.distance for m in moments) > 1e-3
    # The simulators hold the last states, not the first.
    assert np.abs(pair.one.state().qpos - start.qpos).max() > 0


def test_the_table_has_a_row_for_each_moment(task):
    pair, weights = task
    moments = run(pair, weights, 4)
    header, *rows = (line.split(",") for line in csv_text(moments).splitlines())
    assert header[:2] == ["step", "distance"]
    assert len(rows) == len(moments)
    assert all(len(row) == len(header) for row in rows)
    assert rows[0][header.index("reward")] == ""
    assert float(rows[2][1]) == pytest.approx(moments[2].distance)


def test_the_run_ends_when_a_trajectory_ends():
    envs = [make("InvertedPendulum-v5") for _ in range(2)]
    for env in envs:
        env.reset(seed=0)
    pair = Pair.of(*(Simulator(env) for env in envs), envs[0].symmetry, 1)
    envs[0].reset(seed=0)
    moments = list(pair.run(lambda x: np.array([3.0]), pair.one.state(), 500))
    assert len(moments) < 100
    assert [m.terminated for m in moments] == [False] * (len(moments) - 1) + [True]


def test_a_symmetry_of_another_size_is_refused():
    env = make("Swimmer-v5")
    env.reset(seed=0)
    with pytest.raises(SymmetryError, match="declared for an observation of 5"):
        Pair.of(Simulator(env), Simulator(env), Symmetry.trivial(5, 2), 0)


def test_a_symmetry_without_a_map_of_states_is_refused():
    env = make("Humanoid-v5", "rpp2021")
    env.reset(seed=0)
    with pytest.raises(SymmetryError, match="cannot mirror states of Humanoid-v5 by symmetry 'rpp2021'"):
        Pair.of(Simulator(env), Simulator(env), env.symmetry, 1)
    env.close()
