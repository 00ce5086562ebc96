import gymnasium as gym
import numpy as np
import pytest
from helpers.agents import agent
from helpers.tasks import WHEELS, Bicycle, bicycle
from stable_baselines3.common.vec_env import DummyVecEnv

from rpp_rl import Symmetry
from rpp_rl.envs import reflection
from rpp_rl.errors import NetworkError, NonFiniteError, RPPError, SymmetryError


class TestBadInput:
    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: agent(env=gym.make("Pendulum-v1")), SymmetryError, "none is declared for Pendulum-v1"),
            (lambda: agent(symmetry="wheels"), SymmetryError, r"rpp_rl.make\(env_id, symmetry='wheels'\)"),
            (lambda: agent(symmetry=Symmetry.trivial(3, 2)), SymmetryError, "observation of 3 entries"),
            (lambda: agent(use_sde=True), NetworkError, "use_sde=False"),
            (lambda: agent(policy_kwargs={"net_arch": [32, 33]}), NetworkError, "next width that works is 34"),
            (lambda: agent(actor="residual"), RPPError, "unknown kind of network 'residual'"),
            (lambda: agent(actor="plain", policy_kwargs={"actor": "rpp"}), NetworkError, "given twice"),
            (lambda: agent(env=gym.make("CartPole-v1"), symmetry=WHEELS), SymmetryError, "Discrete"),
            (lambda: agent(residual_init_scale=-1.0), RPPError, "residual_init_scale"),
            (
                lambda: agent(env=Bicycle(low=-0.5), symmetry=reflection(4, 2, action_flip=[0])),
                SymmetryError,
                "maps the action bounds",
            ),
        ],
    )
    def test_refused_with_the_remedy(self, make, error, message):
        with pytest.raises(error, match=message) as caught:
            make()
        assert "\n" not in str(caught.value)

    def test_parallel_environments_must_agree(self):
        env = DummyVecEnv([bicycle, lambda: bicycle(symmetry="trivial")])
        with pytest.raises(SymmetryError, match="different symmetries"):
            agent(env=env)

    @pytest.mark.parametrize(
        ("fault", "message"), [("observation", r"entry 3 \(roll\) at step 20"), ("reward", "reward that")]
    )
    def test_a_number_that_is_none_stops_training_before_it_is_stored(self, fault, message):
        model = agent(env=bicycle(fault=fault))
        with pytest.raises(NonFiniteError, match=message):
            model.learn(100)
        assert model.replay_buffer.size() == 19
        assert np.isfinite(model.replay_buffer.observations).all()
