"""`rpp-rl sweep` with folders that are not empty: it loses nothing and does nothing twice."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.processes import TESTS

from rpp_rl.experiments.config import RunConfig
from rpp_rl.experiments.progress import State
from rpp_rl.experiments.run import ABANDONED, Run
from rpp_rl.experiments.sweeps.engine import LocalEngine
from rpp_rl.experiments.sweeps.jobs import Job

TINY = ("-params", "learning_starts:30", "policy_kwargs:{net_arch: [8]}")
ONE = ("--eval-episodes", 1, *TINY)
SWEEP = ("sweep", "--algos", "sac", "--envs", "InvertedPendulum-v5", "--seeds", "0", *ONE)
TRAIN = ("train", "--algo", "sac", "--env", "InvertedPendulum-v5", *ONE)
BICYCLE = "helpers.tasks:Bicycle-v0"


@pytest.fixture
def run(tmp_path):
    """The folder of the run."""
    return tmp_path / "runs/InvertedPendulum-v5/sac/seed0"


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def killed(folder, *names):
    """Write what a run leaves that was killed before its first checkpoint."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints/replay.part").write_text("half")
    arguments = {"env": "InvertedPendulum-v5", "hyperparams": [], "env_kwargs": []}
    (folder / "config.json").write_text(json.dumps({"n_timesteps": 9000, "arguments": arguments}))
    for name in (".lock", "monitor.csv", "events.out.tfevents.1.x", *names):
        (folder / name).write_text(name)


def test_a_sweep_leaves_a_foreign_folder_alone(refused, run):
    run.mkdir(parents=True)
    (run / "thesis.txt").write_text("mine")
    assert "must be the folder of a run, but it holds thesis.txt; move it away" in refused(*SWEEP, "-n", 40)
    assert (run / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("kind", ["file", "link to a folder", "link to nowhere"])
def test_a_file_or_link_in_place_of_a_run_folder_is_refused(refused, tmp_path, run, kind):
    run.parent.mkdir(parents=True)
    if kind == "file":
        run.write_text("mine")
    else:
        (tmp_path / "elsewhere").mkdir()
        run.symlink_to(tmp_path / "elsewhere" if kind == "link to a folder" else tmp_path / "nowhere")
    message = "it is a file; move it away" if kind == "file" else "is a link that leads to no run"
    assert message in refused(*SWEEP, "-n", 40)


@pytest.mark.slow
def test_a_sweep_removes_an_empty_run_that_was_killed(main, run):
    killed(run)
    assert main(*SWEEP, "-n", 40)[0] == 0
    assert Run(run).progress.state is State.DONE
    assert not (run.parent / ABANDONED).exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["evaluations.npz", "notes.txt", "checkpoints/sac_100_steps.zip"])
def test_a_sweep_moves_aside_a_killed_run_that_holds_files(main, run, name):
    for k in (1, 2):
        killed(run, name)
        before = contents(run)
        assert main(*SWEEP, "-n", 40)[0] == 0
        assert contents(run.parent / ABANDONED / f"seed0-{k}") == before
        there = Path(*run.parts[-4:-1]) / ABANDONED / f"seed0-{k}"
        assert f"was moved to {there}" in run.with_name("seed0.log").read_text()
        shutil.rmtree(run)
    # The moved folder does not count as a run of the sweep.
    code, _, err = main("status", "runs")
    assert code == 2 and "there are no runs in runs" in err


@pytest.mark.slow
def test_a_sweep_keeps_results_without_an_agent(main, run):
    assert main(*SWEEP, "-n", 40)[0] == 0
    (run / "model.zip").unlink()
    shutil.rmtree(run / "checkpoints")
    before = contents(run)
    code, out, _ = main(*SWEEP, "-n", 80, "--eval-freq", 8)
    assert code == 1 and "no checkpoint to resume from; move it away" in out
    code, _, err = main(*SWEEP, "learning_rate:0.1", "-n", 40)
    assert code == 2 and "holds a run with another hyperparams" in err
    assert "1 of 1 runs are done" in main(*SWEEP, "-n", 40)[1]
    assert contents(run) == before


def test_only_modules_that_the_sweep_does_not_name_need_trust(main, tmp_path):
    assert main("train", "--algo", "sac", "--env", BICYCLE, "--save-freq", 20, "-n", 40, "--eval-freq", 8, *ONE)[0] == 0
    run = tmp_path / "runs/Bicycle-v0/sac/seed0"
    job = Job(RunConfig(BICYCLE, "sac", n_timesteps=80, log_folder=tmp_path / "runs"))
    assert job.work(trust=False)["trust"]
    config = json.loads((run / "config.json").read_text())
    for other in ({"env": "canary:Bicycle-v0"}, {"trained_agent": "agent.zip"}):
        text = json.dumps({**config, "config": {**config["config"], **other}})
        (run / "config.json").write_text(text)
        assert not job.work(trust=False)["trust"]
        assert job.work(trust=True)["trust"]


@pytest.mark.slow
def test_a_sweep_resumes_a_run_of_a_users_own_environment(run_cli, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    sweep = ("sweep", "--algos", "sac", "--envs", BICYCLE, "--seeds", "0", "--eval-freq", 20, "--save-freq", 20, *ONE)
    run_cli(*sweep, "-n", 40)
    run_cli(*sweep, "-n", 80)
    run = tmp_path / "runs/Bicycle-v0/sac/seed0"
    assert Run(run).progress.state is State.DONE
    assert "resuming from step 40" in run.with_name("seed0.log").read_text()


@pytest.mark.slow
def test_two_sweeps_of_one_folder_share_the_work(tmp_path):
    words = [str(w) for w in (*SWEEP, "--seeds", "0-1", "-n", 60)]
    command = [sys.executable, "-m", "rpp_rl.scripts.main", *words]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    both = [subprocess.Popen(command, cwd=tmp_path, **output) for _ in range(2)]
    said = [process.communicate(timeout=200)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert all("2 of 2 runs are done" in text for text in said)
    runs = tmp_path / "runs/InvertedPendulum-v5/sac"
    assert sorted(p.name for p in runs.iterdir() if p.is_dir()) == ["seed0", "seed1"]
    for seed in range(2):
        assert (runs / f"seed{seed}.log").read_text().count("mean evaluation return") == 1


@pytest.mark.slow
def test_a_sweep_waits_for_a_run_that_another_process_trains(tmp_path, run):
    run.mkdir(parents=True)
    (run / "config.json").write_text('{"n_timesteps": 40}')
    command = [sys.executable, "-m", "rpp_rl.scripts.main", *map(str, (*SWEEP, "-n", 40))]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with Run(run).lock():
        process = subprocess.Popen(command, cwd=tmp_path, **output)
        while not (said := process.stdout.readline()).startswith("1 running"):
            assert said, "it ended"
        time.sleep(1)
        assert process.poll() is None and not run.with_name("seed0.log").exists()
        # The other process finishes the run.
        (run / "evaluation.json").write_text('{"num_timesteps": 40}')
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0 and "1 of 1 runs are done" in said, said
    assert sorted(os.listdir(run)) == [".lock", "config.json", "evaluation.json"]


@pytest.mark.slow
def test_a_sweep_evaluates_all_runs_at_the_same_steps(main, refused, tmp_path):
    assert main(*SWEEP, "-n", 40)[0] == 0
    both = (*SWEEP, "--seeds", "0-1", "-n", 60)
    message = refused(*both)
    assert "seed0 is evaluated every 8 steps" in message and "seed1 every 12" in message
    assert "give one with --eval-freq" in message
    assert "another eval_freq 8, where this sweep has 12" in refused(*both, "--eval-freq", 12)
    assert main(*both, "--eval-freq", 8)[0] == 0
    assert main(*SWEEP, "-n", 80)[0] == 0  # alone, it keeps its evaluation steps
    assert json.loads((tmp_path / "runs/InvertedPendulum-v5/sac/seed0/config.json").read_text())["eval_freq"] == 8


def test_status_shows_a_failed_run(main, tmp_path):
    words = ("train", "--algo", "sac", "--env", "Bicycle-v0", "--save-freq", 16, "-n", 60, "--no-audit", *ONE)
    assert main(*words, "--env-kwargs", "fault:raise", "at:40")[0] == 2
    run = tmp_path / "runs/Bicycle-v0/sac/seed0"
    assert "the left wheel came off" in json.loads((run / "failure.json").read_text())["sentence"]
    found = Run(run).progress
    assert (found.state, found.step) == (State.FAILED, 16)
    assert "1 failed" in main("status", "runs")[1]


def test_a_resumed_run_no_longer_counts_as_failed(main, run):
    assert main(*TRAIN, "--save-freq", 20, "-n", 40)[0] == 0
    (run / "failure.json").write_text("{}")
    assert main("train", "--resume", run, "-n", 60)[0] == 0
    assert Run(run).progress.state is State.DONE and not (run / "failure.json").exists()


def test_a_run_that_ends_without_its_steps_has_failed(tmp_path, monkeypatch):
    monkeypatch.setattr("rpp_rl.experiments.sweeps.engine.COMMAND", ("true",))
    job = Job(RunConfig("InvertedPendulum-v5", "sac", n_timesteps=40, log_folder=tmp_path))
    assert LocalEngine([job]).run(lambda progress, over: None) == [job]
    assert "does not hold its 40 steps" in job.log.read_text()
