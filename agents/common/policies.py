"""What any policy of this library has: kinds of networks, priors on their pathways, saving and loading."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import get_device
from torch import nn

from rpp_rl.agents.common.arguments import check_arguments
from rpp_rl.agents.common.critics import SymmetricCritic
from rpp_rl.agents.common.devices import check_device
from rpp_rl.agents.common.environment_symmetry import as_symmetry
from rpp_rl.agents.common.networks import need_family
from rpp_rl.agents.common.policy_priors import (
    DEFAULT_BUDGET,
    PATHWAYS_OF,
    Budget,
    need_residuals,
    prior_of,
    read_budget,
    residual_prior_of,
)
from rpp_rl.agents.common.saving.documents import read_document, write_document
from rpp_rl.agents.common.saving.plain_objects import (
    describe_policy_kwargs,
    describe_space,
    need_believable_networks,
    policy_kwargs_from,
    space_from,
)
from rpp_rl.errors import NetworkError, RunError, SymmetryError
from rpp_rl.files import Archive
from rpp_rl.networks import LinearLayers, NetworkKind, network_class
from rpp_rl.pathway_optimizers import NORMALIZED, attach_rules, pathway_optimizer, rules_of
from rpp_rl.symmetry import Symmetry

# The kind of a policy's file.
_POLICY = "policy"


class SymmetricPolicy(BasePolicy):
    """Mixin for policies of stable-baselines3 with an actor and critics: builds both from the symmetry of the task.

    It comes before the policy of stable-baselines3 among the bases. A subclass names its `actor_class`, and the
    `algorithm` of stable-baselines3 that it is for.

    Args:
        observation_space: a box of one axis.
        action_space: a box of one axis that the symmetry maps onto itself.
        lr_schedule: learning rate as a function of the remaining progress.
        *args: further positional arguments of stable-baselines3's policy.
        symmetry: symmetry of the task, a `Symmetry` or the dictionary of `Symmetry.to_dict`; needed unless both
            networks are ``"plain"``.
        actor: ``"rpp"``, ``"equivariant"`` or ``"plain"``; None for the kind of the policy's name.
        critic: the same for the critics.
        actor_equiv_wd: strength of the prior on the actor's equivariant pathway: wd * (sum of squares) joins the
            loss. None for the paper's 1e-6 where the actor has that pathway and the parametrization is the paper's.
        actor_basic_wd: the same for its residual pathway.
        critic_equiv_wd: the same for the critics' equivariant pathway; None for the paper's 0.
        critic_basic_wd: the same for their residual pathway.
        parametrization: of residuals: ``"orthogonal"`` for coordinates in the equivariant matrices and in their
            complement, ``"pathways"`` for the paper's two pathways A + B; see `rpp_rl.networks.LinearLayers`.
        steps: how far Adam moves the merged weights: ``"equal"`` as those of a plain network, ``"published"`` or
            ``"orthonormal"``; see `rpp_rl.layers`.
        residual_prior: ``"decay"``, ``"dual"``, ``"projection"`` or ``"none"``, see `rpp_rl.residual_priors`; None for
            ``"decay"`` in orthogonal coordinates, and ``"none"`` beside the paper's pathways or where the steps of the
            optimiser have the size of the gradient, as SGD's.
        residual_budget: the root mean square that noise may give the residual's entries, relative to that of the
            layer's weight at the start: a number, one for each layer, or a mapping with one of these for ``"actor"``
            and ``"critic"``; None for 0.1. For a projection, the residual's largest share of a layer. Chains count from
            the input; the actor's mean and log-std share the last place.
        residual_init_scale: the residual starts at this multiple of a plain initialisation.
        residual_step_ratio: learning rate of the residual relative to the rest; None for `PathwayPrior.step_ratio`,
            which is 1 where both pathways' priors are equally strong.
        network: ``"mlp"`` for perceptrons, or ``"emlp"`` for the paper's EMLP with bilinear layers, which is slower and
            learns by stable-baselines3's own gradient step.
        zero_mean: whether the mean action is zero everywhere at the start, as a residual over a base policy should be,
            see `rpp_rl.envs.ResidualPolicy`.
        **kwargs: keyword arguments of stable-baselines3's policy.

    Raises:
        SymmetryError: if no symmetry is given, or it does not fit the spaces.
        NetworkError: if a network cannot be built, a prior is given for a pathway that does not exist, or another
            algorithm builds the policy.
        RunError: if a number is given as text, or outside of its range.
    """

    actor: Any
    critic: Any
    default_kind: ClassVar[str] = "rpp"
    actor_class: ClassVar[type[Any]]
    algorithm: ClassVar[type[BaseAlgorithm]]

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Box,
        lr_schedule: Schedule,
        *args: Any,
        symmetry: Symmetry | Mapping[str, Any] | None = None,
        actor: str | None = None,
        critic: str | None = None,
        actor_equiv_wd: float | None = None,
        actor_basic_wd: float | None = None,
        critic_equiv_wd: float | None = None,
        critic_basic_wd: float | None = None,
        parametrization: str = "orthogonal",
        steps: str = "equal",
        residual_prior: str | None = None,
        residual_budget: Budget | Mapping[str, Budget] | None = None,
        residual_init_scale: float = 1e-3,
        residual_step_ratio: float | None = None,
        network: str = "mlp",
        zero_mean: bool = False,
        **kwargs: Any,
    ) -> None:
        algorithm = _algorithm_that_builds()
        if algorithm is not None:
            _need_algorithm(type(self).__name__, self.algorithm, type(algorithm))
        need_family(network)
        numbers = {"residual_init_scale": residual_init_scale, "residual_step_ratio": residual_step_ratio}
        strengths = {"actor_equiv_wd": actor_equiv_wd, "actor_basic_wd": actor_basic_wd}
        strengths |= {"critic_equiv_wd": critic_equiv_wd, "critic_basic_wd": critic_basic_wd}
        check_arguments({**numbers, **strengths, "zero_mean": zero_mean})
        self.network, self.zero_mean = network, zero_mean
        # The next class builds the networks in its constructor, so what they need comes first.
        self.kinds = self.kinds_for({"actor": actor, "critic": critic})
        for kind in self.kinds.values():
            network_class(kind)
        self.layers = {
            name: LinearLayers(cast(NetworkKind, kind), parametrization, steps, residual_init_scale)
            for name, kind in self.kinds.items()
        }
        as_published = parametrization == "pathways"
        self.priors = {
            "actor": prior_of("actor", self.kinds["actor"], actor_equiv_wd, actor_basic_wd, as_published),
            "critic": prior_of("critic", self.kinds["critic"], critic_equiv_wd, critic_basic_wd, as_published),
        }
        need_residuals({"residual_prior": residual_prior, "residual_step_ratio": residual_step_ratio}, self.kinds)
        if residual_prior is None:
            normalized = issubclass(kwargs.get("optimizer_class", torch.optim.Adam), NORMALIZED)
            residual_prior = "decay" if normalized and not as_published else "none"
        self.residual_budget = read_budget(residual_budget, residual_prior, self.kinds)
        if self.residual_budget is None and residual_prior != "none":
            self.residual_budget = DEFAULT_BUDGET
        self.residual_priors = {
            name: residual_prior_of(name, residual_prior, self.residual_budget) for name in self.kinds
        }
        self.residual_step_ratio = residual_step_ratio
        if algorithm is not None:
            # A file of the algorithm then says what its numbers mean, whatever the defaults of later versions are.
            algorithm.policy_kwargs = {**algorithm.policy_kwargs, **self._noted_options()}
        self.symmetry = as_symmetry(symmetry)
        if self.symmetry is None:
            if set(self.kinds.values()) != {"plain"}:
                raise SymmetryError(
                    f"{type(self).__name__} needs the symmetry of the environment, which a policy does not see: "
                    f"{self.algorithm.__name__}({type(self).__name__}, env, "
                    'policy_kwargs={"symmetry": env.symmetry.to_dict()}), with env from rpp_rl.make'
                )
        else:
            _check_spaces(self.symmetry, observation_space, action_space)
        super().__init__(observation_space, action_space, lr_schedule, *args, **kwargs)

    @classmethod
    def kinds_for(cls, options: Mapping[str, Any]) -> dict[str, str]:
        """The kinds of actor and critics that a policy of this class has with these options."""
        return {name: options.get(name) or cls.default_kind for name in ("actor", "critic")}

    def make_actor(self, features_extractor: Any = None) -> Any:
        """Build a new actor of the kind asked for."""
        if self.kinds["actor"] == "plain":
            return self._base.make_actor(features_extractor)
        return self._made("actor", self.actor_class, features_extractor)

    def make_critic(self, features_extractor: Any = None) -> Any:
        """Build new critics of the kind asked for."""
        if self.kinds["critic"] == "plain":
            return self._base.make_critic(features_extractor)
        return self._made("critic", SymmetricCritic, features_extractor)

    @property
    def _base(self) -> Any:
        """The policy of stable-baselines3."""
        return super()

    def _made(self, network: str, cls: type[Any], features_extractor: Any) -> Any:
        arguments = self._update_features_extractor(getattr(self, f"{network}_kwargs"), features_extractor)
        made = cls(symmetry=self.symmetry, layers=self.layers[network], network=self.network, **arguments)
        return made.to(self.device)

    @property
    def device(self) -> torch.device:
        """Device of the parameters; stable-baselines3 walks through all modules for it at each step."""
        return next(self.actor.mu.parameters()).device if "actor" in self._modules else super().device

    def set_training_mode(self, mode: bool) -> None:
        """Set training or evaluation mode; stable-baselines3 does so several times a step."""
        if any(network.training != mode for network in (self, self.actor, self.critic)):
            super().set_training_mode(mode)

    @property
    def residual_init_scale(self) -> float:
        """The residual's size at the start."""
        return self.layers["actor"].residual_init_scale

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state of a policy of which this is a copy."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        for network in (self.actor, self.critic):
            attach_rules(network.optimizer, network.step_rules)

    def _noted_options(self) -> dict[str, Any]:
        """The options without which the parameters of a file cannot be understood, or would be learnt otherwise."""
        noted: dict[str, Any] = {
            "parametrization": self.layers["actor"].parametrization,
            "steps": self.layers["actor"].steps,
        }
        if "rpp" in self.kinds.values():
            noted |= {"residual_prior": self.residual_priors["actor"].kind, "residual_budget": self.residual_budget}
        return noted

    def _mean_head(self) -> nn.Module:
        """The last layer of the actor's mean."""
        head: nn.Module = self.actor.mu
        return head

    def _build(self, lr_schedule: Schedule) -> None:
        self._base._build(lr_schedule)
        if self.zero_mean:
            with torch.no_grad():
                for parameter in self._mean_head().parameters():
                    parameter.zero_()
        self.make_optimizers()

    def make_optimizers(self) -> None:
        """Make new optimisers of actor and critics, with budgets for their present weights."""
        for name in ("actor", "critic"):
            network: Any = getattr(self, name)
            made = network.optimizer
            network.optimizer = pathway_optimizer(
                network,
                made.param_groups[0]["lr"],
                prior=self.priors[name],
                residual_prior=self.residual_priors[name] if self.kinds[name] == "rpp" else None,
                residual_step_ratio=self.residual_step_ratio,
                make=self.optimizer_class,
                arguments=self.optimizer_kwargs,
                parameters=[p for group in made.param_groups for p in group["params"]],
                name=name,
            )
            # Copies of an optimiser lose its rules, those of a network do not.
            network.step_rules = rules_of(network.optimizer)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        data = super()._get_constructor_parameters()
        data.update(
            symmetry=self.symmetry,
            actor=self.kinds["actor"],
            critic=self.kinds["critic"],
            **self._noted_options(),
            residual_init_scale=self.residual_init_scale,
            residual_step_ratio=self.residual_step_ratio,
            network=self.network,
            zero_mean=self.zero_mean,
            normalize_images=self.normalize_images,
            share_features_extractor=self.share_features_extractor,
        )
        for name, prior in self.priors.items():
            for pathway in PATHWAYS_OF[self.kinds[name]]:
                data[f"{name}_{pathway}_wd"] = prior.strength(pathway)
        return data

    def save(self, path: Any) -> None:
        """Save the policy, without its optimisers' state, as JSON and arrays.

        Raises:
            OSError: if the file cannot be written.
        """
        data = self._get_constructor_parameters()
        data.pop("lr_schedule")
        spaces_of = {name: describe_space(data.pop(name)) for name in ("observation_space", "action_space")}
        value = {**spaces_of, "arguments": describe_policy_kwargs(data), "parameters": self.state_dict()}
        write_document(path, _POLICY, value)

    @classmethod
    def load(cls, path: Any, device: torch.device | str = "auto") -> Self:
        """Load a policy of this class that `save` has saved; nothing in the file is run.

        Raises:
            FileNotFoundError: if there is none.
            RunError: if it is damaged, or of another class.
        """
        check_device(device)
        with Path(path).open("rb") as file:
            value = read_document(Archive(file, str(path)), _POLICY)
        try:
            arguments, unknown = policy_kwargs_from(value["arguments"])
            if unknown:
                raise RunError(f"{path} has {', '.join(unknown)}, which a file may not name; build the policy yourself")
            boxes = [space_from(value[name]) for name in ("observation_space", "action_space")]
            stored = sum(tensor.numel() for tensor in value["parameters"].values())
            need_believable_networks(arguments, [box.shape[0] for box in boxes], stored, str(path))
            policy = cls(*boxes, cls._dummy_schedule, **arguments)  # type: ignore[arg-type]
            policy.load_state_dict(value["parameters"])
        except (KeyError, TypeError, RuntimeError, AttributeError) as error:
            detail = " ".join(str(error).split())[:300]
            raise RunError(f"{path} is not a {cls.__name__}: {detail}; load it with the class that saved it") from error
        return policy.to(get_device(device))


def _algorithm_that_builds() -> BaseAlgorithm | None:
    """The algorithm that is building its policy; None where something else builds one."""
    # stable-baselines3 gives policies no reference to their algorithm, and fails later, in its own words.
    frame = inspect.currentframe()
    while frame is not None:
        builder = frame.f_locals.get("self")
        if frame.f_code.co_name == "_setup_model" and isinstance(builder, BaseAlgorithm):
            return builder
        frame = frame.f_back
    return None


def _need_algorithm(policy: str, wanted: type[BaseAlgorithm], cls: type[BaseAlgorithm]) -> None:
    """Check that an algorithm can use a policy; one that a user derives from a base class alone is let through.

    Raises:
        NetworkError: if it cannot.
    """
    theirs = [base for base in cls.__mro__ if base.__module__.partition(".")[0] in ("stable_baselines3", "sb3_contrib")]
    if issubclass(cls, wanted) or theirs[:1] == [OffPolicyAlgorithm]:
        return
    raise NetworkError(
        f"{policy} is a policy for {wanted.__name__}, and {theirs[0].__name__} cannot use it; use "
        f"rpp_rl.agents.RPPSAC or RPPTD3, or {wanted.__name__} of stable-baselines3"
    )


def _check_spaces(symmetry: Symmetry, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
    for what, space in (("observation", observation_space), ("action", action_space)):
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise SymmetryError(
                f"the {what} space is {space}, but symmetry {symmetry.name!r} acts on boxes of one axis"
            )
    where = "the environment"
    symmetry.check_sizes(observation_space.shape[0], action_space.shape[0], where)  # type: ignore[index]
    symmetry.check_action_bounds(action_space.low, action_space.high, where)  # type: ignore[attr-defined]
