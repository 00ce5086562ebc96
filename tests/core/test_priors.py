import math

import pytest
import torch
from torch import nn

from rpp_rl import (
    EMLP,
    GaussianPrior,
    PathwayPrior,
    RPPLinear,
    cyclic_group,
    defining_representation,
    dihedral_group,
    equivariance_error,
    orthogonal_group,
    regular_representation,
    residual_shares,
    trivial_representation,
)
from rpp_rl.errors import NetworkError
from rpp_rl.orthogonal_layers import OrthogonalLinear
from rpp_rl.priors import layer_parameters, pathway_parameters, sample

O3 = orthogonal_group(3)
V, ONE = defining_representation(O3), trivial_representation(O3)
D3 = dihedral_group(3)
LAYERS = {
    "O(3)": (ONE + V, 2 * ONE + V),
    "C2": (regular_representation(cyclic_group(2)), 2 * regular_representation(cyclic_group(2))),
    "D3": (defining_representation(D3), regular_representation(D3)),
}


def network(rpp=True):
    return EMLP(2 * ONE + V, V * V, 12, layers=2, rpp=rpp)


@pytest.mark.parametrize("cls", [RPPLinear, OrthogonalLinear])
@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n == "D3" else pytest.mark.slow) for n in LAYERS])
def test_merged_weights_have_the_covariance_of_the_formula(name, cls):
    """(s_eq^2 + s_res^2) Q Q^T + s_res^2 P P^T, by 2000 draws; an entry's error is then below 4 / sqrt(2000)."""
    layer = cls(*LAYERS[name])
    prior = GaussianPrior.uniform(layer, equiv=0.8, basic=0.3)
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([sample(prior, layer, generator).merged()[0].flatten() for _ in range(2_000)]).double()
    Q = torch.from_numpy(layer._weight_basis.dense())
    equivariant = Q @ Q.T
    expected = (0.8**2 + 0.3**2) * equivariant + 0.3**2 * (torch.eye(len(Q)) - equivariant)
    torch.testing.assert_close(draws.T @ draws / len(draws), expected, rtol=0, atol=0.08)
    assert float(draws.mean(0).abs().max().detach()) < 0.08


def test_functions_drawn_without_a_residual_are_equivariant():
    f = network()
    x = torch.randn(20, 5, generator=torch.Generator().manual_seed(1))
    narrow, wide = (
        sample(GaussianPrior.uniform(f, 0.3, basic), f, torch.Generator().manual_seed(0)) for basic in (1e-9, 0.3)
    )
    errors = [float(equivariance_error(g, x, f.rep_in, f.rep_out).max()) for g in (narrow, wide)]
    assert errors[0] < 1e-5 < 1e-2 < errors[1]


def test_a_sample_is_a_new_network_and_the_same_for_a_seed():
    f = network()
    before = [p.detach().clone() for p in f.parameters()]
    prior = GaussianPrior.uniform(f, 0.3, 0.1)
    state = torch.get_rng_state()
    a, b, other = (sample(prior, f, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    x = torch.randn(3, 5)
    torch.testing.assert_close(a(x), b(x), rtol=0, atol=0)
    assert not torch.equal(a(x), other(x))
    assert all(torch.equal(p, q) for p, q in zip(before, f.parameters(), strict=True))


def test_samples_have_the_variances_of_each_layer_and_pathway():
    f = EMLP(2 * ONE + V, V * V, 60, layers=2, rpp=True, parametrization="pathways", steps="orthonormal")
    keys = list(layer_parameters(f))
    prior = GaussianPrior({key: 0.1 * (i + 1) for i, key in enumerate(keys)})
    drawn = layer_parameters(sample(prior, f, torch.Generator().manual_seed(0)))
    for key, parameters in drawn.items():
        values = torch.cat([p.detach().flatten() for p in parameters])
        assert float(values.square().mean().sqrt()) == pytest.approx(prior.stds[key], rel=5 / math.sqrt(len(values)))


def test_every_parameter_is_in_one_group():
    for f in (network(), network(rpp=False), nn.Sequential(nn.Linear(2, 3), nn.SiLU(), nn.Linear(3, 1))):
        found = [p for group in layer_parameters(f).values() for p in group]
        assert len(found) == len({id(p) for p in found}) == len(list(f.parameters()))
    assert {"blocks.0.linear", "blocks.0.nonlinearity", "head"} <= {layer for layer, _ in layer_parameters(network())}


class Scaled(nn.Module):
    """A layer of another package: x -> (a + b) x, which sorts its parameters itself."""

    def __init__(self):
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.full((2,), value)) for value in (3.0, 1.0))
        self.offset = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        return (self.a + self.b) * x + self.offset

    def pathways(self):
        return {"equiv": (self.a,), "basic": (self.b,)}

    def pathway_weights(self):
        return {"equiv": self.a, "basic": self.b}


def test_a_layer_of_another_package_declares_its_pathways():
    f = nn.Sequential(nn.Linear(2, 2), Scaled())
    groups = pathway_parameters(f)
    assert [set(groups[p]) for p in ("equiv", "basic")] == [{"1.a"}, {"1.b"}]
    assert set(groups["plain"]) == {"0.weight", "0.bias", "1.offset"}
    assert float(PathwayPrior(1.0, 2.0).penalty(f)["basic"].detach()) == 4.0
    assert residual_shares(f) == {"1": pytest.approx(0.25)}


def test_the_density_is_that_of_independent_normals():
    f = EMLP(2 * ONE + V, V * V, 12, layers=2, rpp=True, parametrization="pathways", steps="orthonormal").double()
    prior = GaussianPrior({key: 0.2 + 0.1 * i for i, key in enumerate(layer_parameters(f))})
    expected = sum(
        torch.distributions.Normal(0.0, prior.stds[key]).log_prob(p).sum()
        for key, parameters in layer_parameters(f).items()
        for p in parameters
    )
    torch.testing.assert_close(prior.log_density(f), expected, check_dtype=False)


def test_uniform_variances_are_the_pathway_prior():
    f = network()
    ours = GaussianPrior.uniform(f, 0.5, 0.1).penalty(f)
    theirs = PathwayPrior.from_std(0.5, 0.1).penalty(f)
    for pathway, value in theirs.items():
        torch.testing.assert_close(ours[pathway], value)
        assert value.requires_grad


def test_flat_priors_add_nothing_and_cannot_be_sampled():
    f = network()
    flat = GaussianPrior.uniform(f, math.inf, 0.1)
    assert float(flat.penalty(f)["equiv"].detach()) == 0.0
    assert math.isfinite(float(flat.log_density(f).detach()))
    with pytest.raises(NetworkError, match="cannot draw a function from a flat prior"):
        sample(flat, f)


def test_bad_input_is_refused():
    with pytest.raises(NetworkError, match="must be > 0, got 0"):
        GaussianPrior.uniform(network(), 0.0, 1.0)
    with pytest.raises(NetworkError, match="must be > 0, got nan"):
        GaussianPrior.uniform(network(), 1.0, math.nan)
    with pytest.raises(NetworkError, match="belongs to another network"):
        GaussianPrior.uniform(network(rpp=False), 1.0, 1.0).penalty(network())


@pytest.mark.parametrize(
    ("equiv", "basic", "ratio"),
    [(1e-3, 100.0, 10**-2.5), (1e-3, 1e-3, 1.0), (1.0, 1e-3, 1.0), (0.0, 1.0, 1.0), (1.0, 0.0, 1.0)],
)
def test_steps_are_in_proportion_to_the_widths_of_priors(equiv, basic, ratio):
    assert PathwayPrior(equiv, basic).step_ratio == pytest.approx(ratio)
    if equiv and basic:
        assert PathwayPrior.from_std(2.0, 0.5).step_ratio == pytest.approx(0.25)
