"""Agents that learn from mirrored minibatches: learning, files, names."""

import copy
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from helpers import twins
from helpers.agents import SMALL, agent, assert_same_parameters, parameters
from helpers.augmented import (
    BUILDERS,
    CLASSES,
    NO_GPU,
    SYMMETRIES,
    TRIVIAL,
    augment,
    augment_td3,
    generators,
    global_generators,
)
from helpers.recorded_graphs import RecordedGraphs
from helpers.tasks import WHEELS, bicycle
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from stable_baselines3.sac.policies import SACPolicy

from rpp_rl.agents import RPPSAC, ManySeeds, RunCheckpoint, SymmetricVecNormalize, SymmetryCallback
from rpp_rl.agents.common.algorithms import algorithm, algorithm_names, register_algorithm
from rpp_rl.agents.common.augmentation import Augmentation
from rpp_rl.agents.common.building import build_agent
from rpp_rl.agents.common.checkpoints import newest_checkpoint
from rpp_rl.agents.common.checkpoints.agent_state import restore_agent
from rpp_rl.agents.rpp_sac.fast_update import cuda_graphs
from rpp_rl.envs import SymmetryWrapper
from rpp_rl.errors import NetworkError, RunError, SymmetryError

OPTIONS = [
    {},
    {"n_steps": 3},
    {"replay_buffer_class": ReplayBuffer, "optimize_memory_usage": True,
     "replay_buffer_kwargs": {"handle_timeout_termination": False}},
]  # fmt: skip


class TestLearning:
    @pytest.mark.parametrize("build", BUILDERS)
    def test_the_trivial_group_changes_nothing(self, build):
        found, states = [], []
        for on in (True, False):
            model = build(symmetry=TRIVIAL, augment=on)
            # Nothing is moved, not even by the identity.
            assert model._augmentation is None
            found.append(parameters(model.learn(80)))
            states.append(global_generators())
        assert_same_parameters(*found)
        assert torch.equal(*states)

    @pytest.mark.parametrize("build", BUILDERS)
    def test_other_random_streams_stay_as_they_are(self, build):
        actions, states = [], []
        for on in (True, False):
            actions.append(build(augment=on).learn(60).replay_buffer.actions[:21])
            states.append(global_generators())
        assert np.array_equal(*actions)
        assert torch.equal(*states)

    @pytest.mark.parametrize("options", OPTIONS)
    @pytest.mark.parametrize("task", ["bicycle", "reacher"])
    def test_the_fast_step_equals_stable_baselines3s(self, task, options):
        one, other = twins.twins("PlainPolicy", task, augment=True, **options)
        twins.assert_equal_after(one, other, 10, rtol=1e-3, loss_rtol=1e-3, batch_size=40)
        assert torch.equal(*generators(one, other))
        assert one._update is not None
        assert other._update is None

    def test_minibatches_are_moved_in_the_fast_step(self):
        model = augment().learn(60)
        drawn = []
        for on in (True, False):
            model._learner._augmentations = (model._augmentation,) if on else ()
            np.random.seed(0)
            model.train(1, 16)
            drawn.append(model._update.batch.rows.clone())
        moved, rows = drawn
        assert 0 < (moved != rows).any(dim=-1).sum() < 16
        assert torch.equal(moved[..., -2:], rows[..., -2:])

    @pytest.mark.parametrize("policy", ["RPPPolicy", "EquivariantPolicy"])
    def test_any_networks_learn(self, policy):
        plain, moved = (parameters(agent(policy, augment=on).learn(60)) for on in (False, True))
        assert any(not torch.equal(value, moved[name]) for name, value in plain.items())
        assert all(torch.isfinite(value).all() for value in moved.values())

    def test_td3_learns_from_moved_minibatches(self):
        plain, moved, again = (parameters(augment_td3(augment=on).learn(60)) for on in (False, True, True))
        assert any(not torch.equal(value, moved[name]) for name, value in plain.items())
        assert_same_parameters(moved, again)

    def test_each_agent_of_a_stack_learns_as_alone(self):
        seeds = [3, 1, 4]
        together = ManySeeds(lambda seed: augment(seed=seed), seeds)
        assert together.learn(120) == [None] * 3
        for seed, stacked in zip(seeds, together.agents, strict=True):
            alone = augment(seed=seed).learn(120)
            assert torch.equal(*generators(alone, stacked))
            for name, value in parameters(alone).items():
                torch.testing.assert_close(parameters(stacked)[name], value, rtol=1e-3, atol=1e-4)

    def test_a_graph_moves_minibatches_that_were_copied_to_it(self, monkeypatch):
        """Warming up and capturing leave the generator and the first minibatch as they were."""
        found = []
        for graphs in ({}, {"cpu": RecordedGraphs}):
            monkeypatch.setattr(cuda_graphs, "_GRAPHS", graphs)
            model, rows = augment(n_steps=3).learn(20), []
            for _ in range(4):
                model.train(1, 16)
                rows.append(model._update.batch.rows.clone())
            assert bool(model._learner._captured) is bool(graphs)
            found.append((torch.stack(rows), *generators(model)))
        assert all(map(torch.equal, *found))

    @pytest.mark.parametrize("where", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])])
    def test_a_graph_moves_minibatches_that_it_draws(self, monkeypatch, where):
        if where == "cpu":
            monkeypatch.setattr(cuda_graphs, "_GRAPHS", {"cpu": RecordedGraphs})
        model, expected = augment(device=where).learn(20), Augmentation(WHEELS, torch.device(where), 0)
        for _ in range(4):
            model.train(1, 16)
            elements = torch.empty(16, dtype=torch.int64, device=where)
            expected.draw(elements)
            # A mirror is its own inverse.
            rows = model._update.batch.rows[0].clone()
            rows[:, :10] = expected.moved(rows[:, :10], elements)
            stored = model.replay_buffer.rows()[:20]
            assert (rows[:, None] == stored).all(dim=-1).any(dim=-1).all()
        assert model._learner._captured
        assert torch.equal(*generators(model), expected.generator.get_state())

    def test_a_measurement_moves_nothing(self):
        measured = augment().learn(60, callback=SymmetryCallback(samples=8, freq=10))
        assert_same_parameters(parameters(measured), parameters(augment().learn(60)))

    def test_normalized_observations(self):
        model = augment(env=SymmetricVecNormalize(DummyVecEnv([bicycle]))).learn(60)
        assert model._augmentation.order == 2
        with pytest.warns(UserWarning, match="VecNormalize keeps statistics per entry"):
            augment(env=VecNormalize(DummyVecEnv([bicycle])))

    def test_moving_commutes_with_pooled_statistics(self):
        env = SymmetricVecNormalize(DummyVecEnv([lambda: SymmetryWrapper(gym.make("Bicycle-v0"), off_center())]))
        model = augment(env=env).learn(60)
        np.random.seed(0)
        raw = model.replay_buffer.sample(30)
        np.random.seed(0)
        seen = model.replay_buffer.sample(30, env)
        rows = torch.cat([seen.observations, seen.next_observations, seen.actions], dim=1)
        moved = model._augmentation.moved(rows, torch.ones(30, dtype=torch.int64))
        image = off_center().transform_observation(1, raw.observations).numpy()
        np.testing.assert_allclose(moved[:, :4], env.normalize_obs(image), rtol=1e-4, atol=1e-5)


def off_center():
    return SYMMETRIES["mirror about a point"]


class TestFiles:
    @pytest.mark.parametrize("build", BUILDERS)
    def test_a_resumed_run_equals_an_undisturbed_one(self, build, tmp_path):
        whole = build().learn(160)
        stopped = build().learn(90, callback=RunCheckpoint(tmp_path, save_freq=80))
        resumed = type(whole).resume(tmp_path, bicycle(), device="cpu")
        assert resumed.augment
        resumed.learn(160 - resumed.num_timesteps, reset_num_timesteps=False)
        assert_same_parameters(parameters(whole), parameters(resumed))
        assert stopped.num_timesteps == 90

    def test_an_agent_of_a_stack_resumes_alone(self, tmp_path):
        each = [RunCheckpoint(tmp_path / str(seed), 60) for seed in range(2)]
        ManySeeds(lambda seed: augment(seed=seed), range(2)).learn(90, each)
        for seed in range(2):
            resumed = RPPSAC.resume(tmp_path / str(seed), bicycle(), device="cpu")
            resumed.learn(120 - resumed.num_timesteps, reset_num_timesteps=False)
            whole = augment(seed=seed).learn(120)
            for name, value in parameters(whole).items():
                torch.testing.assert_close(parameters(resumed)[name], value, rtol=1e-3, atol=1e-4)
            assert torch.equal(*generators(whole, resumed))

    def test_checkpoints_without_a_generator_and_with_a_wrong_one(self, tmp_path):
        augment().learn(60, callback=RunCheckpoint(tmp_path, save_freq=50))
        state = newest_checkpoint(tmp_path)[1]["agent"]
        model = augment()
        fresh = generators(model)[0]
        assert not torch.equal(state["augmentation"], fresh)
        for saved in (None, torch.zeros(16, dtype=torch.uint8)):
            restore_agent(model, {**state, "augmentation": saved})
            assert torch.equal(*generators(model), fresh)
        del state["augmentation"]
        restore_agent(model, state)
        for wrong in ("gone", torch.zeros(5056), torch.full((5056,), 255, dtype=torch.uint8)):
            with pytest.raises(RunError):
                restore_agent(model, {**state, "augmentation": wrong})

    @pytest.mark.parametrize("build", CLASSES)
    def test_a_saved_agent_keeps_it(self, build, tmp_path):
        model = build().learn(40)
        model.save(tmp_path / "agent")
        again = type(model).load(tmp_path / "agent", device="cpu")
        assert again.augment
        assert again._augmentation.order == 2
        again = type(model).load(tmp_path / "agent", env=bicycle(), device="cpu")
        again.learn(40)
        assert again._n_updates > model._n_updates
        assert not type(model).load(tmp_path / "agent", device="cpu", augment=False).augment

    def test_agents_saved_without_it_load(self, tmp_path):
        model = agent("PlainPolicy")
        del model.augment
        model.save(tmp_path / "agent")
        again = RPPSAC.load(tmp_path / "agent", env=bicycle(), device="cpu")
        assert not again.augment
        assert RPPSAC.load(tmp_path / "agent", env=bicycle(), device="cpu", augment=True)._augmentation is not None

    def test_a_copy_draws_the_same_elements(self):
        model = augment().learn(30)
        twin = copy.deepcopy(model)
        for each in (model, twin):
            np.random.seed(0)
            torch.manual_seed(0)
            each.train(3, 16)
        assert_same_parameters(parameters(model), parameters(twin))

    def test_the_seed_can_be_set_again(self):
        model = augment(seed=7)
        state = generators(model)[0]
        model.learn(40)
        model.set_random_seed(None)
        assert not torch.equal(*generators(model), state)
        model.set_random_seed(7)
        assert torch.equal(*generators(model), state)


class Words(ReplayBuffer):
    def sample(self, *args, **kwargs):
        return tuple(super().sample(*args, **kwargs))


class TestNamesAndErrors:
    @pytest.mark.parametrize("name", ["augment_sac", "augment_td3"])
    def test_the_algorithms_have_names(self, name):
        use = algorithm(name)
        assert (use.use, use.policy, use.needs_symmetry, use.uses_symmetry) == ("augment", "PlainPolicy", True, True)
        values = {"learning_starts": 10, "policy_kwargs": SMALL}
        model = build_agent(use, bicycle(), seed=0, device="cpu", verbose=0, values=values)
        assert model.augment
        assert model.symmetry == WHEELS
        assert set(model.policy.kinds.values()) == {"plain"}
        plain = algorithm(name.replace("augment", "mlp"))
        assert not build_agent(plain, bicycle(), seed=0, device="cpu", verbose=0, values=values).augment

    @pytest.mark.slow
    def test_the_command_line_trains_and_resumes(self, main):
        words = ("train", "--env", "InvertedPendulum-v5", "--algo", "augment_sac", "--eval-episodes", 1)
        small = ("-params", "learning_starts:50", "batch_size:16", "policy_kwargs:{net_arch: [16, 16]}")
        code, out, err = main(*words, "-n", 120, "--save-freq", 60, *small)
        assert code == 0, err
        assert "a baseline" in out
        assert main(*words, "-n", 160, "-f", "whole", *small)[0] == 0
        run = "runs/InvertedPendulum-v5/augment_sac/seed0"
        code, _, err = main("train", "--resume", run, "-n", 160)
        assert code == 0, err
        agents = [RPPSAC.load(f"{f}/InvertedPendulum-v5/augment_sac/seed0/model.zip") for f in ("runs", "whole")]
        assert all(each.augment and each.symmetry.group.order == 2 for each in agents)
        assert_same_parameters(*map(parameters, agents))
        assert Path(run, "audit.json").is_file()
        code, out, err = main("compare", "runs")
        assert code == 0, err
        assert "augment_sac" in out

    def test_a_class_without_the_argument_gets_no_such_name(self, monkeypatch):
        class Short(RPPSAC):
            def __init__(self, policy, env, **kwargs):
                super().__init__(policy, env, **kwargs)

        monkeypatch.setattr("rpp_rl.agents.common.algorithms._REGISTERED", {})
        register_algorithm("short", Short, baseline=RPPSAC, hyperparams=None)
        assert "augment_short" not in algorithm_names()
        assert "mlp_short" in algorithm_names()

    def test_the_declared_symmetry_is_taken(self):
        small = {"learning_starts": 5, "buffer_size": 100, "policy_kwargs": SMALL}
        assert RPPSAC("PlainPolicy", "Reacher-v5", augment=True, **small).symmetry is not None
        assert RPPSAC("PlainPolicy", "Reacher-v5", **small).symmetry is None
        assert RPPSAC("PlainPolicy", gym.make("Bicycle-v0"), augment=True, **small).symmetry == WHEELS

    def test_errors(self):
        with pytest.raises(SymmetryError, match="leave out augment=True"):
            RPPSAC("PlainPolicy", "Pendulum-v1", augment=True)
        with pytest.raises(SymmetryError, match="needs the policy's symmetry, and SACPolicy has none"):
            RPPSAC(SACPolicy, bicycle(), augment=True)
        with pytest.raises(RunError, match="augment must be True or False, got 'yes'"):
            agent(augment="yes")
        with pytest.raises(NetworkError, match=r"same augment, got \[False, True\]"):
            ManySeeds(lambda seed: agent(seed=seed, augment=bool(seed)), [0, 1])
        with pytest.raises(RunError, match="but Words samples tuple; use another replay_buffer_class"):
            augment(fast_update=False, replay_buffer_class=Words).learn(30)
