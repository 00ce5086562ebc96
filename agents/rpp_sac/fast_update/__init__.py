"""The fast gradient step."""

from rpp_rl.agents.rpp_sac.fast_update.entropy import Temperature
from rpp_rl.agents.rpp_sac.fast_update.learner import Learner, StackedActor
from rpp_rl.agents.rpp_sac.fast_update.sac_update import FastUpdate, Losses, mean_losses

__all__ = ["FastUpdate", "Learner", "Losses", "StackedActor", "Temperature", "mean_losses"]
