"""Log how symmetric the networks are."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from rpp_rl.agents.common.environment_symmetry import symmetry_of
from rpp_rl.measures import residual_shares, transformation_error
from rpp_rl.pathway_optimizers import residual_measures
from rpp_rl.symmetry import Symmetry


class SymmetryCallback(BaseCallback):
    """Log how far actor and critic are from symmetric, on transitions of the replay buffer.

    Meant for ``EvalCallback(..., callback_after_eval=SymmetryCallback())``, to measure after each evaluation; given to
    `learn` by itself it measures every `freq` steps. It works with any SAC of stable-baselines3, also with plain
    networks. Tags:

    - ``symmetry/actor_equivariance_error``: the largest over the group of |pi(g s) - g pi(s)| / |pi(s)|, pi the
      deterministic action in [-1, 1];
    - ``symmetry/critic_invariance_error``: the same for |Q(g s, g a) - Q(s, a)| / |Q(s, a)|;
    - ``symmetry/<network>/<layer>/residual_share``: |B| / (|A| + |B|) of each residual layer;
    - ``.../residual_rms``, ``.../residual_budget``, ``.../signal_to_noise``: see `residual_measures`. Where the
      residual exceeds its budget, and the gradient's signal is not small beside its noise, the symmetry fails.

    Args:
        symmetry: None takes the policy's, or else the environment's; without one only shares are logged.
        samples: number of transitions.
        freq: environment steps between measurements, where it is not called after each evaluation.
    """

    def __init__(self, symmetry: Symmetry | None = None, samples: int = 512, freq: int = 1000) -> None:
        super().__init__()
        self.given = symmetry
        self.samples, self.freq = samples, freq
        self.due = 0

    def _init_callback(self) -> None:
        self.symmetry = self.given or getattr(self.model.policy, "symmetry", None)
        if self.symmetry is None:
            self.symmetry = symmetry_of(self.training_env)

    def _on_step(self) -> bool:
        # After an evaluation the parent, which has made it, decides.
        if self.parent is None and self.due - self.freq < self.num_timesteps < self.due:
            return True
        self.due = self.num_timesteps + self.freq
        for tag, value in self.measure().items():
            self.logger.record(f"symmetry/{tag}", value)
        self.logger.dump(self.num_timesteps)
        return True

    def measure(self) -> dict[str, float]:
        """All quantities, by tag without ``symmetry/``."""
        model: Any = self.model
        values = {
            f"{name}/{layer}/residual_share": share
            for name in ("actor", "critic")
            for layer, share in residual_shares(getattr(model.policy, name)).items()
        }
        for name in getattr(model.policy, "residual_priors", {}):
            network = getattr(model.policy, name)
            for layer, measures in residual_measures(network, network.optimizer).items():
                values |= {f"{name}/{layer}/{measure}": value for measure, value in measures.items()}
        if self.symmetry is not None and model.replay_buffer.size() > 0:
            observations, actions = self._sample()
            model.policy.set_training_mode(False)
            values["actor_equivariance_error"] = actor_error(model, self.symmetry, observations)
            values["critic_invariance_error"] = critic_error(model, self.symmetry, observations, actions)
        return values

    def _sample(self) -> tuple[Tensor, Tensor]:
        # The buffer draws from numpy's global generator; a measurement must not change the run, nor depend on what
        # else has drawn there.
        model: Any = self.model
        state = np.random.get_state()
        np.random.seed(self.num_timesteps % 2**32)
        try:
            batch = model.replay_buffer.sample(self.samples, env=model._vec_normalize_env)
        finally:
            np.random.set_state(state)
        return batch.observations.float(), batch.actions.float()


def actor_error(model: Any, symmetry: Symmetry, observations: Tensor) -> float:
    """The largest equivariance error over the group of the deterministic action."""

    def act(observations: Tensor) -> Tensor:
        return model.policy._predict(observations, deterministic=True)  # type: ignore[no-any-return]

    moves = [
        (partial(symmetry.transform_observation, element), partial(symmetry.transform_action, element))
        for element in range(symmetry.group.order)
    ]
    return float(transformation_error(act, observations, moves).max())


def critic_error(model: Any, symmetry: Symmetry, observations: Tensor, actions: Tensor) -> float:
    """The largest invariance error over the group of all critics' values."""
    split = observations.shape[1]

    def value(x: Tensor) -> Tensor:
        return torch.cat(model.critic(x[:, :split], x[:, split:]), dim=1)

    def move(element: int, x: Tensor) -> Tensor:
        moved_observations = symmetry.transform_observation(element, x[:, :split])
        return torch.cat([moved_observations, symmetry.transform_action(element, x[:, split:])], dim=1)

    def stay(y: Tensor) -> Tensor:
        return y

    moves = [(partial(move, element), stay) for element in range(symmetry.group.order)]
    return float(transformation_error(value, torch.cat([observations, actions], dim=1), moves).max())
