"""Policies of RPP-TD3: a deterministic actor and twin critics; they work with stable-baselines3's own TD3 too."""

from __future__ import annotations

from typing import Any, ClassVar

from stable_baselines3 import TD3
from stable_baselines3.td3.policies import Actor, TD3Policy
from torch import nn

from rpp_rl.agents.common.critics import need_flat_features
from rpp_rl.agents.common.networks import build_network
from rpp_rl.agents.common.policies import SymmetricPolicy
from rpp_rl.networks import LinearLayers
from rpp_rl.symmetry import Symmetry


class SymmetricTD3Actor(Actor):
    """A deterministic actor mu(s) = tanh f(s), with f from observations to actions.

    With an exactly equivariant network, mu(g s) = rho_act(g) mu(s): tanh is odd, and rho_act only permutes entries and
    changes signs.

    Args:
        symmetry: symmetry of the task.
        layers: the linear layers.
        network: ``"mlp"`` or ``"emlp"``, see `build_network`.
        **kwargs: as for stable-baselines3's `Actor`.

    Raises:
        NetworkError: for another features extractor than flattening, or a width that does not fit the group.
    """

    def __init__(self, *, symmetry: Symmetry, layers: LinearLayers, network: str = "mlp", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        need_flat_features(self.features_extractor)
        reps = symmetry.observation, symmetry.action
        net_arch, activation_fn = self.net_arch, self.activation_fn
        f = build_network(network, layers, *reps, net_arch, activation_fn, symmetry.center)
        self.mu = nn.Sequential(*f, nn.Tanh())


class RPPTD3Policy(SymmetricPolicy, TD3Policy):
    """A TD3 policy whose actor and critics are Residual Pathway Prior networks; see `SymmetricPolicy`."""

    actor_class: ClassVar[type[SymmetricTD3Actor]] = SymmetricTD3Actor
    algorithm: ClassVar[type[TD3]] = TD3

    def _mean_head(self) -> nn.Module:
        head: nn.Module = self.actor.mu[-2]
        return head


class EquivariantTD3Policy(RPPTD3Policy):
    """`RPPTD3Policy` whose networks are exactly equivariant by default."""

    default_kind = "equivariant"


class PlainTD3Policy(RPPTD3Policy):
    """`RPPTD3Policy` whose networks are plain by default, those of `TD3Policy`; it needs no symmetry then."""

    default_kind = "plain"
