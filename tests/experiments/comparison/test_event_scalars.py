"""Runs that have TensorBoard's events and no ``evaluations.npz``."""

import json
import math
import shutil
import struct

import numpy as np
import pytest
from helpers.run_folders import write_runs
from torch.utils.tensorboard import SummaryWriter

from rpp_rl.errors import RunError
from rpp_rl.experiments.comparison import event_scalars
from rpp_rl.experiments.comparison.event_scalars import CACHE, EventScalars


def write_events(folder, steps, scores, purge_step=None):
    writer = SummaryWriter(str(folder), purge_step=purge_step, filename_suffix=f".{purge_step or 0}")
    for step, score in zip(steps, scores, strict=True):
        writer.add_scalar("train/actor_loss", 1.0, step)
        writer.add_scalar("eval/mean_reward", score, step)
        writer.add_scalar("eval/mean_reward_of_another", 99.0, step)
    writer.close()
    (path,) = folder.glob(f"*.{purge_step or 0}")
    # Files are read in the order of the seconds at which they were begun.
    path.rename(folder / f"events.out.tfevents.{1000 + (purge_step or 0)}.x")


def test_the_curve_of_the_evaluations(tmp_path):
    write_events(tmp_path, [10, 20, 30], [1.5, -2.0, 3.25])
    steps, scores = EventScalars(tmp_path / CACHE).curve(tmp_path)
    assert steps.tolist() == [10, 20, 30]
    assert scores.tolist() == [1.5, -2, 3.25]


def test_a_resume_discards_later_events(tmp_path):
    write_events(tmp_path, [10, 20, 30], [1, 2, 3])
    write_events(tmp_path, [25, 35], [7, 8], purge_step=21)
    steps, scores = EventScalars(tmp_path / CACHE).curve(tmp_path)
    assert (steps.tolist(), scores.tolist()) == ([10, 20, 25, 35], [1, 2, 7, 8])


def test_files_are_read_once_and_again_when_they_grow(tmp_path, monkeypatch):
    run = tmp_path / "run"
    write_events(run, [10], [1])
    cache = EventScalars(tmp_path / CACHE)
    before = cache.curve(run)
    (tmp_path / CACHE).write_bytes(cache.content())
    with monkeypatch.context() as patch:
        patch.setattr(event_scalars, "read_scalars", lambda paths, mark: pytest.fail("it is read a second time"))
        after = EventScalars(tmp_path / CACHE).curve(run)
        assert [part.tolist() for part in after] == [part.tolist() for part in before]
    write_events(run, [20], [2], purge_step=11)
    assert EventScalars(tmp_path / CACHE).curve(run)[0].tolist() == [10, 20]


def test_what_is_not_asked_for_is_not_forgotten_and_what_is_old_does_not_pile_up(tmp_path, monkeypatch):
    for name in ("one", "two"):
        write_events(tmp_path / name, [10], [1])
    cache = EventScalars()
    for name in ("one", "two"):
        cache.curve(tmp_path / name)
    for step in (20, 30, 40):
        (tmp_path / CACHE).write_bytes(cache.content())
        write_events(tmp_path / "one", [step], [2], purge_step=step)
        cache = EventScalars(tmp_path / CACHE)
        assert cache.curve(tmp_path / "one")[0].tolist()[-1] == step
    (tmp_path / CACHE).write_bytes(cache.content())
    assert len(json.loads(cache.content())) == 2
    monkeypatch.setattr(event_scalars, "read_scalars", lambda paths, mark: pytest.fail("it is read a second time"))
    assert EventScalars(tmp_path / CACHE).curve(tmp_path / "two")[0].tolist() == [10]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"x": [[1], ["a"]]}', b"[" * 100_000])
def test_a_cache_that_is_none_is_as_good_as_empty(tmp_path, content):
    (tmp_path / CACHE).write_bytes(content)
    write_events(tmp_path / "run", [10], [1])
    assert EventScalars(tmp_path / CACHE).curve(tmp_path / "run")[1].tolist() == [1]


@pytest.mark.parametrize(
    "remembered", [3, [], {"x": 3}, {"x": [[1]]}, {"x": [[1], [1, 2]]}, {"x": [["1"], [1]]}, {"x": [[1], ["y"]]}]
)
def test_what_was_not_remembered_so_is_not_believed(remembered):
    assert event_scalars._recalled(remembered) is None
    assert event_scalars._recalled({"x": [[1, 2], [0.5, 1]]}) == {"x": {1: 0.5, 2: 1.0}}


@pytest.mark.parametrize(("step", "score"), [(-1, 1.0), (10, 1e300), (10, math.nan), (1 << 62, 1.0)])
def test_a_curve_that_is_none_is_refused_from_memory_too(tmp_path, step, score):
    """Files hold 32 bits, so that infinity stands for what is too large."""
    write_events(tmp_path / "run", [step], [score])
    cache = EventScalars(tmp_path / CACHE)
    with pytest.raises(RunError, match="return that is not finite; leave the run out"):
        cache.curve(tmp_path / "run")
    (tmp_path / CACHE).write_bytes(cache.content())
    with pytest.raises(RunError, match="return that is not finite; leave the run out"):
        EventScalars(tmp_path / CACHE).curve(tmp_path / "run")


def test_files_that_are_cut_or_none(tmp_path):
    write_events(tmp_path, [10, 20, 30], [1, 2, 3])
    path = tmp_path / "events.out.tfevents.1000.x"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 100])
    assert EventScalars(tmp_path / CACHE).curve(tmp_path)[0].tolist() == [10, 20]
    for content in (b"", b"text", struct.pack("<QI", 1 << 63, 0)):
        path.write_bytes(content)
        assert EventScalars(tmp_path / CACHE).curve(tmp_path) is None
    path.write_bytes(struct.pack("<QI", 4, 0) + b"\xff" * 8)
    with pytest.raises(RunError, match="leave the run out"):
        EventScalars(tmp_path / CACHE).curve(tmp_path)


def test_compare_takes_runs_that_have_only_events(main, tmp_path):
    write_runs(tmp_path / "runs", ["Ant-v5"], seeds=range(3))
    assert main("compare", "runs", "--no-report", "--out", "first")[0] == 0
    for path in (tmp_path / "runs").glob("*/sac/*"):
        data = np.load(path / "evaluations.npz")
        write_events(path, data["timesteps"], data["results"].mean(axis=1))
        (path / "evaluations.npz").unlink()
    assert main("compare", "runs", "--no-report", "--out", "second")[0] == 0
    assert (tmp_path / "second" / CACHE).is_file()
    assert not (tmp_path / "first" / CACHE).exists()
    tables = [(tmp_path / folder / "summary.csv").read_text().split(",") for folder in ("first", "second")]
    for one, other in zip(*tables, strict=True):
        try:
            # Events hold 32 bits of a number.
            assert float(one) == pytest.approx(float(other), rel=1e-5)
        except ValueError:
            assert one == other
    shutil.rmtree(tmp_path / "second")
