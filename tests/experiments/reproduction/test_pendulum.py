import numpy as np
import pytest
import torch

from rpp_rl import orthogonal_group, rotations_and_reflections_about_axis
from rpp_rl.experiments.reproduction.conditions import condition
from rpp_rl.experiments.reproduction.problems import (
    HamiltonianNetwork,
    Rescaled,
    draw_pendulum,
    flow,
    hamiltonian,
    rollout,
)
from rpp_rl.experiments.reproduction.training import build
from rpp_rl.experiments.reproduction.trials import Trial, run, with_settings


def states(count=20, seed=0):
    z = torch.randn(count, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    z[:, 2] -= 2.0
    z[:, 5] -= 4.0
    return z


def turned(z, g):
    return (z.reshape(-1, 4, 3) @ torch.from_numpy(np.array(g)).T).reshape(z.shape)


def test_the_flow_conserves_energy_and_the_integrator_nearly_does():
    z = states()
    for wind in (False, True):
        H = lambda z, wind=wind: hamiltonian(z, wind)  # noqa: E731
        leaf = z.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(H(leaf).sum(), leaf)
        along = (gradient * flow(H)(torch.tensor(0.0), z)).sum(-1)
        assert float(along.detach().abs().max()) < 1e-12
        path = rollout(H, z, 50, accurate=True).detach()
        assert float((H(path) - H(z)[:, None]).abs().max()) < 1e-4
        # The method that is differentiated through takes one step of 0.2 at a time, over chunks only.
        short = rollout(H, z, 4).detach()
        assert float((H(short) - H(z)[:, None]).abs().max()) < 0.05


def test_the_hamiltonian_is_invariant_about_z_wind_breaks_that_and_gravity_breaks_the_rest():
    z, rng = states(), np.random.default_rng(0)
    for g in rotations_and_reflections_about_axis("z").sample(rng, 5):
        torch.testing.assert_close(hamiltonian(turned(z, g)), hamiltonian(z))
    half_turn = np.diag([-1.0, -1.0, 1.0])
    # A half turn about z changes the sign of the wind's work.
    work = (z[:, 0:3] + z[:, 3:6]) @ torch.tensor([0.08, 0.05, 0.0], dtype=torch.float64)
    torch.testing.assert_close(hamiltonian(turned(z, half_turn), True) - hamiltonian(z, True), 2 * work)
    (g,) = orthogonal_group(3).sample(rng, 1)
    assert float((hamiltonian(turned(z, g)) - hamiltonian(z)).abs().max()) > 0.1


def test_trajectories_turn_with_their_first_states():
    z = states(5)
    (g,) = rotations_and_reflections_about_axis("z").sample(np.random.default_rng(1), 1)
    path = rollout(hamiltonian, z, 10, accurate=True).detach()
    again = rollout(hamiltonian, turned(z, g), 10, accurate=True).detach()
    torch.testing.assert_close(again, turned(path, g), atol=1e-4, rtol=1e-4)


def test_the_flow_agrees_with_newton_by_hand():
    """Two bodies at rest, springs at their lengths: only gravity acts, so p = -t and q falls by t^2 / 2 at first."""
    z = torch.zeros(1, 12, dtype=torch.float64)
    z[0, 2], z[0, 5] = -1.0, -2.0
    derivative = flow(hamiltonian)(torch.tensor(0.0), z).detach()
    expected = torch.zeros(1, 12, dtype=torch.float64)
    expected[0, 8] = expected[0, 11] = -1.0
    torch.testing.assert_close(derivative, expected)
    windy = flow(lambda z: hamiltonian(z, True))(torch.tensor(0.0), z).detach()
    torch.testing.assert_close(windy[0, 6:9], torch.tensor([0.08, 0.05, -1.0], dtype=torch.float64))


def test_chunks_are_pieces_of_trajectories():
    data = draw_pendulum(torch.Generator().manual_seed(0), count=6)
    assert data.train.x.shape == (6, 12)
    assert data.train.y.shape == (6, 4, 12)
    for part in (data.train, data.validation, data.test):
        expected = rollout(hamiltonian, part.x.double(), 4, accurate=True).detach()
        torch.testing.assert_close(part.y.double(), expected, atol=1e-4, rtol=1e-3)
    same = draw_pendulum(torch.Generator().manual_seed(0), count=6)
    assert torch.equal(data.test.y, same.test.y)


@pytest.mark.parametrize("name", ["perfect", "approximate", "misspecified"])
def test_a_hamiltonian_network_conserves_its_energy_and_has_gradients(name):
    c = condition("pendulum", name)
    torch.manual_seed(0)
    energy = build("rpp", *c.representations(), 12)
    z = states(3).float()
    path = HamiltonianNetwork(energy)(z)
    assert path.shape == (3, 4, 12)
    path.square().mean().backward()
    assert float(energy.blocks[0].linear.weight_equiv.grad.abs().max()) > 0
    drift = (energy(path.detach()) - energy(z)[:, None]).abs().max()
    assert float(drift.detach()) < 0.05 * float(energy(z).detach().abs().max())


def test_an_exact_network_is_invariant_and_so_are_its_trajectories():
    c = condition("pendulum", "perfect")
    torch.manual_seed(0)
    network = HamiltonianNetwork(build("emlp", *c.representations(), 12))
    z = states(5).float()
    (g,) = c.declare().sample(np.random.default_rng(2), 1)
    g = g.astype(np.float32)
    torch.testing.assert_close(network(turned(z, g)), turned(network(z), g), atol=1e-4, rtol=1e-3)


def test_a_rollout_without_gradients_keeps_no_graph():
    H = torch.nn.Linear(12, 1)
    with torch.no_grad():
        assert not rollout(lambda z: H(z).squeeze(-1), states(2).float(), 2).requires_grad
    assert rollout(lambda z: H(z).squeeze(-1), states(2).float(), 2).requires_grad


@pytest.mark.slow
def test_a_trial_is_repeatable():
    trial = with_settings(Trial.published("pendulum", "approximate", "mlp", 0), epochs=2, width=8)
    first = run(trial)
    assert [m.epoch for m in first.measurements] == [1, 2]
    assert first.measurements == run(trial).measurements


def test_hyperparameters_are_the_published_ones():
    found = [condition("pendulum", n) for n in ("perfect", "approximate", "misspecified")]
    assert [c.learning_rate for c in found] == [3e-3, 3e-3, 2e-3]
    assert {c.epochs for c in found} == {1000}
    assert [c.declare().name for c in found] == ["O(2) about z", "O(2) about z", "SO(3)"]
    assert Trial.published("pendulum", "perfect", "emlp", 0).width == 128


@pytest.mark.slow
@pytest.mark.parametrize("name", ["perfect", "misspecified"])
def test_rescaled_energies_are_as_invariant_as_the_network_and_finite_on_trajectories(name):
    """Without the scale, one of these seeds gives NaN after four steps."""
    reps = condition("pendulum", name).representations()
    for seed in range(4):
        data = draw_pendulum(torch.Generator().manual_seed(seed), count=100)
        torch.manual_seed(seed)
        energy = Rescaled(build("emlp", *reps, 128), data.train.x)
        z = data.test.x
        scaled = torch.cat([z[:, :6] / energy.scale[0], z[:, 6:] / energy.scale[-1]], dim=1)
        torch.testing.assert_close(energy(z), energy.network(scaled))
        (g,) = reps[0].group.sample(np.random.default_rng(seed), 1)
        torch.testing.assert_close(energy(turned(z, g.astype(np.float32))), energy(z), atol=1e-4, rtol=1e-3)
        assert bool(HamiltonianNetwork(energy)(z).isfinite().all())
    assert float(energy(10 * z).detach().std()) > 0
    assert float((data.train.x[:, :6] / energy.scale[0]).square().mean()) == pytest.approx(1.0, rel=1e-4)
