"""Make the disk full or read-only at each single write of a run."""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

from faults.runs import RUN, TINY, called, finish_run, in_one_sentence, same_parameters, whole_checkpoints
from faults.table import Row
from rpp_rl.agents.common.checkpoints.files import checkpoints

BEGIN = (
    *("train", "--env", "InvertedPendulum-v5", "-n", 120, "--save-freq", 40, "--eval-freq", 60),
    *("--eval-episodes", 1, "--no-audit", *TINY),
)
PROMISE = "one sentence, every checkpoint whole, and after --resume the parameters of an undisturbed run"


class FailingDisk:
    """Let the `at`-th write below a folder and all later ones fail; 0 only counts them.

    A write is: opening a file to write, each write to it, making a folder, renaming.
    """

    def __init__(self, folder: Path, at: int, code: int) -> None:
        self.folder, self.at, self.code, self.writes = str(folder), at, code, 0

    def write(self, path) -> None:
        if isinstance(path, int) or not os.path.abspath(os.fsdecode(path)).startswith(self.folder):
            return
        self.writes += 1
        if self.at and self.writes >= self.at:
            raise OSError(self.code, os.strerror(self.code), str(path))

    @contextlib.contextmanager
    def plugged_in(self):
        opened, mkdir, rename, replace = io.open, os.mkdir, os.rename, os.replace

        def open_(file, mode="r", *args, **kwargs):
            if not set(mode) & set("wax+"):
                return opened(file, mode, *args, **kwargs)
            self.write(file)
            return _File(opened(file, mode, *args, **kwargs), file, self)

        def guarded(function):
            def call(path, *args, **kwargs):
                self.write(path)
                return function(path, *args, **kwargs)

            return call

        patches = [
            *(mock.patch.object(module, "open", open_) for module in (builtins, io)),
            *(mock.patch.object(os, f.__name__, guarded(f)) for f in (mkdir, rename, replace)),
        ]
        with contextlib.ExitStack() as stack:
            for patch in patches:
                stack.enter_context(patch)
            yield self


class _File:
    """A file on a disk that fails."""

    def __init__(self, file, path, disk: FailingDisk) -> None:
        self.__dict__.update(_file=file, _path=path, _disk=disk)

    def write(self, content):
        self._disk.write(self._path)
        return self._file.write(content)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self._file.close()

    def __iter__(self):
        return iter(self._file)


def writes_of_a_run() -> int:
    """Count the writes of an undisturbed run."""
    with tempfile.TemporaryDirectory() as scratch:
        disk = FailingDisk(Path(scratch), 0, 0)
        with disk.plugged_in():
            code, printed = called(BEGIN, scratch)
        if code:
            raise RuntimeError(printed)
        return disk.writes


def full_or_read_only(places, code: int) -> Row:
    """Let the disk fail from each of these writes on, then repair it and resume."""
    kept, lost = 0, []
    with tempfile.TemporaryDirectory() as scratch:
        called(BEGIN, scratch)
        undisturbed = Path(scratch) / RUN / "model.zip"
        for place in places:
            folder = Path(scratch) / f"at{place}"
            folder.mkdir()
            with FailingDisk(folder, place, code).plugged_in():
                exit_code, printed = called(BEGIN, folder)
            good = in_one_sentence(exit_code, printed) and whole_checkpoints(folder / RUN)
            if not checkpoints(folder / RUN / "checkpoints"):
                shutil.rmtree(folder / "runs", ignore_errors=True)
            try:
                finish_run(RUN, BEGIN, folder)
                good = good and same_parameters(folder / RUN / "model.zip", undisturbed)
            except (RuntimeError, OSError) as error:
                good, printed = False, f"{printed} {error}"
            kept += good
            if not good:
                lost.append(place)
                print(f"write {place}: {printed}", file=sys.stderr)
            shutil.rmtree(folder)
    what = {errno.ENOSPC: "full", errno.EROFS: "read-only"}[code]
    note = f"the writes of a run of 120 steps{f'; lost at {lost}' if lost else ''}"
    return Row("disk", f"{what} from a write on", PROMISE, len(places), kept, note)


def can_mount() -> bool:
    """Whether this user may mount a small disk."""
    if shutil.which("unshare") is None:
        return False
    test = "mount -t tmpfs -o size=64k tmpfs /mnt"
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", test]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def really_full(sizes) -> Row:
    """Train on real disks of these sizes in KiB, then enlarge them and resume."""
    kept, stopped = 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        called(BEGIN, scratch)
        undisturbed = Path(scratch) / RUN / "model.zip"
        rpp_rl = [sys.executable, "-m", "rpp_rl.scripts.main"]
        for size in sizes:
            folder = Path(scratch) / f"disk{size}"
            folder.mkdir()
            words = lambda command: " ".join(f"'{word}'" for word in (*rpp_rl, *map(str, command)))  # noqa: E731
            script = f"""
                mount -t tmpfs -o size={size}k tmpfs /mnt && cd /mnt
                {words(BEGIN)} > /dev/shm/out 2>&1; echo "code $?"; cat /dev/shm/out
                mount -o remount,size=64m /mnt
                ls runs/*/*/*/checkpoints/step_* > /dev/null 2>&1 || {{ rm -rf runs; {words(BEGIN)} || exit 3; }}
                {words(("train", "--resume", RUN))} || echo "not resumed"
                cp {RUN}/model.zip {folder}/model.zip"""
            command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
            first = done.stdout.partition("code ")[2]
            good = first[:1] in "02" and "Traceback" not in done.stdout + done.stderr and done.returncode == 0
            good = good and same_parameters(folder / "model.zip", undisturbed)
            stopped += first[:1] == "2"
            kept += good
            if not good:
                print(f"disk of {size} KiB: {done.stdout} {done.stderr}", file=sys.stderr)
    return Row(
        "disk",
        "a real one that is too small",
        PROMISE,
        len(sizes),
        kept,
        f"{stopped} runs stopped, the others went on without some checkpoints",
    )
