import copy
import math

import pytest
import torch
from helpers.algebra import SMALL_GROUPS, groups, representations
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from rpp_rl import EquivariantLinear, EquivariantMLP, Representation, RPPLinear, equivariance_error, trivial_group
from rpp_rl.errors import NetworkError
from rpp_rl.layers import merged_once
from rpp_rl.representations import regular_representation, trivial_representation

some = settings(max_examples=30)


def batch(rep, size=32):
    return torch.randn(size, rep.size, generator=torch.Generator().manual_seed(0))


def filled(layer):
    """Give every parameter values of the order of one."""
    torch.manual_seed(1)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer


@some
@given(st.data(), groups)
def test_zero_residual_is_equivariant(data, group):
    layer = filled(RPPLinear(data.draw(representations(group)), data.draw(representations(group))))
    with torch.no_grad():
        layer.weight_basic.zero_()
        layer.bias_basic.zero_()
    # Without an equivariant map between the two there is nothing that an error could be relative to.
    assume(torch.linalg.vector_norm(layer(batch(layer.rep_in))) > 0)
    error = equivariance_error(layer, batch(layer.rep_in), layer.rep_in, layer.rep_out)
    assert error.shape == (group.order,)
    assert error.max() < 1e-5


def test_a_residual_breaks_equivariance():
    group = SMALL_GROUPS["D3"]
    regular = regular_representation(group)
    layer = filled(RPPLinear(regular, 2 * regular))
    error = equivariance_error(layer, batch(regular), layer.rep_in, layer.rep_out)
    assert error[0] == 0
    assert (error[1:] > 0.1).all()


@some
@given(st.data(), groups)
def test_zero_equivariant_pathway_is_the_dense_layer_exactly(data, group):
    layer = filled(RPPLinear(data.draw(representations(group)), data.draw(representations(group))))
    with torch.no_grad():
        layer.weight_equiv.zero_()
        layer.bias_equiv.zero_()
    x = batch(layer.rep_in)
    assert torch.equal(layer(x), functional.linear(x, layer.weight_basic, layer.bias_basic))


@some
@given(st.data(), groups)
def test_merged_and_two_pathway_outputs_agree(data, group):
    layer = filled(RPPLinear(data.draw(representations(group)), data.draw(representations(group)))).double()
    layer.assemble_weight.double()
    x = batch(layer.rep_in).double()
    two_pathways = functional.linear(x, layer.equivariant_weight(), layer.equivariant_bias())
    two_pathways = two_pathways + functional.linear(x, layer.weight_basic, layer.bias_basic)
    scale = two_pathways.abs().max()
    assert (layer(x) - two_pathways).abs().max() / scale < 1e-6
    assert (layer.to_linear()(x) - layer(x)).abs().max() == 0
    single = copy.deepcopy(layer).float()
    assert (single.to_linear()(x.float()) - two_pathways).abs().max() / scale < 1e-6


def test_trivial_group_has_full_rank():
    group = trivial_group()
    layer = EquivariantLinear(Representation(group, (), "in", 6), Representation(group, (), "out", 4))
    assert layer.weight_equiv.numel() == 24
    assert layer.bias_equiv.numel() == 4


@some
@given(st.data(), groups)
def test_gradients_reach_every_coefficient(data, group):
    layer = filled(RPPLinear(data.draw(representations(group)), data.draw(representations(group)))).double()
    beta = layer.weight_equiv
    if beta.numel():
        W = torch.randn(layer.out_features, layer.in_features, dtype=torch.float64)
        (grad,) = torch.autograd.grad((layer.equivariant_weight() * W).sum(), beta)
        # d <A, W> / d beta = c Q^T vec(W), by the definition of the scaled basis.
        expected = layer.assemble_weight.scale * torch.from_numpy(layer._weight_basis.coordinates(W.numpy()))
        torch.testing.assert_close(grad, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("group", SMALL_GROUPS.values(), ids=SMALL_GROUPS)
def test_coefficients_start_at_the_spread_of_a_plain_layer(group):
    hidden = 20 * regular_representation(group)
    torch.manual_seed(0)
    weights = torch.stack([EquivariantLinear(hidden, hidden).equivariant_weight().detach() for _ in range(20)])
    assert weights.std() == pytest.approx(1 / math.sqrt(3 * hidden.size), rel=0.02)
    assert weights.abs().max() <= 1 / math.sqrt(hidden.size) + 1e-6


@pytest.mark.parametrize("group", SMALL_GROUPS.values(), ids=SMALL_GROUPS)
def test_dead_inputs_leave_the_coefficients_as_drawn(group):
    # In a network of a few units all ReLUs can be dead at initialization; the correction would be 0 / 0.
    hidden, out = regular_representation(group), trivial_representation(group)
    layer = EquivariantLinear(hidden, out)
    before = layer.weight_equiv.detach().clone()
    layer.correct_for(torch.zeros(16, hidden.size))
    assert torch.equal(layer.weight_equiv, before)


def test_a_layer_may_have_no_bias():
    regular = regular_representation(SMALL_GROUPS["C2"])
    for layer in (EquivariantLinear(regular, regular, bias=False), RPPLinear(regular, regular, bias=False)):
        assert all("bias" not in name for name, _ in layer.named_parameters())
        assert torch.equal(layer(torch.zeros(1, 2)), torch.zeros(1, 2))
        assert layer.to_linear().bias is None


@pytest.mark.parametrize("scale", [-1.0, float("nan"), float("inf")])
def test_bad_residual_scale_is_refused(scale):
    regular = regular_representation(SMALL_GROUPS["C2"])
    with pytest.raises(NetworkError, match="residual_init_scale"):
        RPPLinear(regular, regular, residual_init_scale=scale)


def test_width_must_hold_the_regular_representation():
    V = regular_representation(SMALL_GROUPS["D4"])
    with pytest.raises(NetworkError, match=r"hidden layer 2: .*next width that works is 104"):
        EquivariantMLP(V, V, (64, 100))


def test_a_module_that_is_merged_once_computes_the_same_function(monkeypatch):
    group = next(iter(SMALL_GROUPS.values()))
    rep = 2 * regular_representation(group)
    net = torch.nn.Sequential(RPPLinear(rep, rep, residual_init_scale=1.0), EquivariantLinear(rep, rep, bias=False))
    x = torch.randn(5, rep.size, generator=torch.Generator().manual_seed(0))
    merges = []
    original = EquivariantLinear.equivariant_weight
    monkeypatch.setattr(EquivariantLinear, "equivariant_weight", lambda self: merges.append(self) or original(self))
    expected = net(net(x))
    gradients = torch.autograd.grad(expected.square().sum(), list(net.parameters()))
    merges.clear()
    with merged_once(net):
        found = net(net(x))
    assert merges == [net[0], net[1]]
    torch.testing.assert_close(found, expected)
    for a, b in zip(torch.autograd.grad(found.square().sum(), list(net.parameters())), gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_weights_are_merged_again_after_merged_once():
    rep = 2 * regular_representation(trivial_group())
    layer = RPPLinear(rep, rep)
    x = torch.ones(1, rep.size)
    with pytest.raises(RuntimeError, match="on purpose"), merged_once(layer):
        before = layer(x)
        raise RuntimeError("on purpose")
    with torch.no_grad():
        layer.weight_basic.add_(1.0)
    torch.testing.assert_close(layer(x), before + rep.size)
