"""Soft Actor-Critic with Residual Pathway Priors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, Schedule

from rpp_rl.agents.common.arguments import need_boxes
from rpp_rl.agents.common.symmetric_agent import SymmetricAgent
from rpp_rl.agents.rpp_sac.fast_sac import FastSAC
from rpp_rl.agents.rpp_sac.from_sac import from_sac
from rpp_rl.agents.rpp_sac.policies import EquivariantPolicy, PlainPolicy, RPPPolicy
from rpp_rl.errors import NetworkError
from rpp_rl.symmetry import Symmetry


class RPPSAC(SymmetricAgent, FastSAC):
    """SAC for tasks that are nearly symmetric.

    It is `stable_baselines3.SAC` with policies that know the task's symmetry. Arguments, methods and logged quantities
    of SAC are unchanged, except that gSDE and observations other than boxes are refused, and that `save` writes a
    format of this library, which `SAC.load` does not read.

    Source: Finzi, Benton and Wilson 2021, section 5.4 and appendix.

    Args:
        policy: ``"MlpPolicy"`` or ``"RPPPolicy"`` (the same), ``"EquivariantPolicy"``, ``"PlainPolicy"``, or a class.
        env: the environment; its attribute `symmetry` is used unless one is given here.
        learning_rate: as for SAC, like all arguments up to ``_init_setup_model``.
        buffer_size: transitions in the replay buffer.
        learning_starts: random environment steps before learning starts.
        batch_size: rows of a minibatch.
        tau: weight of the new parameters in those of the target critics.
        gamma: discount factor.
        train_freq: environment steps between calls of `train`.
        gradient_steps: gradient steps of each call; -1 for as many as environment steps were taken.
        action_noise: noise that is added to actions.
        replay_buffer_class: class of the replay buffer; None for `TransitionBuffer`, which checkpoints can store.
        replay_buffer_kwargs: its keyword arguments.
        optimize_memory_usage: stable-baselines3's buffer without next observations.
        n_steps: steps of the n-step return.
        ent_coef: entropy coefficient, or ``"auto"`` to learn it.
        target_update_interval: gradient steps between updates of the target critics.
        target_entropy: entropy that a learned coefficient aims at; ``"auto"`` for minus the size of the action.
        use_sde: must be False.
        sde_sample_freq: without effect.
        use_sde_at_warmup: without effect.
        stats_window_size: episodes of the logged mean return.
        tensorboard_log: folder for TensorBoard.
        policy_kwargs: keyword arguments of the policy.
        verbose: 0 for no output, 1 for tables.
        seed: seed of all random numbers.
        device: device of the networks.
        _init_setup_model: whether the networks are built.
        symmetry: symmetry of the task; None takes the environment's.
        actor: ``"rpp"``, ``"equivariant"`` or ``"plain"``; this and the following up to `zero_mean` are explained at
            `SymmetricPolicy`.
        critic: the same for the critics.
        actor_equiv_wd: prior on the actor's equivariant pathway.
        actor_basic_wd: prior on the actor's residual pathway.
        critic_equiv_wd: prior on the critics' equivariant pathway.
        critic_basic_wd: prior on the critics' residual pathway.
        parametrization: ``"orthogonal"`` or ``"pathways"``.
        steps: ``"equal"``, ``"published"`` or ``"orthonormal"``.
        residual_prior: ``"decay"``, ``"dual"``, ``"projection"`` or ``"none"``.
        residual_budget: how large noise may make the residual, relative to the layer.
        residual_init_scale: size of the residual at the start.
        residual_step_ratio: learning rate of the residual pathways relative to the others.
        network: ``"mlp"`` or ``"emlp"``.
        zero_mean: whether the mean action starts at zero.
        augment: whether the transitions of each minibatch are moved by random elements of the group, with any networks;
            see `rpp_rl.agents.common.augmentation.Augmentation`.
        fast_update: False takes stable-baselines3's own gradient step instead of the fast one.
        precision: ``"float32"``, or ``"bf16"`` to multiply matrices in bfloat16 in the fast gradient step; parameters,
            optimisers and losses stay float32.

    Raises:
        SymmetryError: if there is no symmetry, environments disagree about it, or it does not fit the spaces.
        NetworkError: for `use_sde`, networks that cannot be built, or a precision that the machine does not have.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": RPPPolicy,
        "RPPPolicy": RPPPolicy,
        "EquivariantPolicy": EquivariantPolicy,
        "PlainPolicy": PlainPolicy,
    }

    def __init__(
        self,
        policy: str | type[RPPPolicy],
        env: GymEnv | str,
        learning_rate: float | Schedule = 3e-4,
        buffer_size: int = 1_000_000,
        learning_starts: int = 100,
        batch_size: int = 256,
        tau: float = 0.005,
        gamma: float = 0.99,
        train_freq: int | tuple[int, str] = 1,
        gradient_steps: int = 1,
        action_noise: ActionNoise | None = None,
        replay_buffer_class: type[ReplayBuffer] | None = None,
        replay_buffer_kwargs: dict[str, Any] | None = None,
        optimize_memory_usage: bool = False,
        n_steps: int = 1,
        ent_coef: str | float = "auto",
        target_update_interval: int = 1,
        target_entropy: str | float = "auto",
        use_sde: bool = False,
        sde_sample_freq: int = -1,
        use_sde_at_warmup: bool = False,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
        *,
        symmetry: Symmetry | Mapping[str, Any] | None = None,
        actor: str | None = None,
        critic: str | None = None,
        actor_equiv_wd: float | None = None,
        actor_basic_wd: float | None = None,
        critic_equiv_wd: float | None = None,
        critic_basic_wd: float | None = None,
        parametrization: str | None = None,
        steps: str | None = None,
        residual_prior: str | None = None,
        residual_budget: float | Sequence[float] | Mapping[str, Any] | None = None,
        residual_init_scale: float | None = None,
        residual_step_ratio: float | None = None,
        network: str | None = None,
        zero_mean: bool | None = None,
        augment: bool = False,
        fast_update: bool = True,
        precision: str = "float32",
    ) -> None:
        if use_sde:
            raise NetworkError("RPPSAC has no gSDE, whose noise has no symmetry; leave use_sde=False, or use SAC")
        need_boxes(env, type(self).__name__)
        super().__init__(
            policy,
            env,
            learning_rate,
            buffer_size=buffer_size,
            learning_starts=learning_starts,
            batch_size=batch_size,
            tau=tau,
            gamma=gamma,
            train_freq=train_freq,
            gradient_steps=gradient_steps,
            action_noise=action_noise,
            replay_buffer_class=replay_buffer_class,
            replay_buffer_kwargs=replay_buffer_kwargs,
            optimize_memory_usage=optimize_memory_usage,
            n_steps=n_steps,
            ent_coef=ent_coef,
            target_update_interval=target_update_interval,
            target_entropy=target_entropy,
            sde_sample_freq=sde_sample_freq,
            use_sde_at_warmup=use_sde_at_warmup,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=self._with_options(policy_kwargs, locals()),
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=_init_setup_model,
            augment=augment,
            fast_update=fast_update,
            precision=precision,
        )

    @classmethod
    def from_sac(cls, model: SAC, env: GymEnv | None = None, **options: Any) -> Self:
        """Take over a trained plain agent of stable-baselines3, in orthogonal coordinates.

        Actions and values stay as they are, up to rounding; the optimisers are new. Hidden units, whose order a plain
        network is free to choose, are sorted by the symmetry first, see `rpp_rl.conversion.sorted_units`. The log, and
        with `verbose` the output, says how symmetric each layer had become; `rpp_rl.conversion.layer_symmetry` returns
        it. The residual has no prior unless one is given, since a prior would pull the trained weights away. The
        transitions of the replay buffer are copied, if the number of environments is the same.

        Args:
            model: the trained agent.
            env: environment of the new agent; None for that of the old one.
            **options: arguments of the new agent that differ from those of the old one, such as `symmetry`. All
                networks have residuals, so `policy`, `actor`, `critic` and `network` are not among them.

        Raises:
            NetworkError: if the model is not a plain SAC, its widths are not multiples of the group's order, it uses
                gSDE, no environment is given, or an option is not allowed.
            SymmetryError: as for `RPPSAC`.
        """
        return from_sac(cls, model, env, options)
