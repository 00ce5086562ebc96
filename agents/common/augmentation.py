"""Mirrored minibatches: move sampled transitions by random elements of the group of a symmetry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from torch import Tensor

from rpp_rl.errors import RunError
from rpp_rl.representations.maps import Map, as_matrix
from rpp_rl.signed_permutation import SignedPermutation, direct_sum
from rpp_rl.symmetry import Symmetry

Move = Callable[[Tensor, Tensor], Tensor]
# Keeps the elements independent of everything else that is drawn from the same seed.
_STREAM = 0x6D6972726F72


class Augmentation:
    """Move each row of a minibatch by an element of a finite group, all elements being equally likely.

    A transition (s, a, r, s', done) becomes (g s, g a, r, g s', done). Rewards, ends of episodes and discounts stay,
    so n-step returns are moved alike. The elements are drawn from a generator of their own.

    Args:
        symmetry: acts on the observations that the networks see, and on actions in [-1, 1].
        device: device of the minibatches.
        seed: of the generator; None for one that differs each time.

    Attributes:
        order: number of elements of the group.
        width: entries of observation, next observation and action together.
        generator: draws the elements.
    """

    def __init__(self, symmetry: Symmetry, device: torch.device, seed: int | None = None) -> None:
        o, a = symmetry.observation, symmetry.action
        self.order, self.width = symmetry.group.order, 2 * o.size + a.size
        self.generator = torch.Generator(device)
        self.seed(seed)
        signed = [_direct_sum(x, x, y) for x, y in zip(o.elements, a.elements, strict=True)]
        whole = [each for each in signed if each is not None]
        # A row of signed permutations is moved at once, any other part by part.
        if len(whole) == self.order:
            self._sizes, self._moves = [self.width], [_signed(whole, device)]
        else:
            of_observation, of_action = (_mixed(rep.elements, device) for rep in (o, a))
            self._sizes, self._moves = [o.size, o.size, a.size], [of_observation, of_observation, of_action]
        self._offset: Tensor | None = None
        if symmetry.center:
            still = np.zeros(a.size)
            offsets = [symmetry.offset(element) for element in range(self.order)]
            self._offset = _single(np.stack([np.concatenate([c, c, still]) for c in offsets]), device)

    def seed(self, seed: int | None) -> None:
        """Seed the generator; None takes a seed from the operating system."""
        if seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(int(np.random.SeedSequence((seed, _STREAM)).generate_state(1)[0]))

    def draw(self, elements: Tensor) -> None:
        """Fill a tensor of integers with elements, by their index in `Group.words`."""
        elements.random_(self.order, generator=self.generator)

    def moved(self, rows: Tensor, elements: Tensor) -> Tensor:
        """Move rows by elements.

        Args:
            rows: observation, next observation and action, shape (..., width), in single precision.
            elements: one for each row, shape (...).
        """
        parts = torch.split(rows, self._sizes, dim=-1)
        images = [move(part, elements) for move, part in zip(self._moves, parts, strict=True)]
        moved = images[0] if len(images) == 1 else torch.cat(images, dim=-1)
        return moved if self._offset is None else moved.add_(self._offset[elements])

    def moved_samples(self, data: ReplayBufferSamples) -> ReplayBufferSamples:
        """Move a minibatch of stable-baselines3 by elements drawn for it."""
        parts = (data.observations, data.next_observations, data.actions)
        rows = torch.cat([part.float() for part in parts], dim=-1)
        elements = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
        self.draw(elements)
        o, a = parts[0].shape[-1], parts[2].shape[-1]
        observations, next_observations, actions = torch.split(self.moved(rows, elements), [o, o, a], dim=-1)
        return data._replace(observations=observations, next_observations=next_observations, actions=actions)


def move_rows(rows: Tensor, augmentations: Sequence[Augmentation]) -> None:
    """Move a minibatch of each agent in place; a CUDA graph can capture this.

    Args:
        rows: shape (agents, rows, entries); each row begins with observation, next observation and action.
        augmentations: one for each agent, of one symmetry.
    """
    first = augmentations[0]
    elements = torch.empty(rows.shape[:2], dtype=torch.int64, device=rows.device)
    for each, augmentation in zip(elements, augmentations, strict=True):
        augmentation.draw(each)
    states = rows[..., : first.width]
    states.copy_(first.moved(states, elements))


@contextmanager
def moving_samples(buffer: ReplayBuffer | None, augmentation: Augmentation | None) -> Iterator[None]:
    """Let a buffer sample moved transitions, for code that samples from it by itself.

    Raises:
        RunError: if the minibatches of the buffer do not have the form of stable-baselines3's.
    """
    if buffer is None or augmentation is None:
        yield
        return
    given: Any = buffer
    sample, own = buffer.sample, vars(buffer).get("sample")

    def moved(*args: Any, **kwargs: Any) -> ReplayBufferSamples:
        data = sample(*args, **kwargs)
        if not isinstance(data, ReplayBufferSamples):
            raise RunError(
                f"augment=True moves the ReplayBufferSamples of stable-baselines3, but {type(buffer).__name__} samples "
                f"{type(data).__name__}; use another replay_buffer_class"
            )
        return augmentation.moved_samples(data)

    given.sample = moved
    try:
        yield
    finally:
        del given.sample
        if own is not None:
            given.sample = own


def _direct_sum(*maps: Map) -> SignedPermutation | None:
    """The direct sum of signed permutations; None for other maps."""
    signed = [each for each in maps if isinstance(each, SignedPermutation)]
    return direct_sum(signed) if len(signed) == len(maps) else None


def _signed(maps: Sequence[SignedPermutation], device: torch.device) -> Move:
    """The function (rows, elements) -> moved rows for signed permutations, one for each element."""
    index = torch.from_numpy(np.stack([each.perm_array for each in maps])).to(device)
    sign = _single(np.stack([each.sign_array for each in maps]), device)
    return partial(_gathered, index, sign)


def _gathered(index: Tensor, sign: Tensor, rows: Tensor, elements: Tensor) -> Tensor:
    return rows.gather(-1, index[elements]).mul_(sign[elements])


def _mixed(maps: Sequence[Map], device: torch.device) -> Move:
    """The same for any maps: all images of a row are computed, and one is taken."""
    matrices = np.stack([as_matrix(each) for each in maps])
    return partial(_multiplied, _single(matrices.reshape(-1, matrices.shape[-1]).T.copy(), device))


def _multiplied(matrices: Tensor, rows: Tensor, elements: Tensor) -> Tensor:
    images = (rows @ matrices).view(*elements.shape, -1, rows.shape[-1])
    which = elements[..., None, None].expand(*elements.shape, 1, rows.shape[-1])
    return images.gather(-2, which).squeeze(-2)


def _single(values: NDArray[np.float64], device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device)
