import pytest
import torch
from helpers.algebra import assert_equivariant, continuous_groups, dense_bilinear, groups, parse, representations
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rpp_rl import (
    cyclic_group,
    defining_representation,
    orthogonal_group,
    sign_representation,
    special_linear_group,
    symmetric_group,
    trivial_representation,
    uniform_rep,
)
from rpp_rl.emlp_layers import Bilinear, GatedNonlinearity
from rpp_rl.errors import NetworkError
from rpp_rl.representations import gated

O3 = orthogonal_group(3)
V, ONE = defining_representation(O3), trivial_representation(O3)

some = settings(max_examples=25, deadline=None)


def test_the_number_of_bilinear_weights_matches_the_paper():
    group = cyclic_group(2)
    hidden = parse("126*Scalar+55*V+5*V**2", group)
    assert Bilinear(hidden, hidden).weight.numel() == 44860
    hidden = uniform_rep(256, group)
    assert Bilinear(hidden, hidden).weight.numel() == 20016


@some
@given(st.data(), st.one_of(groups, continuous_groups), st.integers(5, 60))
def test_the_bilinear_layer_is_equivariant(data, group, channels):
    rep_in = uniform_rep(channels, group) + data.draw(representations(group))
    rep_out = data.draw(representations(group)) + uniform_rep(channels, group)
    torch.manual_seed(0)
    layer = Bilinear(rep_in, rep_out).double()
    assert_equivariant(layer, rep_in, rep_out)


def test_the_bilinear_layer_matches_its_definition():
    rep = uniform_rep(40, special_linear_group(2)) + defining_representation(special_linear_group(2)).T
    layer = Bilinear(rep, rep).double()
    terms = [t for ts in (*layer._by_out.values(), *layer._by_source.values()) for t in ts]
    assert {t.apply_first for t in terms} == {True, False}
    assert any(t.axes != tuple(range(len(t.axes))) for t in terms)
    # Quadratic, and linear in the weights: it is fixed by its values on sums of two coordinates.
    x = torch.randn(5, rep.size, dtype=torch.float64)
    torch.testing.assert_close(layer(2 * x), 4 * layer(x))
    K = torch.from_numpy(dense_bilinear(layer)).reshape(-1, rep.size, rep.size, rep.size)
    expected = 0.5 * torch.einsum("p,pijo,bi,bj->bo", layer.weight, K, x, x)
    torch.testing.assert_close(layer(x), expected)


def test_the_bilinear_layer_reads_the_chosen_summands():
    rep = 3 * V + ONE
    both, last = Bilinear(rep, rep), Bilinear(rep, rep, {V: [2]})
    assert (both.weight.numel(), last.weight.numel()) == (18, 6)
    x = torch.randn(4, 10)
    x[:, 6:9] = 0.0
    assert last(x).abs().max() == 0
    assert both(x).abs().max() > 0
    with pytest.raises(NetworkError, match="3 summands V, numbered from 0"):
        Bilinear(rep, rep, {V: [3]})


def test_a_bilinear_layer_may_be_empty():
    sign = sign_representation(cyclic_group(2))
    layer = Bilinear(sign, 3 * sign)
    torch.testing.assert_close(layer(torch.ones(2, 5, 1)), torch.zeros(2, 5, 3))


@some
@given(st.data(), st.one_of(groups, continuous_groups))
def test_the_gated_nonlinearity_is_equivariant(data, group):
    rep = data.draw(representations(group))
    assert_equivariant(GatedNonlinearity(rep), gated(rep), rep)


def test_scalars_and_permutations_are_their_own_gates():
    S4 = symmetric_group(4)
    rep = trivial_representation(S4) + defining_representation(S4)
    x = torch.randn(3, 5)
    torch.testing.assert_close(GatedNonlinearity(rep)(x), nn.functional.silu(x))
    softened = GatedNonlinearity(rep, rpp=True, residual_init_scale=0.5)
    torch.testing.assert_close(softened(x), 1.5 * nn.functional.silu(x))
