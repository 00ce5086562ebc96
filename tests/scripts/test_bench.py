import json
import sys

import pytest

from rpp_rl.errors import RunError
from rpp_rl.experiments.benchmarks.costs import draw_growth, fixed_costs, growth
from rpp_rl.experiments.benchmarks.sbx_process import Sbx
from rpp_rl.experiments.benchmarks.timing import Spread, ratio

TINY = ("bench", "--env", "InvertedPendulum-v5", "--width", "16", "--batch-size", "16", "--threads", "1")


def check_spread(figures):
    assert 0 < figures["min"] <= figures["median"] <= figures["max"]


@pytest.mark.slow
def test_bench_prints_rows_and_ratios(run_cli):
    found = json.loads(run_cli(*TINY, "--seconds", "1", "--json").stdout)
    assert found["machine"]["versions"].keys() >= {"torch", "stable-baselines3"}
    assert {"sb3_sac", "mlp", "rpp_sac", "rpp_sac_8_seeds", "floor"} <= found["rows"].keys()
    assert {"rpp_sac/sb3_sac", "rpp_sac/mlp", "rpp_sac_8_seeds/rpp_sac", "update/floor"} <= found["ratios"].keys()
    assert "rpp_sac/sbx_sac" not in found["ratios"]
    for name, row in found["rows"].items():
        assert row.keys() == {"update_ms"} | ({"steps_per_second"} if name != "floor" else set())
        for figures in row.values():
            check_spread(figures)
    for figures in found["ratios"].values():
        check_spread(figures)


@pytest.mark.slow
def test_bench_prints_a_table_and_a_profile(run_cli):
    assert "stable-baselines3 SAC" in run_cli(*TINY, "--seconds", "1").stdout
    parts = json.loads(run_cli(*TINY, "--profile", "--json").stdout)["profile_ms"]
    assert parts["whole"] == pytest.approx(sum(v for k, v in parts.items() if k != "whole"))
    assert all(v >= 0 for v in parts.values())
    assert {"critics: backward", "Adam", "pathways merged"} <= parts.keys()


def test_growth_is_measured_and_drawn(tmp_path):
    points = growth(0.1, {"seeds": (1, 2), "group": (2, 16)})
    assert [(p.axis, p.value) for p in points] == [("seeds", 1), ("seeds", 2), ("group", 2), ("group", 16)]
    for point in points:
        for spread in (point.mlp, point.rpp, point.ratio):
            check_spread(spread.to_dict())
    draw_growth(points, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 10_000


@pytest.mark.slow
def test_fixed_costs_are_measured():
    found = fixed_costs(1, steps=500)
    assert found["bytes_per_transition"]["ours"] < 0.6 * found["bytes_per_transition"]["sb3"]
    assert all(mib > 50 for mib in found["peak_memory_mib"].values())


def test_ratios_are_taken_round_by_round():
    assert ratio([2.0, 6.0], [1.0, 2.0]) == Spread((2.0, 3.0))
    assert ratio([2.0, 6.0, 8.0], [1.0, 2.0]) == Spread((2.0, 3.0))


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "99999999999999"])
@pytest.mark.parametrize("flag", ["--seconds", "--threads", "--batch-size", "--width"])
def test_numbers_out_of_bounds_are_refused(main, flag, value):
    code, _, err = main("bench", flag, value)
    assert code == 2
    # Only seconds take a float.
    assert f"{flag} must be from" in err or (flag != "--seconds" and value in ("nan", "inf"))


# Programs in the place of a Python with sbx-rl.
STUBS = {
    "silent": ("sleep 60", "has not answered for 0.5 s"),
    "silent later": ("echo ready cpu; sleep 60", "has not answered for 0.5 s"),
    "gone": ("echo broken >&2", "cannot train with SBX: broken"),
    "gone later": ("echo ready cpu; echo out of memory >&2", "in the middle of the measurement: out of memory"),
    "confused": ("echo ready cpu; echo hello; cat >/dev/null", "in the middle of the measurement"),
    "short": ("echo ready cpu; echo [1.0]; cat >/dev/null", "in the middle of the measurement"),
}


@pytest.mark.parametrize("name", STUBS)
def test_an_sbx_that_does_not_answer_is_reported(tmp_path, name):
    script, message = STUBS[name]
    stub = tmp_path / "python"
    stub.write_text(f"#!/bin/sh\n{script}\n")
    stub.chmod(0o755)
    with pytest.raises(RunError, match=message):
        Sbx(stub, {}, patience=0.5).measure(10)


def test_bad_flags_are_refused(refused):
    assert "give both" in refused("bench", "--plot", "growth.png")
    assert "give one of them" in refused("bench", "--growth", "--profile")
    assert "--growth does not use --width" in refused("bench", "--growth", "--width", "32")
    assert "--profile does not use --sbx-python" in refused("bench", "--profile", "--sbx-python", "python")
    assert "there is no folder nowhere" in refused("bench", "--growth", "--plot", "nowhere/growth.png")
    assert "ends in .png, .svg, .pdf" in refused("bench", "--growth", "--plot", "growth.docx")
    assert "no symmetry is declared" in refused("bench", "--env", "Pendulum-v1")
    message = refused(*TINY, "--sbx-python", "nowhere/python")
    assert "does not start: No such file" in message
    message = " ".join(refused(*TINY, "--sbx-python", sys.executable).split())
    assert "cannot train with SBX: ModuleNotFoundError: No module named 'sbx'" in message
