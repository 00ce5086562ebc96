"""Twin Delayed DDPG with Residual Pathway Priors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from stable_baselines3 import TD3
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, Schedule

from rpp_rl.agents.common.arguments import need_boxes
from rpp_rl.agents.common.augmentation import moving_samples
from rpp_rl.agents.common.symmetric_agent import SymmetricAgent
from rpp_rl.agents.rpp_td3.policies import EquivariantTD3Policy, PlainTD3Policy, RPPTD3Policy
from rpp_rl.symmetry import Symmetry


class RPPTD3(SymmetricAgent, TD3):
    """TD3 for tasks that are nearly symmetric: `stable_baselines3.TD3`, gradient step included, with RPP networks.

    Normal noise of one size for all actions keeps the symmetry of the actor in distribution.

    Source: Fujimoto, van Hoof and Meger 2018; Finzi, Benton and Wilson 2021.

    Args:
        policy: ``"MlpPolicy"`` or ``"RPPPolicy"`` (the same), ``"EquivariantPolicy"``, ``"PlainPolicy"``, or a class.
        env: the environment; its attribute `symmetry` is used unless one is given here.
        learning_rate: as for TD3, like all arguments up to ``_init_setup_model``.
        buffer_size: transitions in the replay buffer.
        learning_starts: random environment steps before learning starts.
        batch_size: rows of a minibatch.
        tau: weight of the new parameters in those of the target networks.
        gamma: discount factor.
        train_freq: environment steps between calls of `train`.
        gradient_steps: gradient steps of each call; -1 for as many as environment steps were taken.
        action_noise: noise that is added to actions.
        replay_buffer_class: class of the replay buffer; None for `TransitionBuffer`, which checkpoints can store.
        replay_buffer_kwargs: its keyword arguments.
        optimize_memory_usage: stable-baselines3's buffer without next observations.
        n_steps: steps of the n-step return.
        policy_delay: gradient steps of the critics for each one of the actor.
        target_policy_noise: standard deviation of the noise on target actions.
        target_noise_clip: bound of that noise.
        stats_window_size: episodes of the logged mean return.
        tensorboard_log: folder for TensorBoard.
        policy_kwargs: keyword arguments of the policy.
        verbose: 0 for no output, 1 for tables.
        seed: seed of all random numbers.
        device: device of the networks.
        _init_setup_model: whether the networks are built.
        symmetry: symmetry of the task; None takes the environment's.
        actor: ``"rpp"``, ``"equivariant"`` or ``"plain"``; this and the following are explained at `SymmetricPolicy`.
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
        zero_mean: whether the action starts at zero.
        augment: whether the transitions of each minibatch are moved by random elements of the group, with any networks;
            see `rpp_rl.agents.common.augmentation.Augmentation`.

    Raises:
        SymmetryError: if there is no symmetry, environments disagree about it, or it does not fit the spaces.
        NetworkError: for networks that cannot be built.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": RPPTD3Policy,
        "RPPPolicy": RPPTD3Policy,
        "EquivariantPolicy": EquivariantTD3Policy,
        "PlainPolicy": PlainTD3Policy,
    }

    def __init__(
        self,
        policy: str | type[RPPTD3Policy],
        env: GymEnv | str,
        learning_rate: float | Schedule = 1e-3,
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
        policy_delay: int = 2,
        target_policy_noise: float = 0.2,
        target_noise_clip: float = 0.5,
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
    ) -> None:
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
            policy_delay=policy_delay,
            target_policy_noise=target_policy_noise,
            target_noise_clip=target_noise_clip,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=self._with_options(policy_kwargs, locals()),
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=_init_setup_model,
            augment=augment,
        )

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Take gradient steps on minibatches, as `TD3.train` does.

        Args:
            gradient_steps: how many.
            batch_size: rows of each minibatch.
        """
        with moving_samples(self.replay_buffer, self._augmentation):
            super().train(gradient_steps, batch_size)
