import copy
import itertools
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.algebra import CONTINUOUS_GROUPS, GOLDEN, assert_equivariant, dense_bilinear, parse
from torch import nn

from rpp_rl import (
    EMLP,
    PathwayPrior,
    cyclic_group,
    defining_representation,
    equivariance_error,
    orthogonal_group,
    residual_shares,
    sign_representation,
    special_orthogonal_group,
    tensor_representation,
    trivial_representation,
    uniform_rep,
)
from rpp_rl.emlp import EMLPBlock
from rpp_rl.emlp_layers import Bilinear
from rpp_rl.errors import NetworkError, RepresentationError
from rpp_rl.priors import pathway_parameters

O3 = orthogonal_group(3)
V, ONE = defining_representation(O3), trivial_representation(O3)
INERTIA = 5 * ONE + 5 * V, V * V
GOLDEN_BLOCKS = {
    "Z2": (cyclic_group(2), "2*Scalar+3*P+V", "4*Scalar+3*V+V**2"),
    "SO3": (special_orthogonal_group(3), "2*Scalar+2*V", "3*Scalar+2*V+V**2"),
}


def chosen_of(K, rep):
    """Which summands of each kind EMLP drew at random to be read as maps: the last axis of its tensor."""
    used = K.any(axis=(0, 1, 2))
    counts = {}
    chosen = {}
    for atom, place in zip(rep.atoms, rep.places, strict=True):
        number = counts.get(atom, 0)
        counts[atom] = number + 1
        if not atom.is_scalar and used[place].any():
            chosen.setdefault(atom, []).append(number)
    return chosen


@pytest.mark.parametrize("name", GOLDEN_BLOCKS)
def test_a_block_computes_what_the_authors_block_computes(name):
    group, text_in, text_out = GOLDEN_BLOCKS[name]
    with np.load(GOLDEN / "rpp_emlp_blocks.npz") as file:
        data = {key.removeprefix(f"{name}:"): file[key] for key in file.files if key.startswith(f"{name}:")}
    rep_in, rep_out = parse(text_in, group), parse(text_out, group)
    block = EMLPBlock(rep_in, rep_out, True, 0.03, parametrization="pathways", steps="orthonormal")
    inner = block.linear.rep_out
    np.testing.assert_array_equal(block.nonlinearity.gate, data["gate_indices"])
    np.testing.assert_allclose(projector(block.linear._weight_basis), data["Pw"], atol=1e-6)
    np.testing.assert_allclose(projector(block.linear._bias_basis), data["Pb"], atol=1e-6)

    K = data["K"].astype(np.float64)
    block.bilinear = Bilinear(inner, inner, chosen_of(K, inner))
    expected = (K + K.transpose(0, 3, 2, 1)).transpose(2, 1, 3, 0).reshape(K.shape[2], -1)
    mine = dense_bilinear(block.bilinear).reshape(len(block.bilinear.weight), -1)
    drawn = data["bilinear/w"].astype(np.float64)
    # The same products in another order: every one of the authors' weights belongs to one of ours.
    order = [int(np.flatnonzero(np.abs(mine - row).max(axis=1) < 1e-6)[0]) for row in expected]
    weights = np.zeros(len(mine))
    np.add.at(weights, order, drawn)

    linear, b_equiv = block.linear, data["mixedlinear/b_equiv"].astype(np.float64)
    with torch.no_grad():
        for parameter, values in (
            (linear.weight_equiv, linear._weight_basis.coordinates(data["mixedlinear/w_equiv"].astype(np.float64))),
            (linear.bias_equiv, linear._bias_basis.coordinates(b_equiv[:, None])),
            (linear.weight_basic, data["mixedlinear/w_basic"]),
            (linear.bias_basic, data["mixedlinear/b_basic"][:, 0]),
            (block.bilinear.weight, weights),
            (block.nonlinearity.weight_basic, data["nonlinearity/w_basic"]),
        ):
            parameter.copy_(torch.as_tensor(np.asarray(values)))
        x = torch.from_numpy(data["x"])
        lin = block.linear(x)
        np.testing.assert_allclose(lin, data["lin"], atol=1e-5)
        np.testing.assert_allclose(0.03 * block.bilinear(lin), data["bilinear_out"], atol=1e-5)
        np.testing.assert_allclose(block(x), data["y"], atol=1e-5)


def projector(basis):
    Q = basis.dense()
    return Q @ Q.T


@pytest.mark.parametrize("group", CONTINUOUS_GROUPS.values(), ids=CONTINUOUS_GROUPS)
def test_an_exact_network_is_equivariant(group):
    torch.manual_seed(0)
    rep_in = 2 * trivial_representation(group) + 2 * defining_representation(group)
    rep_out = tensor_representation(group, 1, 1) + sign_representation(group)
    network = EMLP(rep_in, rep_out, 40, layers=2).double()
    assert_equivariant(network, rep_in, rep_out, tolerance=1e-7)
    assert network(torch.randn(7, rep_in.size, dtype=torch.float64)).abs().max() > 1e-3


def test_the_published_network_for_inertia_is_equivariant():
    torch.manual_seed(0)
    network = EMLP(*INERTIA)
    x = torch.randn(64, 20)
    assert [h.size for h in network.hidden] == [384] * 3
    assert equivariance_error(network, x, *INERTIA).max() < 1e-5
    softened = EMLP(*INERTIA, rpp=True)
    assert 1e-5 < equivariance_error(softened, x, *INERTIA).max() < 0.2
    assert type(softened) is type(network)


@pytest.mark.parametrize("rpp", [False, True])
def test_activations_of_deep_networks_start_small(rpp):
    # Quadratic terms in hundreds of channels explode unless the linear maps before them start small.
    torch.manual_seed(0)
    x = torch.randn(64, 20)
    for block in EMLP(*INERTIA, layers=4, rpp=rpp).blocks:
        x = block(x)
        assert 1e-4 < x.square().mean().sqrt() < 1


def test_linear_maps_start_as_projections_of_dense_ones():
    hidden = uniform_rep(120, O3)
    torch.manual_seed(0)
    linear = EMLPBlock(hidden, hidden).linear
    coefficients = (linear.assemble_weight.scale * linear.weight_equiv).detach()
    assert coefficients.std() * 120**0.5 == pytest.approx(1, rel=0.1)
    assert Bilinear(hidden, hidden).weight.detach().std() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("steps", ["equal", "published", "orthonormal"])
def test_conversion_to_rpp_keeps_the_function(steps):
    torch.manual_seed(0)
    network = EMLP(*INERTIA, hidden=(30, uniform_rep(40, O3)), bilinear_scale=0.03, steps=steps)
    train(network, steps=3)
    softened = network.eval().to_rpp()
    x = torch.randn(8, 20)
    torch.testing.assert_close(softened(x), network(x))
    assert softened.rpp
    assert not softened.training
    assert set(residual_shares(softened).values()) == {0.0}
    assert equivariance_error(softened, x, *INERTIA).max() < 1e-5
    train(softened, steps=3)
    assert equivariance_error(softened, x, *INERTIA).max() > 1e-5
    assert network.double().to_rpp().head.weight_equiv.dtype == torch.float64


def train(network, steps):
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        (network(torch.randn(32, 20)) - 1).square().mean().backward()
        optimizer.step()
    return network


def test_an_rpp_without_residual_is_exact_and_without_equivariant_pathway_dense():
    network = EMLP(*INERTIA, hidden=30, rpp=True, residual_init_scale=0.0)
    x = torch.randn(8, 20)
    assert equivariance_error(network, x, *INERTIA).max() < 1e-5
    linear = EMLP(*INERTIA, hidden=30, rpp=True, parametrization="pathways").head
    with torch.no_grad():
        linear.weight_equiv.zero_()
        linear.bias_equiv.zero_()
    y = torch.randn(8, 30)
    torch.testing.assert_close(linear(y), nn.functional.linear(y, linear.weight_basic, linear.bias_basic))


def test_every_parameter_is_in_one_pathway():
    network = EMLP(*INERTIA, hidden=30, rpp=True)
    pathways = pathway_parameters(network)
    names = list(itertools.chain.from_iterable(pathways.values()))
    assert sorted(names) == sorted(name for name, _ in network.named_parameters())
    assert all(name.endswith("bilinear.weight") for name in pathways["plain"])
    assert sum("nonlinearity" in name for name in pathways["basic"]) == 3
    penalty = PathwayPrior(1e-3, 100.0).penalty(network)
    assert set(penalty) == {"equiv", "basic"}
    assert "basic" not in PathwayPrior(1e-3, 100.0).penalty(EMLP(*INERTIA, hidden=30))


@pytest.mark.slow
@pytest.mark.parametrize("rpp", [False, True])
def test_a_network_is_a_plain_module(rpp, tmp_path):
    network, other = (EMLP(*INERTIA, hidden=30, layers=2, rpp=rpp) for _ in range(2))
    x = torch.randn(8, 20)
    torch.save(network.state_dict(), tmp_path / "network.pt")
    other.load_state_dict(torch.load(tmp_path / "network.pt", weights_only=True))
    torch.testing.assert_close(other(x), network(x))
    torch.testing.assert_close(copy.deepcopy(network)(x), network(x))
    torch.testing.assert_close(pickle.loads(pickle.dumps(network))(x), network(x))
    assert network(x[0]).shape == (9,)
    assert network(x.view(2, 4, 20)).shape == (2, 4, 9)
    assert torch.func.vmap(network)(x).shape == (8, 9)
    exported = torch.export.export(network, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(exported.module()(torch.cat([x, x])), network(torch.cat([x, x])))
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), network(x))
    compiled(x).sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    meta = EMLP(*INERTIA, hidden=30, layers=2, rpp=rpp).to("meta")
    assert meta(torch.empty(8, 20, device="meta")).device.type == "meta"


@pytest.mark.slow
def test_saved_coefficients_give_the_same_function_in_another_process(tmp_path):
    # Bases may not depend on hash seeds or on what was solved before.
    script = (
        "import torch; from rpp_rl import *; torch.manual_seed(0); g = special_linear_group(3);"
        "V = defining_representation(g); net = EMLP(V + V.T, V * V.T, 110, layers=1).double();"
        "[p.data.copy_(torch.linspace(-1, 1, p.numel())) for p in net.parameters()];"
        "print(net(torch.linspace(-1, 1, 6).double()).tolist())"
    )
    outputs = set()
    for seed in "12":
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", script]
        run = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        outputs.add(run.stdout)
    assert len(outputs) == 1


def test_float64_is_exact_whatever_the_network_was_built_in():
    network = EMLP(*INERTIA, hidden=110, layers=2).double()
    assert network.hidden[0].atoms[-1].size == 27
    x = torch.randn(8, 20, dtype=torch.float64)
    assert equivariance_error(network, x, *INERTIA).max() < 1e-12


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_network_computes_the_same_on_a_gpu():
    network = EMLP(*INERTIA, hidden=60, rpp=True)
    x = torch.randn(8, 20)
    expected = network(x)
    torch.testing.assert_close(network.cuda()(x.cuda()).cpu(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: EMLP(*INERTIA, layers=0), NetworkError, "at least one hidden layer"),
        (lambda: EMLP(*INERTIA, hidden=0), NetworkError, "at least one channel"),
        (lambda: EMLP(*INERTIA, bilinear_scale=float("nan")), NetworkError, "bilinear_scale must be finite"),
        (lambda: EMLP(*INERTIA, rpp=True, residual_init_scale=-1.0), NetworkError, "residual_init_scale"),
        (lambda: EMLP(V, defining_representation(special_orthogonal_group(3))), RepresentationError, "one group"),
        (lambda: EMLP(V, V, uniform_rep(30, special_orthogonal_group(3))), RepresentationError, "one group"),
    ],
)
def test_impossible_networks_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
