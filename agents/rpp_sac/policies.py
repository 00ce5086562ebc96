"""Policies of RPP-SAC: a squashed Gaussian actor and critics; they work with stable-baselines3's own SAC too."""

from __future__ import annotations

from typing import ClassVar

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.sac.policies import SACPolicy
from torch import Tensor

from rpp_rl.agents.common.policies import SymmetricPolicy
from rpp_rl.agents.rpp_sac.actor import SymmetricActor


class RPPPolicy(SymmetricPolicy, SACPolicy):
    """A SAC policy whose actor and critics are Residual Pathway Prior networks; see `SymmetricPolicy`."""

    actor_class: ClassVar[type[SymmetricActor]] = SymmetricActor
    algorithm: ClassVar[type[SAC]] = SAC

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        """Actions in [-1, 1]: those of stable-baselines3, without the distribution object that it builds for them."""
        if self.actor.use_sde:
            return super()._predict(observation, deterministic)
        mean, log_std, _ = self.actor.get_action_dist_params(observation)
        return (mean if deterministic else torch.randn_like(mean).mul_(log_std.exp()).add_(mean)).tanh()


class EquivariantPolicy(RPPPolicy):
    """`RPPPolicy` whose networks are exactly equivariant by default."""

    default_kind = "equivariant"


class PlainPolicy(RPPPolicy):
    """`RPPPolicy` whose networks are plain by default, those of `SACPolicy`; it needs no symmetry then."""

    default_kind = "plain"
