"""An agent that diverges is named as the cause, and the last finite one is kept."""

import math
import time

import numpy as np
import pytest
import torch
from helpers.agents import SMALL, agent, assert_same_parameters, parameters
from helpers.runs import PENDULUM
from helpers.tasks import bicycle
from helpers.trees import change_document
from stable_baselines3.common.vec_env import DummyVecEnv

from rpp_rl.agents import RPPSAC, RPPTD3, FiniteCheck, FiniteVecEnv
from rpp_rl.agents.common.finite_checks import is_finite
from rpp_rl.errors import DivergedError, NonFiniteError, RPPError, RunError

DIVERGING = ("-n", 300, "--no-audit", "--save-freq", 50, "-params", "learning_starts:60", "batch_size:16")


def test_an_agent_that_diverges_is_named_and_its_last_finite_parameters_are_put_back():
    model = agent(learning_rate=1e12)
    before = parameters(model)
    check = FiniteCheck()
    with pytest.raises(DivergedError, match=r"the agent diverged at step \d+"):
        model.learn(200, check)
    assert not is_finite(model)
    assert check.put_back(model) == 0
    assert is_finite(model)
    assert_same_parameters(parameters(model), before)


def test_the_environment_is_blamed_only_while_the_agent_is_finite():
    with pytest.raises(NonFiniteError, match="the environment gave"):
        agent(env=bicycle(fault="observation")).learn(100)
    model = agent(env=bicycle(fault="observation"), learning_starts=1000)

    def spoil(given, _):
        if given["self"].num_timesteps == 10:
            with torch.no_grad():
                next(model.critic.parameters()).fill_(math.nan)
        return True

    with pytest.raises(DivergedError, match="the agent diverged at step 20"):
        model.learn(100, spoil)


def test_an_agent_that_is_not_finite_is_not_saved(tmp_path):
    model = agent()
    model.save(tmp_path / "agent")
    whole = (tmp_path / "agent.zip").read_bytes()
    with torch.no_grad():
        next(model.actor.parameters()).fill_(math.inf)
    with pytest.raises(RunError, match="the agent is not saved, since it holds a NaN or an infinity in policy"):
        model.save(tmp_path / "agent")
    assert (tmp_path / "agent.zip").read_bytes() == whole


@pytest.mark.parametrize("algo", ["rpp_sac", "sac", "rpp_td3"])
def test_a_run_that_diverges_leaves_a_model_that_loads(main, tmp_path, algo):
    code, _, err = main(*PENDULUM, "--algo", algo, *DIVERGING, "learning_rate:1.0e+12")
    assert code == 2
    assert "the agent diverged at step" in err
    assert "the last finite agent, of step" in err
    assert "environment gave" not in err
    run = tmp_path / "runs/InvertedPendulum-v5" / algo / "seed0"
    assert main("evaluate", run, "-n", 1)[0] == 0
    assert [path.name for path in sorted((run / "checkpoints").glob("step_*"))] == ["step_000000000050"]


def test_of_several_seeds_only_the_one_that_diverges_stops(main, tmp_path, monkeypatch):
    original = RPPSAC._note_steps

    def spoil(self, *args):
        original(self, *args)
        if self.seed == 1:
            with torch.no_grad():
                self.actor.mu.weight_basic.fill_(math.nan)

    monkeypatch.setattr(RPPSAC, "_note_steps", spoil)
    code, _, err = main(*PENDULUM, "--seeds", "0-1", *DIVERGING)
    assert code == 2
    assert "the agent diverged" in err
    runs = tmp_path / "runs/InvertedPendulum-v5/rpp_sac"
    assert (runs / "seed0/evaluation.json").exists()
    assert not (runs / "seed1/evaluation.json").exists()


def test_an_evaluation_without_end_is_stopped_when_the_run_is_asked_to_stop(monkeypatch):
    monkeypatch.setattr("rpp_rl.agents.common.finite_checks.PATIENCE", 0.1)
    asked = [False]
    env = FiniteVecEnv(DummyVecEnv([bicycle]), stop=lambda: asked[0])
    env.reset()
    for _ in range(5):
        env.step(np.zeros((1, 2)))
    asked[0] = True
    env.step(np.zeros((1, 2)))
    time.sleep(0.2)
    with pytest.raises(KeyboardInterrupt):
        env.step(np.zeros((1, 2)))


REFUSED = [
    *(("gamma", value) for value in (math.nan, 2, -1)),
    *(("tau", value) for value in (5, -0.1, math.nan)),
    *(("learning_rate", value) for value in (-1e-3, math.nan, math.inf)),
    *(("batch_size", value) for value in (0, 2.5, True)),
    *(("buffer_size", 0), ("learning_starts", -1), ("gradient_steps", -2), ("train_freq", 0), ("n_steps", 0)),
]
OF_SAC = [
    *(("ent_coef", value) for value in (math.nan, -1.0, "auto_x", "automatic")),
    *(("target_entropy", value) for value in (math.inf, math.nan)),
    ("target_update_interval", 0),
]
OF_TD3 = [("policy_delay", 0), ("target_policy_noise", -1.0), ("target_noise_clip", math.nan)]


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [*((RPPSAC, *case) for case in REFUSED + OF_SAC), *((RPPTD3, *case) for case in REFUSED + OF_TD3)],
)
def test_arguments_without_sense_are_refused_when_the_agent_is_made(cls, name, value):
    with pytest.raises(RPPError, match=name):
        cls("RPPPolicy", bicycle(), policy_kwargs=SMALL, device="cpu", **{"buffer_size": 100, name: value})


@pytest.mark.parametrize("algo", ["rpp_sac", "sac"])
@pytest.mark.parametrize("given", ["gamma:.nan", "tau:5", "target_entropy:.inf", "ent_coef:.nan", "n_steps:0"])
def test_the_command_line_refuses_them_too(refused, algo, given):
    assert given.partition(":")[0] in refused(*PENDULUM, "--algo", algo, "-n", 10, "-params", given)


@pytest.mark.parametrize(
    "header",
    [
        {"pos": math.inf},
        {"pos": -1},
        {"buffer_size": 10**12},
        {"added": -5},
        {"added": 31},
        {"added": 10**30},
        {"n_envs": "x"},
    ],
)
def test_transitions_that_are_refused_leave_those_of_the_agent(tmp_path, header):
    model = agent()
    model.learn(30)
    model.save_replay_buffer(tmp_path / "buffer")
    change_document(tmp_path / "buffer.zip", lambda value: value["header"].update(header))
    before = model.replay_buffer.storage.clone()
    with pytest.raises(RPPError):
        model.load_replay_buffer(tmp_path / "buffer")
    assert torch.equal(model.replay_buffer.storage, before)
    assert model.replay_buffer.added == 30


@pytest.mark.parametrize("moment", ["exp_avg", "step"])
def test_an_optimiser_state_of_another_shape_is_refused_and_changes_nothing(moment):
    model = agent()
    model.learn(40)
    before = parameters(model)
    given = agent(seed=1).get_parameters()
    given["actor.optimizer"] = model.get_parameters()["actor.optimizer"]
    given["actor.optimizer"]["state"][0][moment] = torch.zeros(3)
    with pytest.raises(RunError, match=rf"actor.optimizer: {moment} of parameter 0"):
        model.set_parameters(given)
    assert_same_parameters(parameters(model), before)
    assert np.isfinite(model.predict(np.zeros(4, np.float32))[0]).all()
