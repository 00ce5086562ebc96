"""Learning: RPP-SAC and its policies for stable-baselines3, callbacks, and hyperparameters."""

from rpp_rl.agents.common.callbacks import FiniteCheck, FiniteVecEnv, SymmetryCallback
from rpp_rl.agents.common.checkpoints import RunCheckpoint
from rpp_rl.agents.common.normalize import SymmetricVecNormalize
from rpp_rl.agents.rpp_sac.many_seeds import ManySeeds
from rpp_rl.agents.rpp_sac.policies import EquivariantPolicy, PlainPolicy, RPPPolicy
from rpp_rl.agents.rpp_sac.rpp_sac import RPPSAC

__all__ = [
    "RPPSAC",
    "EquivariantPolicy",
    "FiniteCheck",
    "FiniteVecEnv",
    "ManySeeds",
    "PlainPolicy",
    "RPPPolicy",
    "RunCheckpoint",
    "SymmetricVecNormalize",
    "SymmetryCallback",
]
