"""The gradient step as a CUDA graph, against the same operations one by one."""

import gc

import numpy as np
import pytest
import torch
from helpers.agents import agent, parameters
from helpers.tasks import bicycle
from stable_baselines3.common.vec_env import DummyVecEnv

from rpp_rl.agents import RPPSAC, ManySeeds, SymmetricVecNormalize
from rpp_rl.agents.update import FastUpdate, Temperature
from rpp_rl.agents.update.captured import Captured
from rpp_rl.agents.update.transition_buffer import draw_on_device

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


def updates(captured, dtype=None, taus=(0.005,), generators=None, **kwargs):
    """A function that takes steps and returns their losses; from the same state whenever it is made."""
    model = agent(device="cuda", **kwargs)
    model.learn(20)
    value, optimizer = model.temperature_parts()
    temperature = Temperature([value], [] if optimizer is None else [optimizer], float(model.target_entropy))
    update = FastUpdate([model.policy], temperature, 16, dtype, generators)
    update.refresh()

    def run(tau):
        draw_on_device([model.replay_buffer], update.batch, generators)
        return update.step(0.99, tau)

    steps = [
        Captured(lambda tau=tau: run(tau), update.vectors, model.device, generators)
        if captured
        else (lambda tau=tau: run(tau))
        for tau in taus
    ]

    def take(count):
        return [steps[k % len(steps)]().critic.clone() for k in range(count)]

    return take, update


CASES = [
    {},
    {"dtype": torch.bfloat16},
    {"ent_coef": 0.1},
    {"taus": (0.5, 0.0, 0.0)},
    {"policy": "EquivariantPolicy", "critic": "mlp"},
]


@pytest.mark.parametrize("options", CASES)
@pytest.mark.parametrize("own", [False, True])
def test_graph_and_eager_give_the_same_numbers(options, own):
    """From the same parameters and the same state of the generator."""
    found = []
    for captured in (True, False):
        generators = [torch.Generator("cuda").manual_seed(5)] if own else None
        take, update = updates(captured, generators=generators, **options)
        torch.cuda.manual_seed(5)
        losses = torch.stack(take(50))
        found.append((losses.cpu(), [v.cpu().clone() for v in update.vectors]))
    (one, vectors), (other, others) = found
    assert torch.equal(one, other)
    for p, q in zip(vectors, others, strict=True):
        assert torch.equal(p, q)


def test_a_graph_outlives_others():
    """What cuBLAS works in must not go with a graph that is no longer there."""
    (first, _), (plain, _) = updates(True), updates(False)
    torch.cuda.manual_seed(5)
    one = first(5)
    for _ in range(3):
        another, _ = updates(True, policy_kwargs={"net_arch": [256, 256]})
        another(5)
        del another
        gc.collect()
        torch.cuda.empty_cache()
        torch.zeros(1 << 26, device="cuda").fill_(float("nan"))
    torch.cuda.manual_seed(6)
    one += first(5)
    torch.cuda.manual_seed(5)
    other = plain(5)
    torch.cuda.manual_seed(6)
    other += plain(5)
    assert torch.equal(torch.stack(one), torch.stack(other))


def test_it_learns_and_saves(tmp_path):
    model = agent(device="cuda")
    model.learn(200)
    assert model._learner._captured
    assert model.replay_buffer.storage.is_cuda
    assert model._actor_ahead is not None
    model.save(tmp_path / "agent")
    again = RPPSAC.load(tmp_path / "agent", device="cpu")
    x = np.random.default_rng(0).standard_normal((5, 4))
    np.testing.assert_allclose(
        again.predict(x, deterministic=True)[0], model.predict(x, deterministic=True)[0], atol=1e-4
    )


@pytest.mark.parametrize(
    "options",
    [
        {
            "actor_equiv_wd": 0,
            "actor_basic_wd": 0,
            "policy_kwargs": {"net_arch": [32], "optimizer_class": torch.optim.AdamW},
        },
        {"n_steps": 3},
        {"target_update_interval": 3, "gradient_steps": 2},
        {"ent_coef": 0.1},
    ],
)
def test_what_a_graph_takes_in_part_or_not_at_all(options):
    model = agent(device="cuda:0", **options).learn(60)
    assert model._update is not None
    assert all(torch.isfinite(p).all() for p in model.policy.parameters())
    before = parameters(model)
    model.train(3, 16)
    assert any(not torch.equal(value, before[name]) for name, value in parameters(model).items())


def test_normalised_observations():
    model = agent(env=SymmetricVecNormalize(DummyVecEnv([bicycle])), device="cuda").learn(60)
    assert model._learner._captured
    assert model._n_updates == 40


def test_a_buffer_that_has_moved_is_drawn_from_where_it_is(tmp_path):
    model = agent(device="cuda").learn(60)
    model.save_replay_buffer(tmp_path / "buffer")
    other = agent(device="cuda", buffer_size=500).learn(60)
    other.load_replay_buffer(tmp_path / "buffer")
    other.replay_buffer.storage[..., -2] = 7.0
    other.train(1, 16)
    assert other._update.batch.rewards.unique().tolist() == [7.0]


def test_slots_are_not_overwritten_before_their_rows_have_arrived():
    model = agent(device="cuda", buffer_size=2000, learning_starts=0).learn(20)
    model.train(500, 16)
    for k in range(100):
        row = np.full((1, 4), k, np.float32)
        model.replay_buffer.add(row, row, row[:, :2], np.full(1, k), np.zeros(1, bool), [{}])
    assert model.replay_buffer.rewards[20:120, 0].tolist() == list(range(100))


def test_each_of_several_learns_as_it_would_alone():
    seeds = [3, 1, 4]
    together = ManySeeds(lambda seed: agent(seed=seed, device="cuda"), seeds)
    assert together.learn(60) == [None] * 3
    for seed, stacked in zip(seeds, together.agents, strict=True):
        alone = agent(seed=seed, device="cuda").learn(60)
        for name, value in parameters(alone).items():
            torch.testing.assert_close(parameters(stacked)[name], value, rtol=1e-3, atol=1e-4)


def test_one_of_several_stops():
    together = ManySeeds(lambda seed: agent(seed=seed, device="cuda"), range(4))
    assert together.learn(60) == [None] * 4
    assert together.learn(60, [None, lambda *_: False, None, None], reset_num_timesteps=False) == [None] * 4
    counts = [model._n_updates for model in together.agents]
    assert counts[0] == counts[2] == counts[3] == 100
    assert counts[1] < 100
    weights = [model.actor.mu.weight_equiv for model in together.agents]
    assert all(torch.isfinite(weight).all() for weight in weights)
    assert not torch.equal(weights[0], weights[1])
