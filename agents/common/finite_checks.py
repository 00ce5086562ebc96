"""Stop at a NaN or an infinity, say whether the agent or its environment gave it, and keep the last finite agent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from rpp_rl.agents.common.arguments import owned
from rpp_rl.errors import DivergedError, NonFiniteError

# Seconds that an evaluation may take after the run was asked to stop.
PATIENCE = 10.0


class FiniteCheck(BaseCallback):
    """Stop when an environment gives a NaN or an infinity, or when the agent itself has diverged.

    Every `freq` steps it looks at all parameters and keeps a copy, so that `put_back` can return to the last finite
    agent.

    Args:
        names: of the observation's entries; ``obs[0], ...`` where none are given.
        freq: environment steps between looks at the parameters.

    Raises:
        DivergedError: for an agent whose actions or parameters are not finite.
        NonFiniteError: for an environment, before its numbers reach the replay buffer; names the entry.
    """

    def __init__(self, names: Sequence[str] = (), freq: int = 1000) -> None:
        super().__init__()
        self.names, self.freq = tuple(names), freq
        self._due = 0
        self._kept: tuple[int, dict[str, Any], Any] | None = None

    def _on_training_start(self) -> None:
        check_finite(self.model._last_obs, "observation", "at reset", self.names)

    def _on_rollout_start(self) -> None:
        if self.num_timesteps < self._due - self.freq or self.num_timesteps >= self._due:
            self._due = self.num_timesteps + self.freq
            if not is_finite(self.model):
                raise diverged(self.model)
            temperature = getattr(self.model, "log_ent_coef", None)
            self._kept = self.num_timesteps, owned(dict(self.model.get_parameters())), owned(temperature)

    def _on_step(self) -> bool:
        where = f"at step {self.num_timesteps}"
        if not np.isfinite(self.locals["actions"]).all():
            raise diverged(self.model)
        try:
            check_finite(self.locals["new_obs"], "observation", where, self.names)
            check_finite(self.locals["rewards"], "reward", where)
            for info in self.locals["infos"]:
                if "terminal_observation" in info:
                    check_finite(info["terminal_observation"], "observation", where, self.names)
        except NonFiniteError as error:
            if not is_finite(self.model):
                raise diverged(self.model) from error
            raise
        return True

    def put_back(self, model: BaseAlgorithm) -> int | None:
        """Give an agent the last finite parameters.

        Returns:
            The step at which it had them; None where there are none.
        """
        if self._kept is None:
            return None
        step, parameters, log_ent_coef = self._kept
        model.set_parameters(parameters, exact_match=True, device=model.device)
        if log_ent_coef is not None:
            model.log_ent_coef.data.copy_(log_ent_coef)  # type: ignore[attr-defined]
        return step


class FiniteVecEnv(VecEnvWrapper):
    """Check observations and rewards of environments that an agent is evaluated on.

    Args:
        venv: the environments.
        names: of the observation's entries.
        stop: whether the run was asked to stop. An evaluation may then last `PATIENCE` seconds more.

    Raises:
        NonFiniteError: by `reset` and `step_wait`.
        KeyboardInterrupt: by `step_wait`, for an evaluation that does not end after it was asked to.
    """

    def __init__(self, venv: VecEnv, names: Sequence[str] = (), stop: Callable[[], bool] = lambda: False) -> None:
        super().__init__(venv)
        self.names, self.stop = tuple(names), stop
        self._asked_at: float | None = None

    def reset(self) -> Any:
        """Reset, and check the observations."""
        observations = self.venv.reset()
        check_finite(observations, "observation", "at reset in evaluation", self.names)
        return observations

    def step_wait(self) -> Any:
        """Step, and check observations and rewards."""
        observations, rewards, dones, infos = self.venv.step_wait()
        check_finite(observations, "observation", "in evaluation", self.names)
        check_finite(rewards, "reward", "in evaluation")
        if not self.stop():
            self._asked_at = None
        elif self._asked_at is None:
            self._asked_at = time.monotonic()
        elif time.monotonic() - self._asked_at > PATIENCE:
            raise KeyboardInterrupt
        return observations, rewards, dones, infos


def check_finite(values: Any, what: str, where: str, names: Sequence[str] = ()) -> None:
    """Check that an array, whose last axis has the given names, holds finite numbers only.

    Raises:
        NonFiniteError: if not; names the entry.
    """
    if isinstance(values, dict) or np.isfinite(values).all():
        return
    entry = ""
    if what == "observation":
        i = int(np.argwhere(~np.isfinite(np.atleast_2d(values)))[0][-1])
        entry = f" in entry {i} ({names[i] if i < len(names) else f'obs[{i}]'})"
    raise NonFiniteError(
        f"the environment gave a {what} that is not finite{entry} {where}; nothing of this step was learnt from, "
        "mend the environment or bound its actions"
    )


def is_finite(model: BaseAlgorithm) -> bool:
    """Whether all numbers of an agent's networks and optimisers, and its temperature, are finite."""
    tensors = [*_tensors(model.get_parameters()), *_tensors(getattr(model, "log_ent_coef", None))]
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors if tensor.is_floating_point())


def diverged(model: BaseAlgorithm) -> DivergedError:
    """The error of an agent that is not finite any more."""
    losses = getattr(model.logger, "name_to_value", {}) if hasattr(model, "_logger") else {}
    loss = losses.get("train/critic_loss")
    shown = f" (critic loss {loss:.3g})" if isinstance(loss, int | float) else ""
    return DivergedError(
        f"the agent diverged at step {model.num_timesteps}{shown}: its numbers are not finite; lower the learning "
        "rate, or scale the rewards"
    )


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [found for each in inner for found in _tensors(each)]
