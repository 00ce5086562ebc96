"""The fast gradient step."""

from rpp_rl.agents.update.sac_update import FastUpdate, Losses, mean_losses
from rpp_rl.agents.update.temperature import Temperature

__all__ = ["FastUpdate", "Losses", "Temperature", "mean_losses"]
