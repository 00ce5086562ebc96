"""Resume runs that were moved or changed, and show damaged ones: nothing outside of a run's folder changes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from helpers.moves import archived, copied, hard_linked
from helpers.odd_files import CASES
from helpers.odd_yaml import REFUSED
from helpers.run_folders import write_run
from helpers.trees import change_document, mutate, tree

from faults.runs import RUN, called, in_one_sentence, same_parameters, started
from faults.table import Row

SECTION = "folder"
OPTIONS = (
    *("--env", "InvertedPendulum-v5", "--eval-freq", 50, "--save-freq", 50, "--eval-episodes", 1, "--no-audit"),
    *("-params", "learning_starts:50", "batch_size:16", "buffer_size:200", "policy_kwargs:{net_arch: [8, 8]}"),
)
CANARIES = ("tensorflow", "gym", "psutil", "colorama", "triton", "IPython", "pandas", "sparse", "jax", "sklearn")


@contextmanager
def _prepared(steps: int = 150) -> Iterator[tuple[Path, Path]]:
    """An empty folder and a run of some steps apart from it."""
    with tempfile.TemporaryDirectory() as apart, tempfile.TemporaryDirectory() as scratch:
        code, printed = called(("train", *OPTIONS, "-n", steps), apart)
        if code != 0:
            raise RuntimeError(printed)
        yield Path(apart) / RUN, Path(scratch)


def _kept(run: Path, scratch: Path, act: Callable[[], bool]) -> bool:
    """Whether an act succeeds and changes nothing outside of a run's folder."""
    before = tree(scratch, run)
    good = act()
    same = tree(scratch, run) == before
    if not (good and same):
        print(f"{run}: {'' if good else 'not as promised'} {'' if same else 'changed outside of its folder'}")
    return good and same


def moved(times: int) -> Row:
    """Resume copies in other places and compare them with the undisturbed run."""
    kept = tried = 0
    with _prepared() as (source, scratch), _prepared(200) as (whole, _):
        for number in range(times):
            for bring in (copied, hard_linked, archived, shutil.move):
                place, mine = scratch / f"{number}-{bring.__name__}/renamed", scratch / f"{number}-{bring.__name__}/own"
                shutil.copytree(source, mine)
                bring(mine, place)
                resume = ("train", "--resume", place, "-n", 200)
                tried += 1
                kept += _kept(
                    place,
                    scratch,
                    lambda resume=resume, place=place: (
                        called(resume, scratch)[0] == 0 and same_parameters(place / "model.zip", whole / "model.zip")
                    ),
                )
    promise = "resumed to the undisturbed run's parameters, nothing outside of it changed"
    return Row(SECTION, "copied, linked, archived, moved", promise, tried, kept)


def linked() -> Row:
    """Resume a run in which a file is a link to another place, or a pipe."""
    kept = 0
    names = ("monitor.csv", "evaluations.npz", "model.zip", "checkpoints", "checkpoints/replay", ".lock", "notes")
    with _prepared() as (source, scratch):
        for name in names:
            run, outside = scratch / name.replace("/", "-") / "run", scratch / name.replace("/", "-") / "outside"
            shutil.copytree(source, run)
            outside.mkdir()
            if (run / name).exists():
                (run / name).rename(outside / "target")
            (run / name).symlink_to(outside / "target")
            kept += _kept(run, scratch, lambda run=run: called(("train", "--resume", run, "-n", 200), scratch)[0] == 2)
    return Row(SECTION, "a link in it, --resume", "refused, nothing outside of it changed", len(names), kept)


def mutated(part: str, command: tuple[object, ...], trials: int) -> Row:
    """Change one value of a checkpoint or a configuration, and call a command on the run."""
    kept = 0
    with _prepared() as (source, scratch):
        for seed in range(trials):
            run = scratch / "run"
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(source, run)
            if part == "checkpoint":
                for path in (run / "checkpoints").glob("step_*"):
                    change_document(path, lambda value, seed=seed: mutate(value, np.random.default_rng(seed)))
            else:
                data = json.loads((run / "config.json").read_text())
                mutate(data, np.random.default_rng(seed))
                (run / "config.json").write_text(json.dumps(data))
            kept += _kept(run, scratch, lambda run=run: _answered((*command, run), scratch))
    fault = f"a value of its {part} changed, {' '.join(map(str, command))}"
    return Row(SECTION, fault, "an answer or one sentence, nothing outside of it changed", trials, kept)


def _answered(arguments: tuple[object, ...], cwd: Path) -> bool:
    try:
        return in_one_sentence(*called(arguments, cwd))
    except Exception as error:  # a traceback is what must not happen
        print(f"{arguments}: {type(error).__name__}: {error}")
        return False


def odd_files() -> Row:
    """Show a damaged run beside a good one."""
    kept = tried = 0
    for name, change in CASES.items():
        for command in (("status",), ("compare", "--no-report")):
            with tempfile.TemporaryDirectory() as scratch:
                for folder in ("good", "bad"):
                    write_run(Path(scratch) / "runs" / folder, "Ant-v5", "sac", 0)
                change(Path(scratch) / "runs/bad/Ant-v5/sac/seed0")
                tried += 1
                good = _answered((*command, "runs"), Path(scratch))
                kept += good
                if not good:
                    print(f"{command}: {name}")
    return Row(SECTION, "damaged files, status and compare", "an answer or one sentence", tried, kept)


def odd_yaml() -> Row:
    """Give documents in YAML to every place that reads some."""
    kept = tried = 0
    with tempfile.TemporaryDirectory() as scratch:
        for text in REFUSED.values():
            path = Path(scratch) / "file.yaml"
            path.write_text(text)
            train = ("train", "--env", "InvertedPendulum-v5", "-n", 10)
            for words in (
                *((*train, "-params", f"gamma:{text}"), (*train, "--env-kwargs", f"reset_noise_scale:{text}")),
                *((*train, "--symmetry", path), ("sweep", "--plan", path), ("compare", ".", "--normalization", path)),
            ):
                tried += 1
                kept += _answered(words, Path(scratch))
    return Row("YAML", "documents that are refused, in five places", "one sentence", tried, kept)


def working_folder() -> Row:
    """Call commands in a folder with files named after optional dependencies of dependencies."""
    kept = 0
    commands = (("status", "."), ("compare", "."), ("evaluate", "run", "-n", 1), ("export", "run"))
    commands += (("train", "--resume", "run", "-n", 160), ("sweep", "--help"))
    with _prepared() as (source, scratch):
        shutil.copytree(source, scratch / "run")
        for name in CANARIES:
            (scratch / f"{name}.py").write_text("open('RAN.' + __name__, 'w').close()\nraise ImportError('canary')\n")
        for words in commands:
            console = str(Path(sys.executable).with_name("rpp-rl"))
            done = subprocess.run([console, *map(str, words)], cwd=scratch, capture_output=True, text=True, check=False)
            ran = [path.name for path in scratch.glob("RAN.*")]
            kept += done.returncode == 0 and not ran
    return Row(SECTION, "files named after optional dependencies", "none of them is run", len(commands), kept)


def diverging() -> Row:
    """Train with a learning rate with which any agent diverges."""
    kept, algos = 0, ("rpp_sac", "equivariant_sac", "mlp_sac", "sac", "rpp_td3")
    for algo in algos:
        with tempfile.TemporaryDirectory() as scratch:
            code, printed = called(("train", "--algo", algo, *OPTIONS, "learning_rate:1.0e+12", "-n", 200), scratch)
            model = Path(scratch) / "runs/InvertedPendulum-v5" / algo / "seed0/model.zip"
            loads = called(("evaluate", model.parent, "-n", 1), scratch)[0] == 0
            kept += code == 2 and "the agent diverged at step" in printed and loads
    return Row(
        "environment", "the agent itself diverges", "said of the agent, its last finite form saved", len(algos), kept
    )


def interrupted() -> Row:
    """Close the terminal of a run, and interrupt one while it starts."""
    kept, delays = 0, (0.2, 0.6, 1.0)
    with tempfile.TemporaryDirectory() as scratch:
        for delay in delays:
            process = started(("train", *OPTIONS, "-n", 100), scratch)
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            printed = process.communicate()[0] or ""
            kept += process.returncode == 2 and "Traceback" not in printed
        process = started(("train", *OPTIONS, "-n", 100_000), scratch)
        while not list((Path(scratch) / RUN).glob("checkpoints/step_*")) and process.poll() is None:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGHUP)
        process.communicate()
        kept += process.returncode == 2 and (Path(scratch) / RUN / "model.zip").is_file()
    promise = "one sentence, and a closed terminal saves a checkpoint"
    return Row("signal", "interrupted at the start, terminal closed", promise, len(delays) + 1, kept)
