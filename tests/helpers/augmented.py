"""Agents that learn from mirrored minibatches, and symmetries to move them by."""

from functools import partial

import numpy as np
import pytest
import torch

import rpp_rl
from helpers.agents import SMALL, agent
from helpers.tasks import WHEELS, bicycle
from rpp_rl import Symmetry
from rpp_rl.agents import RPPTD3
from rpp_rl.named_groups import cyclic_group

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
TRIVIAL = Symmetry.trivial(4, 2)
ROWS = 5000


def turns(order, center=()):
    """Turns of the plane: as rotations on the first two entries of three, and as plus or minus one on the action."""
    angle = 2 * np.pi / order
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return Symmetry.from_generators("turns", cyclic_group(order), [turn], [np.diag([-1.0, 1.0])], center=center)


SYMMETRIES = {
    "mirror": WHEELS,
    "mirror about a point": Symmetry.from_dict({**WHEELS.to_dict(), "center": [0.0, 0.0, 0.0, 0.7]}),
    "eight signed permutations": rpp_rl.make("Reacher-v5", "dihedral").symmetry,
    "six turns": turns(6),
    "six turns about a point": turns(6, (1.0, -2.0, 0.0)),
}


def augment(**kwargs):
    return agent("PlainPolicy", **{"augment": True, **kwargs})


def augment_td3(**kwargs):
    given = {"seed": 0, "learning_starts": 20, "batch_size": 16, "buffer_size": 2000, "device": "cpu"}
    return RPPTD3("PlainPolicy", bicycle(), **{**given, "policy_kwargs": SMALL, "augment": True, **kwargs})


BUILDERS = [augment, partial(augment, fast_update=False), augment_td3]
# One for each class of agents.
CLASSES = [augment, augment_td3]


def generators(*agents):
    return [each._augmentation.generator.get_state() for each in agents]


def global_generators():
    return torch.cat([torch.get_rng_state().long(), torch.from_numpy(np.random.get_state()[1].astype(np.int64))])
