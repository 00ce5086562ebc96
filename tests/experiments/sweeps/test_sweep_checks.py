"""What `rpp-rl sweep` refuses before any run is begun."""

import json

import pytest

from rpp_rl.errors import RPPError, RunError
from rpp_rl.experiments.sweeps.checks import check_jobs
from rpp_rl.experiments.sweeps.commands import arguments_of
from rpp_rl.experiments.sweeps.plan import plan_from
from rpp_rl.scripts.sweep import SweepArguments, _flags

SOME = {"algos": ["rpp_sac"], "envs": ["InvertedPendulum-v5"], "seeds": "0-1", "n_timesteps": 40}
TINY = {"hyperparams": ["learning_starts:30", "policy_kwargs:{net_arch: [8]}"], "eval_episodes": 1, "eval_freq": 20}


def jobs(root, options=TINY, **more):
    return plan_from({**SOME, "options": options, **more}).jobs(root)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"learning_rat": 3}, "Unrecognized options: --learning-rat"),
        ({"eval_freq": "often"}, "--eval-freq"),
        ({"vec_env": "thread"}, "invalid choice 'thread'"),
        ({"eval_episodes": 0}, "--eval-episodes must be at least 1"),
        ({"symmetry": "trivail"}, "unknown symmetry of InvertedPendulum-v5 'trivail'"),
        ({"symmetry": "nowhere.yaml"}, "nowhere.yaml"),
        ({"env_kwargs": ["wheels:3"]}, "cannot be made with {'wheels': 3}"),
        ({"hyperparams": ["learning_rat:3e-4"]}, "learning_rat"),
        ({"hyperparams": ["gamma=3"]}, "key:value"),
        ({"hyperparams": ["policy_kwargs:{net_arch: [wide]}"]}, "rpp_sac cannot be built"),
        ({"trained_agent": "nowhere"}, "there is no run or model at nowhere"),
    ],
)
def test_options_are_those_of_training_and_are_tried_first(tmp_path, options, sentence):
    with pytest.raises(RPPError) as refused:
        check_jobs(jobs(tmp_path, options), tmp_path)
    assert sentence in str(refused.value) and "variant" not in str(refused.value)
    with pytest.raises(RunError, match=r"^variant odd: ") as refused:
        check_jobs(jobs(tmp_path, {}, variants={"odd": {"options": options}}), tmp_path)
    assert sentence in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_options_of_a_plan_are_what_the_first_check_makes_environments_with(tmp_path):
    # A symmetry that only the plan names, on a task whose arguments only the plan gives.
    fine = jobs(tmp_path, {"symmetry": "trivial", "env_kwargs": ["reset_noise_scale:0.2"]})
    check_jobs(fine, tmp_path)
    assert arguments_of(fine[0]).env_kwargs == ("reset_noise_scale:0.2",)


def test_a_device_of_another_machine_is_not_looked_for_here(tmp_path):
    away = jobs(tmp_path, {"device": "cuda:7"})
    check_jobs(away, tmp_path, elsewhere=True)
    with pytest.raises(RunError, match="cuda:7"):
        check_jobs(away, tmp_path)


def test_a_folder_of_other_settings_is_neither_done_nor_gone_on_with(main, tmp_path):
    words = ["sweep", "--algos", "rpp_sac", "--envs", "InvertedPendulum-v5", "-n", 40, "--eval-episodes", 1]
    tiny = ["-params", "learning_starts:30", "policy_kwargs:{net_arch: [8]}"]
    assert main(*words, *tiny)[0] == 0
    run = tmp_path / "runs/InvertedPendulum-v5/rpp_sac/seed0"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for more, sentence in (
        (["gamma:0.9"], "another hyperparams"),
        (["--eval-freq", 10], "another eval_freq 8, where this sweep has 10"),
        (["--eval-episodes", 2], "another eval_episodes 1, where this sweep has 2"),
    ):
        for steps in (40, 80):
            code, _, err = main(*words, *tiny, *more, "-n", steps)
            assert code == 2 and sentence in err, err
    (tmp_path / "plan.yaml").write_text("options: {symmetry: trivial}")
    code, _, err = main(*words, *tiny, "--plan", "plan.yaml")
    assert code == 2 and "another symmetry; choose another --log-folder" in err
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    # The same in other words, and what changes nothing, is the same.
    (tmp_path / "plan.yaml").write_text("options: {verbose: 1, device: cpu}")
    code, out, _ = main(
        *words, "--plan", "plan.yaml", "-params", "learning_starts: 30", "policy_kwargs:{net_arch: [8]}"
    )
    assert code == 0 and "1 of 1 runs are done" in out


def test_what_was_killed_before_it_held_anything_is_begun_anew(tmp_path):
    folder = jobs(tmp_path)[0].folder
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"arguments": {"env_kwargs": ["of:another"]}}))
    check_jobs(jobs(tmp_path), tmp_path)


def test_two_runs_never_share_a_folder(tmp_path):
    for twins in (["Hopper-v5", "RPP/Hopper-v5"], ["Hopper-v5", "helpers.tasks:Hopper-v5"]):
        with pytest.raises(RunError, match="would both run in"):
            jobs(tmp_path, envs=twins)
    apart = jobs(tmp_path, variants={"other": {"envs": ["RPP/InvertedPendulum-v5"]}})
    assert len({job.folder for job in apart}) == 4


def test_zero_is_what_was_said(refused):
    words = ("sweep", "--algos", "sac", "--envs", "InvertedPendulum-v5")
    assert "at least one step for each run, got 0" in refused(*words, "-n", 0)
    plan = plan_from(SOME)
    assert _flags(SweepArguments(save_freq=0), plan) == ("--save-freq", "0")
    assert _flags(SweepArguments(), plan) == ("--save-freq", "2")
