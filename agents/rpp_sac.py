"""Soft Actor-Critic with Residual Pathway Priors."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from gymnasium import spaces
from gymnasium.wrappers import NormalizeObservation
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback, ConvertCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import MaybeCallback

from rpp_rl.agents.callbacks import FiniteCheck
from rpp_rl.agents.carried_symmetry import symmetry_of
from rpp_rl.agents.normalize import SymmetricVecNormalize
from rpp_rl.agents.policies import EquivariantPolicy, MlpPolicy, RPPPolicy
from rpp_rl.agents.update.transition_buffer import TransitionBuffer
from rpp_rl.agents.update import FastUpdate, Learner, Losses, Temperature, mean_losses
from rpp_rl.errors import NetworkError, SymmetryError
from rpp_rl.symmetry import Symmetry

# What RPPPolicy takes beyond SACPolicy: symmetry, networks, priors.
POLICY_OPTIONS = tuple(
    name for name, p in inspect.signature(RPPPolicy).parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY
)


class RPPSAC(SAC):
    """SAC for tasks that are nearly symmetric.

    It is `stable_baselines3.SAC` with policies that know the task's symmetry; every argument, method and logged
    quantity of SAC is there unchanged. The priors on the two pathways are sums of squares in the losses, carried by
    the optimisers' weight decay, so ``train/critic_loss`` and ``train/actor_loss`` stay SAC's and the priors are logged
    beside them as ``train/prior_<network>_<pathway>``.

    Source: Finzi, Benton and Wilson 2021, section 5.4 and appendix.

    Args:
        policy: ``"RPPPolicy"``, ``"EquivariantPolicy"``, ``"MlpPolicy"``, or a class.
        env: the environment; its attribute `symmetry` is used unless one is given here.
        *args: further positional arguments of SAC.
        symmetry: the task's symmetry; None takes the environment's.
        actor: ``"rpp"``, ``"equivariant"`` or ``"mlp"``, see `RPPPolicy`; as are the following.
        critic: the same for the critics.
        actor_equiv_wd: prior on the actor's equivariant pathway.
        actor_basic_wd: prior on the actor's residual pathway.
        critic_equiv_wd: prior on the critics' equivariant pathway.
        critic_basic_wd: prior on the critics' residual pathway.
        residual_init_scale: size of the residual at the start.
        **kwargs: keyword arguments of SAC.

    Raises:
        SymmetryError: if there is no symmetry, environments disagree about it, or it does not fit the spaces.
        NetworkError: for `use_sde`, or networks that cannot be built so.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "RPPPolicy": RPPPolicy,
        "EquivariantPolicy": EquivariantPolicy,
        "MlpPolicy": MlpPolicy,
    }

    def __init__(
        self,
        policy: str | type[RPPPolicy],
        env: Any,
        *args: Any,
        symmetry: Symmetry | Mapping[str, Any] | None = None,
        actor: str | None = None,
        critic: str | None = None,
        actor_equiv_wd: float | None = None,
        actor_basic_wd: float | None = None,
        critic_equiv_wd: float | None = None,
        critic_basic_wd: float | None = None,
        residual_init_scale: float | None = None,
        fast_update: bool = True,
        **kwargs: Any,
    ) -> None:
        self.fast_update = fast_update
        self._update: FastUpdate | None = None
        self._learner: Learner | None = None
        self._unread: list[Losses] = []
        arguments = inspect.signature(SAC).bind(policy, env, *args, **kwargs).arguments
        if arguments.get("use_sde"):
            raise NetworkError("RPPSAC has no gSDE, whose noise has no symmetry; leave use_sde=False, or use SAC")
        _need_boxes(env)
        options = {
            "symmetry": symmetry.to_dict() if isinstance(symmetry, Symmetry) else symmetry,
            "actor": actor,
            "critic": critic,
            "actor_equiv_wd": actor_equiv_wd,
            "actor_basic_wd": actor_basic_wd,
            "critic_equiv_wd": critic_equiv_wd,
            "critic_basic_wd": critic_basic_wd,
            "residual_init_scale": residual_init_scale,
        }
        arguments["policy_kwargs"] = _merged(arguments.get("policy_kwargs") or {}, options)
        super().__init__(**arguments)

    def _setup_model(self) -> None:
        if self.replay_buffer_class is None and self.n_steps == 1 and not self.optimize_memory_usage:
            self.replay_buffer_class = TransitionBuffer
        if issubclass(self.policy_class, RPPPolicy) and self.policy_kwargs.get("symmetry") is None:
            self._take_symmetry_of_environment()
        super()._setup_model()
        symmetric = set(getattr(self.policy, "kinds", {}).values()) - {"mlp"}
        breaking = self._breaking_normalizer() if symmetric else None
        if breaking:
            warnings.warn(
                f"{breaking} keeps statistics per entry, which breaks a symmetry that exchanges entries or changes "
                "their signs; use rpp_rl.agents.SymmetricVecNormalize, or do not normalise observations "
                "(VecNormalize(..., norm_obs=False))",
                stacklevel=3,
            )

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Take gradient steps on minibatches: `SAC.train`, by `FastUpdate` where it knows the networks.

        Args:
            gradient_steps: how many.
            batch_size: rows of each minibatch.
        """
        update = self.fast_step_for(batch_size)
        if update is None:
            super().train(gradient_steps, batch_size)
            return
        optimizers = [self.actor.optimizer, self.critic.optimizer]
        if self.ent_coef_optimizer is not None:
            optimizers.append(self.ent_coef_optimizer)
        self._update_learning_rate(optimizers)
        if self._learner is None or self._learner.update is not update:
            buffer: Any = self.replay_buffer
            self._learner = Learner(update, [buffer], [self._vec_normalize_env])
        losses = self._learner.take_steps(gradient_steps, self.gamma, self.tau, self.target_update_interval)
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self._unread = losses
        if self.device.type == "cpu":
            self._read_losses()

    def _read_losses(self) -> None:
        """Record the losses of the last call of `train`; on a GPU this waits for it, so it is put off until logging."""
        if self._unread:
            for name, value in mean_losses(self._unread)[0].items():
                self.logger.record(f"train/{name}", value)
        self._unread = []

    def fast_step_for(self, batch_size: int) -> FastUpdate | None:
        """The fast update for minibatches of a size; None where stable-baselines3's own must do."""
        if not self.fast_update:
            return None
        if self._update is None or self._update.batch_size != batch_size or not self._update.is_current:
            try:
                self._update = FastUpdate([self.policy], self._temperature(), batch_size)
            except NetworkError as error:
                logging.getLogger(__name__).warning("%s; stable-baselines3's own gradient step is used", error)
                self.fast_update, self._update = False, None
        return self._update

    def _temperature(self) -> Temperature:
        if self.ent_coef_optimizer is None or self.log_ent_coef is None:
            return Temperature([self.ent_coef_tensor], [], 0.0)
        return Temperature([self.log_ent_coef], [self.ent_coef_optimizer], float(self.target_entropy))

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_update", "_learner", "_unread"]

    def _breaking_normalizer(self) -> str | None:
        """The name of a wrapper that normalises observations entry by entry."""
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
        """The names of the observation's entries, where a symmetry gives them."""
        return () if self.symmetry is None else self.symmetry.observation_names

    def _take_symmetry_of_environment(self) -> None:
        found = None if self.env is None else symmetry_of(self.env)
        # A policy that needs a symmetry says so itself. Plain data, so that a saved agent loads anywhere.
        if found is not None:
            self.policy_kwargs = {**self.policy_kwargs, "symmetry": found.to_dict()}

    @classmethod
    def load(cls, path: Any, env: Any = None, *args: Any, **kwargs: Any) -> Self:
        """`SAC.load`; what belongs to the saved policy cannot be changed by it.

        Raises:
            NetworkError: if an option of the policy is given; it would have no effect.
        """
        for option in POLICY_OPTIONS:
            if option in kwargs:
                raise NetworkError(
                    f"{option} belongs to the saved policy and cannot be changed by load; build a new RPPSAC with it "
                    "and take over what fits with set_parameters"
                )
        return super().load(path, env, *args, **kwargs)

    def _init_callback(self, callback: MaybeCallback, progress_bar: bool = False) -> BaseCallback:
        callbacks: list[BaseCallback] = [FiniteCheck(self.observation_names)]
        if isinstance(callback, list):
            callbacks += callback
        elif callback is not None:
            callbacks.append(callback if isinstance(callback, BaseCallback) else ConvertCallback(callback))
        return super()._init_callback(callbacks, progress_bar)

    def dump_logs(self) -> None:
        """Write log data, the prior terms among them."""
        self._read_losses()
        for network, prior in getattr(self.policy, "priors", {}).items():
            with torch.no_grad():
                for pathway, term in prior.penalty(getattr(self.policy, network)).items():
                    self.logger.record(f"train/prior_{network}_{pathway}", float(term))
        super().dump_logs()


def _merged(policy_kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The policy's keyword arguments, with those given to the algorithm itself; the caller's are left alone."""
    merged = dict(policy_kwargs)
    if isinstance(merged.get("symmetry"), Symmetry):
        merged["symmetry"] = merged["symmetry"].to_dict()
    for name, value in options.items():
        if value is None:
            continue
        if name in merged and merged[name] != value:
            raise NetworkError(
                f"{name} is given twice, as {value!r} and in policy_kwargs as {merged[name]!r}; give it once"
            )
        merged[name] = value
    return merged


def _need_boxes(env: Any) -> None:
    for what in ("observation", "action"):
        space = getattr(env, f"{what}_space", None)
        if space is not None and not (isinstance(space, spaces.Box) and len(space.shape) == 1):
            raise SymmetryError(f"RPPSAC needs {what}s in a box of one axis, but the {what} space is {space}")
