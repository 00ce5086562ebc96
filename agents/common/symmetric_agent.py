"""What any algorithm of this library has beside its learning rule: symmetry, priors in the log, checks, resuming."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from gymnasium.wrappers import NormalizeObservation
from stable_baselines3.common.callbacks import BaseCallback, ConvertCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.vec_env import VecEnv

from rpp_rl.agents.common.arguments import check_arguments, check_names, merged_options
from rpp_rl.agents.common.augmentation import Augmentation
from rpp_rl.agents.common.devices import check_device
from rpp_rl.agents.common.environment_symmetry import carried_symmetry, id_of, symmetry_of
from rpp_rl.agents.common.finite_checks import FiniteCheck
from rpp_rl.agents.common.normalize import SymmetricVecNormalize
from rpp_rl.agents.common.policies import SymmetricPolicy
from rpp_rl.agents.common.saving.agent_files import SafeFiles
from rpp_rl.agents.common.transition_buffer import TransitionBuffer
from rpp_rl.errors import NetworkError, SymmetryError, UnknownNameError
from rpp_rl.symmetry import Symmetry

if TYPE_CHECKING:
    from rpp_rl.agents.common.checkpoints import RunCheckpoint

# What the policies take beyond those of stable-baselines3: symmetry, networks, priors.
POLICY_OPTIONS = tuple(
    name
    for name, p in inspect.signature(SymmetricPolicy).parameters.items()
    if p.kind is inspect.Parameter.KEYWORD_ONLY
)


class SymmetricAgent(SafeFiles):
    """Mixin for off-policy algorithms of stable-baselines3 whose policies are `SymmetricPolicy`.

    It comes before the algorithm among the bases. The priors on the pathways are sums of squares in the losses,
    carried by the optimisers' weight decay. So the algorithm's own losses stay as they are in the log, and the priors
    are logged beside them as ``train/prior_<network>_<pathway>``.

    Args:
        *args: positional arguments of the algorithm.
        augment: whether the transitions of each minibatch are moved by random elements of the group.
        **kwargs: keyword arguments of the algorithm.
    """

    # None where minibatches stay as they are sampled.
    _augmentation: Augmentation | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Check the names of arguments before Python does, which knows no similar ones."""
        check_names(kwargs, [cls], f"argument of {cls.__name__}")
        return super().__new__(cls)

    def __init__(self, *args: Any, augment: bool = False, **kwargs: Any) -> None:
        self.augment = augment
        check_device(kwargs.get("device", "auto"))
        super().__init__(*args, **kwargs)

    @staticmethod
    def _with_options(policy_kwargs: Mapping[str, Any] | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The policy's arguments, with its options among the arguments of an algorithm.

        Raises:
            NetworkError: if an option is given in both, with different values.
        """
        return merged_options(policy_kwargs or {}, {name: arguments[name] for name in POLICY_OPTIONS})

    def _setup_model(self) -> None:
        check_arguments(vars(self))
        if not callable(self.learning_rate):
            self.learning_rate = float(self.learning_rate)  # numpy's numbers are refused later
        if issubclass(self.policy_class, SymmetricPolicy):
            check_names(self.policy_kwargs, self.policy_class.__mro__, f"option of {self.policy_class.__name__}")
            if self.env is not None and self.policy_kwargs.get("symmetry") is None:
                self._take_symmetry(self.policy_class.kinds_for(self.policy_kwargs), self.env)
        if self.replay_buffer_class is None and self.n_steps == 1 and not self.optimize_memory_usage:
            self.replay_buffer_class = TransitionBuffer
        super()._setup_model()
        self._augmentation = self._made_augmentation() if self.augment else None
        symmetric = set(getattr(self.policy, "kinds", {}).values()) - {"plain"}
        breaking = self._breaking_normalizer() if symmetric or self._augmentation is not None else None
        if breaking:
            warnings.warn(
                f"{breaking} keeps statistics per entry, which breaks a symmetry that exchanges entries or changes "
                "their signs; use rpp_rl.agents.SymmetricVecNormalize, or do not normalize observations "
                "(VecNormalize(..., norm_obs=False))",
                stacklevel=6,  # the line that makes the agent
            )

    def _made_augmentation(self) -> Augmentation | None:
        """What moves the minibatches; None for the trivial group.

        Raises:
            SymmetryError: if the policy has no symmetry.
        """
        if self.symmetry is None:
            raise SymmetryError(
                f"augment=True needs the policy's symmetry, and {type(self.policy).__name__} has none; give "
                "symmetry=... and a policy of rpp_rl.agents, such as PlainPolicy"
            )
        return Augmentation(self.symmetry, self.device, self.seed) if self.symmetry.group.order > 1 else None

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed all random generators, as `BaseAlgorithm.set_random_seed` does; None changes nothing."""
        super().set_random_seed(seed)
        if seed is not None and self._augmentation is not None:
            self._augmentation.seed(seed)

    def _get_policy_from_name(self, policy_name: str) -> type[BasePolicy]:
        if policy_name not in self.policy_aliases:
            raise UnknownNameError("policy", policy_name, self.policy_aliases)
        return super()._get_policy_from_name(policy_name)

    def _take_symmetry(self, kinds: Mapping[str, str], env: VecEnv) -> None:
        """Take the symmetry that the environments carry, or where one is needed that declared for their id.

        Raises:
            SymmetryError: if one is needed and there is none.
        """
        plain = set(kinds.values()) == {"plain"}
        needed = self.augment or not plain
        found = carried_symmetry(env)
        if found is None and needed:
            found = symmetry_of(env)
            named = id_of(env)
            if found is None:
                declare = f"declare one with rpp_rl.register_symmetry({named!r}, ...)"
                wrap = "wrap it in rpp_rl.envs.SymmetryWrapper(env, symmetry)"
                raise SymmetryError(
                    f"{type(self).__name__} needs a symmetry, and none is declared for "
                    f"{named or 'this environment, which has no id'}: {declare if named else wrap}, give symmetry=..., "
                    + ("or leave out augment=True" if plain else 'or use "PlainPolicy", which needs none')
                )
            taken = f"symmetry {found.name!r}, which is declared for {named}, is used"
            logging.getLogger(__name__).info(taken)
            if self.verbose:
                print(taken)
        if found is not None:
            self.policy_kwargs = {**self.policy_kwargs, "symmetry": found}

    def _breaking_normalizer(self) -> str | None:
        """The name of a wrapper that normalizes observations entry by entry."""
        normalizer = self._vec_normalize_env
        if normalizer is not None and normalizer.norm_obs and not isinstance(normalizer, SymmetricVecNormalize):
            return "VecNormalize"
        if self.env is not None and any(self.env.env_is_wrapped(NormalizeObservation)):
            return "NormalizeObservation"
        return None

    @property
    def symmetry(self) -> Symmetry | None:
        """The symmetry of the policy; None for plain networks on an environment without one."""
        return getattr(self.policy, "symmetry", None)

    @property
    def observation_names(self) -> tuple[str, ...]:
        """Names of the observation's entries, where a symmetry gives them."""
        return () if self.symmetry is None else self.symmetry.observation_names

    @classmethod
    def load(cls, path: Any, *args: Any, **kwargs: Any) -> Self:
        """Load an agent without running anything from its file; see `SafeFiles.load` for the arguments.

        Raises:
            NetworkError: if an option of the policy is given; it belongs to the saved one, and would have no effect.
        """
        for option in POLICY_OPTIONS:
            if option in kwargs:
                raise NetworkError(
                    f"{option} belongs to the saved policy and cannot be changed by load; build a new {cls.__name__} "
                    "with it and take over what fits with set_parameters"
                )
        return super().load(path, *args, **kwargs)

    @classmethod
    def resume(
        cls,
        run: str | Path,
        env: Any,
        checkpoint: RunCheckpoint | None = None,
        device: torch.device | str = "auto",
        custom_objects: dict[str, Any] | None = None,
    ) -> Self:
        """Restore the agent of a run's newest complete checkpoint: networks, buffer, generators, environments.

        On a CPU, ``learn(n - agent.num_timesteps, reset_num_timesteps=False)`` then takes the steps that `n` steps
        without interruption would have taken, bit for bit. A warning lists what differs.

        Args:
            run: folder of the run, to which a `RunCheckpoint` has written.
            env: made as the first one was; its state is restored.
            checkpoint: made as the first one was, with the same callbacks, whose state is restored; give it to `learn`
                to write further checkpoints. None if there were no callbacks and no more checkpoints are wanted.
            device: device of the networks.
            custom_objects: objects that are not plain data, as for `load`: a learning rate schedule, for example.

        Raises:
            RunError: if there is no complete checkpoint, or it does not fit the environments or callbacks.
        """
        # Checkpoints restore any agent, so their module comes after this one.
        from rpp_rl.agents.common.checkpoints import RunCheckpoint, resume_agent

        return resume_agent(cls, Path(run), env, checkpoint or RunCheckpoint(run, 0), device, custom_objects)

    def _init_callback(self, callback: MaybeCallback, progress_bar: bool = False) -> BaseCallback:
        given: list[BaseCallback] = callback if isinstance(callback, list) else []
        if callback is not None and not isinstance(callback, list):
            given = [callback if isinstance(callback, BaseCallback) else ConvertCallback(callback)]
        checked = any(isinstance(each, FiniteCheck) for each in given)
        callbacks = given if checked else [FiniteCheck(self.observation_names), *given]
        return super()._init_callback(callbacks, progress_bar)

    def dump_logs(self) -> None:
        """Write log data, the prior terms among them."""
        for network, prior in getattr(self.policy, "priors", {}).items():
            with torch.no_grad():
                for pathway, term in prior.penalty(getattr(self.policy, network)).items():
                    self.logger.record(f"train/prior_{network}_{pathway}", float(term))
        super().dump_logs()
