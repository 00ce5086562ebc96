import pytest
import torch
from helpers.agents import SMALL, agent, observations
from helpers.tasks import WHEELS

from rpp_rl import residual_shares
from rpp_rl.agents.callbacks import actor_error
from rpp_rl.errors import NetworkError


class TestPriors:
    def test_each_parameter_is_in_one_group_with_its_strength(self):
        model = agent(actor_equiv_wd=0.1, actor_basic_wd=0.2, critic_equiv_wd=0.3, critic_basic_wd=0.4)
        for network, (equiv, basic) in {"actor": (0.1, 0.2), "critic": (0.3, 0.4)}.items():
            module = getattr(model, network)
            groups = module.optimizer.param_groups
            listed = [p for g in groups for p in g["params"]]
            assert len(listed) == len(set(listed))
            assert set(listed) == set(module.parameters())
            assert {g["pathway"]: g["weight_decay"] for g in groups} == {"equiv": 2 * equiv, "basic": 2 * basic}

    def test_defaults_are_the_papers(self):
        model = agent()
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
        model = agent(actor_equiv_wd=0.5, critic_basic_wd=0.25)
        model.learn(130)
        logged = {}
        model.logger.record = lambda key, value, exclude=None: logged.update({key: value})
        model.dump_logs()
        squares = sum(p.detach().square().sum() for n, p in model.actor.named_parameters() if n.endswith("_equiv"))
        assert logged["train/prior_actor_equiv"] == pytest.approx(0.5 * float(squares), rel=1e-5)
        squares = sum(p.detach().square().sum() for n, p in model.critic.named_parameters() if n.endswith("_basic"))
        assert logged["train/prior_critic_basic"] == pytest.approx(0.25 * float(squares), rel=1e-5)

    def test_a_common_weight_decay_is_added(self):
        model = agent(actor_basic_wd=0.5, policy_kwargs={"optimizer_kwargs": {"weight_decay": 0.25}, **SMALL})
        assert {g["pathway"]: g["weight_decay"] for g in model.actor.optimizer.param_groups}["basic"] == 1.25

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"actor": "equivariant", "actor_basic_wd": 1.0}, "does not have"),
            ({"critic": "mlp", "critic_equiv_wd": 1.0}, "does not have"),
            ({"actor_basic_wd": -1.0}, "must be a number >= 0"),
            ({"policy_kwargs": {"optimizer_class": torch.optim.AdamW}}, "AdamW does not add its weight decay"),
            ({"policy_kwargs": {"optimizer_class": torch.optim.Adafactor}}, "Adafactor does not add its weight decay"),
        ],
    )
    def test_priors_without_effect_are_refused(self, kwargs, message):
        with pytest.raises(NetworkError, match=message):
            agent(**kwargs)
