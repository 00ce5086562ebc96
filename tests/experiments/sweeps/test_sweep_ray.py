"""`rpp-rl sweep --ray`, on a real cluster of two nodes on this machine, one of which is killed."""

import fcntl
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
import torch
from helpers.processes import TESTS, UNAUDITED, Hold, finish, start, wait_until

from rpp_rl.agents import RPPSAC
from rpp_rl.errors import RunError
from rpp_rl.experiments.config import RunConfig
from rpp_rl.experiments.progress import State
from rpp_rl.experiments.run import Run
from rpp_rl.experiments.sweeps.ray_cluster import Child

TINY = ("-params", "learning_starts:30", "batch_size:16", "buffer_size:200", "policy_kwargs:{net_arch: [16]}")
SWEEP = (
    *("sweep", "--plan", UNAUDITED, "--algos", "rpp_sac", "--seeds", "0-1", "-n", 200),
    *("--envs", "helpers.tasks:Patient-v0"),
    *("--save-freq", 40, "--eval-freq", 100, "--eval-episodes", 1, *TINY),
)


class TwoMachines:
    """A Ray cluster of two nodes with one CPU each, at two addresses of the loopback interface."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        small = {"num_cpus": 1, "object_store_memory": 80_000_000}
        # Nodes that do not answer are dead after a second or two, not after twenty.
        settings = {"health_check_period_ms": 500, "health_check_timeout_ms": 1000, "health_check_failure_threshold": 3}
        self.cluster = Cluster()
        # Ray replaces 127.0.0.1 itself by the address that other machines know.
        self.cluster.add_node(**small, node_ip_address="127.0.0.2", include_dashboard=False, _system_config=settings)
        self.second = self.cluster.add_node(**small, node_ip_address="127.0.0.3")
        self.address = self.cluster.address

    def kill_second(self):
        """Kill all processes of the second node, without notice."""
        self.cluster.remove_node(self.second, allow_graceful=False)


@pytest.fixture
def alone(tmp_path_factory):
    """One cluster at a time: Ray's "auto" finds any cluster of this machine, also one of a test in another process."""
    with (tmp_path_factory.getbasetemp().parent / "ray").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def machines(monkeypatch, alone):
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    # A short path, since the names of sockets must be short.
    scratch = tempfile.mkdtemp(prefix="ray")
    monkeypatch.setenv("RAY_TMPDIR", scratch)
    both = TwoMachines()
    yield both
    both.cluster.shutdown()
    shutil.rmtree(scratch, ignore_errors=True)


@pytest.fixture
def hold(tmp_path, monkeypatch):
    """Hold every run at its hundredth step; workers inherit the variable, so this fixture comes before `machines`."""
    return Hold(tmp_path, monkeypatch)


def run_of(place, seed):
    return place / f"runs/Patient-v0/rpp_sac/seed{seed}"


def assert_same(one, two):
    """Compare the agents, evaluations and episodes of two runs, bit for bit."""
    states = [RPPSAC.load(run / "model.zip", device="cpu").policy.state_dict() for run in (one, two)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    evaluations = [np.load(run / "evaluations.npz") for run in (one, two)]
    for name in evaluations[0].files:
        np.testing.assert_array_equal(evaluations[0][name], evaluations[1][name])
    episodes = [
        [line.split(",")[:2] for line in (run / "monitor.csv").read_text().splitlines()[1:]] for run in (one, two)
    ]
    assert episodes[0] == episodes[1]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The sweep as processes of this machine, never interrupted."""
    place = tmp_path_factory.mktemp("undisturbed")
    code, printed = finish(start((*SWEEP, "--jobs", 2), place))
    assert code == 0, printed
    return place


@pytest.mark.ray
@pytest.mark.slow
def test_runs_of_a_killed_machine_resume_on_another(undisturbed, hold, machines, tmp_path):
    process = start((*SWEEP, "--ray", machines.address), tmp_path)
    hold.wait_for(2)
    machines.kill_second()
    # Released earlier, the lost run could end before its process notices that its worker is gone.
    wait_until(lambda: not all(Run(run_of(tmp_path, seed)).is_locked() for seed in (0, 1)))
    hold.release()
    code, printed = finish(process)
    assert code == 0, printed
    assert "2 of 2 runs are done" in printed
    logs = [run_of(tmp_path, s).with_name(f"seed{s}.log").read_text() for s in (0, 1)]
    assert sorted("the worker was lost, 1 of 4 times" in log for log in logs) == [False, True]
    lost = next(log for log in logs if "the worker was lost" in log)
    # From a checkpoint, not from the beginning.
    assert "from step 80" in lost.partition("the worker was lost")[2]
    for seed in (0, 1):
        assert Run(run_of(tmp_path, seed)).progress.state is State.DONE
        assert_same(run_of(undisturbed, seed), run_of(tmp_path, seed))


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_refuses_what_it_cannot_do_and_an_interrupted_sweep_resumes(undisturbed, hold, machines, tmp_path):
    for more, sentence in (
        (("--cpus-per-run", 2), "a run asks for 2 CPUs and 0 GPUs, and no machine of the cluster"),
        (("--gpus-per-run", 0.5), "a run asks for 1 CPUs and 0.5 GPUs"),
    ):
        code, printed = finish(start((*SWEEP, "--ray", machines.address, *more), tmp_path))
        assert code == 2 and sentence in printed and "Traceback" not in printed, printed
        assert not (tmp_path / "runs").exists()
    process = start((*SWEEP, "--ray", machines.address, "--jobs", 1), tmp_path)
    hold.wait_for(1)
    assert not run_of(tmp_path, 1).exists()
    process.send_signal(signal.SIGINT)
    code, printed = finish(process)
    assert code == 2 and "the same command resumes them" in printed, printed
    assert Run(run_of(tmp_path, 0)).progress.state is State.INTERRUPTED
    assert "stopped at step 100" in run_of(tmp_path, 0).with_name("seed0.log").read_text()
    hold.release()
    code, printed = finish(start((*SWEEP, "--ray", machines.address), tmp_path))
    assert code == 0, printed
    assert "from step 100" in run_of(tmp_path, 0).with_name("seed0.log").read_text()
    for seed in (0, 1):
        assert_same(run_of(undisturbed, seed), run_of(tmp_path, seed))


@pytest.mark.ray
@pytest.mark.slow
def test_a_run_whose_workers_die_four_times_fails_and_the_others_are_done(machines, tmp_path):
    (tmp_path / "plan.yaml").write_text(
        "algos: [sac]\nenvs: ['helpers.tasks:Bicycle-v0']\nseeds: 0\nn_timesteps: 60\n"
        "options: {audit: false, eval_episodes: 1, save_freq: 20}\n"
        "variants: {shaky: {options: {env_kwargs: ['fault:orphan', 'at:15']}}}\n"
    )
    code, printed = finish(
        start(("sweep", "--plan", "plan.yaml", "--ray", machines.address, "--trust", *TINY), tmp_path)
    )
    assert code == 1, printed
    failed = next(line for line in printed.splitlines() if line.startswith("failed: helpers.tasks:Bicycle-v0 sac 0"))
    assert "the worker was lost, 4 of 4 times; see runs/shaky/" in failed
    assert "1 of 2 runs are done" in printed
    log = (tmp_path / "runs/shaky/Bicycle-v0/sac/seed0.log").read_text()
    assert log.count("the worker was lost") == 4
    assert Run(tmp_path / "runs/Bicycle-v0/sac/seed0").progress.state is State.DONE


@pytest.mark.ray
def test_ray_refuses_addresses_without_a_cluster(refused, tmp_path_factory, monkeypatch, alone):
    pytest.importorskip("ray", reason="Ray is not installed")
    # Ray remembers a cluster that was killed.
    remembered = tmp_path_factory.mktemp("ray")
    (remembered / "ray").mkdir()
    (remembered / "ray/ray_current_cluster").write_text("127.0.0.2:1")
    monkeypatch.setenv("RAY_TMPDIR", str(remembered))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    some = ("sweep", "--algos", "sac", "--envs", "InvertedPendulum-v5", "-n", 10)
    assert "there is no Ray cluster at 'auto'" in refused(*some, "--ray", "auto")
    # A closed port.
    assert "there is no Ray cluster at '127.0.0.1:1'" in refused(*some, "--ray", "127.0.0.1:1")
    for address in ("nonsense", "ray://here:10001", "here:port"):
        assert "--ray must be 'auto' or HOST:PORT" in refused(*some, "--ray", address)
    assert "--cpus-per-run must be a fraction of one or" in refused(*some, "--ray", "auto", "--cpus-per-run", -1)
    assert "--gpus-per-run must be a fraction of one or" in refused(*some, "--ray", "auto", "--gpus-per-run", 1.5)
    assert "--jobs must be at least 1" in refused(*some, "--ray", "auto", "--jobs", 0)


def test_a_sweep_without_ray_says_what_to_install(refused, monkeypatch):
    some = ("sweep", "--algos", "sac", "--envs", "InvertedPendulum-v5", "-n", 10)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install 'rpp-rl[ray]'" in refused(*some, "--ray", "auto")
    assert "--gpus-per-run need --ray" in refused(*some, "--gpus-per-run", 1)


@pytest.mark.slow
def test_a_run_ends_with_its_killed_worker(tmp_path):
    hyperparams = {"learning_starts": 30, "policy_kwargs": {"net_arch": [16]}}
    config = RunConfig("InvertedPendulum-v5", n_timesteps=100_000, audit=False, hyperparams=hyperparams)
    work = {"train": config.to_dict()}
    worker = (
        "import sys, time\nfrom rpp_rl.experiments.sweeps.ray_cluster import Child\n"
        f"child = Child()\nchild.start({work!r}, '.', 'log', {{}})\ntime.sleep(600)\n"
    )
    (tmp_path / "log").touch()
    process = subprocess.Popen([sys.executable, "-c", worker], cwd=tmp_path)
    run = tmp_path / "runs/InvertedPendulum-v5/rpp_sac/seed0"
    try:
        wait_until((run / "monitor.csv").is_file)
        assert Run(run).is_locked()
    finally:
        process.kill()
        process.wait()
    killed = time.monotonic()
    wait_until(lambda: not Run(run).is_locked())
    assert time.monotonic() - killed < 10


def test_a_worker_refuses_storage_that_is_not_shared(tmp_path, monkeypatch):
    monkeypatch.setattr("rpp_rl.experiments.sweeps.ray_cluster._PATIENCE", 0.1)
    with pytest.raises(RunError, match="give all machines of the cluster a shared folder"):
        Child().start({}, str(tmp_path), "runs/seed0.log", {})
