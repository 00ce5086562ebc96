"""Checkpoints on a disk that fails, and from strangers."""

import json

import numpy as np
import pytest

from rpp_rl.agents.common.checkpoints.archive import checkpoints, read_checkpoint, remove_old, write_checkpoint
from rpp_rl.errors import RunError

STATE = {"weights": np.arange(5000.0), "steps": 7, "nested": [{"a": (1, None)}]}


def test_round_trip(tmp_path):
    write_checkpoint(tmp_path / "step_7", STATE, {})
    state = read_checkpoint(tmp_path / "step_7")
    np.testing.assert_array_equal(state["weights"], STATE["weights"])
    assert state["nested"] == STATE["nested"]
    assert [p.name for p in tmp_path.iterdir()] == ["step_7"]


@pytest.mark.parametrize("name", ["state.json", "arrays.safetensors", "manifest.json"])
def test_truncated_anywhere(tmp_path, name):
    write_checkpoint(tmp_path / "step_7", STATE, {})
    path = tmp_path / "step_7" / name
    content = path.read_bytes()
    for size in range(0, len(content), 1024):
        path.write_bytes(content[:size])
        with pytest.raises(RunError):
            read_checkpoint(tmp_path / "step_7")


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path, monkeypatch):
    write_checkpoint(tmp_path / "step_7", STATE, {})

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rpp_rl.agents.common.checkpoints.archive._write", full)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(tmp_path / "step_8", STATE, {})
    assert [p.name for p in tmp_path.iterdir()] == ["step_7"]
    assert read_checkpoint(tmp_path / "step_7")["steps"] == 7


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["beside"].update({"../../secret": {"size": 1, "sha256": ""}}),
        lambda m: m["beside"].update({"/etc/passwd": {"size": 1, "sha256": ""}}),
        lambda m: m["files"].update({"more.pkl": {"size": 1, "sha256": ""}}),
        lambda m: m["files"].pop("state.json"),
        lambda m: m["files"]["state.json"].update(size=-1),
        lambda m: m["files"]["state.json"].update(size="many"),
        lambda m: m.update(format=99),
        lambda m: m.update(files=[1, 2]),
        lambda m: m.pop("beside"),
    ],
)
def test_foreign_manifests(tmp_path, change):
    write_checkpoint(tmp_path / "step_7", STATE, {})
    path = tmp_path / "step_7" / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="checkpoint"):
        read_checkpoint(tmp_path / "step_7")


def test_the_newest_are_kept(tmp_path):
    for step in (9, 10, 100):
        write_checkpoint(tmp_path / f"step_{step}", STATE, {})
    (tmp_path / "step_nonsense").mkdir()
    assert [p.name for p in checkpoints(tmp_path)] == ["step_100", "step_10", "step_9"]
    remove_old(tmp_path, 2)
    assert [p.name for p in checkpoints(tmp_path)] == ["step_100", "step_10"]
