import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.processes import TESTS
from helpers.runs import FAST, PENDULUM
from stable_baselines3.common.monitor import load_results
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rpp_rl.agents import RPPSAC
from rpp_rl.experiments import Run, load


def tags(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [e.step for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.mark.parametrize("algo", ["rpp_sac", "equivariant_sac", "sac"])
class TestRunFolder:
    def test_the_configuration_is_recorded(self, trained, algo):
        config = json.loads((trained / algo / "seed0" / "config.json").read_text())
        assert (config["algo"], config["env"], config["seed"]) == (algo, "InvertedPendulum-v5", 0)
        assert config["n_timesteps"] == 400
        assert config["hyperparameters"]["batch_size"] == 16
        assert config["symmetry"]["name"] == "sagittal"
        assert set(config["versions"]) >= {"torch", "stable-baselines3", "mujoco", "gymnasium"}
        assert config["command"][0] == "rpp-rl"

    def test_evaluations_have_the_form_of_stable_baselines3(self, trained, algo):
        data = np.load(trained / algo / "seed0" / "evaluations.npz")
        assert data["timesteps"].tolist() == [100, 200, 300, 400]
        assert data["results"].shape == data["ep_lengths"].shape == (4, 2)

    def test_the_monitor_has_the_form_of_stable_baselines3(self, trained, algo):
        assert load_results(str(trained / algo / "seed0"))["l"].sum() <= 400

    def test_checkpoints_and_final_model_load(self, trained, algo):
        folder = trained / algo / "seed0"
        models = {f"{algo}_{n}_steps.zip" for n in (200, 400)}
        # A checkpoint is written where the next rollout begins, and at the end.
        steps = {f"step_{n:012d}" for n in (200, 400)}
        assert {p.name for p in (folder / "checkpoints").iterdir()} == {*models, *steps, "replay"}
        for path in (folder / "model.zip", folder / "checkpoints" / f"{algo}_200_steps.zip"):
            assert RPPSAC.load(path, device="cpu").predict(np.zeros(4))[0].shape == (1,)

    def test_tensorboard_has_all_tags(self, trained, algo):
        found = tags(trained / algo / "seed0")
        expected = {"eval/mean_reward", "rollout/ep_rew_mean", "train/actor_loss", "train/critic_loss", "time/fps"}
        expected |= {"symmetry/actor_equivariance_error", "symmetry/critic_invariance_error"}
        if algo != "sac":
            expected |= {"train/prior_actor_equiv", "train/prior_critic_equiv"}
        if algo == "rpp_sac":
            expected |= {"symmetry/actor/mu/residual_share", "train/prior_actor_basic"}
        assert expected <= set(found)
        assert found["eval/mean_reward"] == found["symmetry/actor_equivariance_error"] == [100, 200, 300, 400]

    def test_evaluate_repeats_the_final_evaluation(self, trained, algo, main):
        written = json.loads((trained / algo / "seed0" / "evaluation.json").read_text())
        code, out, _ = main("evaluate", trained / algo / "seed0", "-n", 2, "--json")
        assert code == 0
        assert json.loads(out) == written
        code, out, _ = main("evaluate", trained / algo / "seed0" / "model.zip", "-n", 3, "--seed", 1, "--json")
        assert len(json.loads(out)["rewards"]) == 3
        assert main("evaluate", trained / algo / "seed0" / "checkpoints" / f"{algo}_200_steps", "-n", 1)[0] == 0


def test_a_run_records_what_another_user_needs_to_repeat_it(trained):
    config = json.loads((trained / "rpp_sac" / "seed0" / "config.json").read_text())
    assert len(config["model"]["compiled_sha256"]) == 64
    assert config["model"]["file"].endswith("inverted_pendulum.xml")
    assert {"here", "rpp_rl"} == set(config["git"])
    assert config["cpu"]
    assert isinstance(config["gpu"], list)
    assert config["command"][0] == "rpp-rl"
    assert config["versions"]["torch"] == torch.__version__


def test_an_exactly_equivariant_agent_is_logged_as_such(trained):
    events = EventAccumulator(str(trained / "equivariant_sac" / "seed0"))
    events.Reload()
    assert max(e.value for e in events.Scalars("symmetry/actor_equivariance_error")) < 1e-4
    assert max(e.value for e in events.Scalars("symmetry/critic_invariance_error")) < 1e-4


def test_a_run_is_never_overwritten(main, tmp_path):
    for expected in ("seed3", "seed3-2", "seed3-3"):
        code, out, _ = main(*PENDULUM, "-n", 20, "--seed", 3, "--eval-freq", 10, *FAST)
        assert code == 0
        assert str(Path("runs/InvertedPendulum-v5/rpp_sac") / expected) in _line(out, "run ")
        assert (tmp_path / "runs/InvertedPendulum-v5/rpp_sac" / expected / "model.zip").exists()
    assert "seed3 exists and is left alone" in out
    assert "nothing is learnt" in out


def test_the_last_lines_name_the_result_the_run_and_the_curves(main):
    code, out, _ = main(*PENDULUM, "-n", 60, *FAST)
    assert code == 0
    folder = "runs/InvertedPendulum-v5/rpp_sac/seed0"
    assert [line.split("  ")[0] for line in out.splitlines()[-7:]] == [
        *("before learning", "mean evaluation return", "run", "curves", "watch it", "a baseline", "compare both")
    ]
    assert "episodes of random actions" in _line(out, "before learning")
    assert _line(out, "run ").split()[1] == folder
    assert _line(out, "curves").endswith("tensorboard --logdir runs")
    # What is proposed next works.
    _, _, baseline = _line(out, "a baseline").partition("rpp-rl ")
    code, out, _ = main(*shlex.split(baseline))
    assert code == 0 and _line(out, "run ").endswith("sac/seed0")
    assert not any(line.startswith("a baseline") for line in out.splitlines())


def test_each_evaluation_prints_a_line_and_the_best_agent_is_kept(main, tmp_path):
    code, out, _ = main(*PENDULUM, "-n", 200, "--eval-freq", 50, *FAST)
    assert code == 0
    lines = [line for line in out.splitlines() if line.startswith("step")]
    run = Run(tmp_path / "runs/InvertedPendulum-v5/rpp_sac/seed0")
    means = run.evaluations.returns.mean(axis=1)
    assert [int(line.split()[1]) for line in lines] == [50, 100, 150, 200]
    np.testing.assert_allclose([float(line.split()[3]) for line in lines], means, atol=0.01)
    best = [k for k in range(4) if means[k] > max(means[:k], default=-np.inf)]
    assert [k for k, line in enumerate(lines) if line.endswith("the best so far")] == best
    step = int(run.evaluations.timesteps[means.argmax()])
    assert RPPSAC.load(run.path / "best_model.zip").num_timesteps == step
    code, out, _ = main("evaluate", run.path, "--load-best", "-n", 2, "--json")
    assert code == 0 and json.loads(out)["num_timesteps"] == step
    code, out, _ = main("evaluate", run.path, "-n", 2, "--json")
    assert json.loads(out)["num_timesteps"] == 200


def test_random_actions_end_where_learning_starts_in_all_environments_together(main, tmp_path):
    words = ("train", "--env", "Bicycle-v0", "-n", 120, "--eval-episodes", 1, "--n-envs", 2, "--no-audit")
    code, out, err = main(
        *words, "-params", "learning_starts:70", "batch_size:16", "policy_kwargs:{net_arch: [16, 16]}"
    )
    assert code == 0, err
    run = Run(tmp_path / "runs/Bicycle-v0/rpp_sac/seed0")
    count = int((np.cumsum(run.monitor.lengths) <= 70).sum())
    assert count and f"({count} episodes of random actions)" in _line(out, "before learning")


def test_the_proposed_baseline_has_only_arguments_that_it_knows(main):
    code, out, _ = main(*PENDULUM, "--seeds", "0-1", "-n", 60, *FAST, "critic_basic_wd:1e-4")
    assert code == 0
    assert [line.split("step")[0].strip() for line in out.splitlines() if line.startswith("seed")][:2] == [
        "seed 0",
        "seed 1",
    ]
    baseline = _line(out, "a baseline")
    assert "--seeds 0,1" in baseline and "critic_basic_wd" not in baseline
    assert main(*shlex.split(baseline.partition("rpp-rl ")[2]))[0] == 0


def test_the_best_agent_keeps_its_own_statistics(main, tmp_path):
    code, _, err = main(*PENDULUM, "-n", 200, "--eval-freq", 50, *FAST, "normalize:true")
    assert code == 0, err
    run = Run(tmp_path / "runs/InvertedPendulum-v5/rpp_sac/seed0")
    step = int(run.evaluations.timesteps[run.evaluations.returns.mean(axis=1).argmax()])
    counts = [load(run, best=best).env.obs_rms.count for best in (True, False)]
    assert counts == pytest.approx([step, 200], abs=2)


def _line(out, start):
    return next(line for line in out.splitlines() if line.startswith(start))


@pytest.mark.slow
def test_flags_reach_the_run_with_environments_in_processes(main, tmp_path):
    code, out, err = main(
        *("train", "--algo", "rpp_sac", "--env", "Reacher", "--symmetry", "dihedral", "-n", 120, "--n-envs", 2),
        *("--vec-env", "subproc", "-f", "logs", "-tb", "tb", "--env-kwargs", "reward_control_weight:0.5", "--seed", 5),
        *("--eval-episodes", 1, "--device", "cpu", *FAST),
    )
    assert code == 0, err
    run = tmp_path / "logs/Reacher-v5/rpp_sac/seed5"
    config = json.loads((run / "config.json").read_text())
    assert config["symmetry"]["name"] == "dihedral"
    assert config["env_kwargs"] == {"reward_control_weight": 0.5}
    assert config["n_envs"] == 2
    assert len(list((tmp_path / "tb/Reacher-v5/rpp_sac/seed5").glob("events*"))) == 1
    assert "tensorboard --logdir tb" in out


def test_training_continues_from_a_trained_agent(trained, main, tmp_path):
    code, _, err = main(*PENDULUM, "-n", 50, "-i", trained / "rpp_sac" / "seed0", "-f", "more", "-params", "gamma:0.9")
    assert code == 0, err
    model = RPPSAC.load(tmp_path / "more/InvertedPendulum-v5/rpp_sac/seed0/model.zip", device="cpu")
    assert model.num_timesteps == 450
    assert model.gamma == 0.9
    config = json.loads((tmp_path / "more/InvertedPendulum-v5/rpp_sac/seed0/config.json").read_text())
    assert (config["hyperparameters"]["gamma"], config["hyperparameters"]["batch_size"]) == (0.9, 16)


@pytest.mark.slow
def test_a_users_module_is_found_in_the_current_folder(run_cli, main, tmp_path):
    (tmp_path / "my_robots.py").write_text(
        "import sys\n"
        f"sys.path.append({str(TESTS)!r})\n"
        "import gymnasium, rpp_rl\n"
        "from helpers.tasks import Bicycle, WHEELS\n"
        "gymnasium.register('Mine-v0', Bicycle, max_episode_steps=20)\n"
        "rpp_rl.register_symmetry('Mine-v0', WHEELS)\n"
        "assert rpp_rl.make('Mine-v0').symmetry == WHEELS\n"
    )
    options = ("--env", "my_robots:Mine-v0", "-n", 60, "--eval-episodes", 1, *FAST)
    run_cli("train", "--algo", "rpp_sac", *options)
    # The other commands in this process, since starting one takes seconds.
    assert main("train", "--algo", "sac", *options)[0] == 0
    assert "wheels (default)" in main("symmetries", "my_robots:Mine-v0")[1]
    for algo in ("rpp_sac", "sac"):
        config = json.loads((tmp_path / f"runs/Mine-v0/{algo}/seed0/config.json").read_text())
        assert config["symmetry"]["name"] == "wheels"


def test_hyperparameters_may_name_classes_and_schedules(main, tmp_path):
    extra = ("policy_kwargs:{net_arch: [16], activation_fn: 'torch.nn:Tanh'}", "train_freq:[1, episode]")
    code, _, err = main(*PENDULUM, "-n", 60, *FAST, *extra)
    assert code == 0, err
    model = RPPSAC.load(tmp_path / "runs/InvertedPendulum-v5/rpp_sac/seed0/model.zip", device="cpu")
    assert type(model.actor.latent_pi[1]).__name__ == "Tanh"


@pytest.mark.slow
def test_the_script_is_the_command(tmp_path):
    script = Path(__file__).parents[2] / "scripts" / "train.py"
    command = [sys.executable, str(script), *map(str, PENDULUM[1:]), "-n", "30", *FAST]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "mean evaluation return" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("algo", ["rpp_sac", "sac"])
def test_training_solves_the_inverted_pendulum(algo, run_cli, tmp_path):
    run_cli("train", "--algo", algo, "--env", "InvertedPendulum-v5", "-n", 10000, "--seed", 0, timeout=590)
    result = json.loads((tmp_path / f"runs/InvertedPendulum-v5/{algo}/seed0/evaluation.json").read_text())
    assert result["mean_reward"] == 1000.0
