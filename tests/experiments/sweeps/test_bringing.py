"""Run folders that are brought from machine to machine."""

import json

import numpy as np
import pytest

from rpp_rl.agents.common.checkpoints.archive import FileRecord, checkpoints, read_checkpoint, write_checkpoint
from rpp_rl.errors import RunError
from rpp_rl.experiments.sweeps.away import BringingEngine
from rpp_rl.experiments.sweeps.bringing import inside, pieces, snapshot, take
from rpp_rl.experiments.sweeps.plan import Job


def step(run, number, rows=3):
    """A checkpoint with rows of its replay buffer beside it, and a monitor that grows."""
    replay = run / "checkpoints/replay"
    replay.mkdir(parents=True, exist_ok=True)
    segment = replay / f"{number:012d}-{number + rows:012d}.f32"
    np.arange(rows, dtype=np.float32).tofile(segment)
    beside = {f"replay/{path.name}": FileRecord.of(path) for path in replay.iterdir()}
    folder = run / f"checkpoints/step_{number:012d}"
    write_checkpoint(folder, {"number": number, "w": np.full(4, number)}, beside)
    with (run / "monitor.csv").open("a") as file:
        file.write(f"{number}\n")
    (run / "config.json").write_text(json.dumps({"n": 1}))
    return folder


def reader(kept):
    def read(name, offset):
        return (kept / name).read_bytes()[offset : offset + 7]

    return read


@pytest.fixture
def there(tmp_path):
    run = tmp_path / "there"
    run.mkdir()
    (run / ".lock").touch()
    for number in (10, 20):
        step(run, number)
    return run


def test_the_newest_checkpoint_comes_whole(there, tmp_path):
    here, kept = tmp_path / "here", tmp_path / "kept"
    (there / "checkpoints/.step_000000000030.part").mkdir()
    (there / "checkpoints/.step_000000000030.part/state.json").write_text("half")
    take(here, snapshot(there, kept), reader(kept))
    assert [path.name for path in checkpoints(here / "checkpoints")] == ["step_000000000020"]
    assert read_checkpoint(here / "checkpoints/step_000000000020")["number"] == 20
    assert (here / "monitor.csv").read_text() == "10\n20\n"
    assert not (here / ".lock").exists() and not (here / ".incoming").exists()
    # Only what is new comes again.
    asked = []
    for number in (30, 40, 50, 60):
        step(there, number)
        records = snapshot(there, kept)
        take(here, records, lambda name, offset: asked.append(name) or reader(kept)(name, offset))
    assert len(checkpoints(here / "checkpoints")) == 3
    assert "checkpoints/replay/000000000010-000000000013.f32" not in asked
    assert read_checkpoint(here / "checkpoints/step_000000000060")["number"] == 60


def test_half_of_a_transfer_changes_nothing_that_is_needed(there, tmp_path):
    here, kept = tmp_path / "here", tmp_path / "kept"
    take(here, snapshot(there, kept), reader(kept))
    step(there, 30)
    (there / "evaluation.json").write_text("{}")
    records = snapshot(there, kept)
    total = sum(1 for name in records for _ in range(0, max(1, records[name].size), 7))
    for stop in range(0, total, 40):
        left = [stop]

        def read(name, offset, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise ConnectionError
            return reader(kept)(name, offset)

        try:
            take(here, records, read)
        except ConnectionError:
            assert read_checkpoint(checkpoints(here / "checkpoints")[0])["number"] == 20
            assert not (here / "evaluation.json").exists()
            assert not (here / ".incoming").exists()
    take(here, records, reader(kept))
    assert read_checkpoint(checkpoints(here / "checkpoints")[0])["number"] == 30
    assert (here / "evaluation.json").exists()


def test_what_comes_otherwise_is_refused(there, tmp_path):
    here, kept = tmp_path / "here", tmp_path / "kept"
    records = snapshot(there, kept)
    with pytest.raises(RunError, match="did not come as it was"):
        take(here, records, lambda name, offset: reader(kept)(name, offset).replace(b"1", b"2"))
    assert checkpoints(here / "checkpoints") == []
    for name in ("../x", "/x", "a/../../x"):
        with pytest.raises(RunError, match="no file of a run folder"):
            inside(here, name)


def test_there_and_back_in_pieces(there, tmp_path, monkeypatch):
    monkeypatch.setattr("rpp_rl.experiments.sweeps.bringing.PIECE", 5)
    (there / "empty").touch()
    found = {}
    for name, offset, content in pieces(there):
        assert len(found.setdefault(name, b"")) == offset
        found[name] += content
    assert found.pop("empty") == b""
    assert ".lock" not in found
    assert all((there / name).read_bytes() == content for name, content in found.items())


@pytest.mark.parametrize("option", [("--symmetry", "mirror.yaml"), ("--trained-agent", "runs/here")])
def test_files_that_are_not_sent_along_are_refused(tmp_path, option):
    job = Job("sac", "Hopper-v5", 0, 10, tmp_path, option)
    with pytest.raises(RunError, match=f"{option[0]} {option[1]} is a file that --ray-bring-back does not send along"):
        BringingEngine([job], "auto")
