"""RPP-SAC: Soft Actor-Critic with Residual Pathway Priors."""

from importlib.resources import files

from stable_baselines3 import SAC

from rpp_rl.agents.common.algorithms import register_algorithm
from rpp_rl.agents.rpp_sac.many_seeds import ManySeeds
from rpp_rl.agents.rpp_sac.policies import EquivariantPolicy, PlainPolicy, RPPPolicy
from rpp_rl.agents.rpp_sac.rpp_sac import RPPSAC

register_algorithm("sac", RPPSAC, baseline=SAC, hyperparams=files(__name__) / "hyperparams.yml", together=ManySeeds)

__all__ = ["RPPSAC", "EquivariantPolicy", "ManySeeds", "PlainPolicy", "RPPPolicy"]
