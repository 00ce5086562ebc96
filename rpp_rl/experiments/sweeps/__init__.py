"""Sweeps: many runs, on this machine or on a Ray cluster."""

from rpp_rl.experiments.sweeps.plan import Plan, Variant, plan_from, read_plan
from rpp_rl.experiments.sweeps.run_sweep import sweep

__all__ = ["Plan", "Variant", "plan_from", "read_plan", "sweep"]
