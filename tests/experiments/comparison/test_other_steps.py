"""Runs that were evaluated at different steps: all seeds count over the whole length of a curve."""

import itertools

import numpy as np
import pytest
from helpers.run_folders import rows, write_run
from stable_baselines3.common.logger import TensorBoardOutputFormat
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rpp_rl.experiments import compare

SHARE = "symmetry/actor/mu/residual_share"
EVERY = {0: 1000, 1: 1500, 2: 700, 3: 1000}


@pytest.fixture
def runs(tmp_path):
    """Runs of two algorithms, with another interval between evaluations for each seed."""
    for algo, seed in itertools.product(("rpp_sac", "sac"), EVERY):
        steps = np.arange(EVERY[seed], 12_001, EVERY[seed])
        folder = write_run(tmp_path / "runs", "Ant-v5", algo, seed, steps, eval_freq=EVERY[seed], n_timesteps=12_000)
        log = TensorBoardOutputFormat(str(folder))
        for step in steps:
            log.write({SHARE: seed * step / 1e5}, {SHARE: ""}, int(step))
        log.close()
    return tmp_path / "runs"


def test_every_curve_has_all_seeds_at_every_step(runs, main):
    code, out, err = main("compare", runs)
    assert code == 0, err
    assert "interpolated linearly: every 1000 in 4 runs, every 1500 in 2 runs, every 700 in 2 runs" in out
    curves = rows(runs / "compare/curves.csv")
    grid = sorted({step for every in EVERY.values() for step in range(every, 12_001, every) if 1500 <= step <= 11_900})
    for _, group in itertools.groupby(curves, lambda row: row["algorithm"]):
        found = list(group)
        assert [int(row["step"]) for row in found] == grid
        assert {row["n"] for row in found} == {"4"}
        best = [float(row["best_so_far_mean"]) for row in found]
        assert best == sorted(best)
        for row in found:
            between = sum(int(row["step"]) % every != 0 for every in EVERY.values())
            assert row["interpolated"] == str(between)
            assert float(row["low"]) <= float(row["iqm"]) <= float(row["high"])


def test_final_scores_and_areas_are_of_each_runs_own_lines(runs, main):
    assert main("compare", runs, "--no-report")[0] == 0
    (first, _) = compare(runs).results[0].groups
    table = {row["algorithm"]: row for row in rows(runs / "compare/summary.csv")}["rpp_sac"]
    assert table["step"] == "11900"
    fine = np.arange(1500, 11_901)
    for run, score, area in zip(first.group.runs, first.scores, first.areas, strict=True):
        line = np.interp(fine, run.steps, run.scores)
        assert score == line[-1]
        assert area == pytest.approx(np.trapezoid(line, fine) / 10_400)
    events = EventAccumulator(str(runs / "compare/hparams/Ant-v5/rpp_sac/seed1"))
    events.Reload()
    for tag, values in (("final_return", first.scores), ("area_under_curve", first.areas)):
        (scalar,) = events.Scalars(f"compare/{tag}")
        assert (scalar.step, scalar.value) == (11_900, pytest.approx(values[1], rel=1e-6))


def test_tensorboard_and_the_symmetry_have_all_seeds_at_every_step(runs, main):
    assert main("compare", runs)[0] == 0
    grid = [int(row["step"]) for row in rows(runs / "compare/curves.csv") if row["algorithm"] == "sac"]
    events = EventAccumulator(str(runs / "compare/Ant-v5/sac"))
    events.Reload()
    for tag in ("iqm", "lower", "upper", "best_so_far_mean"):
        assert [event.step for event in events.Scalars(f"Ant-v5/{tag}")] == grid
    best = [event.value for event in events.Scalars("Ant-v5/best_so_far_mean")]
    assert best == sorted(best)
    symmetry = [row for row in rows(runs / "compare/symmetry.csv") if row["algorithm"] == "sac"]
    assert [int(row["step"]) for row in symmetry] == grid
    # Each seed logged a line through the origin, so that the median is one too.
    np.testing.assert_allclose([float(row["median"]) for row in symmetry], 1.5e-5 * np.array(grid), rtol=1e-5)
    assert {row["n"] for row in symmetry} == {"4"}


def test_the_run_that_cuts_a_curve_is_named(runs, main):
    short = write_run(runs, "Ant-v5", "sac", 7, [1000, 2000, 3000], n_timesteps=12_000)
    late = write_run(runs, "Ant-v5", "sac", 8, [2900, 12_000], n_timesteps=12_000)
    out = main("compare", runs, "--at", 2950, "--no-report")[1]
    (note,) = (line for line in out.splitlines() if "the curve of" in line)
    assert "Ant-v5: the curve of sac covers steps 2900 to 3000 only, since all its runs count at every step" in note
    assert note.endswith(
        f"from step 700 to 12000, but the first of {late} is at step 2900 and the last of {short} is at step 3000"
    )
    # The curve of the other algorithm stays whole.
    assert {int(row["step"]) for row in rows(runs / "compare/curves.csv") if row["algorithm"] == "rpp_sac"} >= {11_900}
    assert "the curve of" not in main("compare", runs, "--no-report", "--filter", "!*/seed[78]")[1]
