"""The fast gradient step."""

from rpp_rl.agents.update.acting import StackedActor
from rpp_rl.agents.update.learner import Learner
from rpp_rl.agents.update.sac_update import FastUpdate, Losses, mean_losses
from rpp_rl.agents.update.temperature import Temperature

__all__ = ["FastUpdate", "Learner", "Losses", "StackedActor", "Temperature", "mean_losses"]
