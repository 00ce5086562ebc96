import math
from functools import partial

import pytest
import torch
from torch import nn

from rpp_rl import EMLP, GaussianPrior, RPPLinear, cyclic_group, defining_representation, orthogonal_group
from rpp_rl import regular_representation as regular
from rpp_rl.empirical_bayes import Linearization, effective_parameters, learn, linearize, log_evidence
from rpp_rl.errors import NetworkError
from rpp_rl.orthogonal_layers import OrthogonalLinear
from rpp_rl.priors import sample

C2 = cyclic_group(2)


LAYERS = [RPPLinear, partial(RPPLinear, steps="orthonormal"), OrthogonalLinear]


def linear_layer(cls=RPPLinear):
    return cls(3 * regular(C2), 2 * regular(C2), bias=False)


def problem(s_eq, s_res, noise, count=300, seed=0):
    """A linear map drawn from a prior, and data from it; its linearization is exact."""
    generator = torch.Generator().manual_seed(seed)
    truth = sample(GaussianPrior.uniform(linear_layer(), s_eq, s_res), linear_layer(), generator)
    x = torch.randn(count, 6, generator=generator)
    with torch.no_grad():
        y = truth(x) + noise * torch.randn(count, 4, generator=generator)
    return x, y


@pytest.mark.parametrize("cls", LAYERS)
def test_the_evidence_of_a_linear_layer_equals_that_of_its_gaussian_process(cls):
    layer = linear_layer(cls).double()
    x, y = (t[:5].double() for t in problem(1.0, 0.5, 0.1))
    found = linearize(layer, x, y, torch.Generator().manual_seed(1))
    chosen = torch.randint(4, (5,), generator=torch.Generator().manual_seed(1))
    z = y[torch.arange(5), chosen]
    # f is linear in its parameters, so y - f + J theta is y.
    torch.testing.assert_close(found.targets, z)
    # Row n of J in weight space is x_n in the row of W that makes the chosen output.
    rows = torch.zeros(5, 4, 6, dtype=torch.float64)
    rows[torch.arange(5), chosen] = x
    rows = rows.flatten(1)
    Q = torch.from_numpy(layer._weight_basis.dense())
    C = 1.1**2 * rows @ Q @ Q.T @ rows.T + 0.4**2 * rows @ rows.T + 0.2**2 * torch.eye(5)
    expected = torch.distributions.MultivariateNormal(torch.zeros(5, dtype=torch.float64), C).log_prob(z)
    logs = torch.tensor([{"equiv": 1.1, "basic": 0.4}[p] for _, p in found.kernels]).log()
    torch.testing.assert_close(log_evidence(found, logs, torch.tensor(0.2).log()), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("s_eq", "s_res"), [(1.0, 0.01), (1.0, 0.3), (0.01, 1.0)])
def test_learn_finds_the_variances_that_drew_the_function(s_eq, s_res):
    """One draw has 12 equivariant and 24 residual entries, so the error of a standard deviation is about a third."""
    x, y = problem(s_eq, s_res, noise=0.02)
    layer = linear_layer()
    found = learn(GaussianPrior.uniform(layer, 0.1, 0.1), linearize(layer, x, y, torch.Generator().manual_seed(0)), 0.1)
    stds = {pathway: std for (_, pathway), std in found.prior.stds.items()}
    assert found.noise == pytest.approx(0.02, rel=0.3)
    if s_eq > 0.1:
        assert stds["equiv"] == pytest.approx(s_eq, rel=0.6)
    assert (stds["basic"] < 0.03) if s_res == 0.01 else (stds["basic"] == pytest.approx(s_res, rel=0.6))


def test_pooled_variances_keep_their_ratios_within_a_pathway():
    group = orthogonal_group(3)
    V = defining_representation(group)
    network = EMLP(2 * V, V * V, 12, layers=2, rpp=True)
    prior = GaussianPrior({key: 0.1 * (i + 1) for i, key in enumerate(GaussianPrior.uniform(network, 1, 1).stds)})
    line = linearize(network, torch.randn(20, 6), torch.randn(20, 9), torch.Generator().manual_seed(0))
    found = learn(prior, line, 1.0, pooled=True).prior
    for pathway in ("equiv", "basic"):
        ratios = [found.stds[k] / prior.stds[k] for k in line.kernels if k[1] == pathway]
        assert max(ratios) == pytest.approx(min(ratios))
        assert ratios[0] != pytest.approx(1.0, rel=1e-2)


def test_learn_raises_the_evidence_and_keeps_the_network():
    group = orthogonal_group(3)
    V = defining_representation(group)
    torch.manual_seed(0)
    network = EMLP(2 * V, V * V, 12, layers=2, rpp=True)
    before = [p.detach().clone() for p in network.parameters()]
    prior = GaussianPrior.uniform(network, 0.3, 0.3)
    x = torch.randn(30, 6)
    y = torch.einsum("na,nb->nab", x[:, :3], x[:, 3:]).flatten(1)
    line = linearize(network, x, y, torch.Generator().manual_seed(0))
    first = float(log_evidence(line, torch.full((len(line.kernels),), math.log(0.3)), torch.tensor(0.0))) / 30
    found = learn(prior, line, 1.0)
    assert found.log_evidence > first
    assert found.prior.stds.keys() == prior.stds.keys()
    assert all(found.prior.stds[key] == 1.0 for key in prior.stds if key[1] == "plain")
    assert all(torch.equal(p, q) for p, q in zip(before, network.parameters(), strict=True))
    assert all(p.grad is None for p in network.parameters())


def test_effective_parameters_measure_how_much_the_posterior_narrows():
    """gamma_k is the trace of 1 - posterior covariance / prior variance over the parameters of group k."""
    generator = torch.Generator().manual_seed(0)
    sizes, m, noise = {("a", "equiv"): 3, ("a", "basic"): 40, ("b", "equiv"): 2}, 12, 0.4
    jacobians = {key: torch.randn(m, n, generator=generator, dtype=torch.float64) for key, n in sizes.items()}
    jacobians["b", "equiv"][:] = 0
    prior = GaussianPrior({("a", "equiv"): 2.0, ("a", "basic"): 0.1, ("b", "equiv"): 5.0})
    line = Linearization({k: J @ J.T for k, J in jacobians.items()}, torch.zeros(m, dtype=torch.float64))
    found = effective_parameters(prior, line, noise)
    J = torch.cat(list(jacobians.values()), dim=1)
    variances = torch.cat([torch.full((n,), prior.stds[k] ** 2, dtype=torch.float64) for k, n in sizes.items()])
    posterior = torch.linalg.inv(J.T @ J / noise**2 + torch.diag(1 / variances))
    narrower = 1 - posterior.diagonal() / variances
    for key, part in zip(sizes, torch.split(narrower, list(sizes.values())), strict=True):
        assert found[key] == pytest.approx(float(part.sum()), abs=1e-9)
    assert found["b", "equiv"] == 0
    assert 2.9 < found["a", "equiv"] < 3
    assert sum(found.values()) < m


def test_bad_input_is_refused():
    layer = linear_layer()
    x, y = problem(1.0, 1.0, 0.1, count=4)
    line = linearize(layer, x, y, torch.Generator())
    with pytest.raises(NetworkError, match="finite standard deviations"):
        learn(GaussianPrior.uniform(layer, math.inf, 1.0), line, 0.1)
    with pytest.raises(NetworkError, match="finite standard deviations"):
        learn(GaussianPrior.uniform(nn.Linear(1, 1), 1.0, 1.0), line, 0.1)
    with pytest.raises(NetworkError, match="are not finite"):
        learn(GaussianPrior.uniform(layer, 1.0, 1.0), Linearization(line.kernels, line.targets * math.nan), 0.1)
