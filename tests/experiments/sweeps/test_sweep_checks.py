"""What `rpp-rl sweep` refuses before it starts any run."""

import json

import pytest

from rpp_rl.errors import RPPError, RunError
from rpp_rl.experiments.sweeps.jobs import Job, check_jobs
from rpp_rl.experiments.sweeps.plan import plan_from

SOME = {"algos": ["rpp_sac"], "envs": ["InvertedPendulum-v5"], "seeds": "0-1", "n_timesteps": 40}
TINY = {"hyperparams": ["learning_starts:30", "policy_kwargs:{net_arch: [8]}"], "eval_episodes": 1, "eval_freq": 20}


def jobs(root, options=TINY, **more):
    return [Job(config) for config in plan_from({**SOME, "options": options, **more}).configs(root)]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"learning_rat": 3}, "unknown option 'learning_rat'"),
        ({"eval_freq": "often"}, "eval_freq must be int"),
        ({"vec_env": "thread"}, "vec_env must be one of dummy, subproc"),
        ({"eval_episodes": 0}, "eval_episodes must be at least 1"),
        ({"symmetry": "trivail"}, "unknown symmetry of InvertedPendulum-v5 'trivail'"),
        ({"symmetry": "nowhere.yaml"}, "nowhere.yaml"),
        ({"env_kwargs": ["wheels:3"]}, "cannot be made with {'wheels': 3}"),
        ({"hyperparams": ["learning_rat:3e-4"]}, "learning_rat"),
        ({"hyperparams": ["gamma=3"]}, "key:value"),
        ({"hyperparams": ["policy_kwargs:{net_arch: [wide]}"]}, "rpp_sac cannot be built"),
        ({"trained_agent": "nowhere"}, "cannot find a run or model at nowhere"),
    ],
)
def test_wrong_options_of_training_are_refused_before_any_run(tmp_path, options, sentence):
    with pytest.raises(RPPError) as refused:
        check_jobs(jobs(tmp_path, options), tmp_path)
    assert sentence in str(refused.value) and "variant" not in str(refused.value)
    with pytest.raises(RunError, match=r"^variant odd: ") as refused:
        check_jobs(jobs(tmp_path, {}, variants={"odd": {"options": options}}), tmp_path)
    assert sentence in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_the_check_makes_environments_with_the_options_of_the_plan(tmp_path):
    # A symmetry that only the plan names, on a task whose arguments only the plan gives.
    fine = jobs(tmp_path, {"symmetry": "trivial", "env_kwargs": ["reset_noise_scale:0.2"]})
    check_jobs(fine, tmp_path)
    assert fine[0].config.env_kwargs == {"reset_noise_scale": 0.2}


def test_a_device_of_another_machine_is_not_checked_here(tmp_path):
    away = jobs(tmp_path, {"device": "cuda:7"})
    check_jobs(away, tmp_path, elsewhere=True)
    with pytest.raises(RunError, match="cuda:7"):
        check_jobs(away, tmp_path)


@pytest.mark.slow
def test_a_sweep_refuses_a_folder_with_other_settings(main, tmp_path):
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
    # Other spellings of the same settings, and options without an effect, are accepted.
    (tmp_path / "plan.yaml").write_text("options: {device: cpu, audit: false}")
    code, out, _ = main(
        *words, "--plan", "plan.yaml", "-params", "learning_starts: 30", "policy_kwargs:{net_arch: [8]}"
    )
    assert code == 0 and "1 of 1 runs are done" in out


def test_a_run_killed_before_its_first_checkpoint_may_start_again(tmp_path):
    folder = jobs(tmp_path)[0].run.path
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"arguments": {"env_kwargs": ["of:another"]}}))
    check_jobs(jobs(tmp_path), tmp_path)


def test_two_runs_never_share_a_folder(tmp_path):
    for twins in (["Hopper-v5", "Hopper"], ["Hopper-v5", "helpers.tasks:Hopper-v5"]):
        with pytest.raises(RunError, match="would both run in"):
            jobs(tmp_path, envs=twins)
    apart = jobs(tmp_path, variants={"other": {"envs": ["InvertedPendulum"]}})
    assert len({job.run.path for job in apart}) == 4


def test_a_zero_is_refused_or_kept_and_not_replaced_by_a_default(refused):
    words = ("sweep", "--algos", "sac", "--envs", "InvertedPendulum-v5")
    assert "n_timesteps of a plan must be at least 1, got 0" in refused(*words, "-n", 0)
    plan = plan_from(SOME)
    assert {config.save_freq for config in plan.configs(flags={"save_freq": 0})} == {0}
    assert {config.save_freq for config in plan.configs()} == {2}
