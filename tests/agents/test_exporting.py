"""Exported actors act as the agent does, without this library."""

import numpy as np
import pytest
import torch
from helpers.agents import agent
from helpers.tasks import bicycle
from stable_baselines3 import SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rpp_rl.agents import SymmetricVecNormalize
from rpp_rl.agents.common.export import FORMATS, PlainActor, export_actor, greatest_difference
from rpp_rl.errors import NetworkError

OBSERVATIONS = np.random.default_rng(0).normal(1.0, 3.0, (1000, 4))


def normalized(cls, policy):
    env = cls(DummyVecEnv([bicycle]))
    return agent(policy, env=env), env


# The conversion to ONNX takes seconds.
KINDS = [pytest.param(kind, marks=[pytest.mark.slow] if kind == "onnx" else []) for kind in FORMATS]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", ["RPPPolicy", "EquivariantPolicy", "PlainPolicy"])
def test_an_exported_actor_acts_as_the_agent(tmp_path, kind, policy):
    model, normalizer = normalized(VecNormalize if policy == "PlainPolicy" else SymmetricVecNormalize, policy)
    model.learn(60)
    path, run = export_actor(PlainActor(model, normalizer), kind, tmp_path / "actor")
    assert greatest_difference(model, normalizer, run, OBSERVATIONS) < 1e-5
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    # Without its statistics it would not.
    _, other = export_actor(PlainActor(model), kind, tmp_path / "other")
    assert greatest_difference(model, normalizer, other, OBSERVATIONS) > 1e-3


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("activation", [torch.nn.Tanh, torch.nn.ELU, torch.nn.LeakyReLU, torch.nn.SiLU, torch.nn.GELU])
def test_activations_are_exported(tmp_path, kind, activation):
    model = agent("PlainPolicy", policy_kwargs={"net_arch": [16, 8], "activation_fn": activation})
    if kind == "safetensors" and activation is torch.nn.GELU:
        with pytest.raises(NetworkError, match="GELU"):
            export_actor(PlainActor(model), kind, tmp_path / "actor")
        assert not list(tmp_path.iterdir())
        return
    _, run = export_actor(PlainActor(model), kind, tmp_path / "actor")
    assert greatest_difference(model, None, run, OBSERVATIONS) < 1e-5


def test_actions_keep_the_symmetry_and_the_bounds(tmp_path):
    model = agent("EquivariantPolicy")
    _, run = export_actor(PlainActor(model), "safetensors", tmp_path / "actor")
    x = OBSERVATIONS.astype(np.float32)
    for g in range(model.symmetry.group.order):
        there = run(np.asarray(model.symmetry.transform_observation(g, x), np.float32))
        np.testing.assert_allclose(there, model.symmetry.transform_action(g, run(x)), atol=1e-5)
    assert (np.abs(run(100 * x)) <= np.max(model.action_space.high)).all()


def test_agents_of_stable_baselines_are_exported_without_gsde(tmp_path):
    model = SAC("MlpPolicy", bicycle(), buffer_size=10)
    _, run = export_actor(PlainActor(model), "torchscript", tmp_path / "actor")
    assert greatest_difference(model, None, run, OBSERVATIONS) < 1e-5
    with pytest.raises(NetworkError, match="gSDE"):
        PlainActor(SAC("MlpPolicy", bicycle(), buffer_size=10, use_sde=True))
