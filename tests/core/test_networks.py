import pytest
import torch
from helpers.algebra import SMALL_GROUPS, groups, representations
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rpp_rl import (
    MLP,
    RPPMLP,
    EquivariantMLP,
    PathwayPrior,
    cyclic_group,
    defining_representation,
    equivariance_error,
    residual_shares,
    sign_representation,
    trivial_representation,
)
from rpp_rl.errors import NetworkError, UnknownNameError
from rpp_rl.networks import network_class
from rpp_rl.pathway_optimizers import pathway_optimizer
from rpp_rl.priors import pathway_parameters

some = settings(max_examples=20)
C2 = cyclic_group(2)
ONE, SIGN = trivial_representation(C2), sign_representation(C2)
CHEETAH = ONE + 8 * SIGN + ONE + 7 * SIGN


@some
@given(st.data(), groups, st.sampled_from([nn.ReLU, nn.Tanh, nn.SiLU, nn.ELU]))
def test_equivariant_network_is_equivariant(data, group, activation):
    rep_in, rep_out = data.draw(representations(group)), data.draw(representations(group))
    torch.manual_seed(0)
    net = EquivariantMLP(rep_in, rep_out, (2 * group.order, 3 * group.order), activation)
    x = torch.randn(64, rep_in.size)
    y = net(x)
    # Relative to the size of the inputs too: outputs may cancel to nothing.
    absolute = equivariance_error(net, x, rep_in, rep_out) * y.norm()
    assert absolute.max() / (y.norm() + 0.1 * x.norm()) < 1e-5


def test_rpp_network_with_zero_residual_is_equivariant():
    torch.manual_seed(0)
    net = RPPMLP(CHEETAH, 6 * SIGN, residual_init_scale=0.0)
    assert equivariance_error(net, torch.randn(256, 17), CHEETAH, 6 * SIGN).max() < 1e-5
    assert set(residual_shares(net).values()) == {0.0}


def test_rpp_network_starts_nearly_equivariant_and_can_leave():
    torch.manual_seed(0)
    net = RPPMLP(CHEETAH, 6 * SIGN)
    x = torch.randn(256, 17)
    before = equivariance_error(net, x, CHEETAH, 6 * SIGN).max()
    assert 1e-5 < before < 0.05
    for share in residual_shares(net).values():
        assert share == pytest.approx(1e-3, rel=0.5)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(50):
        optimizer.zero_grad()
        (net(x) - 1.0).square().mean().backward()
        optimizer.step()
    assert equivariance_error(net, x, CHEETAH, 6 * SIGN).max() > 10 * before


# An actor's mean, a critic's value, and an output that is not a signed permutation.
OUTPUTS = {
    "sign": lambda one, sign, group: 64 * sign,
    "scalar": lambda one, sign, group: 64 * one,
    "vector": lambda one, sign, group: 32 * defining_representation(group),
}


@pytest.mark.parametrize("group", ["C2", "D3", "quaternions"])
@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_activation_variance_is_that_of_a_plain_network(group, output):
    group = SMALL_GROUPS[group]
    one, sign = trivial_representation(group), sign_representation(group)
    rep_in, rep_out = 5 * one + 7 * sign + 2 * defining_representation(group), output(one, sign, group)
    width = 32 * group.order
    torch.manual_seed(0)
    x = torch.randn(256, rep_in.size)

    @torch.no_grad()
    def second_moments(cls, seeds=50):
        moments = []
        for _ in range(seeds):
            y, layers = x, cls(rep_in, rep_out, (width, width))
            moments.append([])
            for layer in layers:
                y = layer(y)
                moments[-1].append(y.square().mean())
        return torch.tensor(moments).mean(dim=0)

    ratio = second_moments(RPPMLP) / second_moments(MLP)
    assert (ratio - 1).abs().max() < 0.1, ratio


def test_merged_network_is_plain_and_computes_the_same():
    torch.manual_seed(0)
    for cls in (RPPMLP, EquivariantMLP, MLP):
        net = cls(CHEETAH, 6 * SIGN, (64, 32), nn.Tanh)
        plain = net.merged()
        assert [type(m) for m in plain] == [nn.Linear, nn.Tanh, nn.Linear, nn.Tanh, nn.Linear]
        x = torch.randn(100, 17)
        torch.testing.assert_close(plain(x), net(x), atol=1e-6, rtol=0)


def test_a_trunk_stops_after_the_last_activation():
    net = RPPMLP(CHEETAH, None, (64, 32))
    assert isinstance(net[-1], nn.ReLU)
    assert net.rep_out.size == 32
    assert len(RPPMLP(CHEETAH, None, ())) == 0


def test_a_plain_network_takes_any_width():
    assert [m.out_features for m in MLP(CHEETAH, SIGN, (33, 7)) if isinstance(m, nn.Linear)] == [33, 7, 1]
    with pytest.raises(NetworkError, match="at least 1"):
        MLP(CHEETAH, SIGN, (0,))


def test_kinds_are_found_by_name():
    assert [network_class(k) for k in ("rpp", "equivariant", "plain")] == [RPPMLP, EquivariantMLP, MLP]
    with pytest.raises(UnknownNameError, match="did you mean 'equivariant'"):
        network_class("equivarant")


@pytest.mark.parametrize("cls", [RPPMLP, EquivariantMLP, MLP])
def test_every_parameter_is_in_exactly_one_pathway(cls):
    net = cls(CHEETAH, 6 * SIGN, (64,))
    groups = pathway_parameters(net)
    listed = [p for named in groups.values() for p in named.values()]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(net.parameters())
    assert {k for k, named in groups.items() if named} == {
        RPPMLP: {"equiv", "basic"},
        EquivariantMLP: {"equiv"},
        MLP: {"plain"},
    }[cls]
    for pathway, named in groups.items():
        assert all(name.endswith(pathway) or pathway == "plain" for name in named)
        assert all(net.get_parameter(name) is parameter for name, parameter in named.items())


@pytest.mark.parametrize(
    ("parametrization", "steps"), [("orthogonal", "equal"), ("pathways", "published"), ("pathways", "orthonormal")]
)
def test_prior_in_the_optimizer_is_the_prior_in_the_loss(parametrization, steps):
    """Adam with the groups' weight decay takes the step of Adam on loss + wd |p|^2."""
    prior = PathwayPrior(equiv_wd=0.03, basic_wd=0.7)
    torch.manual_seed(0)
    one, other = (RPPMLP(CHEETAH, SIGN, (32,), parametrization=parametrization, steps=steps) for _ in range(2))
    other.load_state_dict(one.state_dict())
    x = torch.randn(64, 17)
    by_groups = pathway_optimizer(one, 1e-2, prior=prior, residual_step_ratio=1.0)
    by_loss = torch.optim.Adam(other.parameters(), lr=1e-2)
    for _ in range(3):
        by_groups.zero_grad()
        one(x).square().mean().backward()
        by_groups.step()
        by_loss.zero_grad()
        (other(x).square().mean() + sum(prior.penalty(other).values())).backward()
        by_loss.step()
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-6, rtol=1e-5)
    unpriored = RPPMLP(CHEETAH, SIGN, (32,))
    assert PathwayPrior().penalty(unpriored) == {"equiv": 0, "basic": 0}


def test_a_prior_is_made_from_standard_deviations():
    prior = PathwayPrior.from_std(equiv=float("inf"), basic=0.5)
    assert (prior.equiv_wd, prior.basic_wd) == (0.0, 2.0)
    with pytest.raises(NetworkError, match="basic_wd"):
        PathwayPrior(basic_wd=-1.0)


def test_state_survives_a_round_trip():
    net, other = RPPMLP(CHEETAH, SIGN, (32,)), RPPMLP(CHEETAH, SIGN, (32,))
    other.load_state_dict(net.state_dict())
    x = torch.randn(5, 17)
    assert torch.equal(net(x), other(x))
    assert all("orbit" not in key and "coefficient" not in key for key in net.state_dict())
