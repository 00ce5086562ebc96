"""Compare the parts of the fast step with those of torch and stable-baselines3."""

import copy
import pickle

import numpy as np
import pytest
import torch
from gymnasium import spaces
from helpers.agents import agent, assert_same_parameters, parameters
from helpers.tasks import bicycle
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.distributions import SquashedDiagGaussianDistribution
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rpp_rl.agents import RPPSAC
from rpp_rl.agents.common.transition_buffer import Minibatch, TransitionBuffer, draw_on_device
from rpp_rl.agents.rpp_sac.fast_update import FastUpdate, StackedActor, Temperature
from rpp_rl.agents.rpp_sac.fast_update.adam import FlatAdam, OwnSteps, stepper
from rpp_rl.agents.rpp_sac.fast_update.entropy import SquashedGaussian
from rpp_rl.agents.rpp_sac.fast_update.stacked_layers import Learnt, Slot
from rpp_rl.errors import NetworkError, RunError

OBSERVATIONS = spaces.Box(-np.inf, np.inf, (5,), np.float64)
ACTIONS = spaces.Box(-1.0, 1.0, (2,), np.float32)


def drawn(outputs):
    upward = torch.zeros_like(outputs)
    pi = SquashedGaussian(outputs, upward)
    pi.draw([torch.Generator().manual_seed(k) for k in range(len(outputs))])
    return pi, upward


def test_the_squashed_gaussian_equals_stable_baselines3s():
    outputs = torch.randn(3, 8, 4) * 0.5
    pi, _ = drawn(outputs)
    for k in range(3):
        distribution = SquashedDiagGaussianDistribution(2).proba_distribution(outputs[k, :, :2], outputs[k, :, 2:])
        generator = torch.Generator().manual_seed(k)
        noise = torch.cat([torch.zeros(4, 2).normal_(generator=generator) for _ in range(2)])
        gaussian = outputs[k, :, :2] + outputs[k, :, 2:].exp() * noise
        torch.testing.assert_close(pi.actions[k], torch.tanh(gaussian))
        wanted = distribution.log_prob(torch.tanh(gaussian), gaussian)
        torch.testing.assert_close(pi.log_prob[k], wanted, rtol=1e-4, atol=1e-4)


def test_the_gradient_of_the_squashed_gaussian_equals_autograds():
    outputs = torch.randn(3, 8, 4) * 0.5
    outputs[0, 0, 2:] = torch.tensor([-25.0, 2.5])
    pi, upward = drawn(outputs)
    alpha, q_gradient = torch.rand(3, 1), torch.randn(3, 4, 2)
    pi.backward(q_gradient, alpha)
    theirs = outputs.clone().requires_grad_()
    log_std = theirs[..., 2:].clamp(-20, 2)
    actions = torch.tanh(theirs[..., :2] + log_std.exp() * pi.noise)
    # Up to a constant.
    log_prob = -(log_std + torch.log(1 - actions.square() + 1e-6)).sum(dim=-1)
    loss = (alpha * log_prob[:, :4]).mean(dim=1).sum() + (q_gradient * actions[:, :4]).sum()
    loss.backward()
    torch.testing.assert_close(upward[:, :4], theirs.grad[:, :4], rtol=1e-3, atol=1e-4)
    assert upward[0, 0, 2:].abs().max() == 0
    assert upward[:, 4:].abs().max() == 0


class TestFlatAdam:
    @staticmethod
    def pair(**options):
        values = [torch.nn.Parameter(torch.randn(3, 2)), torch.nn.Parameter(torch.randn(4))]
        mine, theirs = copy.deepcopy(values), copy.deepcopy(values)
        vector, gradient = torch.zeros(16), torch.zeros(16)
        slots, start = [], 0
        for p in mine:
            place = vector[start : start + p.numel()].view_as(p)
            place.copy_(p.detach())
            p.data = place
            slots.append(Slot(p, place, gradient[start : start + p.numel()].view_as(p), start))
            start += p.numel()
        optimizers = [torch.optim.Adam(ps, lr=1e-2, **options) for ps in (mine, theirs)]
        return mine, theirs, optimizers, [Learnt(vector, gradient, tuple(slots))]

    @pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}, {"betas": (0.5, 0.9), "eps": 1e-3}])
    def test_steps_equal_those_of_torch(self, options):
        mine, theirs, (one, other), learnt = self.pair(**options)
        flat = stepper([one], learnt)
        assert isinstance(flat, FlatAdam)
        for i in range(5):
            learnt[0].gradient.normal_()
            learnt[0].gradient[10:] = 0
            for slot, p in zip(learnt[0].slots, theirs, strict=True):
                p.grad = slot.gradient.clone()
            if i == 3:
                for optimizer in (one, other):
                    optimizer.param_groups[0]["lr"] = 0.5
            flat.step()
            other.step()
        for p, q in zip(mine, theirs, strict=True):
            torch.testing.assert_close(p.data, q.data)
        for key, state in other.state_dict()["state"].items():
            for name, value in state.items():
                torch.testing.assert_close(one.state_dict()["state"][key][name], value)

    def test_steps_continue_from_a_loaded_state(self):
        mine, theirs, (one, other), learnt = self.pair()
        for p in theirs:
            p.grad = torch.ones_like(p)
        other.step()
        one.load_state_dict(other.state_dict())
        flat = stepper([one], learnt)
        learnt[0].gradient[:10] = 1.0
        with torch.no_grad():
            for p, q in zip(mine, theirs, strict=True):
                p.copy_(q)
        flat.step()
        other.step()
        for p, q in zip(mine, theirs, strict=True):
            torch.testing.assert_close(p.data, q.data)

    def test_other_optimizers_take_their_own_steps(self):
        made = self.pair()
        assert isinstance(stepper([torch.optim.SGD(made[0], lr=1.0)], made[3]), OwnSteps)
        made = self.pair()
        assert isinstance(stepper([torch.optim.Adam(made[0], lr=1.0, amsgrad=True)], made[3]), OwnSteps)
        groups = [{"params": made[0][:1], "weight_decay": 0.1}, {"params": made[0][1:]}]
        assert isinstance(stepper([torch.optim.Adam(groups, lr=1.0)], made[3]), OwnSteps)


def filled(cls, steps=50, size=30, n_envs=2, **kwargs):
    buffer = cls(size * n_envs, OBSERVATIONS, ACTIONS, "cpu", n_envs, **kwargs)
    rng = np.random.default_rng(0)
    for i in range(steps):
        infos = [{"TimeLimit.truncated": i % 7 == 0}, {}]
        done = np.array([i % 7 == 0, i % 5 == 0])
        buffer.add(
            *rng.standard_normal((2, n_envs, 5)), rng.uniform(-1, 1, (n_envs, 2)), rng.normal(size=2), done, infos
        )
    return buffer


class TestTransitionBuffer:
    @pytest.mark.parametrize("steps", [20, 30, 50])
    @pytest.mark.parametrize("timeouts", [True, False])
    def test_samples_equal_those_of_stable_baselines3(self, steps, timeouts):
        mine, theirs = (
            filled(cls, steps, handle_timeout_termination=timeouts) for cls in (TransitionBuffer, ReplayBuffer)
        )
        batch = Minibatch(torch.zeros(()), 2, 16, 5, 2)
        samples = []
        for buffer in (mine, theirs):
            np.random.seed(3)
            samples.append(buffer.sample(16))
        mine.sample_into(batch, 1, np.random.RandomState(3))
        one, other = samples
        for name in ("observations", "next_observations", "actions", "rewards", "dones"):
            wanted = getattr(other, name).float()
            assert torch.equal(getattr(one, name), wanted), name
            assert torch.equal(getattr(batch, name)[1].view_as(wanted), wanted), name
        assert (mine.pos, mine.full, mine.size()) == (theirs.pos, theirs.full, theirs.size())

    def test_columns_are_readable(self):
        mine, theirs = filled(TransitionBuffer), filled(ReplayBuffer)
        for name in ("observations", "next_observations", "actions", "rewards"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name).astype(np.float32))
        np.testing.assert_array_equal(mine.dones, theirs.dones * (1 - theirs.timeouts))

    def test_a_buffer_is_pickled(self):
        mine = filled(TransitionBuffer, 20)
        again = pickle.loads(pickle.dumps(mine))
        assert torch.equal(again.storage, mine.storage)
        again.add(*np.ones((2, 2, 5)), np.ones((2, 2)), np.ones(2), np.zeros(2, bool), [{}, {}])
        assert again.size() == 21
        assert mine.size() == 20

    def test_nothing_is_left_after_a_reset(self):
        mine = filled(TransitionBuffer, 50)
        mine.reset()
        assert (mine.size(), mine.added, float(mine.filled)) == (0, 0, 0.0)
        mine.add(*np.ones((2, 2, 5)), np.ones((2, 2)), np.ones(2), np.zeros(2, bool), [{}, {}])
        assert (mine.size(), mine.pos, float(mine.filled)) == (1, 1, 2.0)

    def test_a_transition_takes_about_half_of_the_memory(self):
        theirs = ReplayBuffer(10, OBSERVATIONS, ACTIONS, "cpu")
        arrays = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
        bytes_there = sum(getattr(theirs, name).nbytes for name in arrays) / 10
        assert TransitionBuffer(10, OBSERVATIONS, ACTIONS, "cpu").bytes_per_transition == 56 < 0.6 * bytes_there

    def test_drawing_on_a_device_is_uniform_over_what_is_stored(self):
        buffers = [filled(TransitionBuffer, 20), filled(TransitionBuffer, 50)]
        batch = Minibatch(torch.zeros(()), 2, 60_000, 5, 2)
        torch.manual_seed(0)
        draw_on_device(buffers, batch)
        for buffer, rows, stored in zip(buffers, batch.rows, (40, 60), strict=True):
            _, counts = torch.unique(rows[:, 0], return_counts=True)
            assert len(counts) == stored
            expected = 60_000 / stored
            assert float(((counts - expected) ** 2 / expected).sum()) < stored + 4 * (2 * stored) ** 0.5
            assert set(rows[:, 0].tolist()) == set(buffer.rows()[:stored, 0].tolist())

    def test_lean_memory_is_refused_or_left_to_stable_baselines3(self):
        with pytest.raises(RunError, match="optimize_memory_usage"):
            TransitionBuffer(10, OBSERVATIONS, ACTIONS, optimize_memory_usage=True)
        lean = agent(
            optimize_memory_usage=True, replay_buffer_kwargs={"handle_timeout_termination": False}, fast_update=True
        )
        assert type(lean.replay_buffer) is ReplayBuffer
        lean.learn(30)
        assert lean._n_updates == 10


def test_n_step_returns_have_their_own_discounts():
    one, other = (agent(n_steps=3, fast_update=fast).learn(40) for fast in (True, False))
    assert one._update is not None
    for p, q in zip(one.policy.parameters(), other.policy.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-4)


def test_a_replaced_buffer_or_normalizer_is_used_at_once():
    model = agent(env=VecNormalize(DummyVecEnv([bicycle]), norm_obs=False, norm_reward=False)).learn(40)
    other = TransitionBuffer(100, model.observation_space, model.action_space, "cpu")
    for _ in range(20):
        other.add(*np.zeros((2, 1, 4)), np.zeros((1, 2)), np.full(1, 7.0), np.zeros(1, bool), [{}])
    model.replay_buffer = other
    model.train(1, 16)
    assert model._update.batch.rewards.unique().tolist() == [7.0]
    model._vec_normalize_env = VecNormalize(model.env, norm_obs=False, clip_reward=5.0)
    model.train(1, 16)
    assert model._update.batch.rewards.unique().tolist() == [5.0]


def test_a_copy_learns_as_its_original():
    one = agent().learn(40)
    other = copy.deepcopy(one)
    # A graph on a GPU could not be copied, and would work on the original's tensors.
    assert other._update is other._learner is None
    assert_same_parameters(parameters(one), parameters(other))
    for model in (one, other):
        torch.manual_seed(3)
        np.random.seed(3)
        model.train(5, 16)
    for name, value in parameters(one).items():
        torch.testing.assert_close(parameters(other)[name], value, rtol=1e-4, atol=1e-6)
    assert not torch.equal(one.actor.mu.weight_equiv, agent().learn(40).actor.mu.weight_equiv)


class TestPrecision:
    @pytest.mark.parametrize("dtype", [None, torch.bfloat16])
    def test_steps_are_undone_by_restoring_the_changed_tensors(self, dtype):
        """A graph undoes its warm-up in this way."""
        model = agent().learn(40)
        update = FastUpdate([model.policy], model._temperature(), 16, dtype)
        model.replay_buffer.sample_into(update.batch, 0)

        def losses(steps):
            torch.manual_seed(3)
            return [float(update.step(0.99, 0.5 if k % 2 else 0.0).critic) for k in range(steps)]

        kept = [vector.clone() for vector in update.vectors]
        first = losses(4)
        for vector, value in zip(update.vectors, kept, strict=True):
            vector.copy_(value)
        assert losses(4) == first

    def test_acting_has_full_precision(self):
        model = agent().learn(40)
        x, found = np.ones((3, 4)), []
        for dtype in (None, torch.bfloat16):
            update = FastUpdate([model.policy], model._temperature(), 16, dtype)
            torch.manual_seed(3)
            found.append(StackedActor(update, 3).act([x]))
        np.testing.assert_array_equal(*found)

    @pytest.fixture
    def bfloat16(self, monkeypatch):
        """Let processors that emulate bfloat16 compute with it, slowly."""
        monkeypatch.setattr("rpp_rl.agents.rpp_sac.fast_update.support.has_bfloat16", lambda device: True)

    def test_bfloat16_learns_nearly_the_same(self, bfloat16):
        exact = agent().learn(25)
        rough = agent(precision="bf16").learn(25)
        assert rough._update.dtype is torch.bfloat16
        pairs = list(zip(exact.policy.parameters(), rough.policy.parameters(), strict=True))
        assert all(q.dtype == torch.float32 for _, q in pairs)
        difference = sum(float((p - q).detach().square().sum()) for p, q in pairs) ** 0.5
        assert 0 < difference < 0.05 * sum(float(p.detach().square().sum()) for p, _ in pairs) ** 0.5

    def test_a_precision_is_saved(self, bfloat16, tmp_path):
        agent(precision="bf16").save(tmp_path / "agent")
        assert RPPSAC.load(tmp_path / "agent").precision == "bf16"

    def test_bad_precisions_are_refused(self, monkeypatch):
        with pytest.raises(ValueError, match="unknown precision 'bf17': did you mean 'bf16'"):
            agent(precision="bf17")
        with pytest.raises(NetworkError, match="fast_update=True"):
            agent(precision="bf16", fast_update=False)
        monkeypatch.setattr("rpp_rl.agents.rpp_sac.fast_update.support.has_bfloat16", lambda device: False)
        with pytest.raises(NetworkError, match="no bfloat16 arithmetic"):
            agent(precision="bf16")

    def test_bfloat16_is_refused_for_unsupported_networks(self, bfloat16):
        with pytest.raises(NetworkError, match=r"activation GELU.*no precision='bf16' here"):
            agent("PlainPolicy", precision="bf16", policy_kwargs={"activation_fn": torch.nn.GELU})


def test_a_learning_rate_schedule_is_followed():
    rate = lambda left: 1e-2 * left  # noqa: E731
    one, other = (agent(learning_rate=rate, fast_update=fast).learn(40) for fast in (True, False))
    assert one._update is not None
    for p, q in zip(one.policy.parameters(), other.policy.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-2, atol=1e-3)


def test_learnt_and_fixed_temperatures_are_not_mixed():
    with pytest.raises(NetworkError, match="or none does"):
        value = torch.zeros(1, requires_grad=True)
        Temperature([value, torch.ones(1)], [torch.optim.Adam([value])], -1.0)
