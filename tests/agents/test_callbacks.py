import numpy as np
import pytest
from helpers.agents import agent, assert_same_parameters, parameters
from helpers.tasks import bicycle
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from rpp_rl.agents import SymmetryCallback


def test_learn_takes_callbacks_progress_and_tensorboard(tmp_path):
    calls = []

    class Count(BaseCallback):
        def _on_step(self):
            calls.append(self.num_timesteps)
            return True

    for callback in (Count(), [Count()], lambda _locals, _globals: calls.append(0) or True, None):
        model = agent(tensorboard_log=str(tmp_path / "tb"))
        model.learn(30, callback=callback, progress_bar=callback is None)
    assert len(calls) == 90
    assert len(list((tmp_path / "tb").glob("SAC_*/events*"))) == 4
    evaluation = EvalCallback(
        VecMonitor(DummyVecEnv([bicycle])), eval_freq=10, log_path=str(tmp_path), callback_after_eval=SymmetryCallback()
    )
    agent().learn(40, callback=[evaluation, CheckpointCallback(20, str(tmp_path), "agent")])
    assert np.load(tmp_path / "evaluations.npz")["timesteps"].tolist() == [10, 20, 30, 40]
    assert (tmp_path / "agent_40_steps.zip").exists()


class TestSymmetryCallback:
    def measured(self, model):
        callback = SymmetryCallback(samples=64)
        callback.init_callback(model)
        return callback.measure()

    def test_by_itself_it_measures_now_and_then_and_after_evaluations_each_time(self, monkeypatch):
        steps = []
        measure = SymmetryCallback.measure
        monkeypatch.setattr(SymmetryCallback, "measure", lambda self: steps.append(self.num_timesteps) or measure(self))
        callback = SymmetryCallback(samples=8, freq=20)
        agent().learn(60, callback=callback)
        assert steps == [1, 21, 41]
        steps.clear()
        agent().learn(30, callback=callback)  # its steps start at zero
        assert steps == [1, 21]
        steps.clear()
        after = SymmetryCallback(samples=8, freq=1000)
        agent().learn(60, EvalCallback(VecMonitor(DummyVecEnv([bicycle])), eval_freq=25, callback_after_eval=after))
        assert steps == [25, 50]

    def test_tags(self):
        model = agent()
        model.learn(40)
        values = self.measured(model)
        shares = {k for k in values if k.endswith("/residual_share")}
        assert {"actor/mu/residual_share", "actor/latent_pi.0/residual_share", "critic/qf1.4/residual_share"} <= shares
        measures = {"residual_rms", "residual_budget", "signal_to_noise"}
        others = {f"{k.removesuffix('residual_share')}{measure}" for k in shares for measure in measures}
        assert values.keys() - shares == {"actor_equivariance_error", "critic_invariance_error", *others}
        assert values["actor/mu/residual_budget"] == pytest.approx(
            0.1 * model.actor.optimizer.param_groups[1]["initial_rms"][4]
        )
        assert all(0 < values[k] < 1 for k in shares)

    def test_plain_sac_is_measured_with_the_environments_symmetry(self):
        model = SAC("MlpPolicy", bicycle(), learning_starts=10, batch_size=8, device="auto", seed=0)
        model.learn(40)
        values = self.measured(model)
        assert values["actor_equivariance_error"] > 0.01
        assert values.keys() == {"actor_equivariance_error", "critic_invariance_error"}

    def test_measuring_does_not_change_the_run(self):
        runs = []
        for callback in (None, SymmetryCallback(samples=8)):
            model = agent()
            model.learn(60, callback=callback)
            runs.append(parameters(model))
        assert_same_parameters(*runs)
