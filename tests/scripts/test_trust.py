"""Commands import no module that an untrusted run folder names."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.runs import FAST

from rpp_rl.errors import RunError
from rpp_rl.experiments.config import RunConfig, refuse_modules


@pytest.fixture
def untrusted(trained, tmp_path):
    """A run whose configuration names a module that writes a canary when it is imported."""
    (tmp_path / "evil.py").write_text("open('canary', 'w')\n")
    run = tmp_path / "run"
    shutil.copytree(trained / "rpp_sac" / "seed0", run)

    def with_arguments(**changes):
        config = json.loads((trained / "rpp_sac" / "seed0" / "config.json").read_text())
        config["config"].update(changes)
        config["env"] = changes.get("env", config["env"])
        (run / "config.json").write_text(json.dumps(config))
        return run

    return with_arguments


@pytest.mark.parametrize("command", [("evaluate",), ("export",), ("train", "--resume")])
def test_the_module_of_an_environment_is_imported_only_with_trust(untrusted, main, tmp_path, command):
    run = untrusted(env="evil:InvertedPendulum-v5")
    code, _, err = main(*command, run)
    assert code == 2
    assert "importing evil would run it" in err
    assert not (tmp_path / "canary").exists()
    if command == ("evaluate",):
        assert main(*command, run, "--trust", "-n", 1)[0] == 0
        assert (tmp_path / "canary").exists()


def test_a_module_in_hyperparameters_is_not_imported(untrusted, main, tmp_path):
    run = untrusted(hyperparams=["policy_kwargs:{activation_fn: 'evil:Thing'}"])
    code, _, err = main("train", "--resume", run)
    assert code == 2
    assert "importing evil would run it" in err
    assert not (tmp_path / "canary").exists()


def test_modules_of_torch_need_no_trust():
    known = {"env": "Hopper-v5", "hyperparams": ["policy_kwargs:{activation_fn: torch.nn:Tanh}", "gamma:0.9"]}
    assert RunConfig.from_dict(known).named_modules() == []
    assert RunConfig.from_dict({**known, "env": "mine:Hopper-v5"}).named_modules() == ["mine:Hopper-v5"]
    escaped = {"env": "x", "hyperparams": ['policy_kwargs:{activation_fn: "ev\\x69l:Thing"}']}
    assert RunConfig.from_dict(escaped).named_modules() == ["evil:Thing"]
    with pytest.raises(RunError, match="add --trust"):
        refuse_modules(["torchy.nn:Tanh"], "somewhere")


def test_a_users_own_run_resumes_with_trust(main, tmp_path):
    (tmp_path / "wheels.py").write_text("import helpers.tasks\n")
    options = ("--env", "wheels:Bicycle-v0", "--eval-episodes", 1, "--no-audit", "--save-freq", 40)
    assert main("train", *options, "-n", 100, *FAST)[0] == 0
    run = tmp_path / "runs/Bicycle-v0/rpp_sac/seed0"
    assert main("train", "--resume", run, "-n", 120)[0] == 2
    code, out, err = main("train", "--resume", run, "-n", 120, "--trust")
    assert code == 0, err
    assert "resuming from step" in out


@pytest.mark.parametrize(
    "name", ["torch.distributed.run:main", "torch.nn:Module.parameters", "torch.hub:load", "builtins:exec"]
)
def test_only_classes_of_the_right_kind_are_named(untrusted, main, tmp_path, name):
    run = untrusted(hyperparams={"policy_kwargs": {"activation_fn": name}})
    code, _, err = main("train", "--resume", run)
    assert code == 2
    assert "would run it" in err
    code, _, err = main(
        "train", "--env", "InvertedPendulum-v5", "-n", 10, "-params", f"policy_kwargs:{{activation_fn: '{name}'}}"
    )
    assert code == 2
    assert "names nothing" in err or "activation_fn must name a Module" in err


CANARIES = (
    *("tensorflow", "gym", "psutil", "cv2", "colorama", "triton", "IPython", "pandas"),
    *("sparse", "cupy", "snappy", "zstandard", "xarray", "sklearn", "jax"),
)


@pytest.mark.parametrize(
    "command",
    [
        ("status", "."),
        ("evaluate", "seed0", "-n", 1),
        pytest.param(("compare", "."), marks=pytest.mark.slow),
        pytest.param(("export", "seed0"), marks=pytest.mark.slow),
        pytest.param(("train", "--resume", "seed0", "-n", 410), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("start", ["console", pytest.param("module", marks=pytest.mark.slow)])
def test_files_of_the_working_folder_are_not_imported(trained, tmp_path, start, command):
    shutil.copytree(trained / "rpp_sac" / "seed0", tmp_path / "seed0")
    for name in CANARIES:
        (tmp_path / f"{name}.py").write_text("open('RAN.' + __name__, 'w').close()\nraise ImportError('canary')\n")
    console = [str(Path(sys.executable).parent / "rpp-rl")]
    words = console if start == "console" else [sys.executable, "-m", "rpp_rl.scripts.main"]
    done = subprocess.run([*words, *map(str, command)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("RAN.*")) == []


def test_the_users_own_module_lies_in_the_working_folder(main, tmp_path):
    (tmp_path / "my_robot_module.py").write_text(
        "import gymnasium\ngymnasium.register('Mine-v0', entry_point='my_robot_parts:Robot', max_episode_steps=20)\n"
    )
    (tmp_path / "my_robot_parts.py").write_text(
        "from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv as Robot\n"
    )
    before = list(sys.path)
    command = ("train", "--env", "my_robot_module:Mine-v0", "--algo", "sac", "-n", 60, "--eval-episodes", 1, *FAST)
    code, _, err = main(*command, "--n-envs", 2, "--vec-env", "subproc")
    assert code == 0, err
    assert sys.path == before
