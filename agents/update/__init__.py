"""The fast gradient step."""

from rpp_rl.agents.update.sac_update import FastUpdate, Losses, Temperature, mean_losses

__all__ = ["FastUpdate", "Losses", "Temperature", "mean_losses"]
