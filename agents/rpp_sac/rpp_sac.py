"""Soft Actor-Critic with Residual Pathway Priors."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from gymnasium.wrappers import NormalizeObservation
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback, ConvertCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import MaybeCallback

from rpp_rl.agents.common.arguments import merged_options, need_boxes
from rpp_rl.agents.common.callbacks import FiniteCheck
from rpp_rl.agents.common.environment_symmetry import symmetry_of
from rpp_rl.agents.common.normalize import SymmetricVecNormalize
from rpp_rl.agents.rpp_sac.fast_sac import FastSAC
from rpp_rl.agents.rpp_sac.policies import EquivariantPolicy, PlainPolicy, RPPPolicy
from rpp_rl.errors import NetworkError
from rpp_rl.symmetry import Symmetry

if TYPE_CHECKING:
    from rpp_rl.agents.common.checkpoints import RunCheckpoint

# What RPPPolicy takes beyond SACPolicy: symmetry, networks, priors.
POLICY_OPTIONS = tuple(
    name for name, p in inspect.signature(RPPPolicy).parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY
)


class RPPSAC(FastSAC):
    """SAC for tasks that are nearly symmetric.

    It is `stable_baselines3.SAC` with policies that know the task's symmetry. Arguments, methods and logged quantities
    of SAC are there unchanged, except that gSDE and observations other than boxes are refused, and that `save` writes a
    form of its own, which `SAC.load` does not read. The priors on the two pathways are sums of squares in the losses,
    carried by the optimisers' weight decay, so ``train/critic_loss`` and ``train/actor_loss`` stay SAC's and the priors
    are logged beside them as ``train/prior_<network>_<pathway>``.

    Source: Finzi, Benton and Wilson 2021, section 5.4 and appendix.

    Args:
        policy: ``"RPPPolicy"``, ``"EquivariantPolicy"``, ``"PlainPolicy"``, or a class.
        env: the environment; its attribute `symmetry` is used unless one is given here.
        *args: further positional arguments of SAC.
        symmetry: the task's symmetry; None takes the environment's.
        actor: ``"rpp"``, ``"equivariant"`` or ``"plain"``, see `RPPPolicy`; as are the following.
        critic: the same for the critics.
        actor_equiv_wd: prior on the actor's equivariant pathway.
        actor_basic_wd: prior on the actor's residual pathway.
        critic_equiv_wd: prior on the critics' equivariant pathway.
        critic_basic_wd: prior on the critics' residual pathway.
        residual_init_scale: size of the residual at the start.
        residual_step_ratio: learning rate of the residual pathways beside that of all else.
        network: ``"mlp"`` or ``"emlp"``, see `RPPPolicy`.
        zero_mean: whether the mean action starts at zero.
        fast_update: False takes stable-baselines3's own gradient step instead of the fast one.
        precision: ``"float32"``, or ``"bf16"`` to multiply matrices in bfloat16 in the fast gradient step; parameters,
            optimisers and losses stay float32.
        **kwargs: keyword arguments of SAC.

    Raises:
        SymmetryError: if there is no symmetry, environments disagree about it, or it does not fit the spaces.
        NetworkError: for `use_sde`, networks that cannot be built so, or a precision that the machine does not have.
    """

    # `FiniteCheck` is among its own callbacks.
    checks_finite: ClassVar[bool] = True
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": RPPPolicy,
        "RPPPolicy": RPPPolicy,
        "EquivariantPolicy": EquivariantPolicy,
        "PlainPolicy": PlainPolicy,
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
        residual_step_ratio: float | None = None,
        network: str | None = None,
        zero_mean: bool | None = None,
        fast_update: bool = True,
        precision: str = "float32",
        **kwargs: Any,
    ) -> None:
        arguments = inspect.signature(SAC).bind(policy, env, *args, **kwargs).arguments
        if arguments.get("use_sde"):
            raise NetworkError("RPPSAC has no gSDE, whose noise has no symmetry; leave use_sde=False, or use SAC")
        need_boxes(env)
        options = {
            "symmetry": symmetry.to_dict() if isinstance(symmetry, Symmetry) else symmetry,
            "actor": actor,
            "critic": critic,
            "actor_equiv_wd": actor_equiv_wd,
            "actor_basic_wd": actor_basic_wd,
            "critic_equiv_wd": critic_equiv_wd,
            "critic_basic_wd": critic_basic_wd,
            "residual_init_scale": residual_init_scale,
            "residual_step_ratio": residual_step_ratio,
            "network": network,
            "zero_mean": zero_mean,
        }
        arguments["policy_kwargs"] = merged_options(arguments.get("policy_kwargs") or {}, options)
        super().__init__(**arguments, fast_update=fast_update, precision=precision)

    def _setup_model(self) -> None:
        if issubclass(self.policy_class, RPPPolicy) and self.policy_kwargs.get("symmetry") is None:
            self._take_symmetry_of_environment()
        super()._setup_model()
        symmetric = set(getattr(self.policy, "kinds", {}).values()) - {"plain"}
        breaking = self._breaking_normalizer() if symmetric else None
        if breaking:
            warnings.warn(
                f"{breaking} keeps statistics per entry, which breaks a symmetry that exchanges entries or changes "
                "their signs; use rpp_rl.agents.SymmetricVecNormalize, or do not normalise observations "
                "(VecNormalize(..., norm_obs=False))",
                stacklevel=5,  # the line that makes the agent
            )

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
    def load(cls, path: Any, *args: Any, **kwargs: Any) -> Self:
        """Load an agent, without running anything from its file: see `SafeFiles.load` for the arguments.

        Raises:
            NetworkError: if an option of the policy is given; it belongs to the saved one, and would have no effect.
        """
        for option in POLICY_OPTIONS:
            if option in kwargs:
                raise NetworkError(
                    f"{option} belongs to the saved policy and cannot be changed by load; build a new RPPSAC with it "
                    "and take over what fits with set_parameters"
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
        """The agent of a run's newest whole checkpoint, with everything that it had: buffer, generators, environments.

        On a CPU, ``learn(n - agent.num_timesteps, reset_num_timesteps=False)`` then takes the steps that `n` steps
        without interruption would have taken, bit for bit; what will not be as it was is said in a warning.

        Args:
            run: folder of the run, to which a `RunCheckpoint` has written.
            env: made as the first one was; its state is put back.
            checkpoint: made as the first one was, with the same callbacks, whose state is put back; give it to `learn`
                to go on writing checkpoints. None if there were no callbacks and no more checkpoints are wanted.
            device: where networks are.
            custom_objects: objects that are no plain data, as for `load`: a learning rate schedule, for example.

        Raises:
            RunError: if there is no whole checkpoint, or it does not fit the environments or callbacks.
        """
        from rpp_rl.agents.common.checkpoints import RunCheckpoint, resume_agent

        return resume_agent(cls, Path(run), env, checkpoint or RunCheckpoint(run, 0), device, custom_objects)

    def _init_callback(self, callback: MaybeCallback, progress_bar: bool = False) -> BaseCallback:
        callbacks: list[BaseCallback] = [FiniteCheck(self.observation_names)]
        if isinstance(callback, list):
            callbacks += callback
        elif callback is not None:
            callbacks.append(callback if isinstance(callback, BaseCallback) else ConvertCallback(callback))
        return super()._init_callback(callbacks, progress_bar)

    def dump_logs(self) -> None:
        """Write log data, the prior terms among them."""
        for network, prior in getattr(self.policy, "priors", {}).items():
            with torch.no_grad():
                for pathway, term in prior.penalty(getattr(self.policy, network)).items():
                    self.logger.record(f"train/prior_{network}_{pathway}", float(term))
        super().dump_logs()
