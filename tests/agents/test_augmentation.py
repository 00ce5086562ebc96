"""Mirrored minibatches: how transitions are moved."""

import numpy as np
import pytest
import torch
from helpers.agents import agent
from helpers.augmented import ROWS, SYMMETRIES
from helpers.tasks import WHEELS

from rpp_rl.agents.common.augmentation import Augmentation, move_rows, moving_samples


class TestMoves:
    @pytest.mark.parametrize("name", SYMMETRIES)
    def test_each_row_is_moved_by_its_element(self, name):
        symmetry = SYMMETRIES[name]
        o, a = symmetry.observation.size, symmetry.action.size
        moves = Augmentation(symmetry, torch.device("cpu"), 0)
        rows = torch.randn(2, 60, 2 * o + a)
        elements = torch.arange(120).view(2, 60) % symmetry.group.order
        moved = moves.moved(rows, elements)
        for i, row in np.ndindex(2, 60):
            element = int(elements[i, row])
            s, following, action = rows[i, row].split([o, o, a])
            images = [symmetry.transform_observation(element, x) for x in (s, following)]
            wanted = torch.cat([*images, symmetry.transform_action(element, action)])
            torch.testing.assert_close(moved[i, row], wanted, rtol=1e-5, atol=1e-5)
        if symmetry.observation.is_signed_permutation and not symmetry.center:
            assert torch.equal(moved.abs().sort(dim=-1).values, rows.abs().sort(dim=-1).values)
            assert torch.equal(moved[elements == 0], rows[elements == 0])

    @pytest.mark.parametrize("name", SYMMETRIES)
    def test_all_elements_are_equally_likely_in_each_row_independently(self, name):
        order = SYMMETRIES[name].group.order
        moves = Augmentation(SYMMETRIES[name], torch.device("cpu"), 1)
        elements = torch.empty(2, ROWS, dtype=torch.int64)
        for each in elements:
            moves.draw(each)
        pairs = torch.stack([elements.flatten()[:-1] * order + elements.flatten()[1:]])
        for found, classes in ((elements.flatten(), order), (pairs.flatten(), order**2)):
            counts = torch.bincount(found, minlength=classes)
            expected = len(found) / classes
            chi_square = float(((counts - expected) ** 2 / expected).sum())
            # Five standard deviations of chi-square.
            assert chi_square < classes - 1 + 5 * np.sqrt(2 * (classes - 1))
        assert not torch.equal(elements[0], elements[1])

    def test_the_seed_decides_the_elements_and_nothing_else_does(self):
        def drawn(seed):
            elements = torch.empty(50, dtype=torch.int64)
            Augmentation(WHEELS, torch.device("cpu"), seed).draw(elements)
            return elements

        torch.manual_seed(3)
        np.random.seed(3)
        state = torch.get_rng_state(), np.random.get_state()[1].copy()
        first = drawn(3)
        assert torch.equal(torch.get_rng_state(), state[0])
        assert np.array_equal(np.random.get_state()[1], state[1])
        assert torch.equal(drawn(3), first)
        assert not torch.equal(drawn(4), first)
        assert not torch.equal(drawn(None), drawn(None))
        # The global generator has the same seed.
        assert not torch.equal(torch.empty(50, dtype=torch.int64).random_(2), first)

    def test_each_agent_of_a_stack_draws_from_its_own_generator(self):
        rows = torch.randn(2, 30, 12)
        together, moves = rows.clone(), [Augmentation(WHEELS, torch.device("cpu"), seed) for seed in (5, 6)]
        move_rows(together, moves)
        for seed, row, moved in zip((5, 6), rows, together, strict=True):
            alone = row[None].clone()
            move_rows(alone, [Augmentation(WHEELS, torch.device("cpu"), seed)])
            assert torch.equal(alone[0], moved)
        # Rewards and ends of episodes stay.
        assert torch.equal(together[..., 10:], rows[..., 10:])
        assert not torch.equal(together[..., :10], rows[..., :10])

    def test_samples_of_a_buffer_are_moved_only_meanwhile(self):
        buffer = agent().learn(60).replay_buffer
        moves = Augmentation(WHEELS, torch.device("cpu"), 0)

        def sampled():
            np.random.seed(0)
            return buffer.sample(40)

        before = sampled()
        with pytest.raises(KeyError), moving_samples(buffer, moves):
            moved = sampled()
            raise KeyError
        after = sampled()
        assert "sample" not in vars(buffer)
        for name in ("observations", "next_observations", "actions", "rewards", "dones"):
            assert torch.equal(getattr(before, name), getattr(after, name))
        assert torch.equal(moved.rewards, before.rewards)
        stayed = (moved.observations == before.observations).all(dim=1)
        assert 5 < stayed.sum() < 35
        for part, transform in (
            ("observations", WHEELS.transform_observation),
            ("next_observations", WHEELS.transform_observation),
            ("actions", WHEELS.transform_action),
        ):
            image = transform(1, getattr(before, part))
            wanted = torch.where(stayed[:, None], getattr(before, part), image)
            assert torch.equal(getattr(moved, part), wanted)
