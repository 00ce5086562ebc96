"""Files of the first version (``tests/golden/files``) and of other algorithms are read."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.agents import agent
from helpers.tasks import bicycle
from stable_baselines3 import TD3
from stable_baselines3.common.vec_env import DummyVecEnv

from rpp_rl.agents import RPPSAC, RPPPolicy, SymmetricVecNormalize
from rpp_rl.agents.common.saving.agent_files import read_agent

FILES = Path(__file__).parents[2] / "golden" / "files"
SMALL = {"policy_kwargs": {"net_arch": [4]}, "buffer_size": 30, "learning_starts": 10, "batch_size": 8}


@pytest.mark.parametrize(("name", "kinds"), [("rpp_agent", {"rpp", "plain"}), ("mlp_agent", {"plain"})])
def test_an_old_agent_loads_and_learns(name, kinds):
    model = RPPSAC.load(FILES / f"{name}.zip", env=bicycle(), device="cpu")
    assert set(model.policy.kinds.values()) == kinds
    assert (model.num_timesteps, model.replay_buffer.buffer_size) == (20, 30)
    before = model.actor.mu.bias.clone() if name == "mlp_agent" else model.actor.mu.bias_basic.clone()
    model.learn(20, reset_num_timesteps=False)
    after = model.actor.mu.bias if name == "mlp_agent" else model.actor.mu.bias_basic
    assert not torch.equal(before, after)


@pytest.mark.parametrize("name", ["equivariant_agent", "equivariant_agent_of_sac"])
def test_an_old_exact_agent_acts_as_when_it_was_saved(name):
    """Its coefficients are of an orthonormal basis; scaled ones would look the same in the file."""
    model = RPPSAC.load(FILES / f"{name}.zip", device="cpu")
    expected = [[0.084928393, 0.091600418], [0.088807583, 0.081052423], [0.062811136, 0.077233791]]
    x = np.random.default_rng(0).standard_normal((5, 4))[:3]
    np.testing.assert_allclose(model.predict(x, deterministic=True)[0], expected, atol=1e-6)
    assert model.policy.layers["actor"].steps == "orthonormal"


def test_an_old_policy_loads():
    policy = RPPPolicy.load(FILES / "rpp_policy.zip", device="cpu")
    model = RPPSAC.load(FILES / "rpp_agent.zip", device="cpu")
    x = np.ones((3, 4), np.float32)
    np.testing.assert_array_equal(policy.predict(x, deterministic=True)[0], model.predict(x, deterministic=True)[0])


def test_an_old_normalizer_loads():
    normalizer = SymmetricVecNormalize.load(FILES / "normalizer.zip", DummyVecEnv([bicycle]))
    assert normalizer.obs_rms.count > 40


@pytest.mark.parametrize("name", ["transitions", "transitions.safetensors"])
def test_an_old_replay_buffer_loads(name):
    model = agent(**SMALL)
    model.load_replay_buffer(FILES / name)
    assert model.replay_buffer.size() == 20
    assert np.abs(model.replay_buffer.observations[:20]).min() > 0


def test_a_file_of_another_algorithm_names_it(tmp_path):
    TD3("MlpPolicy", bicycle(), policy_kwargs={"net_arch": [4]}, buffer_size=10).save(tmp_path / "td3")
    assert read_agent(tmp_path / "td3").made_by == "TD3"
