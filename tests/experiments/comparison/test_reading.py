"""Reading run folders, which anyone may have made."""

import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from helpers.run_folders import write_run, write_runs

from rpp_rl.errors import RunError
from rpp_rl.experiments.comparison.runs import read_run, read_runs
from rpp_rl.experiments.finding import find_runs, folders_without_config
from rpp_rl.experiments.run import Run
from rpp_rl.experiments.run_files import read_episodes, read_evaluations, read_json


def read(folder):
    return read_run(Run(folder))


@pytest.fixture
def folder(tmp_path):
    return write_run(tmp_path, "Ant-v5", "rpp_sac", 3)


def npy(array=None, shape=None, dtype="<f8", data=b"", version=1):
    file = io.BytesIO()
    if array is not None:
        np.save(file, array, allow_pickle=True)
        return file.getvalue()
    header = str({"descr": dtype, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2, "little") + header + data


def replace(folder, **members):
    whole = {"timesteps": npy(np.array([10, 20])), "results": npy(np.array([[1.0], [2.0]])), **members}
    with zipfile.ZipFile(folder / "evaluations.npz", "w") as archive:
        for name, content in whole.items():
            if content is not None:
                archive.writestr(f"{name}.npy", content)
    return folder / "evaluations.npz"


def test_what_a_run_says(folder):
    run = read(folder)
    assert (run.env, run.algo, run.seed, run.episodes, run.evaluation_offset) == ("Ant-v5", "rpp_sac", 3, 10, 10_000)
    data = np.load(folder / "evaluations.npz")
    np.testing.assert_array_equal(run.steps, data["timesteps"])
    np.testing.assert_allclose(run.scores, data["results"].mean(axis=1))
    assert run.settings["policy_kwargs.net_arch"] == "[256, 256]"
    assert (run.settings["symmetry"], run.wall_time, run.audit[0].verdict) == ("sagittal", 3600, "exact")
    assert run.command == "rpp-rl train --env Ant-v5 --algo rpp_sac --seed 3"


def test_arguments_of_the_environment_make_another_environment(tmp_path):
    path = write_run(tmp_path, "RPP/Ant-v5", "sac", 0, env_kwargs={"b": 1, "a": 0.5})
    assert read(path).env == "Ant-v5 (a=0.5, b=1)"


def test_plain_algorithms_make_no_use_of_a_symmetry(tmp_path):
    assert "symmetry" not in read(write_run(tmp_path, "Ant-v5", "sac", 0)).settings


class Boom:
    def __reduce__(self):
        return (print, ("unpickled",))


@pytest.mark.parametrize(
    "members",
    [
        {"results": None},
        {"results": b""},
        {"results": npy(np.array([[1.0], [np.nan]]))},
        {"results": npy(np.array([[1.0], [1e200]]))},
        {"results": npy(np.array([1.0, 2.0]))},
        {"results": npy(np.zeros((2, 0)))},
        {"results": npy(np.array([[Boom()], [Boom()]], dtype=object))},
        {"results": npy(shape=(2, 10**12))},
        {"results": npy(shape=(2, 1), data=b"x" * 15)},
        {"results": npy(shape=(2, -1), data=b"x" * 16)},
        {"results": npy(shape=(2, 1), dtype="|O", data=b"x" * 16)},
        {"results": npy(shape=(2, 1), version=9, data=b"x" * 16)},
        {"timesteps": npy(np.array([20, 10]))},
        {"timesteps": npy(np.array([10, 10]))},
        {"timesteps": npy(np.array([-10, 10]))},
        {"timesteps": npy(np.array([1.0, 2.0]))},
        {"timesteps": npy(np.array([1, 2**63 + 5], dtype=np.uint64))},
        {"timesteps": npy(np.array([10, 20, 30]))},
    ],
)
def test_evaluations_that_are_none(folder, members, capsys):
    with pytest.raises(RunError, match="leave the run out with --filter"):
        read_evaluations(replace(folder, **members))
    assert "unpickled" not in capsys.readouterr().out


def test_evaluations_that_are_cut_or_no_archive(folder):
    path = folder / "evaluations.npz"
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], whole[:200] + bytes([whole[200] ^ 255]) + whole[201:]):
        path.write_bytes(content)
        with pytest.raises(RunError, match="leave the run out"):
            read_evaluations(path)


def test_a_bomb_is_not_unpacked(folder):
    path = folder / "evaluations.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("timesteps.npy", "w") as member:
        for _ in range(300):
            member.write(bytes(1 << 20))
    with pytest.raises(RunError, match=r"claims to expand from .* to 314572800"):
        read_evaluations(path)


@pytest.mark.parametrize("key", ["env", "algo", "seed"])
def test_a_configuration_that_does_not_say(folder, key):
    config = json.loads((folder / "config.json").read_text())
    del config[key]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match="does not say environment, algorithm and seed"):
        read(folder)


def test_strange_values_are_text_and_short(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {"gpu": 5, "model": "x", "command": 3, "n_timesteps": "many", "normalize": {"a": "b\n" * 500}}
    config["hyperparameters"] = {"policy_kwargs": "__import__('os').abort()", "x": ["y" * 1000]}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "audit.json").write_text('{"generators": [3, {"dynamics_median": "x"}]}')
    run = read(folder)
    assert run.settings["policy_kwargs.all"] == "__import__('os').abort()"
    assert max(len(value) for value in run.settings.values()) == 200
    assert (run.model, run.command, run.budget, len(run.audit)) == (None, "", None, 1)


def test_wall_time_adds_up_what_was_resumed(tmp_path):
    path = tmp_path / "monitor.csv"
    path.write_text("#{}\nr,l,t\n1,5,10.0\n1,5,20.0\n1,5,3.0\n1,5,7.5\nbroken\n1,5,nan\n")
    assert read_episodes(path).seconds == 27.5
    assert read_episodes(tmp_path / "none").seconds is None
    path.write_text("")
    assert read_episodes(path).seconds is None
    path.write_text("[" * 100_000)
    assert read_json(path) is None


def test_finding_and_filtering(tmp_path):
    write_runs(tmp_path, seeds=range(2))
    waiting = tmp_path / "Ant-v5" / "sac" / "seed7"
    waiting.mkdir()
    (waiting / "config.json").write_text("{}")
    (tmp_path / "Ant-v5/sac/seed0/checkpoints").mkdir()
    (tmp_path / "Ant-v5/sac/seed0/checkpoints/config.json").write_text("{}")
    (waiting / "config.json").write_text('{"env": "Ant-v5", "algo": "sac", "seed": 7}')
    (waiting / "events.out.tfevents.1.x").write_bytes(b"")
    runs, unevaluated = read_runs(find_runs([tmp_path]), [tmp_path])
    assert (len(runs), unevaluated) == (8, [waiting])
    with pytest.raises(RunError, match="there is no run with evaluations"):
        read_runs(find_runs([waiting]), [waiting])
    assert len(find_runs([tmp_path], ["Ant-v5/*"])) == 5
    assert len(find_runs([tmp_path], ["Ant-v5/*", "!*/sac/*"])) == 2
    assert len(find_runs([tmp_path], ["*/sac/seed[1-9]"])) == 3
    # A run that a sweep has moved aside does not count.
    shutil.copytree(tmp_path / "Ant-v5/sac/seed0", tmp_path / "Ant-v5/sac/.abandoned/seed0-1")
    # A run twice is one run.
    assert len(find_runs([tmp_path / "Ant-v5", tmp_path / "Ant-v5/sac/seed0"])) == 5
    with pytest.raises(RunError, match="or widen --filter"):
        read_runs(find_runs([tmp_path], ["Nothing*"]), [tmp_path])
    with pytest.raises(RunError, match="there is no folder"):
        find_runs([tmp_path / "nowhere"])


def test_a_run_without_a_configuration_is_named(tmp_path):
    write_runs(tmp_path, seeds=range(2))
    assert folders_without_config([tmp_path]) == []
    nameless = tmp_path / "Ant-v5" / "sac" / "seed1"
    (nameless / "checkpoints").mkdir()
    (nameless / "config.json").rename(nameless / "checkpoints" / "config.json")
    assert len(find_runs([tmp_path])) == 7
    (note,) = folders_without_config([tmp_path])
    assert note == nameless
    assert folders_without_config([tmp_path], ["!*/seed1"]) == []
    # As stable-baselines3's EvalCallback leaves one where its runs lie below.
    (nameless / "evaluations.npz").rename(tmp_path / "evaluations.npz")
    assert folders_without_config([tmp_path])[0] == tmp_path and len(find_runs([tmp_path])) == 7
