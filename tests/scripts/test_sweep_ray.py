"""`rpp-rl sweep --ray`, on a real cluster of two machines that are this one, one of which is killed."""

import os
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
from rpp_rl.scripts.sweeping.child import Child
from rpp_rl.scripts.sweeping.cluster import connected
from rpp_rl.scripts.sweeping.progress import State, progress_of

TINY = ("-params", "learning_starts:30", "batch_size:16", "buffer_size:2000", "policy_kwargs:{net_arch: [16]}")
SWEEP = ("sweep", "--algos", "rpp_sac", "--envs", "InvertedPendulum-v5", "--seeds", "0-1", "--eval-episodes", 1)
PATIENCE = 120


class TwoMachines:
    """A Ray cluster of two nodes with one CPU each, at two addresses of the loopback interface."""

    def __init__(self, scratch):
        from ray.cluster_utils import Cluster

        small = {"num_cpus": 1, "object_store_memory": 80_000_000}
        # Nodes that do not answer are dead after a second or two, not after twenty.
        settings = {"health_check_period_ms": 500, "health_check_timeout_ms": 1000, "health_check_failure_threshold": 3}
        self.cluster = Cluster()
        # What is at 127.0.0.1 itself Ray looks for at the address that other machines know.
        self.cluster.add_node(
            **small, node_ip_address="127.0.0.2", include_dashboard=False, temp_dir=scratch, _system_config=settings
        )
        self.second = self.cluster.add_node(**small, node_ip_address="127.0.0.3")
        self.address = self.cluster.address

    def kill_second(self):
        """Kill all that the second node consists of, without a word."""
        self.cluster.remove_node(self.second, allow_graceful=False)


@pytest.fixture
def machines(monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    # Short, since the names of sockets are.
    scratch = tempfile.mkdtemp(prefix="ray")
    both = TwoMachines(scratch)
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


def trainers(run):
    """The processes that hold a run's folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            held = {os.readlink(link) for link in (entry / "fd").iterdir()}
        except OSError:
            continue
        if str(run / ".lock") in held:
            found.append(int(entry.name))
    return found


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


@pytest.mark.ray
@pytest.mark.slow
def test_nothing_is_lost_with_a_machine(run_cli, machines, tmp_path):
    undisturbed, disturbed = tmp_path / "one", tmp_path / "two"
    for place in (undisturbed, disturbed):
        place.mkdir()
    words = (*SWEEP, "-n", 3000, "--save-freq", 100, "--eval-freq", 500, *TINY)
    process = begun((*words, "--ray", machines.address), disturbed)
    until(lambda: all(list(run_of(disturbed, s).glob("checkpoints/step_*")) for s in (0, 1)))
    machines.kill_second()
    code, said = ended(process, disturbed)
    assert code == 0, said
    assert "2 of 2 runs are done" in said
    logs = [run_of(disturbed, s).with_name(f"seed{s}.log").read_text() for s in (0, 1)]
    assert sorted("the worker was lost, 1 of 4 times" in log for log in logs) == [False, True]
    lost = next(log for log in logs if "the worker was lost" in log)
    # From a checkpoint, not from the beginning, and with the threads of its one CPU.
    assert "going on from step" in lost.partition("the worker was lost")[2]
    run_cli(*words, "--jobs", 1, cwd=undisturbed)
    for seed in (0, 1):
        assert_same(run_of(undisturbed, seed), run_of(disturbed, seed))
