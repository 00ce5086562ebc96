"""Critics from `rpp_rl.networks`, and what they share with actors."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import nn

from rpp_rl.agents.common.networks import build_network
from rpp_rl.errors import NetworkError
from rpp_rl.networks import LinearLayers
from rpp_rl.representations import Representation, trivial_representation
from rpp_rl.symmetry import Symmetry


class SymmetricCritic(ContinuousCritic):
    """Critics that map an observation and an action to a scalar that the group leaves alone: Q(g s, g a) = Q(s, a).

    Args:
        symmetry: of the task.
        layers: the linear layers.
        net_arch: widths of the hidden layers.
        activation_fn: between them.
        network: ``"mlp"`` or ``"emlp"``, see `build_network`.
        **kwargs: as for stable-baselines3's `ContinuousCritic`.

    Raises:
        NetworkError: for another features extractor than flattening, or a width that does not fit the group.
    """

    def __init__(
        self,
        *,
        symmetry: Symmetry,
        layers: LinearLayers,
        net_arch: list[int],
        network: str = "mlp",
        activation_fn: type[nn.Module] = nn.ReLU,
        **kwargs: Any,
    ) -> None:
        super().__init__(net_arch=net_arch, activation_fn=activation_fn, **kwargs)
        need_flat_features(self.features_extractor)
        rep_in: Representation = symmetry.observation + symmetry.action
        center = (*symmetry.center, *[0.0] * symmetry.action.size) if symmetry.center else ()
        scalar = trivial_representation(symmetry.group)
        self.q_networks = [
            build_network(network, layers, rep_in, scalar, net_arch, activation_fn, center)
            for _ in range(self.n_critics)
        ]
        for i, q_network in enumerate(self.q_networks):
            setattr(self, f"qf{i}", q_network)


def need_flat_features(features_extractor: nn.Module) -> None:
    """Check that features are the observation itself.

    Raises:
        NetworkError: if not.
    """
    # A class derived from it may compute something else.
    if type(features_extractor) is not FlattenExtractor:
        raise NetworkError(
            f"it is not known how the group moves the features of {type(features_extractor).__name__}; leave "
            "features_extractor_class at FlattenExtractor, or use PlainPolicy"
        )
