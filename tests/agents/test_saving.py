import copy

import numpy as np
import pytest
import torch
from helpers.agents import POLICIES, agent, assert_same_parameters, parameters
from helpers.tasks import WHEELS, bicycle

from rpp_rl.agents import RPPSAC, EquivariantPolicy, PlainPolicy, RPPPolicy
from rpp_rl.errors import NetworkError
from rpp_rl.pathway_optimizers import rules_of


class TestSaving:
    @pytest.mark.parametrize("policy", POLICIES)
    def test_a_loaded_agent_equals_the_saved_one(self, policy, tmp_path):
        model = agent(
            policy,
            residual_init_scale=0.01,
            policy_kwargs={"net_arch": {"pi": [16, 8], "qf": [24]}, "activation_fn": torch.nn.Tanh, "n_critics": 3},
        )
        model.learn(40)
        model.save(tmp_path / "agent")
        for env in (None, bicycle()):
            again = RPPSAC.load(tmp_path / "agent", env=env, device="auto")
            assert_same_parameters(parameters(again), parameters(model))
            assert again.symmetry == model.symmetry
            assert again.policy.residual_init_scale == 0.01
            x = np.random.default_rng(0).standard_normal((5, 4))
            np.testing.assert_array_equal(
                again.predict(x, deterministic=True)[0], model.predict(x, deterministic=True)[0]
            )
        again.learn(40, reset_num_timesteps=False)
        assert again.num_timesteps == 80

    def test_a_file_names_what_later_defaults_could_change(self, tmp_path):
        agent(learning_starts=5).learn(10).save(tmp_path / "agent")
        noted = {"parametrization": "orthogonal", "steps": "equal", "residual_prior": "decay", "residual_budget": 0.1}
        again = RPPSAC.load(tmp_path / "agent", device="cpu")
        assert {name: again.policy_kwargs[name] for name in noted} == noted
        plain = agent("PlainPolicy", learning_starts=5).learn(10)
        assert "residual_budget" not in plain.policy_kwargs

    def test_optimizer_state_and_priors_survive(self, tmp_path):
        model = agent(actor_equiv_wd=0.1, actor_basic_wd=0.2, critic_equiv_wd=0.3, critic_basic_wd=0.4)
        model.learn(40)
        model.save(tmp_path / "agent")
        again = RPPSAC.load(tmp_path / "agent", env=bicycle(), device="auto")
        for name in ("actor", "critic"):
            one, other = (getattr(m, name).optimizer.state_dict() for m in (model, again))
            assert one["param_groups"] == other["param_groups"]
            assert again.policy.priors[name] == model.policy.priors[name]
            for key, state in one["state"].items():
                torch.testing.assert_close(state["exp_avg"], other["state"][key]["exp_avg"])

    def test_parameters_of_another_agent_leave_the_priors_alone(self, tmp_path):
        """An option cannot be changed by `load`, and its message sends a user here."""
        agent(residual_budget=0.1, critic_basic_wd=0.2, residual_step_ratio=0.5).learn(40).save(tmp_path / "agent")
        saved = RPPSAC.load(tmp_path / "agent", device="cpu")
        for options in ({"residual_budget": 0.5}, {"residual_prior": "none"}, {"actor_equiv_wd": 0.3}):
            own = agent(seed=3, **options)
            own.set_parameters(saved.get_parameters(), device="cpu")
            fresh = agent(**options)
            for name in ("actor", "critic"):
                given, expected = (getattr(a, name).optimizer for a in (own, fresh))
                for one, other in zip(given.param_groups, expected.param_groups, strict=True):
                    assert (one["weight_decay"], one["lr_ratio"]) == (other["weight_decay"], other["lr_ratio"])
                rules = rules_of(given)
                assert rules.kind == options.get("residual_prior", "decay")
                allowed = [rms for group in given.param_groups for _, rms in rules.residuals_of(group)]
                groups = getattr(saved, name).optimizer.param_groups
                pairs = [pair for g in groups for pair in zip(g["params"], g.get("initial_rms", ()))]  # noqa: B905
                start = [rms for p, rms in pairs if p.numel()]
                budget = options.get("residual_budget", 0.1)
                assert allowed == ([] if rules.kind == "none" else pytest.approx([budget * rms for rms in start]))
            own.learn(30)

    def test_custom_objects_replace_saved_ones(self, tmp_path):
        model = agent()
        model.learn(30)
        model.save(tmp_path / "agent")
        again = RPPSAC.load(tmp_path / "agent", device="cpu", custom_objects={"learning_rate": 1e-5, "gamma": 0.5})
        assert (again.gamma, again.learning_rate) == (0.5, 1e-5)
        fresh = agent(seed=3)
        fresh.set_parameters(model.get_parameters(), device="auto")
        assert_same_parameters(parameters(fresh), parameters(model))
        fresh.set_parameters(str(tmp_path / "agent.zip"), device="auto")
        same = {"policy_kwargs": copy.deepcopy(model.policy_kwargs)}
        RPPSAC.load(tmp_path / "agent", device="auto", **same)
        for option in ({"symmetry": WHEELS}, {"actor_basic_wd": 1.0}):
            with pytest.raises(NetworkError, match="cannot be changed by load"):
                RPPSAC.load(tmp_path / "agent", **option)
        with pytest.raises(ValueError, match="policy kwargs"):
            RPPSAC.load(tmp_path / "agent", device="auto", policy_kwargs={"net_arch": [1]})

    @pytest.mark.parametrize("policy", [RPPPolicy, EquivariantPolicy, PlainPolicy])
    def test_a_policy_is_saved_alone(self, policy, tmp_path):
        model = agent(policy, residual_init_scale=0.02, critic="plain")
        model.policy.save(str(tmp_path / "policy.pt"))
        again = policy.load(str(tmp_path / "policy.pt"), device="auto")
        assert_same_parameters(again.state_dict(), model.policy.state_dict())
        assert (again.kinds, again.priors, again.residual_init_scale) == (
            model.policy.kinds,
            model.policy.priors,
            0.02,
        )

    def test_a_replay_buffer_is_saved(self, tmp_path):
        model = agent()
        model.learn(30)
        model.save_replay_buffer(tmp_path / "buffer")
        again = agent()
        again.load_replay_buffer(tmp_path / "buffer")
        assert again.replay_buffer.size() == 30

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
    def test_an_agent_moves_between_devices(self, tmp_path):
        model = agent(device="cuda")
        model.learn(40)
        model.save(tmp_path / "agent")
        again = RPPSAC.load(tmp_path / "agent", device="cpu")
        assert_same_parameters(parameters(again), parameters(model))
        assert str(model.device).startswith("cuda")
