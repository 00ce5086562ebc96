"""Comparing symmetries with the simulator, and saying by name what breaks them."""

from rpp_rl.envs.auditing.audit import QUICK, Thoroughness, audit

__all__ = ["QUICK", "Thoroughness", "audit"]
