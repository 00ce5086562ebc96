import pytest
import torch
from helpers.agents import SMALL, agent, observations
from helpers.tasks import WHEELS, bicycle
from stable_baselines3 import SAC

from rpp_rl import residual_shares
from rpp_rl.agents import RPPPolicy
from rpp_rl.agents.common.callbacks import actor_error
from rpp_rl.agents.common.hyperparameters import hyperparameters
from rpp_rl.errors import RPPError

PATHWAYS = {"parametrization": "pathways"}
PAPER = {"parametrization": "pathways", "steps": "published"}


class TestPriors:
    def test_each_parameter_is_in_one_group_with_its_strength(self):
        model = agent(
            actor_equiv_wd=0.1, actor_basic_wd=0.2, critic_equiv_wd=0.3, critic_basic_wd=0.4,
            parametrization="pathways", steps="orthonormal",
        )  # fmt: skip
        for network, (equiv, basic) in {"actor": (0.1, 0.2), "critic": (0.3, 0.4)}.items():
            module = getattr(model, network)
            groups = module.optimizer.param_groups
            listed = [p for g in groups for p in g["params"]]
            assert len(listed) == len(set(listed))
            assert set(listed) == set(module.parameters())
            assert {g["pathway"]: g["weight_decay"] for g in groups} == {"equiv": 2 * equiv, "basic": 2 * basic}

    def test_defaults_beside_two_pathways_are_the_papers(self):
        model = agent(**PAPER)
        assert (model.policy.priors["actor"].equiv_wd, model.policy.priors["actor"].basic_wd) == (1e-6, 1e-6)
        assert (model.policy.priors["critic"].equiv_wd, model.policy.priors["critic"].basic_wd) == (0, 0)

    def test_a_strong_prior_on_the_residual_keeps_the_agent_symmetric(self):
        free, bound = agent(), agent(actor_basic_wd=10.0, critic_basic_wd=10.0)
        for model in (free, bound):
            model.learn(400)
        for name in ("actor", "critic"):
            left, kept = (residual_shares(getattr(model, name)).values() for model in (free, bound))
            assert sum(kept) < 0.3 * sum(left)
        x, _ = observations(free)
        assert actor_error(bound, WHEELS, x) < actor_error(free, WHEELS, x)

    def test_terms_are_logged_apart(self):
        model = agent(actor_equiv_wd=0.5, critic_basic_wd=0.25, **PAPER)
        model.learn(130)
        logged = {}
        model.logger.record = lambda key, value, exclude=None: logged.update({key: value})
        model.dump_logs()
        weights = [m.pathway_weights() for m in model.actor.modules() if hasattr(m, "pathway_weights")]
        biases = [m.equivariant_bias() for m in model.actor.modules() if hasattr(m, "equivariant_bias")]
        squares = sum(p.detach().square().sum() for p in [*(w["equiv"] for w in weights), *biases])
        assert logged["train/prior_actor_equiv"] == pytest.approx(0.5 * float(squares), rel=1e-5)
        squares = sum(p.detach().square().sum() for n, p in model.critic.named_parameters() if n.endswith("_basic"))
        assert logged["train/prior_critic_basic"] == pytest.approx(0.25 * float(squares), rel=1e-5)

    def test_a_common_weight_decay_is_added(self):
        model = agent(actor_basic_wd=0.5, policy_kwargs={"optimizer_kwargs": {"weight_decay": 0.25}, **SMALL}, **PAPER)
        assert {g["pathway"]: g["weight_decay"] for g in model.actor.optimizer.param_groups}["basic"] == 1.25

    @pytest.mark.parametrize("fast", [True, False])
    @pytest.mark.parametrize(
        ("kwargs", "actor_ratio", "critic_ratio"),
        [
            ({}, 1.0, 1.0),
            ({"residual_step_ratio": 0.1}, 0.1, 0.1),
            ({"actor_equiv_wd": 1e-2, "actor_basic_wd": 1.0}, 0.1, 1.0),
            ({"actor_basic_wd": 1.0, "residual_step_ratio": 0.5}, 0.5, 0.5),
            ({"residual_step_ratio": 0.0}, 0.0, 0.0),
        ],
    )
    def test_the_residual_steps_in_proportion(self, fast, kwargs, actor_ratio, critic_ratio):
        """Adam's first step moves an entry by its learning rate, here 1e-3, whatever the gradient."""
        model = agent(fast_update=fast, learning_starts=50, learning_rate=1e-3, **PAPER, **kwargs)
        model.learn(50)
        before = {k: v.detach().clone() for k, v in model.policy.named_parameters()}
        model.train(1, batch_size=32)
        moved = {k: float((v.detach() - before[k]).abs().max()) for k, v in model.policy.named_parameters()}
        for network, ratio in (("actor.mu", actor_ratio), ("critic.qf0.2", critic_ratio)):
            assert moved[f"{network}.weight_equiv"] == pytest.approx(1e-3, rel=1e-2)
            assert moved[f"{network}.weight_basic"] == pytest.approx(1e-3 * ratio, rel=1e-2, abs=1e-9)
        assert {g["lr"] for g in model.actor.optimizer.param_groups} == {1e-3}

    def test_a_ratio_survives_saving_and_is_stable_baselines3s_too(self, tmp_path):
        model = agent(residual_step_ratio=0.2, residual_prior="none")
        model.learn(40)
        model.save(tmp_path / "agent")
        again = type(model).load(tmp_path / "agent")
        assert again.policy.residual_step_ratio == 0.2
        assert {g["pathway"]: g["lr_ratio"] for g in again.critic.optimizer.param_groups}["basic"] == 0.2
        plain = SAC(
            *(RPPPolicy, bicycle()),
            policy_kwargs={"symmetry": WHEELS, "residual_step_ratio": 0.2, "residual_prior": "none", **SMALL},
            seed=0,
        )
        before = plain.actor.mu.weight_basic.detach().clone()
        plain.learn(101)
        assert float((plain.actor.mu.weight_basic.detach() - before).abs().max()) == pytest.approx(6e-5, rel=1e-2)

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"residual_step_ratio": -1.0}, "must be a finite number of at least 0"),
            ({"residual_step_ratio": float("nan")}, "must be a finite number of at least 0"),
            ({"residual_step_ratio": 0.5, "actor": "plain", "critic": "equivariant"}, "neither network has"),
            ({"actor": "equivariant", "actor_basic_wd": 1.0}, "does not have"),
            ({"critic": "plain", "critic_equiv_wd": 1.0}, "does not have"),
            ({"actor_basic_wd": -1.0}, "must be a finite number of at least 0"),
            (
                {"policy_kwargs": {"optimizer_class": torch.optim.AdamW}, "steps": "orthonormal", **PATHWAYS},
                "AdamW does not add its weight decay",
            ),
            (
                {"policy_kwargs": {"optimizer_class": torch.optim.Adafactor}, "steps": "orthonormal", **PATHWAYS},
                "Adafactor does not add its weight decay",
            ),
            ({"residual_budget": 0.1, "actor": "plain", "critic": "plain"}, "neither network has"),
            ({"residual_prior": "decays"}, "unknown residual prior 'decays'"),
            ({"residual_budget": -0.1}, "must be a number > 0, got -0.1"),
            ({"residual_budget": True}, "got 'True'"),
            ({"residual_budget": {"actor": True}}, "got 'True'"),
            ({"residual_budget": {"actor": "0.1"}}, "got '0.1'"),
            ({"residual_budget": object()}, "must be a number > 0, or one for each layer, got '<object"),
            ({"residual_budget": {"actor": 0.1}, "actor": "plain"}, "for the actor, which has no residual"),
            ({"residual_budget": 0.1, "residual_prior": "none"}, "has no effect"),
            ({"residual_prior": 5}, "unknown residual prior '5'"),
            ({"steps": 1}, "unknown kind of steps '1'"),
            ({"residual_budget": [0.1, 0.2], "policy_kwargs": {"net_arch": []}}, "2 values for a network of 1 layers"),
            ({"residual_budget": {"actr": 0.1}}, "unknown network in residual_budget 'actr'"),
            ({"residual_budget": [0.1, 0.2]}, "2 values for a network of 3 layers"),
            ({"residual_prior": "projection", "residual_budget": 1.0}, "below 1"),
            (
                {"residual_prior": "dual", "policy_kwargs": {"optimizer_class": torch.optim.SGD}},
                "dual ascent reads the averages that Adam keeps",
            ),
            (
                {"residual_budget": 0.1, "policy_kwargs": {"optimizer_class": torch.optim.SGD}},
                "residual_budget has no effect with residual_prior='none'",
            ),
            ({"steps": "published"}, "give parametrization='pathways'"),
            ({"parametrization": "pathway"}, "unknown parametrization 'pathway'"),
        ],
    )
    def test_priors_without_effect_are_refused(self, kwargs, message):
        with pytest.raises(RPPError, match=message):
            agent(**kwargs)

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("1e-2", 0.01),
            (["1e-2", 0.1, 1], [0.01, 0.1, 1.0]),
            ({"actor": "1e-2", "critic": [0.1, "2e-1", 0.3]}, {"actor": 0.01, "critic": [0.1, 0.2, 0.3]}),
        ],
    )
    def test_a_budget_is_read_from_yaml(self, given, expected):
        """YAML reads 1e-2, without a dot, as text."""
        values = hyperparameters("rpp_sac", "Bicycle-v0", {"residual_budget": given})
        assert agent(residual_budget=values["residual_budget"]).policy.residual_budget == expected
