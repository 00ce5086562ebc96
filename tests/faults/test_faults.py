"""The short form of the harness; `make faults` runs the long one."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from pathlib import Path

import pytest

from faults import cost, disk, environments, fuzzing, kills, locks, refusals, runs, soak


def kept(*rows):
    for row in rows:
        assert row.kept == row.tried, row


@pytest.mark.slow
def test_kills():
    kept(kills.kills(4, per_run=2, steps=800))


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_disks_that_fail_at_a_write(code):
    # Every eleventh, with another beginning for each kind.
    kept(disk.full_or_read_only(range(1 + code % 11, disk.writes_of_a_run(), 11), code))


@pytest.mark.slow
def test_real_disk_that_is_too_small():
    if not disk.can_mount():
        pytest.skip("no disk of its own can be mounted here")
    kept(disk.really_full([60]))


def test_environments_that_fail():
    kept(environments.in_this_process(("rpp_sac",)), environments.changed_symmetry())


def test_what_a_command_leaves_behind_is_seen():
    for script, left in (("sleep 30 & exit 0", True), ("exit 0", False)):
        process = subprocess.Popen(["/bin/sh", "-c", script], start_new_session=True)
        process.wait()
        assert runs.left_behind(process) is left
        if left:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_workers_that_fail():
    kept(environments.in_workers(("die", "hang")))


@pytest.mark.slow
def test_locks():
    kept(*locks.second_process_and_stale_lock(1))


def test_soak():
    kept(*soak.soak(1000))


@pytest.mark.parametrize("name", fuzzing.parsers(Path("/nowhere")))
def test_fuzzing(name):
    kept(fuzzing.fuzz(name, 150, 10.0))


def test_cost_of_a_checkpoint():
    kept(*cost.checkpoint_cost(500_000))


def test_refusals():
    kept(refusals.refusals())
