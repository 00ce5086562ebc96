"""The fast gradient step."""

from rpp_rl.agents.rpp_sac.fast_update.acting import StackedActor
from rpp_rl.agents.rpp_sac.fast_update.learner import Learner
from rpp_rl.agents.rpp_sac.fast_update.sac_update import FastUpdate, Losses, mean_losses
from rpp_rl.agents.rpp_sac.fast_update.temperature import Temperature

__all__ = ["FastUpdate", "Learner", "Losses", "StackedActor", "Temperature", "mean_losses"]
