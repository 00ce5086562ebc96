import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.tasks import bicycle
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import load_results
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rpp_rl.agents import RPPSAC

FAST = ("-params", "learning_starts:50", "batch_size:16", "policy_kwargs:{net_arch: [16, 16]}")
PENDULUM = ("train", "--env", "InvertedPendulum-v5", "--eval-episodes", 2)


def tags(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [e.step for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One short run of each algorithm."""
    from rpp_rl.scripts.main import main

    folder = tmp_path_factory.mktemp("runs")
    for algo in ("rpp_sac", "equivariant_sac", "sac"):
        arguments = [*PENDULUM, "--algo", algo, "-n", 400, "-f", folder, "--save-freq", 200, "--eval-freq", 100, *FAST]
        assert main([str(a) for a in arguments]) == 0
    return folder / "InvertedPendulum-v5"


@pytest.mark.parametrize("algo", ["rpp_sac", "equivariant_sac", "sac"])
class TestRunFolder:
    def test_configuration(self, trained, algo):
        config = json.loads((trained / algo / "seed0" / "config.json").read_text())
        assert (config["algo"], config["env"], config["seed"]) == (algo, "InvertedPendulum-v5", 0)
        assert config["n_timesteps"] == 400
        assert config["hyperparameters"]["batch_size"] == 16
        assert config["symmetry"]["name"] == "sagittal"
        assert set(config["versions"]) >= {"torch", "stable-baselines3", "mujoco", "gymnasium"}
        assert config["command"][0] == "rpp-rl"

    def test_evaluations_in_the_form_of_stable_baselines3(self, trained, algo):
        data = np.load(trained / algo / "seed0" / "evaluations.npz")
        assert data["timesteps"].tolist() == [100, 200, 300, 400]
        assert data["results"].shape == data["ep_lengths"].shape == (4, 2)

    def test_monitor_in_the_form_of_stable_baselines3(self, trained, algo):
        assert load_results(str(trained / algo / "seed0"))["l"].sum() <= 400

    def test_checkpoints_and_final_model_load(self, trained, algo):
        folder = trained / algo / "seed0"
        assert {p.name for p in (folder / "checkpoints").iterdir()} == {f"{algo}_{n}_steps.zip" for n in (200, 400)}
        for path in (folder / "model.zip", folder / "checkpoints" / f"{algo}_200_steps.zip"):
            assert RPPSAC.load(path, device="cpu").predict(np.zeros(4))[0].shape == (1,)

    def test_tags(self, trained, algo):
        found = tags(trained / algo / "seed0")
        expected = {"eval/mean_reward", "rollout/ep_rew_mean", "train/actor_loss", "train/critic_loss", "time/fps"}
        expected |= {"symmetry/actor_equivariance_error", "symmetry/critic_invariance_error"}
        if algo != "sac":
            expected |= {"train/prior_actor_equiv", "train/prior_critic_equiv"}
        if algo == "rpp_sac":
            expected |= {"symmetry/actor/mu/residual_share", "train/prior_actor_basic"}
        assert expected <= set(found)
        assert found["eval/mean_reward"] == found["symmetry/actor_equivariance_error"] == [100, 200, 300, 400]

    def test_evaluation_can_be_repeated(self, trained, algo, main):
        written = json.loads((trained / algo / "seed0" / "evaluation.json").read_text())
        code, out, _ = main("evaluate", trained / algo / "seed0", "-n", 2, "--json")
        assert code == 0
        assert json.loads(out) == written
        code, out, _ = main("evaluate", trained / algo / "seed0" / "model.zip", "-n", 3, "--seed", 1, "--json")
        assert len(json.loads(out)["rewards"]) == 3
        assert main("evaluate", trained / algo / "seed0" / "checkpoints" / f"{algo}_200_steps", "-n", 1)[0] == 0


def test_an_exactly_equivariant_agent_is_logged_as_such(trained):
    events = EventAccumulator(str(trained / "equivariant_sac" / "seed0"))
    events.Reload()
    assert max(e.value for e in events.Scalars("symmetry/actor_equivariance_error")) < 1e-4
    assert max(e.value for e in events.Scalars("symmetry/critic_invariance_error")) < 1e-4


def test_a_run_is_never_overwritten(main, tmp_path):
    for expected in ("seed3", "seed3-2", "seed3-3"):
        code, out, _ = main(*PENDULUM, "-n", 20, "--seed", 3, "--eval-freq", 10, *FAST)
        assert code == 0
        assert str(Path("runs/InvertedPendulum-v5/rpp_sac") / expected) in out.splitlines()[-2]
        assert (tmp_path / "runs/InvertedPendulum-v5/rpp_sac" / expected / "model.zip").exists()
    assert "seed3 exists and is left alone" in out
    assert "nothing is learnt" in out


def test_it_ends_with_what_a_person_wants_to_know(main):
    code, out, _ = main(*PENDULUM, "-n", 60, *FAST)
    assert code == 0
    result, run, curves = out.splitlines()[-3:]
    assert result.startswith("mean evaluation return")
    assert run.split()[1] == str(Path("runs/InvertedPendulum-v5/rpp_sac/seed0"))
    assert curves.endswith("tensorboard --logdir runs")


def test_parallel_environments_in_processes_and_flags(main, tmp_path):
    code, out, err = main(
        *("train", "--algo", "rpp_sac", "--env", "RPP/Reacher-v5", "--symmetry", "dihedral", "-n", 120, "--n-envs", 2),
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


def test_going_on_from_a_trained_agent(trained, main, tmp_path):
    code, _, err = main(*PENDULUM, "-n", 50, "-i", trained / "rpp_sac" / "seed0", "-f", "more", "-params", "gamma:0.9")
    assert code == 0, err
    model = RPPSAC.load(tmp_path / "more/InvertedPendulum-v5/rpp_sac/seed0/model.zip", device="cpu")
    assert model.num_timesteps == 450
    assert model.gamma == 0.9
    config = json.loads((tmp_path / "more/InvertedPendulum-v5/rpp_sac/seed0/config.json").read_text())
    assert (config["hyperparameters"]["gamma"], config["hyperparameters"]["batch_size"]) == (0.9, 16)


def test_a_users_module_in_the_current_folder(run_cli, tmp_path):
    (tmp_path / "my_robots.py").write_text(
        "import sys\n"
        f"sys.path.append({str(Path(__file__).parents[1])!r})\n"
        "import gymnasium, rpp_rl\n"
        "from helpers.tasks import Bicycle, WHEELS\n"
        "gymnasium.register('Mine-v0', Bicycle, max_episode_steps=20)\n"
        "rpp_rl.register_symmetry('Mine-v0', WHEELS)\n"
        "assert gymnasium.make('RPP/Mine-v0').symmetry == WHEELS\n"
    )
    assert "wheels (default)" in run_cli("symmetries", "my_robots:Mine-v0").stdout
    for algo in ("rpp_sac", "sac"):
        run_cli("train", "--algo", algo, "--env", "my_robots:Mine-v0", "-n", 60, "--eval-episodes", 1, *FAST)
        config = json.loads((tmp_path / f"runs/Mine-v0/{algo}/seed0/config.json").read_text())
        assert config["symmetry"]["name"] == "wheels"


def test_classes_and_schedules_in_hyperparameters(main, tmp_path):
    extra = ("policy_kwargs:{net_arch: [16], activation_fn: 'torch.nn:Tanh'}", "train_freq:[1, episode]")
    code, _, err = main(*PENDULUM, "-n", 60, *FAST, *extra)
    assert code == 0, err
    model = RPPSAC.load(tmp_path / "runs/InvertedPendulum-v5/rpp_sac/seed0/model.zip", device="cpu")
    assert type(model.actor.latent_pi[1]).__name__ == "Tanh"


def test_the_script_is_the_command(tmp_path):
    script = Path(__file__).parents[2] / "scripts" / "train.py"
    command = [sys.executable, str(script), *map(str, PENDULUM[1:]), "-n", "30", *FAST]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "mean evaluation return" in done.stdout


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    command = [sys.executable, "-m", "rpp_rl.scripts.main", *map(str, PENDULUM), "-n", "100000", *FAST]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    run = tmp_path / "runs/InvertedPendulum-v5/rpp_sac/seed0"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (run / "monitor.csv").exists():
        time.sleep(0.2)
    time.sleep(3)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Traceback" not in err
    assert "interrupted at step" in err
    assert f"-i {Path('runs/InvertedPendulum-v5/rpp_sac/seed0/model.zip')}" in err
    assert RPPSAC.load(run / "model.zip", device="cpu").num_timesteps > 0


@pytest.mark.slow
@pytest.mark.parametrize("algo", ["rpp_sac", "sac"])
def test_learns_the_inverted_pendulum(algo, run_cli, tmp_path):
    run_cli("train", "--algo", algo, "--env", "InvertedPendulum-v5", "-n", 10000, "--seed", 0, timeout=590)
    result = json.loads((tmp_path / f"runs/InvertedPendulum-v5/{algo}/seed0/evaluation.json").read_text())
    assert result["mean_reward"] == 1000.0


class TestBadInput:
    """One sentence with the remedy, exit code 2, no traceback, nothing written."""

    @pytest.fixture
    def refused(self, main, tmp_path):
        def run(*arguments):
            before = sorted(tmp_path.rglob("*"))
            code, _, err = main(*arguments)
            assert code == 2, err
            assert "Traceback" not in err
            assert sorted(tmp_path.rglob("*")) == before
            return err

        return run

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--env", "HalfCheeta-v5"), "unknown environment 'HalfCheeta-v5': did you mean 'HalfCheetah-v5'?"),
            (("--env", "HalfCheetah-v99"), "unknown environment 'HalfCheetah-v99'"),
            (("--env", "HalfCheetah-v5", "--symmetry", "rpp2022"), "did you mean 'rpp2021'?"),
            (("--algo", "rpp_sca"), "unknown algorithm 'rpp_sca': did you mean 'rpp_sac'?"),
            (("--env", "CartPole-v1"), "Discrete(2)"),
            (("--env", "CartPole-v1", "--algo", "sac"), "Discrete(2)"),
            (("--env", "Pendulum-v1"), "no symmetry is declared for it"),
            (("--env", "Ant-v5", "--env-kwargs", "include_cfrc_ext_in_observation:false"), "that of Ant-v5 has 27"),
            (("--env", "Ant-v5", "--env-kwargs", "colour:red"), "Ant-v5 cannot be made with {'colour': 'red'}"),
            (("--env-kwargs", "colour"), "key:value"),
            (("-params", "gama:0.9"), "unknown hyperparameter of rpp_sac 'gama': did you mean 'gamma'?"),
            (("-params", "gamma:high"), "gamma must be a float, got 'high'"),
            (("-params", "batch_size:1.5"), "batch_size must be a whole number"),
            (("-params", "policy_kwargs:{net_arch: [30, 31]}"), "next width that works is 32"),
            (("-params", "policy_kwargs:[1]"), "policy_kwargs must be a mapping"),
            (("-params", "policy_kwargs:{net_arch: [1"), "cannot be read"),
            (("-params", "policy_kwargs:{depth: 3}"), "rpp_sac cannot be built"),
            (("-params", "use_sde:true"), "use_sde=False"),
            (("-params", "policy:CnnPolicy"), "rpp_sac cannot be built"),
            (("-n", "0"), "at least one step"),
            (("--n-envs", "0"), "at least one step and one environment"),
            (("--seed", "-1"), "--seed must be"),
            (("--eval-freq", "0"), "--eval-freq must be"),
            (("--eval-episodes", "0"), "--eval-episodes must be"),
            (("--device", "quantum"), "'quantum' is no device"),
            (("--device", "cpu:7"), "'cpu:7' is no device"),
            (("--device", "meta"), "'meta' is no device"),
            (("-i", "nowhere.zip"), "there is no run or model at nowhere.zip"),
            (("-params", "n_timesteps:null"), "n_timesteps needs a value"),
            (("-params", "gamma:null"), "gamma needs a value"),
            (("-params", "batch_size:0"), "batch_size must be at least 1"),
            (("-params", "buffer_size:1000000000000000"), "rpp_sac cannot be built"),
            (("-params", "policy_kwargs:{activation_fn: 'torch.nn:Tahn'}"), "'torch.nn:Tahn' names nothing"),
            (("--env-kwargs", "symmetry:trivial"), "use --env or --symmetry"),
            (("--env", "nowhere:Mine-v0"), "the module of 'nowhere:Mine-v0' cannot be imported"),
        ],
    )
    def test_train(self, refused, arguments, message):
        environment = () if "--env" in arguments else ("--env", "InvertedPendulum-v5")
        assert message in " ".join(refused("train", *environment, *arguments).split())

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("evaluate", "nowhere"), "there is no run or model at nowhere"),
            (("evaluate", "."), "holds no model.zip"),
            (("evaluate", "nowhere", "--seed", "-1"), "--seed must be"),
            (("evaluate", "nowhere", "--device", "quantum"), "is no device"),
            (("symmetries", "Hoper-v5"), "did you mean 'Hopper-v5'?"),
            (("symmetries", "Walker2d-v4"), "did you mean 'Walker2d-v5'?"),
        ],
    )
    def test_other_commands(self, refused, arguments, message):
        assert message in refused(*arguments)

    def test_damaged_model_files(self, refused, trained, tmp_path):
        whole = (trained / "rpp_sac" / "seed0" / "model.zip").read_bytes()
        for name, content in {
            "cut.zip": whole[: len(whole) // 2],
            "empty.zip": b"",
            "text.zip": b"not a model",
            "flipped.zip": whole[:5000] + bytes([whole[5000] ^ 255]) + whole[5001:],
        }.items():
            (tmp_path / name).write_bytes(content)
            err = refused("evaluate", name, "--env", "InvertedPendulum-v5")
            assert "train or copy it again" in err, name
            refused("train", "--env", "InvertedPendulum-v5", "-i", name)

    def test_models_of_other_algorithms_and_tasks(self, refused, trained, tmp_path):
        PPO("MlpPolicy", bicycle(), n_steps=16, batch_size=16, device="cpu").save(tmp_path / "ppo")
        assert "is no SAC agent" in refused("evaluate", "ppo.zip", "--env", "InvertedPendulum-v5")
        run = trained / "rpp_sac" / "seed0"
        assert "trained on observations of shape (4,)" in refused("evaluate", run, "--env", "Hopper-v5")
        assert "that of Hopper-v5 has 11" in refused("train", "--env", "Hopper-v5", "-i", run)
        assert "trained on observations" in refused("evaluate", run, "--env", "Hopper-v5", "--video", "film")

    def test_going_on_as_something_else(self, refused, trained):
        arguments = ("train", "--env", "InvertedPendulum-v5", "-i", trained / "sac" / "seed0")
        assert "was trained with sac; go on with --algo sac" in refused(*arguments)
        arguments = ("train", "--env", "InvertedPendulum-v5", "-i", trained / "rpp_sac" / "seed0")
        assert "has symmetry 'sagittal'" in refused(*arguments, "--symmetry", "trivial")

    def test_a_tensorboard_folder_that_is_a_file(self, refused, tmp_path):
        (tmp_path / "events").write_text("mine")
        assert "-tb events is a file" in refused(*PENDULUM, "-n", 10, "-tb", "events")

    def test_a_log_folder_that_is_a_file(self, main, tmp_path):
        (tmp_path / "runs").write_text("mine")
        code, _, err = main(*PENDULUM, "-n", 10, *FAST)
        assert code == 2
        assert "choose another with -f" in err
        assert (tmp_path / "runs").read_text() == "mine"

    def test_nan_in_evaluation_keeps_the_agent(self, main, tmp_path):
        # Each environment counts its own steps: training has done 30 when evaluation, of 90, meets the fault.
        arguments = ("--env", "Bicycle-v0", "-n", 40, "--eval-freq", 30, "--eval-episodes", 3)
        code, _, err = main("train", *arguments, "--env-kwargs", "fault:observation", "at:70", *FAST)
        assert code == 2
        assert "not finite in entry 3 (roll) in evaluation" in err
        assert (tmp_path / "runs/Bicycle-v0/rpp_sac/seed0/model.zip").exists()

    @pytest.mark.parametrize("algo", ["rpp_sac", "sac"])
    def test_nan_stops_the_run_and_keeps_the_agent(self, main, tmp_path, algo):
        arguments = ("train", "--algo", algo, "--env", "Bicycle-v0", "-n", 200, "--env-kwargs", "fault:observation")
        code, _, err = main(*arguments, *FAST)
        assert code == 2
        assert "not finite in entry 3 (roll) at step 20" in err
        assert (tmp_path / f"runs/Bicycle-v0/{algo}/seed0/model.zip").exists()


def test_symmetries_in_json(main):
    code, out, _ = main("symmetries", "Walker2d-v5", "--json")
    assert code == 0
    default, paper = json.loads(out)
    assert (default["name"], default["default"]) == ("sagittal", True)
    assert (paper["name"], paper["default"]) == ("rpp2021", False)
    (generator,) = default["generators"]
    x = np.arange(17.0)
    moved = np.array(generator["obs_sign"]) * x[generator["obs_perm"]]
    np.testing.assert_array_equal(moved[:8], [0, 1, 5, 6, 7, 2, 3, 4])
    assert generator["act_perm"] == [3, 4, 5, 0, 1, 2]
    offset = json.loads(main("symmetries", "Pusher-v5", "--json")[1])[0]["generators"][0]["obs_offset"]
    assert offset[15] == pytest.approx(-1.2)


def test_symmetries_for_people(main):
    assert "sagittal (default)" in main("symmetries")[1]
    assert "-sin0" in main("symmetries", "Reacher-v5")[1]


@pytest.mark.parametrize("command", [(), ("train",), ("evaluate",), ("symmetries",)])
def test_help(run_cli, command):
    assert "usage: rpp-rl" in run_cli(*command, "--help").stdout


@pytest.mark.slow
@pytest.mark.parametrize("renderer", ["egl", "osmesa"])
def test_video(renderer, trained, tmp_path):
    arguments = ["evaluate", trained / "rpp_sac" / "seed0", "-n", 1, "--video", "film"]
    command = [sys.executable, "-m", "rpp_rl.scripts.main", *map(str, arguments)]
    environment = {**os.environ, "MUJOCO_GL": renderer}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 2 and "no off-screen renderer works here" in done.stderr:
        pytest.skip(f"{renderer} is not installed: {done.stderr}")
    assert done.returncode == 0, done.stderr
    (film,) = (tmp_path / "film").glob("*.mp4")
    assert film.stat().st_size > 1000
