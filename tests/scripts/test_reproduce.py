"""The command `rpp-rl reproduce`."""

import functools
import json

import pytest
import tyro

from rpp_rl.experiments.reproduction import problems
from rpp_rl.experiments.reproduction.results import read_csv
from rpp_rl.scripts.reproduce import ReproduceArguments

TINY = ("--trials", "1", "--epochs", "2", "--width", "12", "--no-progress", "--out", "out")


def rows(tmp_path, name):
    return read_csv(tmp_path / "out" / f"{name}.csv")


def test_inertia_gives_a_table_a_figure_and_a_record(main, tmp_path):
    code, out, err = main("reproduce", "inertia", *TINY)
    assert code == 0, err
    assert "| perfect | RPP is better than MLP |" in out
    found = rows(tmp_path, "inertia")
    assert [(r["condition"], r["network"]) for r in found] == [
        (c, n) for c in ("perfect", "approximate", "misspecified") for n in ("emlp", "rpp", "mlp")
    ]
    assert {r["epochs"] for r in found} == {"2"}
    assert all(float(r["test_mse"]) > 0 for r in found)
    assert {r["basic_wd"] for r in found if r["network"] != "rpp"} == {"0.0"}
    assert next(r for r in found if r["network"] == "rpp")["basic_wd"] == "100.0"
    assert (tmp_path / "out" / "inertia.png").stat().st_size > 3000
    assert (tmp_path / "out" / "inertia.md").read_text().strip() == out.strip()
    record = json.loads((tmp_path / "out" / "inertia.json").read_text())
    assert len(record["trials"]) == len(list((tmp_path / "out" / "trials").iterdir())) == 9
    assert record["command"][:3] == ["rpp-rl", "reproduce", "inertia"]
    assert {"versions", "git", "cpu"} <= record.keys()


def test_a_second_run_skips_finished_trials(main, tmp_path):
    chosen = ("--conditions", "perfect", "--networks", "mlp", "rpp", "--no-plot")
    assert main("reproduce", "inertia", *TINY, *chosen)[0] == 0
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "trials").iterdir()}
    assert len(kept) == 2
    code, _, err = main("reproduce", "inertia", *TINY, *chosen, "--trials", "2")
    assert code == 0, err
    now = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "trials").iterdir()}
    assert len(now) == 4
    assert kept.items() <= now.items()
    assert len(rows(tmp_path, "inertia")) == 4
    # Other experiments share the trials of inertia.
    assert main("reproduce", "equivariance", *TINY, "--conditions", "perfect", "--no-plot")[0] == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "trials").iterdir()} == now
    assert not list((tmp_path / "out").glob("*.png"))


@pytest.mark.slow
def test_pendulum_gives_a_table_and_a_figure(main, tmp_path, monkeypatch):
    monkeypatch.setattr(problems, "draw_pendulum", functools.partial(problems.draw_pendulum, count=20))
    code, out, err = main("reproduce", "pendulum", *TINY, "--conditions", "approximate", "misspecified")
    assert code == 0, err
    assert "| misspecified | RPP is better than EMLP |" in out
    assert len(rows(tmp_path, "pendulum")) == 6
    assert (tmp_path / "out" / "pendulum.png").stat().st_size > 3000


def test_equivariance_gives_errors_by_epoch(main, tmp_path):
    code, out, err = main("reproduce", "equivariance", *TINY)
    assert code == 0, err
    assert "| approximate | 2 |" in out
    errors = rows(tmp_path, "equivariance_errors")
    assert len(errors) == 2 * 2 * 10
    assert {(r["condition"], r["epoch"]) for r in errors} == {
        (c, e) for c in ("perfect", "approximate") for e in ("1", "2")
    }
    assert all(float(r["equivariance_error"]) > 0 for r in errors)
    assert (tmp_path / "out" / "equivariance.png").stat().st_size > 3000


@pytest.mark.slow
def test_prior_sweep_tries_every_pair_of_strengths(main, tmp_path):
    grid = ("--equiv-grid", "1e-4", "1e-2", "--basic-grid", "1e-3", "1", "100")
    code, out, err = main("reproduce", "prior-sweep", *TINY, *grid)
    assert code == 0, err
    found = [(float(r["equiv_wd"]), float(r["basic_wd"])) for r in rows(tmp_path, "prior-sweep")]
    assert found == [(e, b) for e in (1e-4, 1e-2) for b in (1e-3, 1.0, 100.0)]
    assert "| perfect | 0.01 | 100 |" in out
    assert (tmp_path / "out" / "prior-sweep.png").stat().st_size > 3000


def test_given_strengths_are_used(main, tmp_path):
    flags = ("--conditions", "perfect", "--equiv-wd", "0.5", "--basic-wd", "2", "--no-plot")
    assert main("reproduce", "inertia", *TINY, *flags)[0] == 0
    for r in rows(tmp_path, "inertia"):
        assert (r["equiv_wd"], r["basic_wd"]) == (("0.5", "2.0") if r["network"] == "rpp" else ("0.0", "0.0"))


def test_given_seeds_decay_and_residual_steps_are_used(main, tmp_path):
    flags = ("--conditions", "perfect", "--networks", "emlp", "rpp", "--residual-step", "0.5", "--first-seed", "7")
    assert main("reproduce", "inertia", *TINY, *flags, "--decay", "cosine", "--no-plot")[0] == 0
    found = rows(tmp_path, "inertia")
    assert [(r["network"], r["seed"], r["residual_step"], r["decay"]) for r in found] == [
        ("emlp", "7", "prior", "cosine"),
        ("rpp", "7", "0.5", "cosine"),
    ]


def test_priors_are_learned_on_request(main, tmp_path):
    flags = ("--conditions", "approximate", "--networks", "rpp", "mlp", "--prior", "learned", "--no-plot")
    assert main("reproduce", "inertia", *TINY, *flags)[0] == 0
    assert [r["prior"] for r in rows(tmp_path, "inertia")] == ["learned", "fixed"]
    learned = rows(tmp_path, "inertia_priors")
    assert {r["pathway"] for r in learned} == {"equiv", "basic"}
    assert all(float(r["std"]) > 0 for r in learned)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--residual-step", "-1"), "--residual-step must be 'prior' or a number >= 0"),
        (("--residual-step", "nan"), "--residual-step must be 'prior' or a number >= 0"),
        (("--first-seed", "-1"), "--first-seed must be a number from 0"),
        (("--trials", "0"), "--trials must be at least 1, got 0"),
        (("--epochs", "0"), "--epochs must be at least 1"),
        (("--width", "-3"), "--width must be at least 1"),
        (("--basic-wd", "-1"), "basic_wd is the strength of a prior"),
        (("--equiv-grid", "nan"), "equiv_wd is the strength of a prior"),
        (("--device", "abacus"), "unknown device"),
    ],
)
def test_bad_flags_are_refused(refused, flags, message):
    assert message in refused("reproduce", "inertia", *flags)


def test_a_file_in_place_of_the_folder_is_refused(refused, tmp_path):
    (tmp_path / "file").write_text("")
    assert "--out file/out is a file, or lies in one" in refused("reproduce", "inertia", "--out", "file/out")


def test_a_damaged_trial_is_reported(main, tmp_path):
    chosen = ("--conditions", "perfect", "--networks", "mlp", "--no-plot")
    main("reproduce", "inertia", *TINY, *chosen)
    (path,) = (tmp_path / "out" / "trials").iterdir()
    path.write_text("half")
    code, _, err = main("reproduce", "inertia", *TINY, *chosen)
    assert code == 2
    assert "delete it to run the trial again" in err


@pytest.mark.parametrize(
    "words",
    [
        ["inertia", "--networks", "rpp", "mlp", "--basic-wd", "0.5", "--no-plot", "--out", "a folder"],
        ["pendulum", "--trials", "3", "--conditions", "misspecified", "--residual-step", "0.1"],
    ],
)
def test_the_recorded_command_repeats_the_experiment(words):
    experiment = tyro.cli(ReproduceArguments, args=words)
    assert tyro.cli(ReproduceArguments, args=experiment.command()[2:]) == experiment
