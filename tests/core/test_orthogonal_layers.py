"""Orthogonal coordinates: what they span, how far Adam moves them, and which prior they have."""

import copy
import math

import numpy as np
import pytest
import torch
from helpers.algebra import CONTINUOUS_GROUPS, SMALL_GROUPS, groups, representations
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from rpp_rl import EMLP, RPPMLP, PathwayPrior, RPPLinear, cyclic_group, equivariance_error, trivial_group
from rpp_rl.bases import equivariant_basis
from rpp_rl.coordinates import orbit_transform, orthogonal_coordinates
from rpp_rl.errors import NetworkError, UnknownNameError
from rpp_rl.layers import EquivariantLinear
from rpp_rl.networks import MLP, LinearLayers
from rpp_rl.orthogonal_layers import OrthogonalLinear
from rpp_rl.pathway_optimizers import pathway_optimizer
from rpp_rl.representations import (
    defining_representation,
    regular_representation,
    tensor_representation,
    trivial_representation,
)

some = settings(max_examples=15)
finite_or_not = st.one_of(groups, st.sampled_from(["SO(2)", "SO(3)", "O(3)", "U(1)"]).map(CONTINUOUS_GROUPS.get))
C2 = cyclic_group(2)
LR = 1e-3


def columns(coordinates):
    """E and R side by side, one column for each coordinate."""
    n, rank = coordinates.shape[0] * coordinates.shape[1], coordinates.rank
    one = np.eye(n)
    return np.stack([coordinates.weight(one[i, :rank], one[i, rank:]).ravel() for i in range(n)], axis=1)


@some
@given(st.data(), finite_or_not)
def test_the_columns_are_orthogonal_and_the_first_span_the_equivariant_matrices(data, group):
    basis = equivariant_basis(data.draw(representations(group)), data.draw(representations(group)))
    M, rank = columns(orthogonal_coordinates(basis)), basis.rank
    lengths = np.linalg.norm(M, axis=0)
    np.testing.assert_allclose(M.T @ M, np.diag(lengths**2), atol=1e-9)
    Q = basis.dense()
    np.testing.assert_allclose(M[:, :rank] / lengths[:rank], Q, atol=1e-9)
    np.testing.assert_allclose(lengths[:rank], basis.step_scale(), rtol=1e-12)
    np.testing.assert_allclose(lengths[rank:], orthogonal_coordinates(basis).residual_scale(), rtol=1e-12)
    W = np.random.default_rng(0).normal(size=basis.shape)
    beta, gamma = orthogonal_coordinates(basis).of(W)
    np.testing.assert_allclose(orthogonal_coordinates(basis).weight(beta, gamma), W, atol=1e-9)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6, 8, 16])
def test_an_orbit_has_an_orthogonal_transform_with_a_constant_column(length):
    U = orbit_transform(length)
    np.testing.assert_allclose(U.T @ U, np.eye(length), atol=1e-12)
    np.testing.assert_allclose(U[:, 0], 1 / math.sqrt(length))
    assert np.abs(U).max() <= math.sqrt(2 / length) + 1e-12


def test_a_reflection_has_the_sum_and_the_difference():
    regular = regular_representation(C2)
    layer = OrthogonalLinear(regular, regular, bias=False)
    with torch.no_grad():
        layer.weight_equiv.copy_(torch.tensor([1.0, 2.0]))
        layer.weight_basic.copy_(torch.tensor([0.25, 0.5]))
    # W[0, 0] and its image W[1, 1], W[0, 1] and its image W[1, 0].
    assert layer.merged()[0].tolist() == [[1.25, 2.5], [1.5, 0.75]]


def moved(layer, gradient, steps=5, rho=1.0):
    """The change of the merged weight, in learning rates a step, under a steady gradient."""
    layer = copy.deepcopy(layer).double()
    start = layer.merged()[0].detach().clone()
    optimizer = pathway_optimizer(layer, LR, residual_step_ratio=rho)
    for _ in range(steps):
        optimizer.zero_grad()
        (layer.merged()[0] * torch.from_numpy(gradient)).sum().backward()
        optimizer.step()
    return (layer.merged()[0].detach() - start).numpy() / (LR * steps)


def parts_of(basis):
    """For each set of entries with coordinates of their own: their places, and whether the symmetry allows them."""
    return [
        (entries, block.equiv.shape[1] > 0)
        for block in orthogonal_coordinates(basis).blocks
        for entries in block.entries.T
    ]


@some
@given(st.data(), finite_or_not, st.sampled_from(["orthogonal", "pathways", "exact"]))
def test_a_steady_equivariant_gradient_moves_reachable_entries_by_the_learning_rate(data, group, kind):
    reps = data.draw(representations(group)), data.draw(representations(group))
    layer = {"orthogonal": OrthogonalLinear, "pathways": RPPLinear, "exact": EquivariantLinear}[kind](*reps)
    basis = equivariant_basis(*reps)
    assume(basis.rank > 0)
    gradient = basis.weight(np.random.default_rng(0).normal(size=basis.rank))
    # Rounding must not look like a gradient along the residual, which Adam would take for one.
    change = moved(layer, gradient * 1e3, rho=0.5)
    for entries, allowed in parts_of(basis):
        reached = np.abs(basis.dense()[entries]).max(axis=1) > 1e-9 if allowed else []
        if np.any(reached) and kind != "pathways":
            step = change.ravel()[entries][reached]
            assert np.sqrt(np.square(step).mean()) == pytest.approx(1.0, rel=1e-3)
    if kind == "pathways" and hasattr(basis, "orbit"):
        np.testing.assert_allclose(np.abs(change)[basis.coefficient != 0], 1.0, rtol=1e-3)
    if kind != "pathways" and hasattr(basis, "orbit"):
        np.testing.assert_allclose(np.abs(change)[basis.coefficient != 0], 1.0, rtol=1e-3)


@some
@given(st.data(), finite_or_not, st.sampled_from([0.1, 1.0]))
def test_a_steady_residual_gradient_moves_entries_by_rho_times_the_learning_rate(data, group, rho):
    reps = data.draw(representations(group)), data.draw(representations(group))
    basis = equivariant_basis(*reps)
    draw = np.random.default_rng(0).normal(size=basis.shape)
    gradient = draw - basis.weight(basis.coordinates(draw))
    change = moved(OrthogonalLinear(*reps), gradient, rho=rho)
    residual = np.eye(basis.dense().shape[0]) - basis.dense() @ basis.dense().T
    for entries, _ in parts_of(basis):
        reached = residual[entries][:, entries].diagonal() > 1e-9
        if reached.any():
            step = change.ravel()[entries][reached]
            assert np.sqrt(np.square(step).mean()) == pytest.approx(rho, rel=1e-3)


def test_a_general_gradient_moves_a_pair_by_the_root_of_two():
    regular = regular_representation(C2)
    change = moved(OrthogonalLinear(regular, regular), np.array([[3.0, -1.0], [0.5, 1.0]]))
    np.testing.assert_allclose(np.sort(np.abs(change).ravel()), [0.0, 0.0, 2.0, 2.0], atol=1e-4)


@pytest.mark.parametrize(("steps", "expected"), [("equal", 1.0), ("published", 2.0), ("orthonormal", 1 + 0.5**0.5)])
def test_pathways_move_as_published_as_before_or_as_a_plain_layer(steps, expected):
    regular = regular_representation(C2)
    gradient = np.array([[3.0, -1.0], [-1.0, 3.0]])
    np.testing.assert_allclose(np.abs(moved(RPPLinear(regular, regular, steps=steps), gradient)), expected, rtol=1e-4)


def test_the_layers_of_a_bilinear_network_move_by_the_learning_rate():
    V = defining_representation(CONTINUOUS_GROUPS["O(3)"])
    torch.manual_seed(0)
    network = EMLP(2 * V, V * V, 12, layers=1, rpp=True).double()
    layers = [m for m in network.modules() if isinstance(m, OrthogonalLinear)]
    before = [m.merged()[0].detach().clone() for m in layers]
    optimizer = pathway_optimizer(network, LR)
    # Along a merged weight's own equivariant part the gradient is equivariant.
    sum((m.merged()[0] * m.pathway_weights()["equiv"].detach()).sum() for m in layers).backward()
    optimizer.step()
    for layer, start in zip(layers, before, strict=True):
        change = (layer.merged()[0].detach() - start).numpy() / LR
        basis = equivariant_basis(layer.rep_in, layer.rep_out)
        equivariant = basis.weight(basis.coordinates(change)).ravel()
        for block in orthogonal_coordinates(basis).blocks:
            for entries in block.entries.T if block.equiv.shape[1] else ():
                reached = np.abs(basis.dense()[entries]).max(axis=1) > 1e-9
                assert np.sqrt(np.square(equivariant[entries][reached]).mean()) == pytest.approx(1.0, rel=1e-3)


def test_without_a_symmetry_it_is_the_plain_layer_update_for_update():
    rep = 5 * defining_representation(trivial_group())
    layer, plain = OrthogonalLinear(rep, rep), nn.Linear(5, 5)
    layer.take(plain.weight, plain.bias)
    optimizers = [pathway_optimizer(layer, LR), torch.optim.Adam(plain.parameters(), LR, fused=True)]
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        x, y = torch.randn(2, 16, 5, generator=generator)
        for network, optimizer in zip((layer, plain), optimizers, strict=True):
            optimizer.zero_grad()
            (network(x) - y).square().mean().backward()
            optimizer.step()
    weight, bias = layer.merged()
    assert torch.equal(weight, plain.weight)
    assert torch.equal(bias, plain.bias)
    assert layer.weight_basic.numel() == layer.bias_basic.numel() == 0


@pytest.mark.parametrize("group", SMALL_GROUPS.values(), ids=SMALL_GROUPS)
def test_an_exactly_symmetric_gradient_leaves_the_residual_where_it_is(group):
    layer = OrthogonalLinear(2 * regular_representation(group), regular_representation(group)).double()
    layer.reset_parameters()
    basis = layer._weight_basis
    gradient = torch.from_numpy(np.sign(basis.coefficient)) * torch.from_numpy(
        np.random.default_rng(0).normal(size=basis.rank)[basis.orbit]
    )
    before = layer.weight_basic.detach().clone()
    optimizer = pathway_optimizer(layer, LR)
    for _ in range(10):
        optimizer.zero_grad()
        (layer.merged()[0] * gradient).sum().backward()
        optimizer.step()
    # In longer orbits sums of irrational entries round.
    torch.testing.assert_close(layer.weight_basic, before, rtol=0, atol=1e-7)
    if group.order == 2:
        assert torch.equal(layer.weight_basic, before)


@some
@given(st.data(), finite_or_not)
def test_parameters_are_as_many_as_a_plain_layers_and_its_functions_are_reached(data, group):
    layer = OrthogonalLinear(data.draw(representations(group)), data.draw(representations(group))).double()
    plain = nn.Linear(layer.in_features, layer.out_features).double()
    assert sum(p.numel() for p in layer.parameters()) == sum(p.numel() for p in plain.parameters())
    layer.take(plain.weight, plain.bias)
    weight, bias = layer.merged()
    torch.testing.assert_close(weight, plain.weight, atol=1e-9, rtol=0)
    torch.testing.assert_close(bias, plain.bias, atol=1e-9, rtol=0)
    with torch.no_grad():
        layer.weight_basic.zero_()
        layer.bias_basic.zero_()
        x = torch.randn(8, layer.in_features, dtype=torch.float64)
        if float(layer(x).abs().max()) > 1e-6:
            assert equivariance_error(layer, x, layer.rep_in, layer.rep_out).max() < 1e-6


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_weights_start_with_the_variance_of_a_plain_layer(scale):
    torch.manual_seed(0)
    for group in (C2, SMALL_GROUPS["D3"], CONTINUOUS_GROUPS["SO(3)"]):
        rep = 6 * (tensor_representation(group, 1, 1) if group.is_continuous else regular_representation(group))
        weights = torch.stack([OrthogonalLinear(rep, rep, residual_init_scale=scale).merged()[0] for _ in range(20)])
        rows = weights.detach().square().sum(-1).mean()
        assert float(rows) == pytest.approx(1 / 3, rel=0.1)


def test_from_a_plain_start_the_covariance_is_that_of_a_plain_layer():
    regular = regular_representation(SMALL_GROUPS["D3"])
    torch.manual_seed(0)
    layer = OrthogonalLinear(regular, regular, residual_init_scale=1.0)
    draws = []
    for _ in range(4000):
        layer.reset_parameters()
        draws.append(layer.merged()[0].detach().flatten())
    W = torch.stack(draws).double()
    torch.testing.assert_close(W.T @ W / len(W), torch.eye(36, dtype=torch.float64) / 18, rtol=0, atol=0.008)


def test_the_correction_of_a_head_leaves_a_plain_start_alone():
    regular, out = regular_representation(C2), trivial_representation(C2)
    x = torch.randn(64, 8) + 2.0
    for scale, changes in ((0.0, True), (1.0, False)):
        layer = OrthogonalLinear(4 * regular, out, residual_init_scale=scale)
        before = layer.weight_equiv.detach().clone()
        layer.correct_for(x)
        assert torch.allclose(layer.weight_equiv, before) != changes


def minimum(layer, prior, x, y):
    """The merged weight and bias of the maximum a posteriori estimate of a linear model."""
    layer = layer.double()
    optimizer = torch.optim.LBFGS(
        layer.parameters(), max_iter=3000, tolerance_grad=1e-12, line_search_fn="strong_wolfe"
    )

    def loss():
        optimizer.zero_grad()
        value = (layer(x) - y).square().mean() + sum(prior.penalty(layer).values())
        value.backward()
        return value

    optimizer.step(loss)
    return [part.detach() for part in layer.merged()]


@pytest.mark.parametrize("steps", ["equal", "orthonormal"])
@pytest.mark.parametrize("name", ["C2", "D3", "SO(3)"])
def test_both_parametrizations_have_one_map_estimate(name, steps):
    group = SMALL_GROUPS.get(name) or CONTINUOUS_GROUPS[name]
    rep = tensor_representation(group, 1, 1) if group.is_continuous else 2 * regular_representation(group)
    torch.manual_seed(0)
    x, y = torch.randn(2, 30, rep.size, dtype=torch.float64)
    prior = PathwayPrior(0.01, 0.2)
    orthogonal = minimum(OrthogonalLinear(rep, rep), prior, x, y)
    pathways = minimum(RPPLinear(rep, rep, steps=steps), prior, x, y)
    for one, other in zip(orthogonal, pathways, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    stronger = minimum(OrthogonalLinear(rep, rep), PathwayPrior(0.01, 2.0), x, y)
    assert not torch.allclose(stronger[0], orthogonal[0], atol=1e-3)


def test_layers_are_chosen_by_name():
    regular = regular_representation(C2)
    chosen = {
        OrthogonalLinear: LinearLayers(),
        RPPLinear: LinearLayers(parametrization="pathways", steps="published"),
        EquivariantLinear: LinearLayers("equivariant"),
        nn.Linear: LinearLayers("plain"),
    }
    assert all(type(layers(regular, regular)) is cls for cls, layers in chosen.items())
    assert isinstance(RPPMLP(regular, regular, (4,))[0], OrthogonalLinear)
    assert isinstance(RPPMLP(regular, regular, (4,), parametrization="pathways")[0], RPPLinear)
    assert isinstance(MLP(regular, regular, (4,))[0], nn.Linear)
    with pytest.raises(UnknownNameError, match="orthogonl"):
        LinearLayers(parametrization="orthogonl")
    with pytest.raises(UnknownNameError, match="kind of steps"):
        EquivariantLinear(regular, regular, steps="big")
    with pytest.raises(NetworkError, match="give parametrization='pathways'"):
        LinearLayers(steps="published")
