"""The progress of runs, as `rpp-rl status` reads it from their folders."""

import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from rich.console import Console

from rpp_rl.experiments.config import RunConfig
from rpp_rl.experiments.progress import Progress, State
from rpp_rl.experiments.run import Run
from rpp_rl.experiments.sweeps import progress_table as table
from rpp_rl.experiments.sweeps.engine import LocalEngine
from rpp_rl.experiments.sweeps.jobs import Job
from rpp_rl.experiments.sweeps.progress_table import Display, as_table


def a_run(folder, rows, age=0.0, **config):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"env": "Hopper-v5", "algo": "sac", "n_timesteps": 1000, **config}))
    lines = ['#{"t_start": 1.0, "env_id": "None"}', "r,l,t", *(f"{r},{n},{t}" for r, n, t in rows)]
    (folder / "monitor.csv").write_text("\n".join(lines) + "\n")
    then = time.time() - age
    os.utime(folder / "monitor.csv", (then, then))
    return folder


def test_the_rate_leaves_out_pauses(tmp_path):
    once = a_run(tmp_path / "once", [(1.0, 100, 10.0), (2.0, 100, 20.0)])
    # The run was resumed, perhaps days later; the time in the monitor starts again at zero.
    again = a_run(tmp_path / "again", [(1.0, 100, 10.0), (2.0, 100, 20.0), (3.0, 100, 5.0), (4.0, 200, 15.0)])
    for folder, step, rate in ((once, 200, 10.0), (again, 500, 20.0)):
        with Run(folder).lock():
            found = Run(folder).progress
        assert (found.state, found.step) == (State.RUNNING, step)
        assert found.rate == pytest.approx(rate, rel=0.02)
        assert found.seconds_left == pytest.approx((1000 - step) / rate, rel=0.02)
        assert Run(folder).progress.rate is None  # it is not running


def test_the_rate_of_a_hanging_run_falls(tmp_path):
    folder = a_run(tmp_path / "run", [(1.0, 100, 10.0)], age=90.0)
    with Run(folder).lock():
        assert Run(folder).progress.rate == pytest.approx(1.0, rel=0.05)


def test_a_run_without_an_episode_has_no_rate(tmp_path):
    folder = a_run(tmp_path / "run", [])
    with Run(folder).lock():
        found = Run(folder).progress
    assert (found.step, found.rate, found.last_return, found.seconds_left) == (0, None, None, None)


def test_a_run_resumed_with_more_steps_records_them(main, tmp_path):
    words = ("train", "--env", "InvertedPendulum-v5", "--algo", "sac", "--eval-episodes", 1, "--save-freq", 20)
    assert main(*words, "-n", 40, "-params", "learning_starts:30", "policy_kwargs:{net_arch: [8]}")[0] == 0
    run = tmp_path / "runs/InvertedPendulum-v5/sac/seed0"
    begun = json.loads((run / "config.json").read_text())
    assert main("train", "--resume", run, "-n", 90)[0] == 0
    config = json.loads((run / "config.json").read_text())
    assert config == {**begun, "n_timesteps": 90}
    found = Run(run).progress
    assert (found.state, found.step, found.total) == (State.DONE, 90, 90)


HOLD = """
import sys, time
from pathlib import Path
from rpp_rl.experiments.run import Run
with Run(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_user_who_may_only_read_a_run_sees_its_lock(tmp_path):
    assert not Run(tmp_path).is_locked()
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        (tmp_path / ".lock").chmod(0o444)
        assert Run(tmp_path).is_locked()
    finally:
        process.kill()
        process.wait()
    assert not Run(tmp_path).is_locked()


def test_the_display_reads_folders_only_when_it_prints(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(table, "_LINE", 0.3)
    read = []
    with Display() as display:
        for k in range(20):
            display.show(lambda k=k: read.append(k) or [Progress(tmp_path, State.RUNNING, k, 20)], over=k == 19)
            time.sleep(0.05)
    lines = capsys.readouterr().out.splitlines()
    said = [line for line in lines if " steps" in line and "training return" not in line]
    assert said[0] == "1 running; 0 of 20 steps" and said[-1] == "1 running; 19 of 20 steps"
    assert len(read) == len(said) <= 6
    # Output to a file shows the running runs, too.
    assert lines[-1].split()[-3:] == ["running", "19", "20"]
    configs = [RunConfig("Hopper-v5", "sac", seed=seed, n_timesteps=100, log_folder=tmp_path) for seed in range(2)]
    jobs = [Job(config) for config in configs]
    engine = LocalEngine(jobs)
    for job in jobs:
        job.run.path.parent.mkdir(parents=True, exist_ok=True)
        a_run(job.run.path, [(1.0, 100, 10.0)])
    (jobs[0].run.path / "evaluation.json").write_text('{"num_timesteps": 100}')
    assert [found.state for found in engine.progress()] == [State.DONE, State.INTERRUPTED]
    shutil.rmtree(tmp_path / "Hopper-v5")
    assert [found.state for found in engine.progress()] == [State.DONE, State.WAITING]


def test_a_short_terminal_shows_the_unfinished_runs(tmp_path):
    states = [State.DONE] * 30 + [State.RUNNING] * 2 + [State.WAITING] * 7 + [State.FAILED]
    rows = [Progress(tmp_path / f"Hopper-v5/sac/seed{k}", state, k, 100) for k, state in enumerate(states)]
    console = Console(width=90, height=14, record=True)
    console.print(as_table(rows, most=10))
    _, *lines, below = console.export_text().splitlines()
    assert [line.split()[1] for line in lines] == ["running"] * 2 + ["waiting"] * 7 + ["failed"]
    assert below.strip() == "and 30 done"
    assert as_table(rows, most=40).caption is None


def test_an_invalid_evaluations_file_is_ignored(tmp_path):
    a_run(tmp_path, [(1.0, 100, 10.0)])
    with (tmp_path / "evaluations.npz").open("wb") as file:
        np.save(file, np.ones(3))
    assert Run(tmp_path).progress.step == 100


def test_a_narrow_terminal_wraps_long_names(tmp_path):
    rows = [Progress(tmp_path / "Hopper-v5/rpp_sac" / name, State.INTERRUPTED, 123456, 10**6) for name in ("s1", "s2")]
    console = Console(width=70, record=True)
    console.print(as_table(rows))
    header, *lines = console.export_text().splitlines()
    assert header.split() == ["run", "state", "step", "of", "steps/s", "training", "return", "left"]
    assert (
        "".join(line[: header.index("state")].strip() for line in lines) == "Hopper-v5/rpp_sac/s1Hopper-v5/rpp_sac/s2"
    )
    assert [line.split()[1:] for line in lines if "123456" in line] == [["interrupted", "123456", "1000000"]] * 2
