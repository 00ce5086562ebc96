"""Agents with the paper's EMLP."""

import numpy as np
import pytest
import torch
from helpers.agents import agent, assert_same_parameters, observations, parameters
from helpers.tasks import bicycle

import rpp_rl
from rpp_rl import Symmetry, residual_shares
from rpp_rl.agents import RPPSAC
from rpp_rl.agents.common.callbacks import actor_error, critic_error
from rpp_rl.agents.common.export import PlainActor, export_actor, greatest_difference
from rpp_rl.errors import NetworkError, UnknownNameError

EMLP = {"network": "emlp", "policy_kwargs": {"net_arch": [12, 12]}}


def test_it_trains_by_the_reference_step_and_says_so(caplog):
    model = agent(**EMLP)
    before = parameters(model)
    model.learn(60)
    assert "stable-baselines3's own gradient step" in caplog.text
    moved = [name for name, value in parameters(model).items() if not torch.equal(value, before[name])]
    assert any("bilinear.weight" in name for name in moved)
    assert any("basic" in name for name in moved)
    assert all(0 < share < 1 for share in residual_shares(model.actor).values())


def test_exact_networks_stay_exact():
    model = agent("EquivariantPolicy", **EMLP)
    model.learn(60)
    x, a = observations(model)
    assert actor_error(model, model.symmetry, x) < 1e-5
    assert critic_error(model, model.symmetry, x, a) < 1e-5
    soft = agent("RPPPolicy", residual_init_scale=0.5, **EMLP)
    assert actor_error(soft, soft.symmetry, x) > 1e-2


@pytest.mark.slow
def test_it_is_saved_and_exported(tmp_path):
    model = agent(**EMLP)
    model.learn(40)
    model.save(tmp_path / "agent")
    again = RPPSAC.load(tmp_path / "agent", env=bicycle(), device="cpu")
    assert again.policy.network == "emlp"
    assert_same_parameters(parameters(again), parameters(model))
    x = np.random.default_rng(0).normal(size=(200, 4))
    for kind in ("torchscript", "onnx"):
        _, run = export_actor(PlainActor(model), kind, tmp_path / "actor")
        assert greatest_difference(model, None, run, x) < 1e-5
    with pytest.raises(NetworkError, match="EMLPBlock"):
        export_actor(PlainActor(model), "safetensors", tmp_path / "actor")


def test_a_larger_group_about_a_center():
    square = rpp_rl.dihedral_group(4)
    turns = [np.asarray(g) for g in square.generators]
    place = Symmetry.from_generators(
        "square", square, [np.kron(np.eye(2), g) for g in turns], turns, center=(0.0, 0.0, 0.5, -1.0)
    )
    model = agent("EquivariantPolicy", symmetry=place, **EMLP)
    x, a = observations(model)
    assert actor_error(model, place, x) < 1e-5
    assert critic_error(model, place, x, a) < 1e-5
    off_center = Symmetry.from_generators("square", square, [np.kron(np.eye(2), g) for g in turns], turns)
    assert actor_error(model, off_center, x) > 1e-3


def test_bad_input():
    with pytest.raises(UnknownNameError, match="did you mean 'emlp'"):
        agent(network="empl")
    with pytest.raises(NetworkError, match="at least one hidden layer"):
        agent(network="emlp", policy_kwargs={"net_arch": []})
