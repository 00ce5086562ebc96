"""Learning: RPP-SAC and its policies for stable-baselines3, callbacks, and hyperparameters."""

from rpp_rl.agents.callbacks import FiniteCheck, FiniteVecEnv, SymmetryCallback
from rpp_rl.agents.many_seeds import ManySeeds
from rpp_rl.agents.normalize import SymmetricVecNormalize
from rpp_rl.agents.policies import EquivariantPolicy, MlpPolicy, RPPPolicy
from rpp_rl.agents.rpp_sac import RPPSAC

__all__ = [
    "RPPSAC",
    "EquivariantPolicy",
    "FiniteCheck",
    "FiniteVecEnv",
    "ManySeeds",
    "MlpPolicy",
    "RPPPolicy",
    "SymmetricVecNormalize",
    "SymmetryCallback",
]
