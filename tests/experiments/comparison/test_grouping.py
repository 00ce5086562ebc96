"""Which runs belong together, and the notes on those that do not."""

import inspect
import json

import numpy as np
import pytest
from helpers.run_folders import HYPERPARAMETERS, write_run, write_runs
from stable_baselines3 import SAC

from rpp_rl.agents import RPPSAC
from rpp_rl.errors import RunError
from rpp_rl.experiments.comparison import grouping
from rpp_rl.experiments.comparison.analysis import final_scores
from rpp_rl.experiments.comparison.grouping import differing_settings, group_runs, settings_table
from rpp_rl.experiments.comparison.runs import read_runs
from rpp_rl.experiments.finding import find_runs


def tasks(root, at=None):
    return group_runs(read_runs(find_runs([root]), [root])[0], at)


def test_runs_that_differ_in_nothing_but_the_algorithm(tmp_path):
    found = tasks(write_runs(tmp_path))
    assert [task.name for task in found] == ["Ant-v5", "Hopper-v5"]
    for task in found:
        assert [group.label for group in task.groups] == ["rpp_sac", "sac"]
        assert task.groups[0].seeds == (0, 1, 2, 3, 4, 5)
        assert (task.step, len(task.steps), task.notes) == (10_000, 10, ())
        # The algorithm's own setting differs without a note.
        assert settings_table(task.groups)["actor_equiv_wd"] == ("1e-06", "-")
        assert differing_settings(task.groups) == []


def test_runs_of_unequal_length_are_compared_where_all_have_been(tmp_path):
    write_runs(tmp_path, ["Ant-v5"], seeds=range(3))
    short = write_run(tmp_path, "Ant-v5", "sac", 8, np.arange(1, 5) * 1000)
    (task,) = tasks(tmp_path)
    assert task.step == 4000
    assert "compared at step 4000, the longest has 10000" in task.notes[0]
    assert task.notes[1].startswith(f"shorter than the longest, and done: {short}; give them more steps")
    config = json.loads((short / "config.json").read_text())
    (short / "config.json").write_text(json.dumps({**config, "n_timesteps": 10_000}))
    assert tasks(tmp_path)[0].notes[1].startswith(f"shorter than the longest, and not at their end: {short}; finish")
    (task,) = tasks(tmp_path, at=10_000)
    assert (task.step, len(task.groups[1].runs)) == (10_000, 3)
    assert task.notes[0] == f"left out, since step 10000 is outside their evaluations: {short}"
    for at in (123, 10_001):
        with pytest.raises(RunError, match=f"around step {at}, they are from 1000 to 10000; choose another --at"):
            tasks(tmp_path, at=at)


def test_runs_evaluated_at_other_steps_are_compared_on_all_steps_that_they_share(tmp_path):
    write_runs(tmp_path, ["Ant-v5"], seeds=range(3))
    write_run(tmp_path, "Ant-v5", "sac", 8, np.arange(1, 4) * 2500)
    (task,) = tasks(tmp_path)
    assert task.steps == (2500, 3000, 4000, 5000, 6000, 7000, 7500)
    different = "runs were evaluated at different steps, and between its own evaluations the score of a run is "
    assert f"{different}interpolated linearly: every 1000 in 6 runs, every 2500 in 1 run" in task.notes
    (between,) = (
        note for note in task.notes if note.startswith("not evaluated at step 7500, so that scores there are")
    )
    assert str(tmp_path / "Ant-v5/rpp_sac/seed0") in between and "seed8" not in between
    # The last of these is known from 6000 to 7000 only.
    (task,) = tasks(tmp_path, at=6500)
    assert (task.step, [len(group.runs) for group in task.groups]) == (6500, [3, 4])
    for group in task.groups:
        expected = [np.interp(6500, run.steps, run.scores) for run in group.runs]
        np.testing.assert_array_equal(final_scores(task, group), expected)


def test_a_run_whose_last_evaluation_is_before_its_end_needs_no_more_steps(tmp_path):
    write_runs(tmp_path, ["Ant-v5"], {"sac": 1.0}, seeds=range(2))
    write_run(tmp_path, "Ant-v5", "sac", 2, np.arange(1, 4) * 3000, n_timesteps=10_000)
    (task,) = tasks(tmp_path)
    assert task.step == 9000
    assert (
        task.notes[0] == "runs end at different evaluations: everything is compared at step 9000, the longest has 10000"
    )
    seed2 = tmp_path / "Ant-v5/sac/seed2"
    assert task.notes[1] == f"as long as the longest, but last evaluated before its end: {seed2}"
    assert "more steps" not in " ".join(task.notes)


def test_evaluations_that_are_only_shifted_are_at_different_steps(tmp_path):
    write_runs(tmp_path, ["Ant-v5"], {"sac": 1.0}, seeds=range(2))
    write_run(tmp_path, "Ant-v5", "sac", 2, np.arange(0, 11) * 1000 + 50)
    note = next(note for note in tasks(tmp_path)[0].notes if note.startswith("runs were evaluated at different steps"))
    assert note.endswith("every 1000 from 1000 in 2 runs, every 1000 from 50 in 1 run")


def test_runs_without_a_step_in_common_are_not_compared(tmp_path):
    write_run(tmp_path, "Ant-v5", "sac", 0, [1000, 2000])
    write_run(tmp_path, "Ant-v5", "sac", 1, [3000, 4000])
    with pytest.raises(RunError, match="share no steps, so that they cannot be compared") as said:
        tasks(tmp_path)
    folder = tmp_path / "Ant-v5/sac"
    assert f"{folder}/seed0 was last evaluated at step 2000, {folder}/seed1 first at step 3000; leave" in str(
        said.value
    )
    assert [group.seeds for group in tasks(tmp_path, at=1500)[0].groups] == [(0,)]


def test_of_a_seed_that_is_there_twice_the_run_that_got_there_is_taken(tmp_path):
    write_runs(tmp_path / "runs", ["Ant-v5"], {"sac": 1.0}, seeds=range(3))
    write_run(tmp_path / "runs", "Ant-v5", "sac", 3, np.arange(1, 5) * 1000)
    write_run(tmp_path / "runs" / "old", "Ant-v5", "sac", 3)
    assert tasks(tmp_path / "runs", at=10_000)[0].groups[0].seeds == (0, 1, 2, 3)
    assert tasks(tmp_path / "runs")[0].step == 4000


def test_what_is_left_of_runs_that_failed_are_survivors(tmp_path):
    write_runs(tmp_path, ["Ant-v5"], {"sac": 1.0}, seeds=range(3))
    died = write_run(tmp_path, "Ant-v5", "sac", 3, np.arange(1, 5) * 1000, n_timesteps=10_000)
    assert "survivors" not in " ".join(tasks(tmp_path, at=10_000)[0].notes + tasks(tmp_path)[0].notes)
    (died / "failure.json").write_text("{}")
    for at in (None, 10_000):
        (note,) = (note for note in tasks(tmp_path, at)[0].notes if "survivors" in note)
        assert note.endswith(f"of these failed, so that what is left are survivors: {died}")


def test_what_only_rpp_sac_knows_is_its_own():
    """The comparison names them itself, since it does without the library that learns."""
    assert set(inspect.signature(RPPSAC.__init__).parameters) - set(inspect.signature(SAC.__init__).parameters) <= {
        *grouping._OWN,
        *("args", "kwargs"),
    }


def test_what_only_some_give_differs_unless_only_some_know_it(tmp_path):
    shipped = {k: v for k, v in HYPERPARAMETERS.items() if k != "policy_kwargs"}
    write_runs(tmp_path, ["Ant-v5"], {"sac": 1.0}, range(2), hyperparameters=shipped)
    given = {**shipped, "policy_kwargs": "{'net_arch': [1024], 'actor_basic_wd': 0.1}", "critic": "mlp"}
    write_runs(tmp_path, ["Ant-v5"], {"rpp_sac": 1.0}, range(2), hyperparameters=given, normalize={"norm_obs": True})
    (task,) = tasks(tmp_path)
    assert differing_settings(task.groups) == ["normalize", "policy_kwargs.net_arch"]


def test_the_same_seed_twice_is_one_run(tmp_path):
    write_runs(tmp_path, ["Ant-v5"], {"sac": 1.0}, seeds=range(3))
    twin = write_run(tmp_path, "Ant-v5", "sac", 1, np.arange(1, 4) * 1000, folder="seed1-2")
    (task,) = tasks(tmp_path)
    assert task.groups[0].seeds == (0, 1, 2)
    assert task.step == 10_000
    assert "not a second run" in task.notes[0]
    assert str(twin) in task.notes[0]


def test_the_run_that_lies_least_deep_is_kept_and_another_model_is_noted(tmp_path):
    mine = write_run(tmp_path, "Ant-v5", "sac", 0, np.arange(1, 4) * 1000)
    longer = write_run(tmp_path / "old backup", "Ant-v5", "sac", 0)
    (task,) = tasks(tmp_path)
    assert [run.path for run in task.groups[0].runs] == [mine]
    assert task.notes[0].endswith(f"is not a second run: {longer}")
    config = json.loads((longer / "config.json").read_text())
    config["model"]["compiled_sha256"] = "cd" * 32
    (longer / "config.json").write_text(json.dumps(config))
    (task,) = tasks(tmp_path)
    assert [run.path for run in task.groups[0].runs] == [mine]
    assert "though the simulated model" in task.notes[0] and task.notes[0].endswith(str(longer))


def test_other_settings_are_another_group_and_no_more_seeds(tmp_path):
    write_runs(tmp_path / "runs", ["Ant-v5"], seeds=range(3))
    write_runs(tmp_path / "control", ["Ant-v5"], {"rpp_sac": 1.0}, range(2), symmetry={"name": "trivial"})
    fast = {**HYPERPARAMETERS, "learning_rate": 6e-4}
    write_runs(tmp_path / "fast", ["Ant-v5"], {"sac": 1.0}, range(2), hyperparameters=fast)
    (task,) = tasks(tmp_path)
    labels = {group.label: len(group.runs) for group in task.groups}
    assert labels == {"rpp_sac": 3, "rpp_sac [symmetry=trivial]": 2, "sac": 3, "sac [learning_rate=0.0006]": 2}
    differ = next(note for note in task.notes if note.startswith("settings differ beyond the algorithm"))
    assert "learning_rate" in differ
    assert "symmetry" in differ


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"versions": {"rpp-rl": "0.1.0", "torch": "2.8.0"}}, "torch differs: 2.13.0 in 2 runs, 2.8.0 in 1 run"),
        ({"git": {"rpp_rl": "ab12"}}, "rpp-rl's commit differs: unknown in 2 runs, ab12 in 1 run"),
        ({"model": {"compiled_sha256": "cd" * 32}}, "the simulated model is not the same"),
        ({"evaluation_seed": 5}, "evaluation seeds are chosen in different ways"),
        ({"n_timesteps": 99}, "different numbers of steps"),
        ({"returns": np.ones((10, 3))}, "different numbers of episodes"),
    ],
)
def test_a_note_names_what_makes_runs_incomparable(tmp_path, config, message):
    write_runs(tmp_path, ["Ant-v5"], {"sac": 1.0}, range(2))
    write_run(tmp_path, "Ant-v5", "rpp_sac", 0, **config)
    assert any(message in note for note in tasks(tmp_path)[0].notes)


TRIVIAL = {"name": "trivial", "group": "C1"}


def labels(*roots):
    (task,) = group_runs(read_runs(find_runs(roots), roots)[0])
    return {group.label: group.seeds for group in task.groups}


@pytest.mark.parametrize("variant", ["trivial", "Zebra"])
def test_a_variant_never_takes_the_name_of_what_it_varies(tmp_path, variant):
    """Wherever its folder stands in the alphabet, and however many seeds it has."""
    write_runs(tmp_path, ["Ant-v5"], {"rpp_sac": 1.0}, seeds=range(3))
    write_runs(tmp_path / variant, ["Ant-v5"], {"rpp_sac": 1.0}, seeds=range(5), symmetry=TRIVIAL)
    assert labels(tmp_path) == {"rpp_sac": (0, 1, 2), "rpp_sac [symmetry=trivial]": (0, 1, 2, 3, 4)}


def test_of_several_folders_the_first_has_what_is_usual(tmp_path):
    rate = HYPERPARAMETERS | {"learning_rate": 6e-4}
    write_runs(tmp_path / "runs", ["Ant-v5"], {"sac": 1.0}, seeds=range(3))
    write_runs(tmp_path / "double", ["Ant-v5"], {"sac": 1.0}, seeds=range(4), hyperparameters=rate)
    assert set(labels(tmp_path / "runs", tmp_path / "double")) == {"sac", "sac [learning_rate=0.0006]"}
    assert set(labels(tmp_path / "double", tmp_path / "runs")) == {"sac", "sac [learning_rate=0.0003]"}


def test_symmetries_of_one_name_with_other_content_form_groups(tmp_path):
    write_runs(tmp_path, ["Ant-v5"], {"rpp_sac": 1.0}, seeds=range(3))
    for group in ("C2", "C4"):
        mirror = {"name": "mirror", "group": group}
        write_runs(tmp_path / group, ["Ant-v5"], {"rpp_sac": 1.0}, seeds=range(3), symmetry=mirror)
    found = labels(tmp_path)
    assert len(found) == 3
    assert set(found.values()) == {(0, 1, 2)}


def test_plain_networks_with_a_normalization_depend_on_its_symmetry(tmp_path):
    write_runs(tmp_path, ["Ant-v5"], {"sac": 1.0}, seeds=range(3), normalize=True)
    write_runs(tmp_path / "trivial", ["Ant-v5"], {"sac": 1.0}, seeds=range(3), normalize=True, symmetry=TRIVIAL)
    assert set(labels(tmp_path)) == {"sac", "sac [symmetry=trivial]"}


def test_runs_of_one_length_are_of_one_length_at_any_step(tmp_path):
    assert all(task.notes == () for task in tasks(write_runs(tmp_path), at=5000))


@pytest.mark.parametrize("env", ["m:", "\x1b[31mred", "\ud800"])
def test_hostile_names_stay_inside_the_folder(tmp_path, main, env):
    for path in write_runs(tmp_path / "runs", ["Ant-v5"], seeds=range(3)).rglob("config.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"env": env}))
    code, said, err = main("compare", "runs", "--out", "out")
    assert code == 0, err
    assert "\x1b" not in said
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "out"}
