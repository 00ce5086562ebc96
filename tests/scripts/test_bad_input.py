import pytest
from helpers.refusals import OTHERS, TRAIN, trained_with
from helpers.runs import FAST, PENDULUM
from helpers.tasks import bicycle
from stable_baselines3 import PPO


class TestBadInput:
    """One sentence with the remedy, exit code 2, no traceback, nothing written."""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        TRAIN,
    )
    def test_train_refuses(self, refused, arguments, message):
        assert message in " ".join(refused(*trained_with(arguments)).split())

    @pytest.mark.parametrize(
        ("arguments", "message"),
        OTHERS,
    )
    def test_other_commands_refuse(self, refused, arguments, message):
        assert message in refused(*arguments)

    def test_damaged_model_files_are_refused(self, refused, trained, tmp_path):
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

    def test_models_of_other_algorithms_and_tasks_are_refused(self, refused, trained, tmp_path):
        PPO("MlpPolicy", bicycle(), n_steps=16, batch_size=16, device="cpu").save(tmp_path / "ppo")
        assert "is not an off-policy agent" in refused("evaluate", "ppo.zip", "--env", "InvertedPendulum-v5")
        run = trained / "rpp_sac" / "seed0"
        assert "trained on observations of shape (4,)" in refused("evaluate", run, "--env", "Hopper-v5")
        assert "that of Hopper-v5 has 11" in refused("train", "--env", "Hopper-v5", "-i", run)
        assert "trained on observations" in refused("evaluate", run, "--env", "Hopper-v5", "--video", "film")

    def test_training_on_with_another_algorithm_or_symmetry_is_refused(self, refused, trained):
        arguments = ("train", "--env", "InvertedPendulum-v5", "-i", trained / "sac" / "seed0")
        assert "was trained with sac; use --algo sac" in refused(*arguments)
        arguments = ("train", "--env", "InvertedPendulum-v5", "-i", trained / "rpp_sac" / "seed0")
        assert "has symmetry 'sagittal'" in refused(*arguments, "--symmetry", "trivial")

    def test_a_tensorboard_folder_that_is_a_file_is_refused(self, refused, tmp_path):
        (tmp_path / "events").write_text("mine")
        assert "-tb events is a file" in refused(*PENDULUM, "-n", 10, "-tb", "events")

    def test_a_log_folder_that_is_a_file_is_refused(self, main, tmp_path):
        (tmp_path / "runs").write_text("mine")
        code, _, err = main(*PENDULUM, "-n", 10, *FAST)
        assert code == 2
        assert "choose another folder with -f" in err
        code, _, err = main("sweep", "--algos", "rpp_sac", "--envs", "InvertedPendulum-v5", "-n", 10)
        assert code == 2 and "choose another folder with -f" in err
        assert (tmp_path / "runs").read_text() == "mine"

    @pytest.mark.parametrize("command", ["compare", "evaluate"])
    def test_half_a_configuration_is_refused(self, refused, tmp_path, command):
        (tmp_path / "runs").mkdir()
        (tmp_path / "runs" / "config.json").write_text("{")
        (tmp_path / "runs" / "model.zip").write_text("")
        assert "restore it, or move its folder elsewhere" in refused(command, "runs")

    def test_nan_in_evaluation_keeps_the_agent(self, main, tmp_path):
        # Each environment counts its own steps: training is at 30 when evaluation, which takes 90, meets the fault.
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
