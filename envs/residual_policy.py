"""Residual policy learning: an agent learns what to add to the actions of a controller that is there already."""

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
    """The policy pi(s) = pi_0(s) + scale * f(s), of which an agent learns f and pi_0 is a fixed controller.

    The agent's actions are f(s); the environment gets clip(pi_0(s) + scale * f(s), low, high). Where nothing is clipped
    the gradient of an action by the agent's parameters is that of scale * f, whatever pi_0 is, which therefore needs no
    gradient (Silver, Allen, Tenenbaum and Kaelbling 2018; Johannink et al. 2018). An agent that is to begin as
    pi_0 needs a mean that begins at zero: ``RPPSAC(..., zero_mean=True)``.

    A symmetry of the environment is one of the wrapped environment too if pi_0 is equivariant, pi_0(g s) = g pi_0(s);
    with another pi_0 it is approximate. ``info["base_action"]`` of each step is pi_0(s).

    Args:
        env: the environment; its actions are a bounded box.
        base_policy: pi_0, from an observation to an action, both as the environment has them.
        scale: factor on f, > 0; with 1 it reaches the bounds where pi_0 is zero, with 2 from any pi_0.

    Raises:
        SymmetryError: if the actions are no bounded box, or the scale is not positive.
        EnvironmentFailureError: by `step`, if pi_0 returns another shape than an action's, or what is no number.
    """

    def __init__(self, env: gym.Env[Any, Any], base_policy: BasePolicy, scale: float = 1.0) -> None:
        RecordConstructorArgs.__init__(self, base_policy=base_policy, scale=scale)
        gym.Wrapper.__init__(self, env)
        if not isinstance(env.action_space, spaces.Box) or not env.action_space.is_bounded():
            raise SymmetryError(f"ResidualPolicy adds to actions in a bounded box, but they are {env.action_space}")
        if not (math.isfinite(scale) and scale > 0):
            raise SymmetryError(f"the scale of a residual must be a number > 0, got {scale}")
        self._bounds = env.action_space
        self.base_policy, self.scale = base_policy, scale
        self._observation: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's."""
        self._observation, info = self.env.reset(seed=seed, options=options)
        return self._observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """One step under pi_0(s) + scale * action."""
        base = self.base_action(self._observation)
        executed = np.clip(base + self.scale * np.asarray(action), self._bounds.low, self._bounds.high)
        self._observation, reward, terminated, truncated, info = self.env.step(executed.astype(self._bounds.dtype))
        return self._observation, reward, terminated, truncated, {**info, "base_action": base}

    def base_action(self, observation: NDArray[Any]) -> NDArray[np.float64]:
        """pi_0(s), shape (n_act,).

        Raises:
            EnvironmentFailureError: if it has another shape, or what is no number in it.
        """
        # A copy, so that a controller cannot write into what the agent sees.
        base = np.asarray(self.base_policy(np.array(observation)), dtype=np.float64)
        if base.shape != self._bounds.shape or not np.isfinite(base).all():
            raise EnvironmentFailureError(
                f"the base policy gave {str(base)[:80]}, where an action is {self._bounds.shape} finite numbers"
            )
        return base
