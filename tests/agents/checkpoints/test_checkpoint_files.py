"""Files of checkpoints: damaged, malicious, of the first version, and on a full disk."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.agents import agent
from helpers.tasks import bicycle
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from rpp_rl.agents import RPPSAC, RunCheckpoint, SymmetricVecNormalize
from rpp_rl.agents.common.checkpoints.files import (
    FileRecord,
    checkpoints,
    files_beside,
    read_checkpoint,
    remove_old,
    write_checkpoint,
)
from rpp_rl.errors import RunError

STATE = {"weights": np.arange(5000.0), "steps": 7, "nested": [{"a": (1, None)}], "unknown": float("nan")}
OLD = Path(__file__).parents[2] / "golden" / "files" / "checkpoints"


def written(folder):
    """A checkpoint that needs one file beside it."""
    (folder / "replay").mkdir()
    (folder / "replay" / "0-1.f32").write_bytes(b"rows")
    write_checkpoint(folder / "step_7", STATE, {"replay/0-1.f32": FileRecord.of(folder / "replay" / "0-1.f32")})
    return folder / "step_7"


def old_checkpoint(folder):
    """A copy of a checkpoint of the first version: three files in a folder."""
    shutil.copytree(OLD, folder / "checkpoints")
    return folder / "checkpoints" / "step_000000000040"


def test_a_checkpoint_is_read_as_it_was_written(tmp_path):
    path = written(tmp_path)
    state = read_checkpoint(path)
    np.testing.assert_array_equal(state["weights"], STATE["weights"])
    assert state["nested"] == STATE["nested"]
    assert np.isnan(state["unknown"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["replay", "step_7"]


def test_a_truncated_checkpoint_is_refused(tmp_path):
    path = written(tmp_path)
    content = path.read_bytes()
    for size in range(0, len(content), 1024):
        path.write_bytes(content[:size])
        with pytest.raises(RunError, match="step_7"):
            read_checkpoint(path)


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_a_damaged_file_beside_a_checkpoint_is_found(tmp_path, damage):
    path = written(tmp_path)
    beside = tmp_path / "replay" / "0-1.f32"
    if damage == "missing":
        beside.unlink()
    else:
        beside.write_bytes(b"rowr" if damage == "flipped" else b"row")
    with pytest.raises(RunError, match=r"0-1.f32 of a checkpoint is (missing|truncated or damaged)"):
        read_checkpoint(path)


def test_a_flipped_bit_is_found(tmp_path):
    path = written(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="step_7"):
        read_checkpoint(path)


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    path = written(tmp_path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("rpp_rl.files.os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write_checkpoint(tmp_path / "step_8", STATE, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["replay", "step_7"]
    assert read_checkpoint(path)["steps"] == 7


def changed(path, change):
    """Change the document of a checkpoint."""
    with zipfile.ZipFile(path) as archive:
        document, arrays = json.loads(archive.read("document.json")), archive.read("arrays.safetensors")
    change(document)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("document.json", json.dumps(document))
        archive.writestr("arrays.safetensors", arrays)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["value"]["beside"].update({"../../secret": {"size": 1, "sha256": ""}}),
        lambda d: d["value"]["beside"].update({"/etc/passwd": {"size": 1, "sha256": ""}}),
        lambda d: d["value"]["beside"].update({"more.f32": {"size": "many", "sha256": ""}}),
        lambda d: d["value"].update(beside=[1, 2]),
        lambda d: d["value"].pop("beside"),
        lambda d: d.update(kind="agent"),
        lambda d: d.update(format=99),
    ],
)
def test_a_changed_checkpoint_is_refused(tmp_path, change):
    path = written(tmp_path)
    changed(path, change)
    with pytest.raises(RunError, match="checkpoint"):
        read_checkpoint(path)


def test_the_newest_checkpoints_are_kept(tmp_path):
    old_checkpoint(tmp_path)
    folder = tmp_path / "checkpoints"
    for step in (9, 10, 100):
        write_checkpoint(folder / f"step_{step}", STATE, {})
    (folder / "step_nonsense").mkdir()
    (folder / "replay" / ".unfinished.f32.1.part").touch()
    assert [p.name for p in checkpoints(folder)] == ["step_100", "step_000000000040", "step_10", "step_9"]
    remove_old(folder, 2)
    assert [p.name for p in checkpoints(folder)] == ["step_100", "step_000000000040"]
    assert len(list((folder / "replay").iterdir())) == 2
    remove_old(folder, 1)
    assert [p.name for p in checkpoints(folder)] == ["step_100"]
    assert not list((folder / "replay").iterdir())


def test_a_run_resumes_from_an_old_checkpoint(tmp_path):
    path = old_checkpoint(tmp_path)
    assert len(files_beside(path)) == 2
    env = SymmetricVecNormalize(DummyVecEnv([lambda: Monitor(bicycle())]))
    checkpoint = RunCheckpoint(tmp_path, 20)
    model = RPPSAC.resume(tmp_path, env, checkpoint, device="cpu")
    assert (model.num_timesteps, model.replay_buffer.size(), model.replay_buffer.added) == (40, 30, 40)
    assert env.obs_rms.count > 40
    model.learn(20, checkpoint, reset_num_timesteps=False)
    assert [(p.name, p.is_dir()) for p in checkpoints(path.parent)] == [
        ("step_000000000060", False),
        ("step_000000000040", True),
    ]


@pytest.mark.parametrize("name", ["state.json", "arrays.safetensors", "manifest.json"])
def test_a_damaged_old_checkpoint_is_refused(tmp_path, name):
    path = old_checkpoint(tmp_path)
    content = (path / name).read_bytes()
    flipped = bytes([*content[:100], content[100] ^ 1, *content[101:]])
    for damaged in (content[:200], content[: len(content) // 2], b"", *([] if name == "manifest.json" else [flipped])):
        (path / name).write_bytes(damaged)
        with pytest.raises(RunError, match="checkpoint"):
            read_checkpoint(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["beside"].update({"../../secret": {"size": 1, "sha256": ""}}),
        lambda m: m["files"].pop("state.json"),
        lambda m: m["files"]["state.json"].update(size=-1),
        lambda m: m.update(format=99),
        lambda m: m.update(files=[1, 2]),
        lambda m: m.pop("beside"),
    ],
)
def test_a_changed_manifest_is_refused(tmp_path, change):
    path = old_checkpoint(tmp_path) / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="checkpoint"):
        read_checkpoint(path.parent)


def test_a_small_agent_costs_a_few_files(tmp_path):
    agent().learn(50, RunCheckpoint(tmp_path, 20))
    names = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert names == ["replay", "step_000000000020", "step_000000000040", "step_000000000050"]
