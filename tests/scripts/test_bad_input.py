import pytest
from helpers.runs import FAST, PENDULUM
from helpers.tasks import bicycle
from stable_baselines3 import PPO


class TestBadInput:
    """One sentence with the remedy, exit code 2, no traceback, nothing written."""

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
            (
                ("--env", "Hopper-v5", "--env-kwargs", "exclude_current_positions_from_observation:false"),
                "that of Hopper-v5 has 12",
            ),
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
        # Few steps, so that what is not refused ends soon.
        steps = () if "-n" in arguments else ("-n", "50")
        assert message in " ".join(refused("train", *environment, *steps, *arguments).split())

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
