"""Two agents alike but for their gradient steps: the fast one, and stable-baselines3's own."""

import copy

import numpy as np
import pytest
import torch
from stable_baselines3.common.logger import configure

import rpp_rl
from helpers.tasks import bicycle
from rpp_rl.agents import RPPSAC

TASKS = {
    "bicycle": bicycle,
    "pusher": lambda: rpp_rl.make("Pusher-v5"),
    "reacher": lambda: rpp_rl.make("Reacher-v5", "dihedral"),
}


def twins(policy, task="bicycle", **kwargs):
    """Two agents with the same parameters and buffers, one of which takes stable-baselines3's own steps."""
    kwargs = {"policy_kwargs": {"net_arch": [32, 16]}, **kwargs}
    agents = []
    for fast in (True, False):
        agent = RPPSAC(policy, TASKS[task](), learning_starts=60, buffer_size=200, seed=1, fast_update=fast, **kwargs)
        agent.learn(60)
        agents.append(agent)
    one, other = agents
    other.set_parameters(copy.deepcopy(one.get_parameters()))
    return one, other


def logged(agent):
    return {k: v for k, v in agent.logger.name_to_value.items() if k.startswith("train/")}


def assert_equal_after(one, other, steps, rtol=1e-5, loss_rtol=1e-5, **kwargs):
    for agent in (one, other):
        agent.set_logger(configure(format_strings=[]))
        torch.manual_seed(7)
        np.random.seed(7)
        agent.train(steps, **kwargs)
    for name, value in logged(other).items():
        assert logged(one)[name] == pytest.approx(value, rel=loss_rtol, abs=1e-5), name
    mine, theirs = one.get_parameters()["policy"], other.get_parameters()["policy"]
    for name, value in theirs.items():
        if not value.numel():
            continue
        # Adam moves a parameter by the learning rate, 3e-4, however small it and its gradient are.
        scale = value.abs().max().clamp(min=0.02)
        assert ((mine[name] - value).abs().max() / scale).item() < rtol, name
    if one.log_ent_coef is not None:
        torch.testing.assert_close(one.log_ent_coef, other.log_ent_coef, rtol=1e-5, atol=1e-7)
