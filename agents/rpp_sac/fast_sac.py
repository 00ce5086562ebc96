"""Soft Actor-Critic that takes its gradient steps by the fast update, where that knows the networks."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import SAC
from stable_baselines3.common.noise import ActionNoise

from rpp_rl.agents.common.arguments import owned
from rpp_rl.agents.common.augmentation import Augmentation, moving_samples
from rpp_rl.agents.common.saving.agent_files import SafeFiles
from rpp_rl.agents.rpp_sac.fast_update import FastUpdate, Learner, Losses, StackedActor, Temperature, mean_losses
from rpp_rl.agents.rpp_sac.fast_update.cuda_graphs import graphs_on
from rpp_rl.agents.rpp_sac.fast_update.support import PRECISIONS, Fingerprint, need_precision
from rpp_rl.errors import NetworkError


class FastSAC(SafeFiles, SAC):
    """`stable_baselines3.SAC` with `FastUpdate` for its gradient steps; networks that it does not know learn by SAC's.

    Args:
        *args: positional arguments of SAC.
        fast_update: False takes stable-baselines3's own gradient step instead of the fast one.
        precision: ``"float32"``, or ``"bf16"`` to multiply matrices in bfloat16 in the fast gradient step.
        **kwargs: keyword arguments of SAC.

    Raises:
        NetworkError: for a precision that the machine does not have.
    """

    # Moves minibatches; None where they stay as they are sampled.
    _augmentation: Augmentation | None = None

    def __init__(self, *args: Any, fast_update: bool = True, precision: str = "float32", **kwargs: Any) -> None:
        self.fast_update, self.precision = fast_update, precision
        self._unknown_to_fast_update = False
        self._update: FastUpdate | None = None
        # The fingerprint of this agent when the update was built.
        self._built_for: Fingerprint | None = None
        self._learner: Learner | None = None
        self._actor_ahead: StackedActor | None = None
        # The generators that stand for numpy's and torch's global ones, as they were before the next action is drawn.
        self._own_generators: tuple[np.random.RandomState, torch.Tensor] | None = None
        # Where several agents learn together: their update, the index of this one, and its fingerprint at that time.
        self._stacked: tuple[FastUpdate, int, Fingerprint] | None = None
        # Actions in [-1, 1] for the next step, where something else has drawn them.
        self._acted_ahead: NDArray[np.float32] | None = None
        self._unread: list[Losses] = []
        super().__init__(*args, **kwargs)
        need_precision(precision, fast_update, self.device)
        if precision != "float32" and hasattr(self, "policy"):
            # A missing precision is reported now, not when learning starts.
            self._fast_step_for(self.batch_size)

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Take gradient steps on minibatches: `SAC.train`, by `FastUpdate` where it knows the networks.

        Args:
            gradient_steps: how many.
            batch_size: rows of each minibatch.
        """
        update = self._fast_step_for(batch_size)
        if update is None:
            with moving_samples(self.replay_buffer, self._augmentation):
                super().train(gradient_steps, batch_size)
            return
        self._follow_learning_rate_schedule()
        if self._learner is None or self._learner.update is not update:
            buffer: Any = self.replay_buffer
            moves = [] if self._augmentation is None else [self._augmentation]
            self._learner = Learner(update, [buffer], [self._vec_normalize_env], augmentations=moves)
        losses = self._learner.take_steps(gradient_steps, self.gamma, self.tau, self.target_update_interval)
        self._note_steps(gradient_steps, losses)
        if self.device.type == "cpu":
            self._read_losses()

    def __getstate__(self) -> dict[str, Any]:
        """The state of a copy, without objects that work on this agent's tensors; the copy builds its own."""
        return {
            **self.__dict__,
            "_update": None,
            "_learner": None,
            "_actor_ahead": None,
            "_stacked": None,
            "_built_for": None,
        }

    def _merged_targets(self) -> list[torch.Tensor]:
        """The merged weights of the target critics as the fast update has them; empty before there is one."""
        update, number, built_for = self._stacked or (self._update, 0, self._built_for)
        if update is None or built_for is None or not built_for.matches(*self._fast_step_parts(self.batch_size)):
            return []
        return update.merged_targets(number)

    def _fast_step_parts(self, batch_size: int) -> tuple[Any, ...]:
        """Return the objects that the fast update is built from, as `Fingerprint` takes them."""
        settings = (batch_size, self.precision, float(self.target_entropy))
        return self.policy, *self._temperature_parts(), *settings, self.replay_buffer, self._vec_normalize_env

    def _follow_learning_rate_schedule(self) -> None:
        """Set the learning rate of all optimisers to that of the schedule, and record it."""
        learnt = [] if self.ent_coef_optimizer is None else [self.ent_coef_optimizer]
        self._update_learning_rate([self.actor.optimizer, self.critic.optimizer, *learnt])

    def _note_steps(self, gradient_steps: int, losses: list[Losses]) -> None:
        """Count gradient steps that were taken, and keep their losses until they are logged."""
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self._unread = losses

    def _read_losses(self) -> None:
        """Record the losses of the last call of `train`; on a GPU this waits for it, so it is put off until logging."""
        if self._unread:
            for name, value in mean_losses(self._unread)[0].items():
                self.logger.record(f"train/{name}", value)
        self._unread = []

    def _fast_step_for(self, batch_size: int) -> FastUpdate | None:
        """The fast update for minibatches of a size; None where stable-baselines3's own must do.

        Raises:
            NetworkError: if a precision is asked for that only the fast update has, and it does not know the networks.
        """
        if not self.fast_update or self._unknown_to_fast_update:
            return None
        parts = self._fast_step_parts(batch_size)
        if self._update is None or self._built_for is None or not self._built_for.matches(*parts):
            try:
                self._update = FastUpdate([self.policy], self._temperature(), batch_size, PRECISIONS[self.precision])
                # Building the update moves the parameters.
                self._built_for = Fingerprint(*parts)
            except NetworkError as error:
                if self.precision != "float32":
                    raise NetworkError(
                        f"{error}, so it has no precision={self.precision!r} here; leave it out"
                    ) from error
                logging.getLogger(__name__).warning("%s; stable-baselines3's own gradient step is used", error)
                self._unknown_to_fast_update, self._update = True, None
        return self._update

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """As `SAC`; learnt actions come from merged weights where those live on a GPU or several agents act at once."""
        if self.num_timesteps < learning_starts or action_noise is not None:
            return super()._sample_action(learning_starts, action_noise, n_envs)
        acted = self._acted_ahead if self._acted_ahead is not None else self._act_on_device(n_envs)
        self._acted_ahead = None
        if acted is None:
            return super()._sample_action(learning_starts, action_noise, n_envs)
        # To the environment's bounds and back, as stable-baselines3 does, so that rounding is the same.
        stored = self.policy.scale_action(self.policy.unscale_action(acted))
        return self.policy.unscale_action(stored), stored

    def _act_on_device(self, n_envs: int) -> NDArray[np.float32] | None:
        update = self._update
        if graphs_on(self.device) is None or update is None or not update.has_parameters:
            return None
        if self._actor_ahead is None or self._actor_ahead.update is not update:
            self._actor_ahead = StackedActor(update, n_envs)
        update.refresh()
        return self._actor_ahead.act([np.asarray(self._last_obs)])[0]  # type: ignore[no-any-return]

    def get_parameters(self) -> dict[str, dict[str, Any]]:
        """As `SAC.get_parameters`; the tensors are copies, since those of all layers share their memory."""
        return {name: owned(state) for name, state in super().get_parameters().items()}

    def _temperature_parts(self) -> tuple[torch.Tensor, torch.optim.Optimizer | None]:
        """The logarithm of the entropy coefficient and its optimiser; where it is fixed, itself and None."""
        if self.ent_coef_optimizer is None or self.log_ent_coef is None:
            return self.ent_coef_tensor, None
        return self.log_ent_coef, self.ent_coef_optimizer

    def _temperature(self) -> Temperature:
        value, optimizer = self._temperature_parts()
        return Temperature([value], [] if optimizer is None else [optimizer], float(self.target_entropy))

    def dump_logs(self) -> None:
        """Write log data, the losses of the last call of `train` among them."""
        self._read_losses()
        super().dump_logs()
