"""`rpp-rl sweep` and `rpp-rl status`, with real processes."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from helpers.processes import TESTS, UNAUDITED, Hold, finish, start

from rpp_rl.agents import RPPSAC
from rpp_rl.errors import RPPError, RunError
from rpp_rl.experiments.config import RunConfig
from rpp_rl.experiments.progress import State
from rpp_rl.experiments.run import Run
from rpp_rl.experiments.signals import interrupted_when_asked
from rpp_rl.experiments.sweeps.engine import LocalEngine
from rpp_rl.experiments.sweeps.jobs import Job
from rpp_rl.experiments.sweeps.plan import plan_from, read_plan
from rpp_rl.experiments.sweeps.progress_table import duration, names

TINY = ("-params", "learning_starts:30", "batch_size:16", "buffer_size:200", "policy_kwargs:{net_arch: [16]}")
SWEEP = ("sweep", "--envs", "InvertedPendulum-v5", "-n", 200, "--eval-episodes", 1, "--jobs", 2)


def folder(root, algo, seed):
    return root / f"runs/InvertedPendulum-v5/{algo}/seed{seed}"


@pytest.mark.slow
def test_a_sweep_trains_every_combination_as_an_ordinary_run(run_cli, tmp_path):
    algos = ("--algos", "rpp_sac", "sac", "--seeds", "0-1")
    said = run_cli(*SWEEP, *algos, *TINY).stdout
    assert "4 of 4 runs are done" in said
    assert "4 done; 800 of 800 steps" in said
    for algo in ("rpp_sac", "sac"):
        for seed in (0, 1):
            run = folder(tmp_path, algo, seed)
            assert (run / "evaluations.npz").is_file()
            assert Run(run).progress.state is State.DONE
            assert "mean evaluation return" in run.with_name(f"seed{seed}.log").read_text()
    # A finished run stays untouched; a longer sweep resumes it.
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock"}
    assert "4 of 4 runs are done" in run_cli(*SWEEP, *algos, *TINY).stdout
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock"} == before
    shown = run_cli("status", "runs").stdout
    assert shown.count("done") == 5 and "800 of 800 steps" in shown
    run_cli(*SWEEP, "--algos", "sac", "--seeds", "1", "-n", 300, *TINY)
    assert "resuming from step" in (folder(tmp_path, "sac", 1).with_name("seed1.log")).read_text()
    assert RPPSAC.load(folder(tmp_path, "sac", 1) / "model.zip", device="cpu").num_timesteps == 300


@pytest.mark.slow
def test_a_sweep_keeps_an_agent_without_a_checkpoint(run_cli, tmp_path):
    words = ("--algo", "sac", "--env", "InvertedPendulum-v5", "--seed", 0, "--no-audit", "--eval-episodes", 1)
    run_cli("train", *words, "-n", 60, *TINY)
    model = (folder(tmp_path, "sac", 0) / "model.zip").read_bytes()
    done = run_cli(*SWEEP, "--algos", "sac", "--seeds", "0", "-n", 90, *TINY, check=False)
    assert done.returncode == 1
    assert "no checkpoint to resume from" in done.stdout
    assert (folder(tmp_path, "sac", 0) / "model.zip").read_bytes() == model


PATIENT = (
    *("sweep", "--plan", UNAUDITED, "--algos", "rpp_sac", "--seeds", "0", "-n", 200),
    *("--envs", "helpers.tasks:Patient-v0"),
    *("--save-freq", 40, "--eval-episodes", 1, *TINY),
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The agent of a sweep that nothing interrupted."""
    place = tmp_path_factory.mktemp("undisturbed")
    code, printed = finish(start(PATIENT, place))
    assert code == 0, printed
    return place / "runs/Patient-v0/rpp_sac/seed0/model.zip"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_sweep_resumes_to_the_same_agent(undisturbed, tmp_path, monkeypatch, number):
    hold = Hold(tmp_path, monkeypatch)
    process = start(PATIENT, tmp_path)
    hold.wait_for(1)
    process.send_signal(number)
    code, printed = finish(process)
    assert code == 2, printed
    assert "the same command resumes them" in printed
    run = tmp_path / "runs/Patient-v0/rpp_sac/seed0"
    assert Run(run).progress.state is State.INTERRUPTED
    assert Run(run).progress.step == 100
    hold.release()
    assert "1 of 1 runs are done" in finish(start(PATIENT, tmp_path))[1]
    states = [RPPSAC.load(path, device="cpu").policy.state_dict() for path in (undisturbed, run / "model.zip")]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.slow
def test_a_sweep_reports_failed_runs_and_finishes_the_others(run_cli, tmp_path, monkeypatch):
    (tmp_path / "plan.yaml").write_text(
        "algos: [rpp_sac]\nenvs: ['helpers.tasks:Bicycle-v0']\nseeds: 0-1\nn_timesteps: 60\n"
        "variants: {loose: {options: {env_kwargs: ['fault:raise', 'at:40']}}}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    done = run_cli("sweep", "--plan", "plan.yaml", "--eval-episodes", 1, *TINY, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    failed = [line for line in done.stdout.splitlines() if line.startswith("failed: ")]
    for seed, line in enumerate(failed):
        assert f"Bicycle-v0 rpp_sac {seed}: " in line and "the left wheel came off" in line
        assert line.endswith(f"see runs/loose/Bicycle-v0/rpp_sac/seed{seed}.log")
        assert Run(tmp_path / f"runs/Bicycle-v0/rpp_sac/seed{seed}").progress.state is State.DONE
    assert len(failed) == 2 and "2 of 4 runs are done" in done.stdout


@pytest.mark.slow
def test_an_unusable_folder_fails_only_its_own_run(main, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "InvertedDoublePendulum-v5").write_text("a file")
    envs = ("InvertedPendulum-v5", "InvertedDoublePendulum-v5")
    code, out, _ = main("sweep", "--algos", "sac", "--envs", *envs, "--seeds", "0", "-n", 40, "--jobs", 2, *TINY)
    assert code == 1
    (failed,) = (line for line in out.splitlines() if line.startswith("failed: "))
    assert failed.startswith("failed: InvertedDoublePendulum-v5 sac 0: runs/InvertedDoublePendulum-v5/sac/seed0.log")
    assert "cannot be written: Not a directory; choose another folder with -f" in failed
    assert "1 of 2 runs are done" in out
    assert Run(tmp_path / "runs/InvertedPendulum-v5/sac/seed0").progress.state is State.DONE


def test_the_log_of_a_killed_run_names_the_signal(tmp_path, monkeypatch):
    job = Job(RunConfig("Hopper-v5", "sac", n_timesteps=10, log_folder=tmp_path))
    job.log.parent.mkdir(parents=True)
    engine = LocalEngine([job])
    monkeypatch.setattr(Job, "work", lambda self, trust: {})
    engine.run(lambda *_: killed(engine))
    assert engine.failed == [job]
    assert job.log.read_text().splitlines()[-1] == (
        "rpp-rl: the run was ended by the signal SIGKILL, as happens when the machine is short of memory; "
        "try fewer --jobs"
    )


def killed(engine):
    for process in engine._running.values():
        process.kill()


def test_runs_share_the_threads_that_this_process_may_use(tmp_path):
    configs = [RunConfig("Hopper-v5", "sac", seed=seed, n_timesteps=10, log_folder=tmp_path) for seed in range(2)]
    jobs = [Job(config) for config in configs]
    allowed = os.sched_getaffinity(0)
    assert LocalEngine(jobs, 16)._threads["OMP_NUM_THREADS"] == str(max(1, len(allowed) // 2))
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert LocalEngine(jobs[:1])._threads["OMP_NUM_THREADS"] == "1"
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("variants: {a: {}, b: {}, a: {}}", "'a' is given twice"),
        ("seeds: 0-1\nalgos: [sac]\nseeds: 0-2", "'seeds' is given twice"),
        ("algos: [sac]\nenvs: [Hopper-v5]\nn_timesteps: 1.0e+6", "a whole number without a point, got 1000000.0"),
    ],
)
def test_a_plan_with_duplicates_or_fractions_is_refused(tmp_path, text, message):
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(RunError, match=message):
        plan_from(read_plan(tmp_path / "plan.yaml"))


def test_a_plan_lists_its_runs_seed_by_seed(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(
        "algos: [rpp_sac, sac]\nenvs: [Hopper-v5]\nseeds: 0-2\nn_timesteps: 10\n"
        "options: {eval_freq: 5, audit: false, hyperparams: ['gamma:0.9', 'tau:0.1']}\n"
    )
    plan = plan_from(read_plan(path))
    assert plan.seeds == (0, 1, 2)
    configs = plan.configs(Path("runs"))
    assert len(configs) == 6
    assert [config.seed for config in configs] == [0, 0, 1, 1, 2, 2]
    assert {(config.eval_freq, config.audit, config.n_timesteps) for config in configs} == {(5, False, 10)}
    assert configs[0].hyperparams == {"gamma": 0.9, "tau": 0.1}
    assert RunConfig("mine:Hopper-v5", "sac", seed=3, log_folder="r").folder == Path("r/Hopper-v5/sac/seed3")


def test_variants_run_in_folders_of_their_own_seed_by_seed(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(
        "algos: [rpp_sac, mlp_sac]\nenvs: [Hopper-v5]\nseeds: 0-1\nn_timesteps: 10\n"
        "options: {audit: false, eval_freq: 5, hyperparams: ['gamma:0.9']}\n"
        "variants:\n"
        "  trivial: {algos: [rpp_sac], options: {symmetry: trivial, audit: true}}\n"
        "  fast-rate: {options: {hyperparams: ['learning_rate:6e-4']}}\n"
    )
    configs = plan_from(read_plan(path)).configs(Path("runs"), {"eval_freq": 7, "hyperparams": {"tau": 0.1}})
    parts = (("", "rpp_sac"), ("", "mlp_sac"), ("trivial/", "rpp_sac"), ("fast-rate/", "rpp_sac"))
    assert [str(config.folder) for config in configs] == [
        f"runs/{name}Hopper-v5/{algo}/seed{seed}"
        for seed in (0, 1)
        for name, algo in (*parts, ("fast-rate/", "mlp_sac"))
    ]
    common = {"gamma": 0.9, "tau": 0.1}
    settings = [(c.eval_freq, c.audit, c.symmetry, c.hyperparams) for c in configs]
    assert settings[0] == (7, False, None, common)
    assert settings[2] == (7, True, "trivial", common)
    assert settings[3] == (7, False, None, {**common, "learning_rate": 6e-4})


@pytest.mark.slow
def test_a_variant_trains_with_its_options(run_cli, tmp_path):
    (tmp_path / "plan.yaml").write_text(
        "algos: [mlp_sac]\nenvs: [InvertedPendulum-v5]\nseeds: 0\nn_timesteps: 20\n"
        "variants:\n  twice: {options: {hyperparams: ['learning_rate:6e-4']}}\n"
    )
    run_cli("sweep", "--plan", "plan.yaml", "--eval-freq", 20, "--eval-episodes", 1, *TINY)
    folders = ("InvertedPendulum-v5/mlp_sac/seed0", "twice/InvertedPendulum-v5/mlp_sac/seed0")
    configs = [json.loads((tmp_path / "runs" / name / "config.json").read_text()) for name in folders]
    assert [c["hyperparameters"].get("learning_rate") for c in configs] == [1e-3, 6e-4]
    assert {c["hyperparameters"]["batch_size"] for c in configs} == {16}


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "algos: sac",
        "algos: [sac]\nenvs: [Hopper-v5]\nseeds: 0-x\nn_timesteps: 10",
        "algos: [sac]\nenvs: [Hopper-v5]\nseeds: 0",
        "algos: [sac, sac]\nenvs: [Hopper-v5]\nseeds: 0\nn_timesteps: 10",
        "algos: [sac]\nenvs: []\nseeds: 0\nn_timesteps: 10",
        "algos: [sac]\nenvs: [Hopper-v5]\nseeds: 0\nn_timesteps: 0",
        "algos: [sac]\nenvs: [Hopper-v5]\nseeds: 0\nn_timesteps: 10\noptions: 3",
        "algo: [sac]",
        "algos: [sac]\nenvs: [Hopper-v5]\nseeds: 0\nn_timesteps: 10\noptions: {n_timesteps: 5}",
        "algos: [sac]\nenvs: [Hopper-v5]\nseeds: 0\nn_timesteps: 10\noptions: ['-f', elsewhere]",
        "algos: [sac]\nenvs: [Hopper-v5]\nseeds: 0\nn_timesteps: 10\nvariants: {a: {options: {seed: 7}}}",
        "algos: [sac]\nenvs: [Hopper-v5]\nseeds: 0\nn_timesteps: 10\noptions: [x]",
        "algos: [sac]\nenvs: [Hopper-v5]\nseeds: 0\nn_timesteps: 10\nvariants: [a]",
        "algos: [sac]\nenvs: [Hopper-v5]\nseeds: 0\nn_timesteps: 10\nvariants: {a: 3}",
        "algos: [sac]\nenvs: [Hopper-v5]\nseeds: 0\nn_timesteps: 10\nvariants: {a: {algo: [sac]}}",
        "algos: [sac]\nenvs: [Hopper-v5]\nseeds: 0\nn_timesteps: 10\nvariants: {../a: {}}",
        "algos: [sac]\nenvs: [Hopper-v5]\nseeds: 0\nn_timesteps: 10\nvariants: {a: {envs: [A-v1, A-v1]}}",
        "a: !!python/object/apply:os.system [id]",
        "{",
    ],
)
def test_an_invalid_plan_is_refused(tmp_path, text):
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(RPPError):
        plan_from(read_plan(tmp_path / "plan.yaml"))


def test_wrong_arguments_are_refused(refused):
    some = ("--envs", "InvertedPendulum-v5", "-n", 10, "--seeds", "0")
    assert "did you mean 'rpp_sac'" in refused("sweep", *some, "--algos", "rpp_sca")
    assert "did you mean" in refused("sweep", "--envs", "InvertedPendulm-v5", "-n", 10, "--algos", "sac")
    assert "--jobs must be at least 1" in refused("sweep", *some, "--algos", "sac", "--jobs", 0)
    assert "cannot be read" in refused("sweep", "--plan", "nowhere.yaml")
    assert "a sweep needs algos" in refused("sweep", *some)
    assert "there is no folder nowhere" in refused("status", "nowhere")


def test_nohup_keeps_a_run_alive_when_the_terminal_closes():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupted_when_asked():
            os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(1)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_table_distinguishes_runs_of_variants():
    below = ["Ant-v5/sac/seed0", "Ant-v5/sac/seed1", "twice/Ant-v5/sac/seed0"]
    assert names([Path("/somewhere/runs") / name for name in below]) == below
    assert names([Path("runs") / name for name in below]) == below
    assert names([Path(name) for name in below]) == below
    assert names([Path("runs/Ant-v5/sac/seed0")]) == ["Ant-v5/sac/seed0"]
    assert names([Path("/seed0")]) == ["seed0"]
    assert names([]) == []


def test_a_duration_is_shown_in_two_units():
    assert [duration(s) for s in (None, 5, 65, 3600, 86_400)] == ["", "0m05s", "1m05s", "1h00m", "24h00m"]
