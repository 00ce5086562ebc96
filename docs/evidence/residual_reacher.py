"""Reacher-v5 with a controller below the agent: the agent learns what to add to the controller's action.

PYTHONPATH=docs/evidence rpp-rl train --env residual_reacher:ResidualReacher-v5 --algo rpp_sac -params zero_mean:true
python docs/evidence/residual_reacher.py     prints the returns of the controller and of random actions

The controller pulls the fingertip to its target like a damped spring, with torques -k J^T d - c w: J is the Jacobian of
the fingertip, d the vector from target to fingertip, w the joints' rates. It ignores inertia and the reward.
"""

from collections.abc import Callable

import gymnasium as gym
import numpy as np

from rpp_rl.envs import REGISTRY, ResidualPolicy, register_symmetry

# Lengths of the two links in meters; gains chosen by hand, in actions per meter and per radian a second.
LINKS = (0.1, 0.11)
STIFFNESS, DAMPING = 3.0, 0.02


def spring_to_target(observation: np.ndarray) -> np.ndarray:
    """Compute torques in [-1, 1] from an observation of Reacher-v5."""
    cos, sin, rates, to_tip = observation[0:2], observation[2:4], observation[6:8], observation[8:10]
    both = np.array([cos[0] * cos[1] - sin[0] * sin[1], sin[0] * cos[1] + cos[0] * sin[1]])
    elbow = LINKS[0] * np.array([cos[0], sin[0]])
    forearm = LINKS[1] * both
    turned = np.array([[0.0, -1.0], [1.0, 0.0]])
    jacobian = np.stack([turned @ (elbow + forearm), turned @ forearm], axis=1)
    return np.clip(-STIFFNESS * jacobian.T @ to_tip - DAMPING * rates, -1.0, 1.0)


def make(**kwargs: object) -> gym.Env:
    """Make Reacher-v5 with the controller below the agent."""
    return ResidualPolicy(gym.make("Reacher-v5", **kwargs).env, spring_to_target)


gym.register("ResidualReacher-v5", entry_point=make, max_episode_steps=50)
for _name in REGISTRY.names("Reacher-v5"):
    register_symmetry("ResidualReacher-v5", REGISTRY.get("Reacher-v5", _name))


def mean_return(env: gym.Env, policy: Callable[[np.ndarray], np.ndarray], episodes: int = 30) -> tuple[float, float]:
    """Estimate the mean return of a policy and its standard error."""
    returns = []
    for episode in range(episodes):
        observation, _ = env.reset(seed=episode)
        total, done = 0.0, False
        while not done:
            observation, reward, terminated, truncated, _ = env.step(policy(observation))
            total, done = total + float(reward), terminated or truncated
        returns.append(total)
    return float(np.mean(returns)), float(np.std(returns, ddof=1) / np.sqrt(episodes))


if __name__ == "__main__":
    _plain, _residual = gym.make("Reacher-v5"), gym.make("ResidualReacher-v5")
    _plain.action_space.seed(0)
    print("controller  {:.1f} +- {:.1f}".format(*mean_return(_residual, lambda _: np.zeros(2, np.float32))))
    print("random      {:.1f} +- {:.1f}".format(*mean_return(_plain, lambda _: _plain.action_space.sample())))
