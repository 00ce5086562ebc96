import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rpp_rl import orthogonal_group, rotations_and_reflections_about_axis, special_linear_group
from rpp_rl.experiments.reproduction.conditions import CONDITIONS, condition
from rpp_rl.experiments.reproduction.problems import draw_inertia, inertia, modified_inertia

seeds = st.integers(0, 2**16)


def examples(seed, modified=False):
    x = draw_inertia(torch.Generator().manual_seed(seed), modified, 20).train.x.double()
    return x, (modified_inertia if modified else inertia)(x)


def violation(f, x, g):
    """|f(g x) - g f(x) g^T| / |f(x)|, without the library's representations."""
    g = torch.from_numpy(np.array(g))
    turned = torch.cat([x[:, :5], (x[:, 5:].reshape(-1, 5, 3) @ g.T).reshape(-1, 15)], dim=1)
    y = f(x).reshape(-1, 3, 3)
    return float((f(turned).reshape(-1, 3, 3) - g @ y @ g.T).norm() / y.norm())


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_the_tensor_of_inertia_is_equivariant_to_rotations_and_reflections(seed):
    x, _ = examples(seed)
    for g in orthogonal_group(3).sample(np.random.default_rng(seed), 3):
        assert violation(inertia, x, g) < 1e-12


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_the_modified_tensor_keeps_only_the_symmetry_about_z(seed):
    x, _ = examples(seed, modified=True)
    rng = np.random.default_rng(seed)
    for g in rotations_and_reflections_about_axis("z").sample(rng, 3):
        assert violation(modified_inertia, x, g) < 1e-12
    quarter_turn_about_x = [[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]
    assert violation(modified_inertia, x, quarter_turn_about_x) > 0.05


def test_shears_are_not_a_symmetry():
    x, _ = examples(0)
    (g,) = special_linear_group(3).sample(np.random.default_rng(0), 1)
    assert violation(inertia, x, g) > 0.05


def test_one_body_agrees_with_a_calculation_by_hand():
    x = torch.zeros(1, 20)
    x[0, 0], x[0, 5:8] = 2.0, torch.tensor([1.0, 2.0, 3.0])
    # |r|^2 = 14: 14 - 1, 14 - 4, 14 - 9 on the diagonal, -x y and so on beside it, all times the mass.
    expected = 2 * torch.tensor([[13.0, -2, -3], [-2, 10, -6], [-3, -6, 5]])
    torch.testing.assert_close(inertia(x).reshape(3, 3), expected)
    # 0.3 v g^T with v = I e_z adds 0.3 of the last column to the last column.
    v = expected[:, 2]
    modified = expected + 0.3 * torch.outer(v, torch.tensor([0.0, 0, 1]))
    torch.testing.assert_close(modified_inertia(x).reshape(3, 3), modified)


def test_masses_are_positive_and_the_three_parts_are_independent_draws():
    data = draw_inertia(torch.Generator().manual_seed(1))
    parts = (data.train, data.validation, data.test)
    assert [len(p) for p in parts] == [1000] * 3
    assert all((p.x[:, :5] > 0).all() for p in parts)
    assert not torch.equal(data.train.x, data.test.x)
    # softplus of a standard normal has mean 0.806; 5000 masses with standard deviation 0.53.
    assert float(data.train.x[:, :5].mean()) == pytest.approx(0.806, abs=0.03)
    torch.testing.assert_close(data.train.x[:, 5:].std(), torch.tensor(1.0), atol=0.03, rtol=0)


def test_the_same_seed_draws_the_same_data():
    a, b, other = (draw_inertia(torch.Generator().manual_seed(s)).test for s in (0, 0, 1))
    assert torch.equal(a.x, b.x)
    assert torch.equal(a.y, b.y)
    assert not torch.equal(a.x, other.x)


@pytest.mark.parametrize("c", CONDITIONS["inertia"], ids=lambda c: c.name)
def test_the_declared_symmetry_holds_only_where_the_condition_is_perfect(c):
    rep_in, rep_out = c.representations()
    data = draw_inertia(torch.Generator().manual_seed(3), c.modified, 50).test
    assert (rep_in.size, rep_out.size) == (data.x.shape[1], data.y.shape[1])
    for g in rep_in.group.sample(np.random.default_rng(0), 3):
        y = (modified_inertia if c.modified else inertia)(data.x.double() @ torch.from_numpy(rep_in.rho(g)).T)
        error = float((y - data.y.double() @ torch.from_numpy(rep_out.rho(g)).T).norm() / data.y.norm())
        assert (error < 1e-6) == (c.name == "perfect"), error


def test_hyperparameters_are_the_published_ones():
    found = {n: condition("inertia", n) for n in ("perfect", "approximate", "misspecified")}
    assert [c.epochs for c in found.values()] == [300, 500, 300]
    assert {c.learning_rate for c in found.values()} == {3e-3}
    assert [c.declare().name for c in found.values()] == ["O(3)", "O(3)", "SL(3)"]
    assert (found["perfect"].prior.equiv_wd, found["perfect"].prior.basic_wd) == (1e-3, 100.0)
