"""Small agents on the bicycle, and what tests compare of them."""

import torch

from helpers.tasks import bicycle
from rpp_rl.agents import RPPSAC

SMALL = {"net_arch": [32, 32]}
POLICIES = ["RPPPolicy", "EquivariantPolicy", "PlainPolicy"]


def agent(policy="RPPPolicy", env=None, **kwargs):
    kwargs = {"seed": 0, "learning_starts": 20, "batch_size": 16, "buffer_size": 2000, "device": "cpu"} | kwargs
    kwargs.setdefault("policy_kwargs", SMALL)
    return RPPSAC(policy, bicycle() if env is None else env, **kwargs)


def parameters(model):
    return {k: v.clone() for k, v in model.policy.state_dict().items()}


def assert_same_parameters(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key].cpu(), other[key].cpu()), key


def observations(model, n=64):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 4, generator=generator)
    a = torch.rand(n, 2, generator=generator) * 2 - 1
    return x.to(model.device), a.to(model.device)
