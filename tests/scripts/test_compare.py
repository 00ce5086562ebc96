"""`rpp-rl compare`: what it writes, and what it refuses."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.run_folders import rows, write_run, write_runs
from scipy import stats


class TestTables:
    def test_summary_has_a_row_per_environment_and_algorithm(self, compared, tmp_path):
        found = rows(compared[0] / "summary.csv")
        assert [(r["environment"], r["algorithm"], r["n"]) for r in found] == [
            (env, algo, "6") for env in ("Ant-v5", "Hopper-v5") for algo in ("rpp_sac", "sac")
        ]
        scores = [
            np.load(path)["results"].mean(axis=1) for path in (tmp_path / "runs/Ant-v5/sac").glob("*/evaluations.npz")
        ]
        sac = found[1]
        final = np.array(scores)[:, -1]
        assert float(sac["final_iqm"]) == pytest.approx(stats.trim_mean(final, 0.25))
        assert float(sac["mean"]) == pytest.approx(final.mean())
        areas = np.trapezoid(scores, dx=1000, axis=1) / 9000
        assert float(sac["area_under_curve"]) == pytest.approx(stats.trim_mean(areas, 0.25))
        assert float(sac["low"]) < float(sac["final_iqm"]) < float(sac["high"])
        assert (sac["step"], sac["wall_time_s"]) == ("10000", "3600.0")

    def test_curves_have_a_row_per_environment_algorithm_and_step(self, compared):
        found = rows(compared[0] / "curves.csv")
        assert len(found) == 2 * 2 * 10
        assert [r["step"] for r in found[:10]] == [str(k * 1000) for k in range(1, 11)]
        assert all(float(r["low"]) <= float(r["iqm"]) <= float(r["high"]) for r in found)
        best = [float(r["best_so_far_mean"]) for r in found[:10]]
        assert best == sorted(best)

    def test_scores_have_a_row_per_run_and_evaluation(self, compared, tmp_path):
        found = rows(compared[0] / "scores.csv")
        assert len(found) == 2 * 2 * 6 * 10
        for (env, algo, seed), got in itertools.groupby(found, lambda r: (r["environment"], r["algorithm"], r["seed"])):
            data = np.load(tmp_path / "runs" / env / algo / f"seed{seed}" / "evaluations.npz")
            steps, scores = zip(*((int(r["step"]), float(r["score"])) for r in got), strict=True)
            assert list(steps) == data["timesteps"].tolist()
            np.testing.assert_allclose(scores, data["results"].mean(axis=1))

    def test_pairs_and_markdown(self, compared):
        (ant, _) = rows(compared[0] / "pairs.csv")
        assert (ant["first"], ant["second"], ant["paired"]) == ("rpp_sac", "sac", "True")
        ours, theirs = rows(compared[0] / "summary.csv")[:2]
        for difference, of in (("iqm_difference", "final_iqm"), ("area_difference", "area_under_curve")):
            assert float(ant[difference]) == pytest.approx(float(ours[of]) - float(theirs[of]))
        assert float(ant["area_difference_low"]) < float(ant["area_difference"]) < float(ant["area_difference_high"])
        text = (compared[0] / "summary.md").read_text()
        assert "| algorithm | n | final IQM |" in text
        assert f"{float(ant['probability_of_improvement']):.2f} [" in text
        assert "random actions and published agents" in text

    def test_what_it_prints(self, compared):
        out = compared[1]
        assert "Ant-v5 at step 10000: rpp_sac is better than sac" in out
        assert "tensorboard --logdir runs" in out
        assert "15 comparisons" not in out

    def test_the_same_runs_give_the_same_files(self, compared, main):
        names = ("summary.csv", "curves.csv", "scores.csv", "pairs.csv", "summary.md", "curves.svg", "report.html")
        before = {name: (compared[0] / name).read_bytes() for name in names}
        assert main("compare", "runs")[0] == 0
        for name in names:
            assert (compared[0] / name).read_bytes() == before[name], name

    def test_another_seed_draws_others(self, compared, main):
        before = (compared[0] / "summary.csv").read_text()
        assert main("compare", "runs", "--seed", 1, "--no-report", "--no-tensorboard")[0] == 0
        assert (compared[0] / "summary.csv").read_text() != before


def test_figures_are_pictures(compared):
    for name in ("curves", "best_so_far", "profiles"):
        assert (compared[0] / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        svg = (compared[0] / f"{name}.svg").read_text()
        assert "<svg" in svg
        assert "n = 6" in svg or "n at least 6" in svg


class TestReport:
    def test_it_holds_what_it_shows(self, compared):
        page = (compared[0] / "report.html").read_text()
        assert "default-src 'none'" in page
        assert not re.search(r"<(script|img|link)[^>]*\b(src|href)=", page)
        body = page[page.index("<body>") :]
        for part in (
            "rpp_sac is better than sac",
            "rpp_sac (IQM, n = 6)",
            "actor_equiv_wd",
            "rpp-rl train --env Ant-v5 --algo sac --seed 3",
            "2.13.0",
            "<td>exact</td><td>holds</td>",
            "1.0 h",
            "random = 0, reference = 1",
        ):
            assert part in body, part

    def test_hostile_text_stays_text(self, main, tmp_path):
        evil = "</script><img src=x onerror=alert(1)>$\\frac$"
        for seed in range(3):
            versions = {evil: evil}
            write_run(tmp_path / "runs", "Ant-v5", "sac", seed, command=[evil], cpu=evil, versions=versions)
            path = write_run(tmp_path / "runs", "Ant-v5", "rpp_sac", seed)
            config = (path / "config.json").read_text()
            (path / "config.json").write_text(config.replace('"rpp_sac"', '"=' + evil.replace("\\", "\\\\") + '"', 1))
        code, _, err = main("compare", "runs")
        assert code == 0, err
        page = (tmp_path / "runs/compare/report.html").read_text()
        assert "<img" not in page[page.index("<body>") :]
        # plotly, the figures and the drawing.
        assert page.count("</script>") == 3
        assert rows(tmp_path / "runs/compare/summary.csv")[0]["algorithm"].startswith("'=<")


def test_a_note_names_settings_that_differ_between_environments(main, tmp_path):
    write_runs(tmp_path / "runs")
    assert "on some environments" not in main("compare", "runs", "--no-report")[1]
    other = {"learning_rate": 3e-4, "gamma": 0.95, "batch_size": 256}
    write_runs(tmp_path / "runs", ["Walker2d-v5"], {"sac": 900.0}, hyperparameters=other)
    out = main("compare", "runs", "--no-report", "--out", "out")[1]
    assert "note: sac has another gamma, policy_kwargs.net_arch on some environments than on others" in out
    assert "rpp_sac has another" not in out


def test_over_environments_no_environment_weighs_more(main, tmp_path):
    """Two algorithms that are equally good on each, of which one has more runs where scores are high."""
    (tmp_path / "scale.yml").write_text("Easy-v0: {random: 0, reference: 1}\nHard-v0: {random: 0, reference: 1}\n")
    for algo, easy, hard in (("rpp_sac", 9, 3), ("sac", 3, 9)):
        for env, n, score in (("Easy-v0", easy, 1.0), ("Hard-v0", hard, 0.0)):
            for seed in range(n):
                write_run(tmp_path / "runs", env, algo, seed, [10], [[score]])
    code, out, _ = main("compare", "runs", "--no-report", "--normalization", "scale.yml")
    assert code == 0
    table = (tmp_path / "runs/compare/summary.md").read_text().split("## Over")[1]
    cells = [line.split("|")[1:] for line in table.splitlines() if "sac |" in line]
    scores = {name.strip(): iqm.split()[0] for name, _, iqm, *_ in cells}
    assert scores == {"rpp_sac": "0.50", "sac": "0.50"}
    assert "note: left out over environments: of rpp_sac what is not on every environment, seed 3, 4, 5, 6, 7, 8" in out


def test_a_folder_whose_name_cannot_be_decoded_is_shown(main, tmp_path):
    write_runs(tmp_path / "runs", ["Ant-v5"])
    (tmp_path / "runs/Ant-v5/sac/seed1/config.json").unlink()
    (tmp_path / "runs/Ant-v5/sac/seed1").rename(tmp_path / "runs/Ant-v5/sac" / os.fsdecode(b"seed\xff"))
    assert main("compare", "runs", "--no-report")[0] == 0


def test_scores_over_environments_or_why_there_are_none(main, tmp_path):
    write_runs(tmp_path / "runs", ["Ant-v5", "Mine-v0"])
    out = main("compare", "runs", "--no-report")[1]
    assert "note: there is no score over environments, since Mine-v0 has no normalization" in out
    scale = tmp_path / "scale.yml"
    scale.write_text("".join(f"{n}: {{random: 0, reference: 9}}\n" for n in ("Ant-v5", "Mine-v0", "Hopper-v4")))
    out = main("compare", "runs", "--no-report", "--normalization", scale)[1]
    assert "no score over" not in out and "of which there are no runs: Hopper-v4" in out
    write_runs(tmp_path / "runs", ["Hopper-v5"], {"sac": 1000.0})
    out = main("compare", "runs", "--no-report", "--normalization", scale)[1]
    assert "note: left out over environments: Hopper-v5 has no normalization" in out
    text = (tmp_path / "runs/compare/summary.md").read_text()
    assert "- Left out: Hopper-v5 has no normalization." in text


def test_a_run_that_does_not_say_what_it_is_is_not_left_out_in_silence(main, tmp_path):
    write_runs(tmp_path / "runs", ["Ant-v5"])
    Path("runs/Ant-v5/sac/seed1/config.json").unlink()
    note = "note: runs/Ant-v5/sac/seed1 is left out: it has evaluations, but no config.json"
    assert note in main("compare", "runs", "--no-report")[1].splitlines()
    assert note in main("status", "runs")[1].splitlines()


def test_options(main, tmp_path):
    write_runs(tmp_path / "runs", ["Ant-v5"])
    write_run(tmp_path / "runs", "Ant-v5", "sac", 9, [1000])
    (tmp_path / "scale.yml").write_text("Ant-v5: {random: 0, reference: 100}\nHopper-v5: {random: 0, reference: 1}\n")
    write_runs(tmp_path / "more", ["Hopper-v5"])
    code, out, err = main(
        *("compare", "runs", "more", "--out", "out", "--at", 5000, "--baseline", "rpp_sac", "--threshold", "Ant-v5:10"),
        *("--normalization", "scale.yml", "--no-report"),
    )
    assert code == 0, err
    assert "sac is worse than rpp_sac" in out
    assert "left out, since step 5000 is outside their evaluations: runs/Ant-v5/sac/seed9" in out
    assert "tensorboard --logdir_spec compare:out,runs:runs" in out
    assert "by scale.yml" in (tmp_path / "out/summary.md").read_text()
    found = rows(tmp_path / "out/summary.csv")
    assert {row["step"] for row in found} == {"5000"}
    assert found[0]["threshold"] == "10.0"
    assert not (tmp_path / "out/report.html").exists()
    assert not (tmp_path / "runs/compare").exists()


def test_versions_of_an_environment_are_not_mixed(main, tmp_path):
    write_runs(tmp_path / "runs", ["Ant-v4", "Ant-v5"], seeds=range(3))
    code, out, _ = main("compare", "runs", "--no-report", "--no-tensorboard")
    assert code == 0
    assert "Ant-v4 and Ant-v5 are different environments" in out
    assert len(rows(tmp_path / "runs/compare/summary.csv")) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compare", "nowhere"), "there is no folder nowhere"),
        (("compare", "empty"), "train one with rpp-rl train"),
        (("compare", "runs", "--filter", "x*"), "or widen --filter"),
        (("compare", "runs", "--at", "77"), "choose another --at"),
        (("compare", "runs", "--baseline", "sak"), "did you mean 'sac'"),
        (("compare", "runs", "--threshold", "Ant-v5"), "--threshold takes ENV:SCORE"),
        (("compare", "runs", "--threshold", "Ant-v5:nan"), "--threshold takes ENV:SCORE"),
        (("compare", "runs", "--threshold", "Ant-v5:1", "Ant-v5:2"), "two scores for Ant-v5"),
        (("compare", "runs", "--threshold", "Ant-v6:1"), "did you mean 'Ant-v5'"),
        (("compare", "runs", "--normalization", "none.yml"), "cannot be read"),
        (("compare", "runs", "--normalization", "bad.yml"), "cannot be read"),
        (("compare", "runs", "--normalization", "text.yml"), "must map environments"),
        (("compare", "runs", "--normalization", "one.yml"), "needs two numbers"),
        (("compare", "runs", "--normalization", "same.yml"), "two different numbers"),
        (("compare", "runs", "--seed", "-1"), "must not be negative"),
        (("compare", "runs", "--out", "text.yml"), "choose another with --out"),
        (("compare", "runs", "--strict"), "--strict, and not everything is comparable: Ant-v5: torch differs"),
        (("compare", "broken"), "leave the run out with --filter"),
    ],
)
def test_bad_input(refused, tmp_path, arguments, message):
    write_runs(tmp_path / "runs", ["Ant-v5"], seeds=range(3))
    write_run(tmp_path / "runs", "Ant-v5", "sac", 7, versions={"torch": "1", "rpp-rl": "0.1.0"})
    (write_run(tmp_path / "broken", "Ant-v5", "sac", 7) / "evaluations.npz").write_bytes(b"no archive")
    (tmp_path / "empty").mkdir()
    for name, text in {
        "bad.yml": "a: [",
        "text.yml": "words",
        "one.yml": "Ant-v5: {random: 1}",
        "same.yml": "Ant-v5: {random: 1, reference: 1}",
    }.items():
        (tmp_path / name).write_text(text)
    assert message in " ".join(refused(*arguments).split())


@pytest.mark.parametrize(("library", "remedy"), [("plotly", "the report needs plotly"), ("matplotlib", "matplotlib")])
def test_without_a_library_that_draws(refused, main, tmp_path, monkeypatch, library, remedy):
    write_runs(tmp_path / "runs", ["Ant-v5"], seeds=range(3))
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setitem(sys.modules, "plotly.offline", None) if library == "plotly" else None
    err = refused("compare", "runs")
    assert remedy in err
    assert "rpp-rl[compare]" in err
    assert main("compare", "runs", "--no-report")[0] == 0


def test_tables_alone_need_no_plotting_library_of_an_extra():
    code = "import sys, rpp_rl.scripts.compare, rpp_rl.experiments.comparison.writing; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"plotly", "pandas", "imageio", "ray"} & set(done.stdout.split())


def test_real_runs(trained, main, tmp_path):
    code, out, err = main("compare", trained.parent, "--out", "out")
    assert code == 0, err
    assert "an interval needs 3 seeds" in out
    found = {row["algorithm"]: row for row in rows(tmp_path / "out/summary.csv")}
    assert set(found) == {"rpp_sac", "equivariant_sac", "sac"}
    data = np.load(trained / "sac" / "seed0" / "evaluations.npz")
    assert float(found["sac"]["final_iqm"]) == data["results"][-1].mean()
    assert "settings differ beyond" not in out
    assert "near-exact" in (tmp_path / "out/report.html").read_text()
