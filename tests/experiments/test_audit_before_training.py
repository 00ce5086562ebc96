"""What the check before training refuses: agents that cannot learn where a wrong map fails."""

import pytest

from rpp_rl.envs.auditing.report import EXPECTED, Verdict, dynamics_verdict
from rpp_rl.errors import RunError
from rpp_rl.experiments import RunConfig, train


def config(tmp_path, algo, **settings):
    """A short run on a map of the paper that the simulator contradicts."""
    hyperparams = {"learning_starts": 10, "policy_kwargs": {"net_arch": [8]}}
    given = {"env": "Swimmer-v5", "symmetry": "rpp2021", "n_timesteps": 30, "eval_episodes": 1, "eval_freq": 1000}
    return RunConfig(algo=algo, hyperparams=hyperparams, log_folder=tmp_path, **{**given, **settings})


@pytest.mark.parametrize("algo", ["equivariant_sac", "augment_td3"])
@pytest.mark.parametrize(("env", "fault"), [("Ant-v5", "mis-specified"), ("Swimmer-v5", "'sagittal' fits better")])
def test_a_wrong_map_is_refused_where_it_would_be_imposed(tmp_path, algo, env, fault):
    with pytest.raises(RunError, match=rf"{fault}.*train rpp_(sac|td3), or add --force"):
        train(config(tmp_path, algo, env=env))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("algo", "settings"), [("equivariant_sac", {"force": True}), ("rpp_sac", {})])
def test_it_is_used_where_the_agent_can_learn_the_rest_or_the_user_insists(tmp_path, algo, settings, capsys):
    run = train(config(tmp_path, algo, **settings))
    assert run.audit["better"]
    assert "'sagittal' fits better" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("median", "verdict"),
    [
        (0.0, "exact"),
        (0.04, "near-exact"),
        (0.06, "approximate"),
        (0.29, "approximate"),
        (0.31, "weak"),
        (1.5, "mis-specified"),
    ],
)
def test_verdicts_split_where_users_decide_differently(median, verdict):
    assert str(dynamics_verdict(median, median)) == verdict


def test_each_verdict_says_what_to_expect_of_each_use():
    assert set(EXPECTED) == set(Verdict)
    for verdict in (Verdict.EXACT, Verdict.NEAR_EXACT, Verdict.APPROXIMATE, Verdict.WEAK):
        assert all(word in EXPECTED[verdict] for word in ("exact networks", "residual", "mirrored data"))
