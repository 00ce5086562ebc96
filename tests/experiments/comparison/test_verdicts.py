"""Verdicts say no more than the runs do."""

import numpy as np
import pytest
from helpers.run_folders import write_run, write_runs

from rpp_rl.experiments.comparison.analysis import Draws, Pair, analyse
from rpp_rl.experiments.comparison.grouping import group_runs
from rpp_rl.experiments.comparison.over_environments import aggregate
from rpp_rl.experiments.comparison.runs import read_runs
from rpp_rl.experiments.comparison.verdicts import (
    aggregate_sentences,
    caution,
    number,
    seed_warnings,
    verdicts,
    warnings_of,
)
from rpp_rl.experiments.finding import find_runs
from rpp_rl.statistics import Estimate, Normalization, difference


def analysed(root, **settings):
    runs = read_runs(find_runs([root]), [root])[0]
    return [analyse(task, Draws(resamples=500), **settings) for task in group_runs(runs)]


def final(root, algo, scores, seeds=None):
    for i, score in enumerate(scores):
        seed = i if seeds is None else seeds[i]
        write_run(root, "Ant-v5", algo, seed, [100, 200], [[0.0, 0.0], [score - 1, score + 1]])


def test_a_clear_difference_is_reported(tmp_path):
    final(tmp_path, "sac", range(10))
    final(tmp_path, "rpp_sac", range(20, 30))
    (result,) = analysed(tmp_path)
    (verdict,) = verdicts(result)
    assert (verdict.environment, verdict.step, verdict.algorithm, verdict.baseline) == ("Ant-v5", 200, "rpp_sac", "sac")
    assert (verdict.word, verdict.n, verdict.paired) == ("better", (10, 10), True)
    assert verdict.difference.low > 15
    assert str(verdict).startswith("Ant-v5 at step 200: rpp_sac is better than sac: ")
    assert "probability 1.00 [0.80, 1.00]" in verdict.sentence
    assert "n = 10 seeds each; seeds drawn in pairs" in verdict.sentence
    assert "Warning" not in verdict.sentence
    assert seed_warnings(result) == []
    (turned,) = verdicts(analysed(tmp_path, baseline="rpp_sac")[0])
    assert turned.sentence.startswith("sac is worse than rpp_sac: ")


def test_an_interval_that_includes_no_difference_gives_no_verdict(tmp_path):
    scores = np.random.default_rng(0).normal(size=8)
    final(tmp_path, "sac", scores)
    final(tmp_path, "rpp_sac", scores[::-1] + 0.1)
    assert verdicts(analysed(tmp_path)[0])[0].sentence.startswith("rpp_sac and sac: not distinguishable: ")


@pytest.mark.parametrize(
    ("probability", "difference_of_iqms", "told"),
    [
        ((0.9, 0.7, 1.0), (5, 1, 9), 1),
        ((0.1, 0.0, 0.3), (-5, -9, -1), -1),
        ((0.9, 0.7, 1.0), (5, -1, 9), None),
        ((0.6, 0.4, 0.8), (5, 1, 9), None),
        # One of them says the contrary of the other.
        ((0.9, 0.7, 1.0), (-5, -9, -1), None),
        ((0.9, None, None), (5, None, None), None),
    ],
)
def test_both_intervals_must_agree(probability, difference_of_iqms, told):
    difference = Estimate(*difference_of_iqms, 8)
    pair = Pair("a", "b", Estimate(*probability, 8), difference, difference, False, (8, 8))
    assert pair.direction == told


def test_the_caution_names_the_coverage_for_the_number_of_seeds(tmp_path):
    final(tmp_path, "sac", range(10))
    assert caution(analysed(tmp_path)) == "Every interval is meant to hold with 95 % by itself."
    final(tmp_path, "rpp_sac", range(5))
    assert "and with 5 seeds holds less often" in caution(analysed(tmp_path))
    few = tmp_path / "few"
    final(few, "sac", range(2))
    assert caution(analysed(few)) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0, "0.00"), (-0.0, "0.00"), (-0.001, "-0.001"), (0.503, "0.503"), (0.5, "0.50"), (0.00004, "0.00004")),
        *((3e-9, "3e-09"), (1.234, "1.23"), (-12.34, "-12.3"), (-99.95, "-100.0"), (1234.5, "1234")),
        *((123456.7, "123457"), (1e50, "1e+50")),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_few_seeds(tmp_path):
    final(tmp_path, "sac", range(4))
    final(tmp_path, "rpp_sac", range(100, 104))
    (result,) = analysed(tmp_path)
    assert "Warning: under 5 seeds" in verdicts(result)[0].sentence
    assert seed_warnings(result)[0].startswith("too few seeds: rpp_sac has 4 seeds, sac has 4 seeds")


def test_three_seeds_above_three_others_are_chance_once_in_ten(tmp_path):
    final(tmp_path, "sac", range(3))
    final(tmp_path, "rpp_sac", range(100, 103))
    (verdict,) = verdicts(analysed(tmp_path)[0])
    assert (verdict.word, verdict.mark) == ("not distinguishable", "too few seeds")


@pytest.mark.parametrize(("n", "marks"), [(2, "too few seeds"), (3, "too few seeds"), (4, "better"), (10, "better")])
def test_seeds_are_too_few_where_no_difference_could_be_shown(tmp_path, n, marks):
    final(tmp_path, "sac", range(n))
    final(tmp_path, "rpp_sac", range(100, 100 + n))
    final(tmp_path, "mlp_sac", range(n))
    found = {verdict.algorithm: verdict.mark for verdict in verdicts(analysed(tmp_path)[0])}
    assert found == {"rpp_sac": marks, "mlp_sac": marks if n < 4 else "not distinguishable"}


def test_no_interval_under_three_seeds(tmp_path):
    final(tmp_path, "sac", range(9))
    final(tmp_path, "rpp_sac", [1000, 1001])
    (result,) = analysed(tmp_path)
    expected = "not distinguishable with n = 2 and 9 seeds; an interval needs 3 seeds."
    assert [v.sentence for v in verdicts(result)] == [f"rpp_sac and sac: {expected}"]


def test_an_algorithm_alone(tmp_path):
    final(tmp_path, "sac", range(3))
    (result,) = analysed(tmp_path)
    assert verdicts(result) == []
    assert warnings_of(result)[0] == "sac is alone, with nothing to compare it with"


def test_seeds_are_paired_only_where_all_are_the_same(tmp_path):
    final(tmp_path, "sac", range(6))
    final(tmp_path, "rpp_sac", range(6), seeds=[5, 4, 3, 2, 1, 7])
    pair = analysed(tmp_path)[0].pairs[0]
    assert not pair.paired
    final(tmp_path, "mlp_sac", range(6), seeds=[5, 4, 3, 2, 1, 0])
    pair = next(p for p in analysed(tmp_path)[0].pairs if {p.first, p.second} == {"mlp_sac", "sac"})
    assert pair.paired
    # Seeds go together, not places: run 0 of sac has 0, seed 0 of mlp_sac has 5.
    expected = difference(np.arange(6)[::-1], np.arange(6), rng=np.random.default_rng(1), paired=True)
    assert pair.difference.low == pytest.approx(expected.low, abs=0.5)


def test_steps_are_counted_to_the_final_score_of_the_baseline(tmp_path):
    write_runs(tmp_path, ["Ant-v5"], {"sac": 1000.0, "rpp_sac": 5000.0})
    slow, fast = (analysed(tmp_path)[0].groups[i].threshold for i in (1, 0))
    assert slow.threshold == fast.threshold == analysed(tmp_path)[0].groups[1].iqm.value
    assert fast.never == 0
    assert slow.never > 0
    assert analysed(tmp_path, thresholds={"Ant-v5": 1e9})[0].groups[0].threshold.never == 6


def test_over_environments(tmp_path):
    results = analysed(write_runs(tmp_path, ["Ant-v5", "Hopper-v5", "Other-v0"]))
    write_runs(tmp_path, ["Ant-v5"], {"mlp_sac": 1.0})
    results = analysed(tmp_path)
    scale = {name: Normalization(0, 1000) for name in ("Ant-v5", "Hopper-v5", "Unused-v1")}
    found = aggregate(results, scale, Draws(resamples=500), None)
    assert found.environments == ("Ant-v5", "Hopper-v5")
    assert [a.label for a in found.algorithms] == ["rpp_sac", "sac"]
    assert found.left_out == ("mlp_sac has no runs on some environment", "Other-v0 has no normalization")
    assert found.algorithms[0].iqm.value == pytest.approx(1.5, abs=0.3)
    assert found.baseline == "sac"
    (sentence,) = aggregate_sentences(found)
    assert sentence.startswith(
        "rpp_sac is better than sac over 2 environments, by the probability of improvement alone"
    )
    assert aggregate(results, {"Ant-v5": Normalization(0, 1)}, Draws(), None) is None


def test_over_environments_without_a_baseline_that_is_on_all_of_them(tmp_path):
    write_runs(tmp_path, ["Ant-v5"], {"rpp_sac": 1.0, "sac": 1.0})
    write_runs(tmp_path, ["Hopper-v5"], {"rpp_sac": 1.0, "mlp_sac": 1.0})
    scale = {name: Normalization(0, 1000) for name in ("Ant-v5", "Hopper-v5")}
    for baseline in (None, "sac", "mlp_sac"):
        found = aggregate(analysed(tmp_path), scale, Draws(resamples=200), baseline)
        assert found.baseline is None
        assert [(a.label, a.probability) for a in found.algorithms] == [("rpp_sac", None)]
        assert aggregate_sentences(found) == []


def test_an_interval_does_not_depend_on_what_else_is_compared(tmp_path):
    write_runs(tmp_path, ["Ant-v5"], {"sac": 1000.0})
    alone = analysed(tmp_path)[0].groups[0].iqm
    write_runs(tmp_path, ["Ant-v5", "Hopper-v5"], {"rpp_sac": 1000.0})
    assert analysed(tmp_path)[0].groups[1].iqm == alone
