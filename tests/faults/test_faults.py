"""A short form of `make faults`."""

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
def test_killed_runs_resume_to_the_same_agent():
    kept(kills.kills(4, per_run=2, steps=800))


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_fails_at_a_write_loses_nothing(code):
    # Every eleventh write, from another one for each kind.
    kept(disk.full_or_read_only(range(1 + code % 11, disk.writes_of_a_run(), 11), code))


@pytest.mark.slow
def test_a_disk_that_is_too_small_loses_nothing():
    if not disk.can_mount():
        pytest.skip("this user may not mount a disk")
    kept(disk.really_full([60]))


def test_an_environment_that_fails_ends_the_run_in_one_sentence():
    kept(environments.in_this_process(("rpp_sac",)), environments.changed_symmetry())


def test_the_harness_sees_processes_left_behind():
    for script, left in (("sleep 30 & exit 0", True), ("exit 0", False)):
        process = subprocess.Popen(["/bin/sh", "-c", script], start_new_session=True)
        process.wait()
        assert runs.left_behind(process) is left
        if left:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_worker_that_fails_ends_the_run_in_one_sentence():
    kept(environments.in_workers(("die", "hang")))


@pytest.mark.slow
def test_a_lock_keeps_a_second_process_out_until_its_owner_dies():
    kept(*locks.second_process_and_stale_lock(1))


@pytest.mark.slow
def test_a_long_run_does_not_grow():
    kept(*soak.soak(1000))


@pytest.mark.parametrize("name", fuzzing.parsers(Path("/nowhere")))
def test_parsers_never_end_in_a_traceback(name):
    kept(fuzzing.fuzz(name, 150, 10.0))


def test_a_checkpoint_takes_little_memory():
    kept(*cost.checkpoint_cost(500_000))


def test_wrong_arguments_are_refused_in_one_sentence():
    kept(refusals.refusals())
