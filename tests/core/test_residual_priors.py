"""What holds a residual under Adam: the size that noise and signal give it, budgets, multipliers and projections."""

import copy
import io
import math

import pytest
import torch
from torch import nn

from rpp_rl import EMLP, RPPMLP, RPPLinear, cyclic_group, orthogonal_group
from rpp_rl.errors import NetworkError, UnknownNameError
from rpp_rl.networks import MLP
from rpp_rl.orthogonal_layers import OrthogonalLinear
from rpp_rl.pathway_optimizers import attach_rules, pathway_optimizer, rules_of
from rpp_rl.priors import PathwayPrior
from rpp_rl.representations import defining_representation, regular_representation, trivial_representation
from rpp_rl.residual_priors import ResidualPrior, decay, initial_rms, residual_layers, steady_share

C2 = cyclic_group(2)
REGULAR = 32 * regular_representation(C2)


def rms(x):
    return float(x.detach().square().mean().sqrt())


def driven(gradient, steps, lr, budget=0.1, rho=1.0, layer=None, kind="decay", schedule=lambda t: 1.0):
    """A layer whose residual has this gradient at every step, and the root mean square that its budget allows."""
    torch.manual_seed(0)
    layer = OrthogonalLinear(REGULAR, REGULAR, residual_init_scale=0.0) if layer is None else layer
    allowed = budget * initial_rms(layer)
    optimizer = pathway_optimizer(layer, lr, residual_prior=ResidualPrior(kind, budget), residual_step_ratio=rho)
    for t in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * schedule(t / steps)
        optimizer.zero_grad()
        layer.weight_basic.grad = gradient(layer.weight_basic)
        optimizer.step()
    return layer, allowed, optimizer


def noise(p):
    return torch.randn_like(p)


@pytest.mark.parametrize(("lr", "rho"), [(3e-4, 1.0), (1e-3, 1.0), (3e-3, 0.3)])
def test_noise_gives_the_residual_its_budget(lr, rho):
    layer, allowed, _ = driven(noise, 4000 if lr < 1e-3 else 2500, lr, rho=rho)
    # rho lr / sqrt(2 k), with lambda = k / lr: rho sqrt(lr / (2 lambda)).
    k = decay(rho * lr, allowed)
    assert rho * lr / math.sqrt(2 * k) == pytest.approx(allowed)
    assert rms(layer.weight_basic) == pytest.approx(allowed, rel=0.15)
    # The entries of the merged weight's residual have the same size as its coordinates.
    assert rms(layer.pathway_weights()["basic"]) == pytest.approx(allowed, rel=0.15)


@pytest.mark.parametrize(("lr", "rho"), [(1e-3, 1.0), (1e-3, 0.5)])
def test_a_steady_gradient_moves_it_much_further(lr, rho):
    layer, allowed, _ = driven(torch.ones_like, 4000, lr, budget=0.2, rho=rho)
    k = decay(rho * lr, allowed)
    assert rms(layer.weight_basic) == pytest.approx(rho * lr / k, rel=0.15)
    assert rho * lr / k > 2 * allowed


def test_without_decay_noise_moves_it_on_and_on():
    layer, allowed, _ = driven(noise, 2500, 1e-3, kind="none")
    assert rms(layer.weight_basic) > 3 * allowed


def test_the_budget_holds_along_a_schedule():
    layer, allowed, _ = driven(noise, 6000, 1e-3, schedule=lambda t: 1.0 if t < 0.5 else 0.5)
    assert rms(layer.weight_basic) == pytest.approx(allowed, rel=0.15)


def test_larger_groups_and_two_pathways_keep_their_budgets():
    group = orthogonal_group(3)
    V = defining_representation(group)
    rep = 5 * (V * V) + 3 * V + 4 * trivial_representation(group)
    for layer in (OrthogonalLinear(rep, rep), RPPLinear(REGULAR, REGULAR)):
        made, allowed, _ = driven(noise, 2500, 1e-3, layer=layer)
        assert rms(made.pathway_weights()["basic"]) == pytest.approx(allowed, rel=0.15)


def test_a_budget_that_a_step_exceeds_clears_the_residual_at_every_step():
    assert decay(1.0, 0.1) == 1.0
    layer, _, _ = driven(noise, 50, 0.5, budget=0.01)
    # What is left is the last step, which Adam's average makes small.
    assert rms(layer.weight_basic) < 0.5


def test_the_share_of_a_steady_gradient_is_measured():
    betas, mean, square = (0.9, 0.999), torch.zeros(20_000), torch.zeros(20_000)
    for signal in (0.0, 0.3, 1.0):
        mean.zero_(), square.zero_()
        for t in range(1, 400):
            g = signal**0.5 + (1 - signal) ** 0.5 * torch.randn(20_000)
            mean.lerp_(g, 0.1)
            square.lerp_(g.square(), 0.001)
            if t in (5, 50, 399):
                assert float(steady_share(mean, square, betas, torch.tensor(float(t)))) == pytest.approx(
                    signal, abs=0.03
                )


def test_a_multiplier_rises_under_noise_and_falls_where_the_gradient_is_steady():
    layer, allowed, optimizer = driven(noise, 1500, 1e-3, kind="dual")
    multiplier = float(optimizer.state[layer.weight_basic]["multiplier"])
    assert multiplier >= 1.0
    assert rms(layer.weight_basic) < 1.1 * allowed
    layer, allowed, optimizer = driven(torch.ones_like, 1500, 1e-3, kind="dual")
    assert float(optimizer.state[layer.weight_basic]["multiplier"]) < 0.1
    held, _, _ = driven(torch.ones_like, 1500, 1e-3)
    assert rms(layer.weight_basic) > 2 * rms(held.weight_basic)


def test_a_projection_keeps_the_residual_below_its_share():
    torch.manual_seed(0)
    layer = OrthogonalLinear(REGULAR, REGULAR)
    driven(torch.ones_like, 300, 1e-2, budget=0.6, layer=layer, kind="projection")
    parts = layer.pathway_weights()
    lengths = [float(torch.linalg.vector_norm(parts[name].detach())) for name in ("equiv", "basic")]
    biases = float(torch.linalg.vector_norm(layer.merged()[1].detach()))
    assert lengths[1] / math.hypot(lengths[1], biases, lengths[0]) == pytest.approx(0.6, abs=0.01)
    small = copy.deepcopy(layer)
    with torch.no_grad():
        layer.weight_basic.mul_(0.5)
        layer.bias_basic.mul_(0.5)
        before = layer.weight_basic.clone()
    rules_of(pathway_optimizer(layer, 1.0, residual_prior=ResidualPrior("projection", 0.6))).hold(None)
    assert torch.equal(layer.weight_basic, before)
    assert not torch.equal(small.weight_basic, layer.weight_basic)


def test_layers_have_budgets_by_depth():
    rep_in = trivial_representation(C2) + defining_representation(C2)
    network = RPPMLP(rep_in, rep_in, (16, 16))
    assert [depth for _, depth in residual_layers(network).values()] == [0, 1, 2]
    budgets = (0.1, 0.2, 0.4)
    optimizer = pathway_optimizer(network, 1e-3, residual_prior=ResidualPrior(budget=budgets))
    (group,) = (g for g in optimizer.param_groups if g["pathway"] == "basic")
    linear = [network[i] for i in (0, 2, 4)]
    expected = [b * initial_rms(layer) for b, layer in zip(budgets, linear, strict=True) for _ in range(2)]
    assert [rms for _, rms in rules_of(optimizer).residuals_of(group)] == pytest.approx(expected)
    sides = nn.ModuleDict(
        {"trunk": nn.Sequential(*list(network)[:4]), "mu": network[4], "log_std": copy.deepcopy(network[4])}
    )
    assert {name: depth for name, (_, depth) in residual_layers(sides).items()} == {
        **{"trunk.0": 0, "trunk.2": 1},
        **{"mu": 2, "log_std": 2},
    }
    assert residual_layers(MLP(rep_in, rep_in, (16,))) == {}
    heads = nn.ModuleDict({"mu": copy.deepcopy(network[4]), "log_std": network[4]})
    assert [depth for _, depth in residual_layers(heads).values()] == [0, 0]
    both = nn.ModuleDict({"critic": nn.ModuleDict({"qf0": network, "qf1": copy.deepcopy(network)})})
    assert [depth for _, depth in residual_layers(both).values()] == [0, 1, 2, 0, 1, 2]
    emlp = EMLP(rep_in, rep_in, 12, layers=2, rpp=True)
    # A block's linear map and its gate share a budget.
    assert [depth for _, depth in residual_layers(emlp).values()] == [0, 0, 1, 1, 2]
    pathway_optimizer(emlp, 1e-3, residual_prior=ResidualPrior(budget=(0.1, 0.2, 0.3)))


def test_a_copy_of_an_optimizer_follows_its_rules():
    layer = OrthogonalLinear(REGULAR, REGULAR)
    made = pathway_optimizer(layer, 1e-2, prior=PathwayPrior(0.1, 0.2), residual_prior=ResidualPrior())
    *pair, rules = copy.deepcopy((layer, made, rules_of(made)))
    attach_rules(pair[1], rules)
    for network, optimizer in ((layer, made), pair):
        for _ in range(3):
            optimizer.zero_grad()
            network.merged()[0].square().sum().backward()
            optimizer.step()
    for one, other in zip(layer.parameters(), pair[0].parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_loaded_state_keeps_the_optimizers_own_settings():
    layer = OrthogonalLinear(REGULAR, REGULAR)
    other = pathway_optimizer(layer, 1e-2, residual_step_ratio=0.5, arguments={"weight_decay": 0.1})
    own = pathway_optimizer(layer, 1e-2, residual_prior=ResidualPrior(budget=0.5), residual_step_ratio=0.25)
    for group in other.param_groups:
        group["lr"] = 1e-4
        group["initial_rms"] = [3.0] * len(group["params"])
    own.load_state_dict(other.state_dict())
    assert {g["pathway"]: (g["lr"], g["lr_ratio"], g["weight_decay"]) for g in own.param_groups} == {
        "equiv": (1e-4, 1.0, 0.0),
        "basic": (1e-4, 0.25, 0.0),
    }
    # How large the weights were at the start is of the state; the budget is the optimiser's own.
    (group,) = (g for g in own.param_groups if g["pathway"] == "basic")
    assert [rms for _, rms in rules_of(own).residuals_of(group)] == [1.5, 1.5]
    state = other.state_dict()
    for group in state["param_groups"]:
        del group["initial_rms"]
    own.load_state_dict(state)
    (group,) = (g for g in own.param_groups if g["pathway"] == "basic")
    assert rules_of(own).residuals_of(group)[0][1] == pytest.approx(0.5 * initial_rms(layer))


def test_the_state_of_an_optimizer_is_plain():
    layer = OrthogonalLinear(REGULAR, REGULAR)
    made = pathway_optimizer(layer, 1e-2, residual_prior=ResidualPrior())
    made.add_param_group({"params": [nn.Parameter(torch.zeros(2))]})
    file = io.BytesIO()
    torch.save(made.state_dict(), file)
    file.seek(0)
    torch.load(file, weights_only=True)


@pytest.mark.parametrize(
    ("make", "kind", "options", "message"),
    [
        (torch.optim.SGD, "decay", {}, "which SGD does not take"),
        (torch.optim.SGD, "dual", {}, "SGD keeps none"),
        (torch.optim.Adam, "projection", {"parametrization": "pathways"}, "in orthogonal coordinates"),
    ],
)
def test_a_prior_that_does_not_fit_is_refused(make, kind, options, message):
    network = RPPMLP(REGULAR, REGULAR, (4,), **options)
    with pytest.raises(NetworkError, match=message):
        pathway_optimizer(network, 1e-2, residual_prior=ResidualPrior(kind), make=make)


def test_the_weight_decay_of_an_optimizer_is_its_own_by_default():
    layer = OrthogonalLinear(REGULAR, REGULAR)
    for make, expected in ((torch.optim.AdamW, 1e-2), (torch.optim.Adam, 0.0)):
        assert {g["weight_decay"] for g in pathway_optimizer(layer, 1e-2, make=make).param_groups} == {expected}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ResidualPrior("decays"), UnknownNameError, "did you mean 'decay'"),
        (lambda: ResidualPrior(budget=0.0), NetworkError, "must be a number > 0, got 0.0"),
        (lambda: ResidualPrior(budget=float("nan")), NetworkError, "must be a number > 0"),
        (lambda: ResidualPrior(budget=(0.1, -1.0)), NetworkError, "got -1.0"),
        (lambda: ResidualPrior("projection", 1.0), NetworkError, "below 1"),
        (lambda: ResidualPrior(budget=(0.1, 0.2)).budgets(3), NetworkError, "2 values for a network of 3 layers"),
    ],
)
def test_bad_budgets_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
