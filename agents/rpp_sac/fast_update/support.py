"""The policies and precisions that the fast update supports, and changes of an agent since one was built for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType

import torch
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.sac.policies import Actor, SACPolicy
from torch import Tensor, nn

from rpp_rl.agents.common.critics import SymmetricCritic
from rpp_rl.agents.rpp_sac.actor import SymmetricActor
from rpp_rl.agents.rpp_sac.fast_update.adam import SETTINGS
from rpp_rl.agents.rpp_sac.fast_update.stacked_layers import Learnt
from rpp_rl.errors import NetworkError, UnknownNameError
from rpp_rl.pathway_optimizers import has_foreign_hooks

# The precisions of matrix products; None stands for that of the parameters.
PRECISIONS: Mapping[str, torch.dtype | None] = MappingProxyType({"float32": None, "bf16": torch.bfloat16})
# Subclasses may compute something else.
_KNOWN = (Actor, ContinuousCritic, SymmetricActor, SymmetricCritic)
_IS_LEARNT, _GRADIENT_HOOKS = attrgetter("requires_grad"), attrgetter("_backward_hooks")
# The numbers of each parameter that are compared, all where there are fewer.
_COMPARED = 8


def need_known(policy: SACPolicy) -> None:
    """Check that the fast update supports a policy.

    It supports policies of flat observations whose networks share no parameters and are of known classes.

    Raises:
        NetworkError: if it does not.
    """
    if policy.actor.use_sde:
        raise NetworkError("the fast update does not support gSDE")
    if policy.share_features_extractor and list(policy.actor.features_extractor.parameters()):
        raise NetworkError("the fast update does not support shared features extractors")
    for network in (policy.actor, policy.critic, policy.critic_target):
        if type(network) not in _KNOWN:
            raise NetworkError(f"the fast update does not support the network {type(network).__name__}")
        extractor = network.features_extractor
        if type(extractor) is not FlattenExtractor:
            raise NetworkError(f"the fast update does not support the features extractor {type(extractor).__name__}")
    if not all(p.requires_grad for network in (policy.actor, policy.critic) for p in network.parameters()):
        raise NetworkError("the fast update does not support frozen parameters (requires_grad=False)")
    hooks = (
        any(any(_hooks(module)) for module in policy.modules())
        or any(map(_GRADIENT_HOOKS, policy.parameters()))
        or any(has_foreign_hooks(network.optimizer) for network in (policy.actor, policy.critic))
    )
    if hooks:
        raise NetworkError("the fast update does not support hooks")


def need_precision(precision: str, fast_update: bool, device: torch.device) -> None:
    """Check that a precision is known, and that a device supports it.

    Raises:
        UnknownNameError: if the precision is not known.
        NetworkError: if it is not supported.
    """
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS)
    if precision == "float32":
        return
    if not fast_update:
        raise NetworkError("only the fast update has precision; use fast_update=True, or precision='float32'")
    if not has_bfloat16(device):
        raise NetworkError("this machine has no bfloat16 arithmetic, so precision='bf16' would only be slower here")


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 numbers faster than it could emulate them."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


class Fingerprint:
    """A value that changes with everything the fast update is built from, other than the numbers in tensors.

    It covers modules and hooks, where parameters are and whether they are learnt, optimizers with their state and
    settings, and the temperature. It is compared before every training, so modules are walked only once.

    Args:
        policy: a policy that `need_known` accepts.
        temperature: alpha where it is fixed, else its logarithm.
        optimizer: the optimizer of the logarithm; None where alpha is fixed.
        *settings: further objects, compared by `==`.
    """

    def __init__(
        self, policy: SACPolicy, temperature: Tensor, optimizer: torch.optim.Optimizer | None, *settings: object
    ) -> None:
        modules = list(policy.modules())
        # Objects are compared by their ids, which stay unique as long as the objects live.
        self._kept = [*modules, temperature]
        # A user who replaces a parameter must replace its optimizer too, so parameters are not compared.
        self._children = [module._modules for module in modules if module._modules]
        self._hooks = [hooks for module in modules for hooks in _hooks(module)]
        self._parameters = list(policy.parameters())
        self._learnt = [p for network in (policy.actor, policy.critic) for p in network.parameters()]
        self._value = self._read(policy, temperature, optimizer, *settings)

    def matches(
        self, policy: SACPolicy, temperature: Tensor, optimizer: torch.optim.Optimizer | None, *settings: object
    ) -> bool:
        """Whether the fingerprint of these objects is the same."""
        return self._value == self._read(policy, temperature, optimizer, *settings)

    def _read(
        self, policy: SACPolicy, temperature: Tensor, optimizer: torch.optim.Optimizer | None, *settings: object
    ) -> tuple[object, ...]:
        optimizers = [policy.actor.optimizer, policy.critic.optimizer, *([] if optimizer is None else [optimizer])]
        return (
            *settings,
            id(temperature),
            temperature.data_ptr() if optimizer is not None else None,
            [list(map(id, children.values())) for children in self._children],
            any(self._hooks),
            list(map(Tensor.data_ptr, self._parameters)),
            all(map(_IS_LEARNT, self._learnt)),
            any(map(_GRADIENT_HOOKS, self._learnt)),
            *(part for one in optimizers for part in _of_optimizer(one)),
        )


class UncountedWrites:
    """Detect writes to parameters that torch's version counter does not count.

    Writes through `.data`, and those of fused optimizers, leave a tensor's version as it is. So a few numbers of each
    parameter are compared with their former values. A write through `.data` to other single numbers is not found.

    Args:
        learnt: the vectors of the parameters.
    """

    def __init__(self, learnt: Sequence[Learnt]) -> None:
        places = [_places(pathway) for pathway in learnt]
        vectors, sizes = [pathway.vector for pathway in learnt], [len(each) for each in places]
        like = vectors[0] if vectors else torch.zeros(0)
        self._former, self._present = (like.new_zeros(sum(sizes)) for _ in range(2))
        self._to_former, self._to_present = (
            list(zip(vectors, places, torch.split(numbers, sizes), strict=True))
            for numbers in (self._former, self._present)
        )
        self.remember()

    def remember(self) -> None:
        """Store the present numbers as the former ones."""
        _read(self._to_former)

    def are_absent(self) -> bool:
        """Whether the parameters have their former numbers."""
        _read(self._to_present)
        return torch.equal(self._former, self._present)


class _Identity:
    """Compare an object by identity and keep it alive, so that its identity stays unique."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self._value is other._value

    def __hash__(self) -> int:
        return id(self._value)


def _hooks(module: nn.Module) -> tuple[Mapping[int, object], ...]:
    return module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks


def _of_optimizer(optimizer: torch.optim.Optimizer) -> Iterator[object]:
    yield optimizer
    # Loading a state replaces the dictionary that holds it.
    yield _Identity(optimizer.state)
    yield (*optimizer._optimizer_step_pre_hooks, *optimizer._optimizer_step_post_hooks)
    for group in optimizer.param_groups:
        yield tuple(group.get(name) for name in SETTINGS)


def _read(wanted: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
    for vector, places, out in wanted:
        torch.index_select(vector, 0, places, out=out)


def _places(pathway: Learnt) -> Tensor:
    places: list[int] = []
    for slot in pathway.slots:
        size = slot.parameter.numel()
        count = min(_COMPARED, size)
        places += [slot.start + size * i // count for i in range(count)]
    return torch.tensor(places, dtype=torch.int64, device=pathway.vector.device)
