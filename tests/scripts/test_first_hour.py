"""What a new user tries beside training: help, completion, a window, a film, Weights & Biases."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.runs import FAST, PENDULUM

import rpp_rl
from rpp_rl.errors import RunError
from rpp_rl.experiments import watching
from rpp_rl.experiments.tracking import Tracking
from rpp_rl.scripts.main import COMMANDS
from rpp_rl.scripts.whole_numbers import whole_number

BASH, XVFB = shutil.which("bash"), shutil.which("Xvfb")


def test_the_version_is_printed(main):
    assert main("--version")[:2] == (0, f"rpp-rl {rpp_rl.__version__}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_points_to_the_help_of_its_command(main, command):
    code, _, err = main(command, "--colour", "red")
    assert code == 2 and f"rpp-rl {command} --help" in err


def test_the_help_of_train_is_grouped_and_has_examples(main):
    _, out, _ = main("train", "--help")
    groups = ["What to train", "How long", "How the agent is evaluated", "The symmetry of the task", "Where", "machine"]
    places = [out.index(group) for group in ("Examples:", *groups)]
    assert places == sorted(places)
    assert out.count("  rpp-rl train ") == 3


def test_numbers_of_steps_may_be_written_as_powers_of_ten():
    assert [whole_number(text) for text in ("1e6", "1000000", "2.5e3", "-1")] == [10**6, 10**6, 2500, -1]
    assert whole_number("9007199254740993") == 9007199254740993
    for text in ("1.5", "1e-3", "many", "inf"):
        with pytest.raises((ValueError, OverflowError)):
            whole_number(text)


def test_an_environment_is_given_once(refused):
    for other in ("Ant-v5", "HalfCheetah-v5"):
        assert "two environments are given" in refused("train", "Hopper-v5", "--env", other, "-n", 10)
    assert "leave out Hopper-v5" in refused("train", "Hopper-v5", "--resume", "runs")
    assert "got nothing" in refused("train", "", "-n", 10)


@pytest.mark.slow
def test_the_completion_script_knows_commands_and_flags(tmp_path):
    words = [sys.executable, "-m", "rpp_rl.scripts.main", "--print-completion", "bash"]
    script = tmp_path / "completion"
    script.write_text(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    ask = (
        f"source {script}; COMP_WORDS=(rpp-rl train --eval); COMP_CWORD=2; COMP_LINE='rpp-rl train --eval'; "
        "COMP_POINT=${#COMP_LINE}; complete=($(complete -p rpp-rl)); ${complete[-2]}; echo ${COMPREPLY[@]}"
    )
    found = subprocess.run([BASH, "-c", ask], capture_output=True, text=True, check=True).stdout
    assert "--eval-freq" in found and "--eval-episodes" in found


def test_without_a_display_watching_names_the_film(trained, refused, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    run = trained / "rpp_sac" / "seed0"
    assert f"make a film with: rpp-rl evaluate {run} --video film" in refused("enjoy", run)


def test_watching_opens_the_window_of_the_environment(trained, main, monkeypatch):
    """The window itself needs a display; a program that runs on a virtual one is tested below."""
    monkeypatch.setattr(watching, "has_display", lambda: True)
    seen = []
    made = watching.load

    def with_film(run, **settings):
        seen.append(settings["env_kwargs"].pop("render_mode"))
        return made(run, **settings)

    monkeypatch.setattr(watching, "load", with_film)
    code, out, _ = main("enjoy", trained / "rpp_sac" / "seed0", "-n", 2, "--load-best")
    assert code == 0 and seen == ["human"]
    assert [line.split()[0] for line in out.splitlines()] == ["return", "return"]


@pytest.mark.slow
@pytest.mark.skipif(XVFB is None, reason="Xvfb, a display without a screen, is not installed")
def test_watching_on_a_display(trained):
    display = subprocess.Popen([XVFB, ":97", "-screen", "0", "640x480x24"])
    try:
        words = [sys.executable, "-m", "rpp_rl.scripts.main", "enjoy", trained / "rpp_sac" / "seed0", "-n", "1"]
        env = {**os.environ, "DISPLAY": ":97", "MUJOCO_GL": "glfw"}
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0 and done.stdout.startswith("return"), done.stderr
    finally:
        display.terminate()
        display.wait()


def test_following_a_run_needs_weights_and_biases(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"pip install 'rpp-rl\[track\]'"):
        Tracking()


@pytest.mark.slow
def test_a_followed_run_has_the_scalars_of_tensorboard(run_cli, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    run_cli(*PENDULUM, "-n", 200, "--eval-freq", 100, "--track", "--wandb-project-name", "pendulums", *FAST)
    (file,) = (tmp_path / "runs").glob("wandb/offline-run-*/run-*.wandb")
    content = file.read_bytes()
    for name in ("pendulums", "InvertedPendulum-v5/rpp_sac/seed0", "eval/mean_reward", "actor_equivariance_error"):
        assert name.encode() in content, name
    # Nothing of it is in the run's own folder, which could not be resumed with links in it.
    assert not any(path.is_symlink() for path in Path(tmp_path / "runs/InvertedPendulum-v5").rglob("*"))
