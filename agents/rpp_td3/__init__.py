"""RPP-TD3: Twin Delayed DDPG with Residual Pathway Priors."""

from importlib.resources import files

from stable_baselines3 import TD3

from rpp_rl.agents.common.algorithms import register_algorithm
from rpp_rl.agents.rpp_td3.policies import EquivariantTD3Policy, PlainTD3Policy, RPPTD3Policy
from rpp_rl.agents.rpp_td3.rpp_td3 import RPPTD3

register_algorithm("td3", RPPTD3, baseline=TD3, hyperparams=files(__name__) / "hyperparams.yml")

__all__ = ["RPPTD3", "EquivariantTD3Policy", "PlainTD3Policy", "RPPTD3Policy"]
