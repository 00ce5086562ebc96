"""Compare passes of stacked networks with autograd, and merged weights with those of the layers."""

import copy

import pytest
import torch
from torch import nn

from rpp_rl import (
    cyclic_group,
    dihedral_group,
    regular_representation,
    sign_representation,
    trivial_group,
    trivial_representation,
)
from rpp_rl.agents.rpp_sac.fast_update.coordinates import RowCoordinates
from rpp_rl.agents.rpp_sac.fast_update.perceptrons import NetworkStack, Passes, Workspace
from rpp_rl.errors import NetworkError
from rpp_rl.networks import network_class

GROUPS = {"Z2": cyclic_group(2), "D4": dihedral_group(4), "trivial": trivial_group()}


def networks(kind, group, count=3, widths=(16, 24, 16), activation=nn.ReLU, center=()):
    """Make networks of one form with large residuals; also return the input size."""
    torch.manual_seed(0)
    group = GROUPS[group]
    rep_in = 2 * regular_representation(group) + sign_representation(group) + trivial_representation(group)
    center = (0.5,) * (rep_in.size - 2) + (0.0, 0.7) if center else ()
    made = network_class(kind)(rep_in, trivial_representation(group), widths, activation, 0.5, center)
    return [copy.deepcopy(made).requires_grad_() for _ in range(count)], rep_in.size


def perturb(nets):
    for net in nets:
        with torch.no_grad():
            for p in net.parameters():
                p.add_(0.1 * torch.randn_like(p))
    return nets


CASES = [
    ("plain", "Z2", nn.ReLU, False),
    ("rpp", "Z2", nn.ReLU, True),
    ("rpp", "D4", nn.Tanh, False),
    ("rpp", "trivial", nn.ELU, False),
    ("equivariant", "D4", nn.LeakyReLU, True),
]


@pytest.mark.parametrize(("kind", "group", "activation", "center"), CASES)
@pytest.mark.parametrize(("count", "widths"), [(1, (16, 24, 16)), (3, (16, 24, 16)), (2, (64, 128, 64))])
def test_passes_agree_with_autograd(kind, group, activation, center, count, widths):
    nets, size = networks(kind, group, count, widths, activation=activation, center=center)
    perturb(nets)
    reference = copy.deepcopy(nets)
    stack = NetworkStack([list(net) for net in nets], [()] * count)
    passes = Passes(stack, 20, Workspace())
    x, upward = torch.randn(count, 20, size), torch.randn(count, 20, 1)
    passes.write(passes.inputs, x)
    y = passes.forward().clone()
    passes.upward.copy_(upward)
    passes.backward(20)
    towards = passes.backward_to_input(3)
    for k, net in enumerate(reference):
        inputs = x[k].clone().requires_grad_()
        wanted = net(inputs)
        wanted.backward(upward[k])
        torch.testing.assert_close(y[k], wanted.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(towards[k], inputs.grad[:, 3:], rtol=1e-4, atol=1e-5)
        for (name, p), q in zip(net.named_parameters(), nets[k].parameters(), strict=True):
            torch.testing.assert_close(q.grad, p.grad, rtol=1e-4, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("kind", ["rpp", "equivariant", "plain"])
@pytest.mark.parametrize("group", GROUPS)
def test_merged_weights_equal_those_of_the_layers_bit_for_bit(kind, group):
    nets, _ = networks(kind, group)
    perturb(nets)
    wanted = [[layer.weight for layer in copy.deepcopy(net).merged() if isinstance(layer, nn.Linear)] for net in nets]
    stack = NetworkStack([list(net) for net in nets], [()] * len(nets))
    for k, weights in enumerate(wanted):
        for (weight, _), other in zip(stack.merged(k), weights, strict=True):
            if group == "D4" and kind == "rpp":
                # Sums over orbits of eight entries are computed in another order.
                torch.testing.assert_close(weight, other, rtol=1e-5, atol=1e-7)
            else:
                assert torch.equal(weight, other)


def test_hidden_layers_are_gathered_by_rows_and_others_by_entries():
    nets, _ = networks("equivariant", "Z2", 2)
    layers = NetworkStack([list(net) for net in nets], [()] * 2).layers
    # Two between hidden layers, and the invariant output.
    assert len(layers._rows) == 3


@pytest.mark.parametrize(("group", "in_pairs"), [("Z2", True), ("D4", False), ("trivial", False)])
def test_large_hidden_layers_combine_rows_of_coordinates(group, in_pairs):
    nets, _ = networks("rpp", group, 2, widths=(64, 128, 64))
    perturb(nets)
    layers = NetworkStack([list(net) for net in nets], [()] * 2).layers
    rows = [m for m in layers._maps if isinstance(m, RowCoordinates)]
    # Two between hidden layers; all other weights and biases together are one more map.
    assert len(rows) == len(layers._maps) - 1 == 2
    assert all((row._pairs is not None) == in_pairs for row in rows)


def test_stacked_networks_stay_usable_and_separate():
    nets, size = networks("rpp", "Z2", 2)
    perturb(nets)
    x = torch.randn(4, size)
    before = [net(x).detach() for net in nets]
    stack = NetworkStack([list(net) for net in nets], [()] * 2)
    for net, y in zip(nets, before, strict=True):
        assert torch.equal(net(x).detach(), y)
    with torch.no_grad():
        nets[1][0].weight_basic.add_(1.0)
    stack.assemble()
    passes = Passes(stack, 4, Workspace())
    passes.write(passes.inputs, x)
    y = passes.forward()
    torch.testing.assert_close(y[0], before[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(y[1], nets[1](x).detach(), rtol=1e-5, atol=1e-5)
    assert (y[1] - before[1]).abs().max() > 0.1


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_products_in_bfloat16_equal_those_of_torch(activation):
    nets, size = networks("rpp", "Z2", 2, activation=activation)
    perturb(nets)
    x, upward = torch.randn(2, 50, size), torch.randn(2, 50, 1)
    theirs = [net.merged() for net in copy.deepcopy(nets)]
    stack = NetworkStack([list(net) for net in nets], [()] * 2, torch.bfloat16)
    passes = Passes(stack, 50, Workspace())
    passes.write(passes.inputs, x)
    outputs = passes.forward()
    passes.upward.copy_(upward)
    passes.backward(50)
    for k, net in enumerate(theirs):
        exact = net(x[k]).detach()
        net.bfloat16().zero_grad()
        rough = net.requires_grad_()(x[k].bfloat16())
        rough.backward(upward[k].bfloat16())
        torch.testing.assert_close(outputs[k], rough.detach().float(), rtol=2e-2, atol=1e-2)
        assert (outputs[k] - exact).norm() > 1e-4 * exact.norm()
        gradient = stack.layers.stacked(stack.layers.gradient, 0, "weight")[k]
        wanted = net[0].weight.grad.float()
        assert (gradient - wanted).norm() < 0.02 * wanted.norm()
    assert outputs.dtype == gradient.dtype == torch.float32


def test_unsupported_networks_are_refused():
    nets, _ = networks("plain", "Z2", 2)
    with pytest.raises(NetworkError, match="one form"):
        NetworkStack([list(nets[0]), list(networks("plain", "Z2", 1, (8, 24, 16))[0][0])], [(), ()])
    with pytest.raises(NetworkError, match="one kind of layer"):
        NetworkStack([list(nets[0]), list(networks("rpp", "Z2", 1)[0][0])], [(), ()])
    with pytest.raises(NetworkError, match="one activation"):
        NetworkStack([list(nets[0]), list(networks("plain", "Z2", 1, activation=nn.Tanh)[0][0])], [(), ()])
    for odd in (nn.Linear(3, 2, bias=False), nn.Bilinear(2, 2, 2)):
        with pytest.raises(NetworkError, match="does not support the layer"):
            NetworkStack([[odd]], [()])
