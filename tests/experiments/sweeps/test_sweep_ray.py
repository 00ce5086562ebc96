"""`rpp-rl sweep --ray`, on a real cluster of two machines that are this one, one of which is killed."""

import fcntl
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from rpp_rl.agents import RPPSAC
from rpp_rl.errors import RunError
from rpp_rl.experiments.progress import State, is_locked, progress_of
from rpp_rl.experiments.sweeps.ray_worker import Child

TINY = ("-params", "learning_starts:30", "batch_size:16", "buffer_size:2000", "policy_kwargs:{net_arch: [16]}")
SWEEP = ("sweep", "--algos", "rpp_sac", "--envs", "InvertedPendulum-v5", "--seeds", "0-1", "--eval-episodes", 1)
LONG = (*SWEEP, "-n", 4000, "--save-freq", 100, "--eval-freq", 1000, *TINY)
PATIENCE = 150


class TwoMachines:
    """A Ray cluster of two nodes with one CPU each, at two addresses of the loopback interface."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        small = {"num_cpus": 1, "object_store_memory": 80_000_000}
        # Nodes that do not answer are dead after a second or two, not after twenty.
        settings = {"health_check_period_ms": 500, "health_check_timeout_ms": 1000, "health_check_failure_threshold": 3}
        self.cluster = Cluster()
        # What is at 127.0.0.1 itself Ray looks for at the address that other machines know.
        self.cluster.add_node(**small, node_ip_address="127.0.0.2", include_dashboard=False, _system_config=settings)
        self.second = self.cluster.add_node(**small, node_ip_address="127.0.0.3")
        self.address = self.cluster.address

    def kill_second(self):
        """Kill all that the second node consists of, without a word."""
        self.cluster.remove_node(self.second, allow_graceful=False)


@pytest.fixture
def alone(tmp_path_factory):
    """One cluster at a time: Ray's "auto" is whatever runs on this machine, tests in other processes included."""
    with (tmp_path_factory.getbasetemp().parent / "ray").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def machines(monkeypatch, alone):
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # of the tasks of these tests
    # Short, since the names of sockets are.
    scratch = tempfile.mkdtemp(prefix="ray")
    for name in ("RAY_TMPDIR", "TMPDIR"):  # where a lost worker leaves its run, too
        monkeypatch.setenv(name, scratch)
    both = TwoMachines()
    yield both
    both.cluster.shutdown()
    shutil.rmtree(scratch, ignore_errors=True)


def begun(words, place):
    command = [sys.executable, "-m", "rpp_rl.scripts.main", *map(str, words)]
    with (place / "said.txt").open("w") as said:
        return subprocess.Popen(command, cwd=place, stdout=said, stderr=subprocess.STDOUT)


def ended(process, place):
    """The exit code of a process that was begun, and what it said."""
    try:
        process.wait(PATIENCE)
    finally:
        process.kill()
    return process.returncode, (place / "said.txt").read_text()


def run_of(place, seed):
    return place / f"runs/InvertedPendulum-v5/rpp_sac/seed{seed}"


def until(true):
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def assert_same(one, two):
    """Two runs ended alike, to the last bit."""
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
    process = begun((*LONG, "--jobs", 2), place)
    code, said = ended(process, place)
    assert code == 0, said
    return place


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("storage", [(), ("--ray-bring-back",)], ids=["shared", "brought"])
def test_nothing_is_lost_with_a_machine(undisturbed, machines, tmp_path, storage):
    process = begun((*LONG, "--ray", machines.address, *storage), tmp_path)
    until(lambda: all(list(run_of(tmp_path, s).glob("checkpoints/step_*")) for s in (0, 1)))
    machines.kill_second()
    code, said = ended(process, tmp_path)
    assert code == 0, said
    assert "2 of 2 runs are done" in said
    logs = [run_of(tmp_path, s).with_name(f"seed{s}.log").read_text() for s in (0, 1)]
    assert sorted("the worker was lost, 1 of 4 times" in log for log in logs) == [False, True]
    lost = next(log for log in logs if "the worker was lost" in log)
    # From a checkpoint, not from the beginning.
    assert "resuming from step" in lost.partition("the worker was lost")[2]
    for seed in (0, 1):
        assert progress_of(run_of(tmp_path, seed)).state is State.DONE
        assert not list(run_of(tmp_path, seed).rglob(".incoming"))
        assert_same(run_of(undisturbed, seed), run_of(tmp_path, seed))


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("storage", [(), ("--ray-bring-back",)], ids=["shared", "brought"])
def test_what_a_cluster_cannot_do_and_an_interruption(undisturbed, machines, tmp_path, storage):
    ask = ("--ray", machines.address, *storage)
    for more, sentence in (
        (("--cpus-per-run", 2), "a run asks for 2 CPUs and 0 GPUs, and no machine of the cluster"),
        (("--gpus-per-run", 0.5), "a run asks for 1 CPUs and 0.5 GPUs"),
    ):
        code, said = ended(begun((*LONG, *ask, *more), tmp_path), tmp_path)
        assert code == 2 and sentence in said and "Traceback" not in said, said
        assert not (tmp_path / "runs").exists()
    process = begun((*LONG, *ask, "--jobs", 1), tmp_path)
    until(lambda: list(run_of(tmp_path, 0).glob("checkpoints/step_*")))
    assert not run_of(tmp_path, 1).exists()
    process.send_signal(signal.SIGINT)
    code, said = ended(process, tmp_path)
    assert code == 2 and "the same command goes on" in said, said
    assert progress_of(run_of(tmp_path, 0)).state is State.INTERRUPTED
    assert "stopped at step" in run_of(tmp_path, 0).with_name("seed0.log").read_text()
    code, said = ended(begun((*LONG, *ask), tmp_path), tmp_path)
    assert code == 0, said
    assert "resuming from step" in run_of(tmp_path, 0).with_name("seed0.log").read_text()
    for seed in (0, 1):
        assert_same(run_of(undisturbed, seed), run_of(tmp_path, seed))


@pytest.mark.ray
@pytest.mark.slow
def test_a_run_whose_workers_are_lost_again_and_again_fails_and_the_others_are_done(machines, tmp_path):
    (tmp_path / "plan.yaml").write_text(
        "algos: [sac]\nenvs: ['helpers.tasks:Bicycle-v0']\nseeds: 0\nn_timesteps: 60\n"
        "options: {audit: false, eval_episodes: 1, save_freq: 20}\n"
        "variants: {shaky: {options: {env_kwargs: ['fault:orphan', 'at:15']}}}\n"
    )
    process = begun(("sweep", "--plan", "plan.yaml", "--ray", machines.address, "--trust", *TINY), tmp_path)
    code, said = ended(process, tmp_path)
    assert code == 1, said
    failed = next(line for line in said.splitlines() if line.startswith("failed: helpers.tasks:Bicycle-v0 sac 0"))
    assert "the worker was lost, 4 of 4 times; see runs/shaky/" in failed
    assert "1 of 2 runs are done" in said
    log = (tmp_path / "runs/shaky/Bicycle-v0/sac/seed0.log").read_text()
    assert log.count("the worker was lost") == 4
    assert progress_of(tmp_path / "runs/Bicycle-v0/sac/seed0").state is State.DONE


@pytest.mark.ray
def test_addresses(refused, tmp_path_factory, monkeypatch, alone):
    pytest.importorskip("ray", reason="Ray is not installed")
    # What Ray remembers of a cluster that has been killed.
    remembered = tmp_path_factory.mktemp("ray")
    (remembered / "ray").mkdir()
    (remembered / "ray/ray_current_cluster").write_text("127.0.0.2:1")
    monkeypatch.setenv("RAY_TMPDIR", str(remembered))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    some = ("sweep", "--algos", "sac", "--envs", "InvertedPendulum-v5", "-n", 10)
    assert "there is no Ray cluster at 'auto'" in refused(*some, "--ray", "auto")
    # A port that nobody listens at.
    assert "there is no Ray cluster at '127.0.0.1:1'" in refused(*some, "--ray", "127.0.0.1:1")
    for address in ("nonsense", "ray://here:10001", "here:port"):
        assert "--ray is 'auto' or HOST:PORT" in refused(*some, "--ray", address)
    assert "--cpus-per-run is a part of one or" in refused(*some, "--ray", "auto", "--cpus-per-run", -1)
    assert "--gpus-per-run is a part of one or" in refused(*some, "--ray", "auto", "--gpus-per-run", 1.5)
    assert "--jobs must be at least 1" in refused(*some, "--ray", "auto", "--jobs", 0)
    plan = tmp_path_factory.mktemp("plan") / "plan.yaml"
    plan.write_text("options: {tensorboard_log: elsewhere}")
    assert "leave out --tensorboard-log" in refused(*some, "--ray", "auto", "--ray-bring-back", "--plan", plan)


def test_without_ray(refused, monkeypatch):
    some = ("sweep", "--algos", "sac", "--envs", "InvertedPendulum-v5", "-n", 10)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install 'rpp-rl[ray]'" in refused(*some, "--ray", "auto")
    assert "--gpus-per-run is for --ray" in refused(*some, "--gpus-per-run", 1)
    assert "--ray-bring-back is for --ray" in refused(*some, "--ray-bring-back")


def test_a_run_ends_with_its_worker(tmp_path):
    """However the worker ends: here it is killed, as with a machine."""
    words = ["train", "--env", "InvertedPendulum-v5", "-n", "100000", "--no-audit", *TINY]
    worker = (
        "import sys, time\nfrom rpp_rl.experiments.sweeps.ray_worker import Child\n"
        f"child = Child()\nchild.begin({words!r}, '.', 'log', {{}})\ntime.sleep(600)\n"
    )
    (tmp_path / "log").touch()
    process = subprocess.Popen([sys.executable, "-c", worker], cwd=tmp_path)
    run = tmp_path / "runs/InvertedPendulum-v5/rpp_sac/seed0"
    try:
        until((run / "monitor.csv").is_file)
        assert is_locked(run)
    finally:
        process.kill()
        process.wait()
    began = time.monotonic()
    until(lambda: not is_locked(run))
    assert time.monotonic() - began < 10


def test_storage_that_is_not_shared_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("rpp_rl.experiments.sweeps.ray_worker._PATIENCE", 0.1)
    with pytest.raises(RunError, match="add --ray-bring-back"):
        Child().begin(["train"], str(tmp_path), "runs/seed0.log", {})
