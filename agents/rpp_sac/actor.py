"""The squashed Gaussian actor of SAC with networks from `rpp_rl.networks`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from operator import attrgetter
from typing import Any, cast

import torch
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN, Actor
from torch import Tensor
from torch.nn import functional

from rpp_rl.agents.common.critics import need_flat_features
from rpp_rl.agents.common.networks import build_network
from rpp_rl.errors import NetworkError
from rpp_rl.layers import EquivariantLinear
from rpp_rl.networks import LinearLayers, standard_inputs
from rpp_rl.symmetry import Symmetry

# Counts what was written to a tensor.
version_of = attrgetter("_version")
Function = Callable[[Tensor], Tensor]
Linear = tuple[Tensor, Tensor | None]


class SymmetricActor(Actor):
    """A Gaussian actor whose mean maps observations to actions and whose log-std to unsigned actions.

    With an exactly equivariant network, mean(g s) = rho_act(g) mean(s), and the standard deviation moves by the
    same permutation without signs; tanh is odd, so the squashed policy has the symmetry too.

    Args:
        symmetry: of the task.
        layers: the linear layers.
        network: ``"mlp"`` or ``"emlp"``, see `build_network`.
        **kwargs: as for stable-baselines3's `Actor`.

    Raises:
        NetworkError: for gSDE, another features extractor than flattening, or a width that does not fit the group.
    """

    def __init__(self, *, symmetry: Symmetry, layers: LinearLayers, network: str = "mlp", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.use_sde:
            raise NetworkError("gSDE noise has no symmetry; leave use_sde=False, or use PlainPolicy")
        need_flat_features(self.features_extractor)
        trunk = build_network(
            network, layers, symmetry.observation, None, self.net_arch, self.activation_fn, symmetry.center
        )
        self.latent_pi: Any = trunk
        self.mu = layers(trunk.rep_out, symmetry.action)
        self.log_std = layers(trunk.rep_out, symmetry.action.unsigned())  # type: ignore[assignment]
        # Layers between which there are only pointwise functions merge to plain ones.
        self.merges = network == "mlp"
        hidden = trunk(standard_inputs(symmetry.observation.size, symmetry.center))
        for head in (self.mu, self.log_std):
            if isinstance(head, EquivariantLinear):
                head.correct_for(hidden)
        self._watched = tuple(self.parameters())
        self._merged: tuple[tuple[int, ...], Callable[[], bool], list[Function], Function, Function] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The state of a copy, without the merged weights: they may belong to a stack, and the copy merges its own."""
        return {**self.__dict__, "_merged": None}

    def get_action_dist_params(self, obs: PyTorchObs) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Mean and log-std; from merged weights where nothing is learnt, since acting is one observation at a time."""
        if self.training or torch.is_grad_enabled() or not self.merges:
            return super().get_action_dist_params(obs)
        trunk, mu, log_std = self._merged_layers()
        # What preprocessing and flattening come to for a box of one axis.
        latent = cast(Tensor, obs).float()
        for layer in trunk:
            latent = layer(latent)
        return mu(latent), log_std(latent).clamp(LOG_STD_MIN, LOG_STD_MAX), {}

    def act_from(self, trunk: Iterable[Linear], heads: Iterable[Linear], unchanged: Callable[[], bool]) -> None:
        """Act from weights that something else has merged and keeps so until a parameter is written to again.

        Args:
            trunk: merged weight and bias of each linear layer up to the heads.
            heads: those of mean and log-std.
            unchanged: tells whether the parameters are still those that were merged, where torch does not count what
                is written to them.
        """
        merged = iter(trunk)
        layers = [_linear(*next(merged)) if isinstance(m, EquivariantLinear) else m for m in self.latent_pi]
        mu, log_std = (_linear(*head) for head in heads)
        self._merged = (self._state(), unchanged, layers, mu, log_std)

    def _merged_layers(self) -> tuple[list[Function], Function, Function]:
        """Functions of merged weights that compute the same; merged again when a parameter was written to or moved."""
        if self._merged is None or self._merged[0] != self._state() or not self._merged[1]():
            with torch.no_grad():
                trunk = [m.merged() for m in self.latent_pi if isinstance(m, EquivariantLinear)]
                heads = [cast(EquivariantLinear, head).merged() for head in (self.mu, self.log_std)]
            norms = self._norms()
            self.act_from(trunk, heads, lambda: torch.equal(norms, self._norms()))
        return cast(tuple[Any, Any, list[Function], Function, Function], self._merged)[2:]

    def _norms(self) -> Tensor:
        """Those of all parameters: they differ after a write that `_state` does not see, through `.data` for one."""
        return torch.stack(torch._foreach_norm([p.detach() for p in self._watched]))

    def _state(self) -> tuple[int, ...]:
        """Changes whenever a parameter is written to or moved."""
        return (*map(Tensor.data_ptr, self._watched), *map(version_of, self._watched))


def _linear(weight: Tensor, bias: Tensor | None) -> Function:
    return partial(functional.linear, weight=weight, bias=bias)
