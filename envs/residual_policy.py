"""Residual policy learning: an agent learns what to add to the actions of an existing controller."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import ArrayLike, NDArray

from rpp_rl.errors import EnvironmentFailureError, SymmetryError

BasePolicy = Callable[[NDArray[Any]], ArrayLike]


class ResidualPolicy(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Add the agent's actions to those of a fixed controller: pi(s) = pi_0(s) + scale * f(s).

    The agent's action is f(s); the environment gets clip(pi_0(s) + scale * f(s), low, high). Unless the sum is clipped,
    its gradient with respect to the agent's parameters is that of scale * f, so pi_0 needs no gradient (Silver, Allen,
    Tenenbaum and Kaelbling 2018; Johannink et al. 2018). An agent starts as pi_0 if its mean starts at zero:
    ``RPPSAC(..., zero_mean=True)``.

    If pi_0 is equivariant, pi_0(g s) = g pi_0(s), a symmetry of the environment is also a symmetry of the wrapped
    environment; otherwise it is approximate. ``info["base_action"]`` of each step is pi_0(s).

    Args:
        env: the environment; its actions are a bounded box.
        base_policy: the controller pi_0, from observations to actions of the environment.
        scale: factor on f, > 0; with 1 the sum reaches the bounds if pi_0 is zero, with 2 for any pi_0.

    Raises:
        SymmetryError: if the action space is not a bounded box, or the scale is not positive.
        EnvironmentFailureError: by `step`, if pi_0 returns a wrong shape or a value that is not finite.
    """

    def __init__(self, env: gym.Env[Any, Any], base_policy: BasePolicy, scale: float = 1.0) -> None:
        RecordConstructorArgs.__init__(self, base_policy=base_policy, scale=scale)
        gym.Wrapper.__init__(self, env)
        if not isinstance(env.action_space, spaces.Box) or not env.action_space.is_bounded():
            raise SymmetryError(f"ResidualPolicy needs actions in a bounded box, got {env.action_space}")
        if not (math.isfinite(scale) and scale > 0):
            raise SymmetryError(f"the scale of a residual policy must be a number > 0, got {scale}")
        self._bounds = env.action_space
        self.base_policy, self.scale = base_policy, scale
        self._observation: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment."""
        self._observation, info = self.env.reset(seed=seed, options=options)
        return self._observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step with the action pi_0(s) + scale * action, clipped to the bounds."""
        base = self.base_action(self._observation)
        executed = np.clip(base + self.scale * np.asarray(action), self._bounds.low, self._bounds.high)
        self._observation, reward, terminated, truncated, info = self.env.step(executed.astype(self._bounds.dtype))
        return self._observation, reward, terminated, truncated, {**info, "base_action": base}

    def base_action(self, observation: NDArray[Any]) -> NDArray[np.float64]:
        """The controller's action pi_0(s), shape (n_act,).

        Raises:
            EnvironmentFailureError: if it has a wrong shape or a value that is not finite.
        """
        # A copy, so that a controller cannot change the agent's observation.
        base = np.asarray(self.base_policy(np.array(observation)), dtype=np.float64)
        if base.shape != self._bounds.shape or not np.isfinite(base).all():
            raise EnvironmentFailureError(
                f"the base policy returned {str(base)[:80]}, but an action has finite numbers of shape "
                f"{self._bounds.shape}"
            )
        return base
