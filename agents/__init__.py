"""Learning: RPP-SAC, RPP-TD3 and their policies for stable-baselines3, callbacks, and the registry of algorithms."""

from rpp_rl.agents.common.algorithms import register_algorithm
from rpp_rl.agents.common.callbacks import SymmetryCallback
from rpp_rl.agents.common.checkpoints import RunCheckpoint
from rpp_rl.agents.common.finite_checks import FiniteCheck, FiniteVecEnv
from rpp_rl.agents.common.normalize import SymmetricVecNormalize
from rpp_rl.agents.rpp_sac import RPPSAC, EquivariantPolicy, ManySeeds, PlainPolicy, RPPPolicy
from rpp_rl.agents.rpp_td3 import RPPTD3, EquivariantTD3Policy, PlainTD3Policy, RPPTD3Policy

__all__ = [
    "RPPSAC",
    "RPPTD3",
    "EquivariantPolicy",
    "EquivariantTD3Policy",
    "FiniteCheck",
    "FiniteVecEnv",
    "ManySeeds",
    "PlainPolicy",
    "PlainTD3Policy",
    "RPPPolicy",
    "RPPTD3Policy",
    "RunCheckpoint",
    "SymmetricVecNormalize",
    "SymmetryCallback",
    "register_algorithm",
]
