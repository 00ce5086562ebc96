"""Residual shares and errors over training: reading, putting together, and what the comparison shows of them."""

import csv
import io
import json
import re
import struct

import numpy as np
import pytest
from helpers.run_folders import write_runs
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from rpp_rl.experiments.comparison.symmetry_curves import logged_symmetry, symmetry_curves

SHARE, ERROR = "symmetry/actor/mu/residual_share", "symmetry/actor_equivariance_error"


def write_events(folder, steps, scale=1.0, purge_step=None, tags=(SHARE, ERROR)):
    writer = SummaryWriter(str(folder), purge_step=purge_step, filename_suffix=f".{purge_step or 0}")
    for step in steps:
        writer.add_scalar("train/actor_loss", 1.0, step)
        for tag in tags:
            writer.add_scalar(tag, scale * step / 100_000, step)
    writer.close()
    (path,) = folder.glob(f"events*.{purge_step or 0}")
    path.rename(folder / f"events.out.tfevents.{1000 + (purge_step or 0)}.x")


@pytest.fixture
def runs(tmp_path):
    """Runs of two algorithms, of which one has residual layers."""
    root = write_runs(tmp_path / "runs", ["Ant-v5"], seeds=range(3))
    for seed in range(3):
        write_events(root / "Ant-v5" / "rpp_sac" / f"seed{seed}", [1000, 2000, 3000], 1 + seed)
        write_events(root / "Ant-v5" / "sac" / f"seed{seed}", [1000, 2000, 3000], 1 + seed, tags=(ERROR,))
    return root


def test_what_was_logged_is_read(tmp_path):
    write_events(tmp_path, [1000, 2000])
    found = logged_symmetry(tmp_path)
    assert set(found) == {"actor/mu/residual_share", "actor_equivariance_error"}
    assert found["actor/mu/residual_share"] == pytest.approx({1000: 0.01, 2000: 0.02})


def test_a_resume_discards_later_values(tmp_path):
    write_events(tmp_path, [1000, 2000, 3000])
    write_events(tmp_path, [2500], purge_step=2001)
    assert sorted(logged_symmetry(tmp_path)["actor/mu/residual_share"]) == [1000, 2000, 2500]


def test_numbers_that_are_none_are_left_out(tmp_path):
    write_events(tmp_path, [1000], np.inf)
    assert logged_symmetry(tmp_path) == {}
    write_events(tmp_path, [2000], purge_step=1)
    assert sorted(logged_symmetry(tmp_path)["actor_equivariance_error"]) == [2000]


def test_the_median_is_of_the_same_runs_at_every_step():
    share = "actor/mu/residual_share"
    curves = symmetry_curves([{share: {10: 0.1, 20: 0.2}}, {share: {30: 0.6, 15: 0.3}}, {}])
    curve = curves.shares["actor/mu"]
    assert curve.n == 2
    assert curve.steps.tolist() == [15, 20]
    np.testing.assert_allclose(curve.median, [(0.15 + 0.3) / 2, (0.2 + 0.4) / 2])
    assert curve.interpolated.tolist() == [1, 1]
    assert curves.errors == {}
    assert symmetry_curves([{}, {"dynamics_error": {0: 0.0}}]) is None


def test_runs_that_share_no_step_have_no_median():
    curve = symmetry_curves([{SHARE.removeprefix("symmetry/"): {step: 0.5}} for step in (10, 20)]).shares["actor/mu"]
    assert (curve.n, curve.steps.tolist(), curve.median.tolist(), curve.interpolated.tolist()) == (2, [], [], [])


def test_names_and_number_of_layers_are_bounded():
    logged = {f"{k}{'x' * 500}/residual_share": {1: 0.5} for k in range(200)}
    shares = symmetry_curves([logged]).shares
    assert len(shares) == 64
    assert max(map(len, shares)) <= 60


@pytest.mark.parametrize("content", [b"", b"text", b"\xff" * 99, struct.pack("<QI", 1 << 63, 0)])
def test_a_file_without_events_holds_nothing(tmp_path, content):
    (tmp_path / "events.out.tfevents.1000.x").write_bytes(content)
    assert logged_symmetry(tmp_path) == {}


def test_a_damaged_file_counts_up_to_the_damage(tmp_path):
    write_events(tmp_path, [1000, 2000, 3000])
    (path,) = tmp_path.glob("events*")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert sorted(logged_symmetry(tmp_path)["actor_equivariance_error"]) == [1000, 2000]
    first = whole.index(ERROR.encode())
    second = whole.index(ERROR.encode(), first + 1)
    path.write_bytes(whole[:second] + b"\xff" + whole[second + 1 :])
    assert sorted(logged_symmetry(tmp_path)["actor_equivariance_error"]) == [1000]


class TestComparison:
    def test_the_report_and_the_figures(self, runs, main):
        code, _, err = main("compare", runs)
        assert code == 0, err
        page = (runs / "compare" / "report.html").read_text()
        assert "Residual share of each layer of rpp_sac" in page
        assert "Residual share of each layer of sac" not in page
        plots = json.loads(re.search(r'<script type="application/json" id="figures">(.*?)</script>', page)[1])
        # After the curves and the best so far: errors of both algorithms, shares of one.
        errors, shares = (plots[name]["data"] for name in ("plot2", "plot3"))
        assert [trace["name"] for trace in errors] == ["rpp_sac, actor (n = 3)", "sac, actor (n = 3)"]
        assert [trace["name"] for trace in shares] == ["actor/mu (n = 3)"]
        assert shares[0]["x"] == [1000, 2000, 3000]
        assert shares[0]["y"] == pytest.approx([0.02, 0.04, 0.06])
        with (runs / "compare" / "symmetry.csv").open() as file:
            table = list(csv.DictReader(file))
        mu = [row for row in table if row["quantity"] == "residual_share/actor/mu"]
        assert [(row["algorithm"], row["step"], row["n"]) for row in mu] == [
            ("rpp_sac", str(step), "3") for step in (1000, 2000, 3000)
        ]
        assert [float(row["median"]) for row in mu] == pytest.approx(shares[0]["y"])
        assert {row["quantity"] for row in table if row["algorithm"] == "sac"} == {"error/actor"}
        assert (runs / "compare" / "symmetry.png").read_bytes().startswith(b"\x89PNG")
        svg = (runs / "compare" / "symmetry.svg").read_text()
        assert "Ant-v5, rpp_sac" in svg
        assert "no residual layers" in svg

    def test_figures_land_in_tensorboard(self, runs, main):
        assert main("compare", runs)[0] == 0
        events = EventAccumulator(str(runs / "compare"))
        events.Reload()
        assert set(events.Tags()["images"]) == {f"figures/{n}" for n in ("curves", "best_so_far", "symmetry")}
        (image,) = events.Images("figures/symmetry")
        written = (runs / "compare" / "symmetry.png").read_bytes()
        assert image.encoded_image_string == written
        with Image.open(io.BytesIO(written)) as opened:
            assert opened.size == (image.width, image.height)

    def test_a_damaged_event_file_does_no_harm(self, runs, main):
        for path in (runs / "Ant-v5" / "sac" / "seed1").glob("events*"):
            path.write_bytes(path.read_bytes().replace(b"symmetry/actor", b"\xffsymmetry/acto"))
        code, _, err = main("compare", runs)
        assert code == 0, err
        assert "sac, actor (n = 2)" in (runs / "compare" / "report.html").read_text()

    def test_without_what_was_logged_there_is_no_such_figure(self, main, tmp_path):
        write_runs(tmp_path / "runs", ["Ant-v5"], seeds=range(3))
        assert main("compare", "runs")[0] == 0
        for name in ("symmetry.png", "symmetry.csv"):
            assert not (tmp_path / "runs/compare" / name).exists()
        assert "Residual share" not in (tmp_path / "runs/compare/report.html").read_text()
