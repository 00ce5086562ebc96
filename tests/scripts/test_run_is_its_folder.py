"""A run is its folder: it is resumed wherever it lies, and nothing outside of it is read or changed."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.moves import archived, copied, hard_linked
from helpers.runs import PENDULUM
from helpers.trees import change_document, mutate, nothing_outside

from rpp_rl.agents import RPPSAC

OPTIONS = (
    *("--eval-freq", 50, "--save-freq", 50, "--no-audit"),
    *("-params", "learning_starts:50", "batch_size:16", "buffer_size:200", "policy_kwargs:{net_arch: [8, 8]}"),
)
RUN = Path("runs/InvertedPendulum-v5/rpp_sac/seed0")
MIRROR = (
    "name: mine\nobservation: [cart, pole, v_cart, v_pole]\naction: [push]\nflip: [cart, pole, v_cart, v_pole, push]\n"
)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run of 150 steps in its folder of runs; resumed to 200 steps it equals `whole`."""
    return _trained(tmp_path_factory.mktemp("interrupted"), 150)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return _trained(tmp_path_factory.mktemp("whole"), 200)


def _trained(folder, steps, *more):
    from rpp_rl.scripts.main import main

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([str(word) for word in (*PENDULUM, "-n", steps, *more, *OPTIONS)]) == 0
    return folder / RUN


def same_run(one, other):
    models = [RPPSAC.load(folder / "model.zip", device="cpu") for folder in (one, other)]
    for p, q in zip(*(model.policy.parameters() for model in models), strict=True):
        assert bool((p == q).all())
    evaluations = [np.load(folder / "evaluations.npz") for folder in (one, other)]
    for name in ("timesteps", "results", "ep_lengths"):
        np.testing.assert_array_equal(*(each[name] for each in evaluations))
    rows = [[line.split(",")[:2] for line in (f / "monitor.csv").read_text().splitlines()[2:]] for f in (one, other)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("bring", [copied, hard_linked, archived])
@pytest.mark.parametrize("place", ["renamed", pytest.param("other/Env-v0/rpp_sac/seed0", marks=pytest.mark.slow)])
def test_a_copy_resumes_bit_for_bit_and_leaves_the_original(main, tmp_path, interrupted, whole, bring, place):
    original, run = tmp_path / "original", tmp_path / place
    shutil.copytree(interrupted, original)
    run.parent.mkdir(parents=True, exist_ok=True)
    bring(original, run)
    with nothing_outside(run, tmp_path):
        code, _, err = main("train", "--resume", run, "-n", 200)
        assert code == 0, err
    same_run(run, whole)


def test_a_run_resumes_from_another_working_folder_by_a_relative_path(main, tmp_path, interrupted, whole, monkeypatch):
    shutil.copytree(interrupted, tmp_path / "a" / RUN)
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    with nothing_outside(tmp_path / "a" / RUN, tmp_path):
        code, _, err = main("train", "--resume", Path("..", "a", RUN), "-n", 200)
        assert code == 0, err
    same_run(tmp_path / "a" / RUN, whole)


@pytest.mark.parametrize("given", ["symmetry", "agent"])
def test_what_a_run_was_made_from_may_be_gone(main, tmp_path, given, interrupted):
    if given == "symmetry":
        (tmp_path / "mirror.yaml").write_text(MIRROR)
        more = ("--symmetry", "mirror.yaml")
    else:
        shutil.copytree(interrupted, tmp_path / "agent")
        more = ("-i", "agent", "-params", "buffer_size:200")
    for folder, steps in (("whole", 200), ("part", 150)):
        assert main(*PENDULUM, "-n", steps, *OPTIONS, *more, "-f", folder)[0] == 0
    (tmp_path / "mirror.yaml").unlink(missing_ok=True)
    shutil.rmtree(tmp_path / "agent", ignore_errors=True)
    run = tmp_path / "part" / RUN.relative_to("runs")
    begin = 0 if given == "symmetry" else 150
    code, out, err = main("train", "--resume", run, "-n", begin + 200)
    assert code == 0, err
    assert f"resuming from step {begin + 150}" in out
    same_run(run, tmp_path / "whole" / RUN.relative_to("runs"))


def test_events_outside_of_the_folder_are_written_only_where_asked_again(main, tmp_path):
    assert main(*PENDULUM, "-n", 100, *OPTIONS, "-tb", "events")[0] == 0
    with nothing_outside(tmp_path / RUN, tmp_path):
        assert main("train", "--resume", RUN, "-n", 120)[0] == 0
    assert len(list((tmp_path / RUN).glob("events*"))) == 1
    before = len(list((tmp_path / "events").rglob("events*")))
    assert main("train", "--resume", RUN, "-n", 150, "-tb", "events")[0] == 0
    assert len(list((tmp_path / "events").rglob("events.out*"))) == before + 1
    assert len(list((tmp_path / RUN).glob("events*"))) == 1


@pytest.mark.parametrize(
    "name", ["monitor.csv", "evaluations.npz", "model.zip", "checkpoints", "checkpoints/replay", ".lock", "notes"]
)
def test_a_link_in_the_folder_is_refused(main, tmp_path, interrupted, name):
    run, outside = tmp_path / "run", tmp_path / "outside"
    shutil.copytree(interrupted, run)
    outside.mkdir()
    path = run / name
    if path.exists():
        path.rename(outside / "target")
    elif name == "notes":
        (outside / "target").write_text("my thesis")
    path.symlink_to(outside / "target")
    with nothing_outside(run, tmp_path):
        code, _, err = main("train", "--resume", run, "-n", 200)
    assert code == 2
    assert f"{path} is a link" in err


def test_a_lock_that_is_a_link_creates_nothing_elsewhere(main, tmp_path, interrupted):
    shutil.copytree(interrupted, tmp_path / "run")
    (tmp_path / "run" / ".lock").unlink()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "elsewhere")
    assert main("train", "--resume", "run", "-n", 200)[0] == 2
    assert not (tmp_path / "elsewhere").exists()


def test_a_pipe_in_the_place_of_the_lock_is_refused(main, tmp_path, interrupted):
    shutil.copytree(interrupted, tmp_path / "run")
    (tmp_path / "run" / ".lock").unlink()
    os.mkfifo(tmp_path / "run" / ".lock")
    assert main("train", "--resume", "run", "-n", 200)[0] == 2


def _callback(value, number=0):
    return value["state"]["callbacks"][number]["callback"]["values"]


CHANGES = {
    "path of the evaluations": lambda v, out: _callback(v).update(log_path=str(out / "evaluations")),
    "path of the best model": lambda v, out: _callback(v).update(best_model_save_path=str(out)),
    "path of models": lambda v, out: _callback(v, 1).update(save_path=str(out), save_freq=1),
    "file that grows": lambda v, out: v["state"]["files"].update({"../outside/precious": 0}),
    "file beside": lambda v, out: v["beside"].update({"../../outside/precious": {"size": 3, "sha256": "0"}}),
    "files in a list": lambda v, out: v["state"].update(files=[]),
    "counter": lambda v, out: v["state"]["agent"]["counters"].update(num_timesteps="many"),
    "negative counter": lambda v, out: v["state"]["agent"]["counters"].update(num_timesteps=-5),
    "unknown counter": lambda v, out: v["state"]["agent"]["counters"].update(policy=None),
    "method": lambda v, out: _callback(v).update(_on_step=3),
    "kind": lambda v, out: _callback(v).update(n_calls=[1]),
    "evaluations": lambda v, out: _callback(v).update(evaluations_results=[[1.0], [1.0, 2.0]]),
    "large integer": lambda v, out: _callback(v).update(n_calls=10**400),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_checkpoint_writes_nothing_outside_of_the_folder(main, tmp_path, interrupted, name):
    run, outside = tmp_path / "run", tmp_path / "outside"
    shutil.copytree(interrupted, run)
    outside.mkdir()
    (outside / "precious").write_text("my thesis")
    for path in (run / "checkpoints").glob("step_*"):
        change_document(path, lambda value: CHANGES[name](value, outside))
    with nothing_outside(run, tmp_path):
        code, _, err = main("train", "--resume", run, "-n", 200)
    assert code == (0 if name in ("unknown counter", "file that grows") or name.startswith("path") else 2), err
    assert code == 0 or str(run) in err


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 120))])
@pytest.mark.parametrize("part", ["checkpoint", "config"])
def test_a_mutated_run_is_resumed_or_refused_in_one_sentence(main, tmp_path, interrupted, part, seed):
    run, rng = tmp_path / "run", np.random.default_rng(seed)
    shutil.copytree(interrupted, run)
    if part == "config":
        data = json.loads((run / "config.json").read_text())
        place = mutate(data, rng)
        (run / "config.json").write_text(json.dumps(data))
    else:
        place = []
        for path in sorted((run / "checkpoints").glob("step_*")):
            change_document(path, lambda value: place.append(mutate(value, np.random.default_rng(seed))))
    with nothing_outside(run, tmp_path):
        code, _, err = main("train", "--resume", run, "-n", 170)
    assert code in (0, 2), place
    assert code == 0 or len(err.strip().splitlines()[-1]) < 1000


@pytest.mark.parametrize(
    ("command", "writes"),
    [
        (("status", "RUN"), ()),
        (("evaluate", "RUN", "-n", 1), ()),
        pytest.param(("export", "RUN", "--out", "exported"), ("exported",), marks=pytest.mark.slow),
        pytest.param(("compare", "RUN", "--out", "compared", "--no-report"), ("compared",), marks=pytest.mark.slow),
        (("train", "-i", "RUN", *PENDULUM[1:], "-n", 20, "--no-audit", "-f", "more"), ("more",)),
        (("symmetries", "InvertedPendulum-v5"), ()),
        pytest.param(("audit", "InvertedPendulum-v5", "--states", 50), (), marks=pytest.mark.slow),
    ],
)
def test_a_command_writes_only_to_its_own_places(main, tmp_path, interrupted, monkeypatch, command, writes):
    run, here = tmp_path / "place" / "run", tmp_path / "here"
    shutil.copytree(interrupted, run)
    here.mkdir()
    monkeypatch.chdir(here)
    with nothing_outside(here, tmp_path):
        code, _, err = main(*(run if word == "RUN" else word for word in command))
    assert code == 0, err
    assert {path.name.split(".")[0] for path in here.iterdir()} == {name.split(".")[0] for name in writes}
