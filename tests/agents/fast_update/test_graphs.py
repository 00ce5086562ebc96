"""Compare the captured gradient step, on CUDA or recorded on the CPU, with the same operations one by one."""

import gc

import numpy as np
import pytest
import torch
from helpers.agents import agent, parameters
from helpers.recorded_graphs import RecordedGraphs
from helpers.tasks import bicycle
from stable_baselines3.common.vec_env import DummyVecEnv

from rpp_rl.agents import RPPSAC, ManySeeds, SymmetricVecNormalize
from rpp_rl.agents.common.transition_buffer import draw_on_device
from rpp_rl.agents.rpp_sac.fast_update import FastUpdate, Temperature, cuda_graphs
from rpp_rl.agents.rpp_sac.fast_update.cuda_graphs import Captured

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])])
def device(request, monkeypatch):
    """A device on which functions are captured."""
    if request.param == "cpu":
        monkeypatch.setattr(cuda_graphs, "_GRAPHS", {"cpu": RecordedGraphs})
    return torch.device(request.param)


def updates(device, as_graph, dtype=None, taus=(0.005,), generators=None, **kwargs):
    """Return a function that takes steps from a fixed state and returns their losses, and the update."""
    model = agent(device=device, **kwargs)
    model.learn(20)
    value, optimizer = model._temperature_parts()
    temperature = Temperature([value], [] if optimizer is None else [optimizer], float(model.target_entropy))
    update = FastUpdate([model.policy], temperature, 16, dtype, generators)
    update.refresh()

    def run(tau):
        draw_on_device([model.replay_buffer], update.batch, generators)
        return update.step(0.99, tau)

    steps = [
        Captured(lambda tau=tau: run(tau), update.vectors, model.device, generators)
        if as_graph
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
    {"policy": "EquivariantPolicy", "critic": "plain"},
    {"residual_prior": "dual", "residual_budget": 0.01, "critic_basic_wd": 0.1, "critic_equiv_wd": 0.1},
    {"residual_prior": "projection", "residual_init_scale": 1.0},
]


@pytest.mark.parametrize("options", CASES)
@pytest.mark.parametrize("own", [False, True])
def test_graph_and_eager_give_the_same_numbers(device, options, own):
    """Both start from the same parameters and the same state of the generator."""
    found = []
    for as_graph in (True, False):
        generators = [torch.Generator(device).manual_seed(5)] if own else None
        take, update = updates(device, as_graph, generators=generators, **options)
        torch.manual_seed(5)
        losses = torch.stack(take(50))
        found.append((losses.cpu(), [v.cpu().clone() for v in update.vectors]))
    (one, vectors), (other, others) = found
    assert torch.equal(one, other)
    for p, q in zip(vectors, others, strict=True):
        assert torch.equal(p, q)


def test_a_graph_follows_the_learning_rate(device):
    """A graph keeps the numbers of its capture, so the rate must be a tensor."""
    found = []
    for as_graph in (True, False):
        take, update = updates(device, as_graph)
        torch.manual_seed(5)
        take(3)
        for rate in (1e-2, 0.0):
            for stepper in (*update.steppers, update.temperature.stepper):
                for stepped in stepper._stepped:
                    stepped.group["lr"] = rate
            update.refresh()
            take(3)
            found.append(torch.cat([p.detach().flatten() for p in update.policies[0].actor.parameters()]))
    for one, other in zip(found[:2], found[2:], strict=True):
        assert torch.equal(one, other)
    assert torch.equal(found[1], found[0])


def test_transitions_stored_after_the_capture_are_drawn(device):
    model = agent(device=device).learn(60)
    model.replay_buffer.storage[..., -2] = 0.0
    row = np.zeros((1, 4), np.float32)
    for k in range(1, 11):
        model.replay_buffer.add(row, row, row[:, :2], np.full(1, k), np.zeros(1, bool), [{}])
    drawn = set()
    for _ in range(100):
        model.train(1, 16)
        drawn |= set(model._update.batch.rewards.flatten().tolist())
    assert drawn == set(range(11))


def test_actions_use_the_present_weights(device):
    model = agent(device=device).learn(60)
    x = np.random.default_rng(0).standard_normal((1, 4)).astype(np.float32)
    for _ in range(2):
        earlier = model._actor_ahead.act([x])[0]
        kept = earlier.copy()
        model.train(5, 16)
        torch.manual_seed(5)
        acted = model._actor_ahead.act([x])[0]
        torch.manual_seed(5)
        noise = torch.zeros(1, 2, device=device).normal_()
        with torch.no_grad():
            mean, log_std, _ = model.actor.get_action_dist_params(torch.from_numpy(x).to(device))
            wanted = torch.tanh(mean + log_std.exp() * noise)
        np.testing.assert_allclose(acted, wanted.cpu().numpy(), rtol=1e-5, atol=1e-6)
        assert np.array_equal(earlier, kept)
        assert not np.array_equal(earlier, acted)


def test_targets_move_every_few_steps(device):
    model = agent(device=device, tau=1.0, target_update_interval=2).learn(60)
    for steps, moved in ((1, True), (2, False), (3, True)):
        model.train(steps, 16)
        critic, target = (torch.cat([p.flatten() for p in q.parameters()]) for q in (model.critic, model.critic_target))
        assert torch.equal(critic, target) == moved


def test_a_graph_outlives_others(device):
    """The workspace of cuBLAS must outlive other graphs that were captured with it."""
    (first, _), (plain, _) = updates(device, True), updates(device, False)
    torch.manual_seed(5)
    one = first(5)
    for _ in range(3):
        another, _ = updates(device, True, policy_kwargs={"net_arch": [256, 256]})
        another(5)
        del another
        gc.collect()
        torch.cuda.empty_cache()
        torch.zeros(1 << 26, device=device).fill_(float("nan"))
    torch.manual_seed(6)
    one += first(5)
    torch.manual_seed(5)
    other = plain(5)
    torch.manual_seed(6)
    other += plain(5)
    assert torch.equal(torch.stack(one), torch.stack(other))


def test_an_agent_learns_and_saves(device, tmp_path):
    model = agent(device=device)
    model.learn(200)
    assert model._learner._captured
    assert model.replay_buffer.storage.device.type == device.type
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
def test_agents_learn_where_a_graph_cannot_capture_the_whole_step(device, options):
    model = agent(device=device, **options).learn(60)
    assert model._update is not None
    assert all(torch.isfinite(p).all() for p in model.policy.parameters())
    before = parameters(model)
    model.train(3, 16)
    assert any(not torch.equal(value, before[name]) for name, value in parameters(model).items())


def test_normalized_observations_are_learnt_from(device):
    model = agent(env=SymmetricVecNormalize(DummyVecEnv([bicycle])), device=device).learn(60)
    assert model._learner._captured
    assert model._n_updates == 40


def test_a_buffer_that_has_moved_is_drawn_from(device, tmp_path):
    model = agent(device=device).learn(60)
    model.save_replay_buffer(tmp_path / "buffer")
    other = agent(device=device, buffer_size=500).learn(60)
    other.load_replay_buffer(tmp_path / "buffer")
    other.replay_buffer.storage[..., -2] = 7.0
    other.train(1, 16)
    assert other._update.batch.rewards.unique().tolist() == [7.0]


def test_slots_are_overwritten_only_after_their_rows_have_arrived(device):
    model = agent(device=device, buffer_size=2000, learning_starts=0).learn(20)
    model.train(500, 16)
    for k in range(100):
        row = np.full((1, 4), k, np.float32)
        model.replay_buffer.add(row, row, row[:, :2], np.full(1, k), np.zeros(1, bool), [{}])
    assert model.replay_buffer.rewards[20:120, 0].tolist() == list(range(100))


def test_each_agent_of_a_stack_learns_as_alone(device):
    seeds = [3, 1, 4]
    together = ManySeeds(lambda seed: agent(seed=seed, device=device), seeds)
    assert together.learn(60) == [None] * 3
    for seed, stacked in zip(seeds, together.agents, strict=True):
        alone = agent(seed=seed, device=device).learn(60)
        for name, value in parameters(alone).items():
            torch.testing.assert_close(parameters(stacked)[name], value, rtol=1e-3, atol=1e-4)


def test_one_agent_of_a_stack_stops(device):
    together = ManySeeds(lambda seed: agent(seed=seed, device=device), range(4))
    assert together.learn(60) == [None] * 4
    assert together.learn(60, [None, lambda *_: False, None, None], reset_num_timesteps=False) == [None] * 4
    counts = [model._n_updates for model in together.agents]
    assert counts[0] == counts[2] == counts[3] == 100
    assert counts[1] < 100
    weights = [model.actor.mu.weight_equiv for model in together.agents]
    assert all(torch.isfinite(weight).all() for weight in weights)
    assert not torch.equal(weights[0], weights[1])


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda x: x.sum().item(), "not permitted"),
        (lambda x: x + torch.ones(3), "on the host"),
        (lambda x: x[x > 0], "not permitted"),
    ],
)
def test_recording_on_the_cpu_refuses_operations_that_a_graph_cannot_capture(monkeypatch, run, message):
    monkeypatch.setattr(cuda_graphs, "_GRAPHS", {"cpu": RecordedGraphs})
    x = torch.tensor([1.0, -1.0, 2.0])
    with pytest.raises(RuntimeError, match=message):
        Captured(lambda: run(x), [x], x.device)()


def test_replaying_on_the_cpu_runs_no_python(monkeypatch):
    monkeypatch.setattr(cuda_graphs, "_GRAPHS", {"cpu": RecordedGraphs})
    x, calls = torch.zeros(2), []

    def run():
        calls.append(None)
        return x.add_(float(len(calls))) * 2

    step = Captured(run, [x], x.device)
    # Three runs warm up, and the fourth is recorded.
    assert [step().tolist() for _ in range(3)] == [[8.0, 8.0], [16.0, 16.0], [24.0, 24.0]]
    assert len(calls) == 4
