"""The files that `rpp-rl compare` writes for TensorBoard, and what becomes of those of an earlier comparison."""

import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from helpers.run_folders import rows, write_run, write_runs
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from rpp_rl.experiments.comparison.tensorboard import tensorboard_place


def layout_of(folder):
    """The sections of *Custom Scalars* that a comparison has written."""
    events = EventAccumulator(str(folder))
    events.Reload()
    (event,) = events.Tensors(metadata.CONFIG_SUMMARY_TAG)
    return layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])


class TestTensorBoard:
    def test_curves_with_intervals(self, compared):
        events = EventAccumulator(str(compared[0] / "Ant-v5" / "rpp_sac"))
        events.Reload()
        assert set(events.Tags()["scalars"]) == {f"Ant-v5/{t}" for t in ("iqm", "lower", "upper", "best_so_far_mean")}
        table = [
            r for r in rows(compared[0] / "curves.csv") if (r["environment"], r["algorithm"]) == ("Ant-v5", "rpp_sac")
        ]
        for tag, column in (("iqm", "iqm"), ("lower", "low"), ("upper", "high"), ("best_so_far_mean",) * 2):
            scalars = events.Scalars(f"Ant-v5/{tag}")
            assert [e.step for e in scalars] == [int(r["step"]) for r in table]
            np.testing.assert_allclose([e.value for e in scalars], [float(r[column]) for r in table], rtol=1e-6)

    def test_the_curves_with_intervals_are_the_first_section_and_the_best_so_far_the_last(self, compared):
        first, last = layout_of(compared[0]).category
        assert first.title.startswith("IQM of eval/mean_reward, with 95 % interval")
        assert last.title.startswith("Best eval/mean_reward so far")
        # TensorBoard shows charts with margins from the last to the first.
        for section, names in ((first, ["Hopper-v5", "Ant-v5"]), (last, ["Ant-v5", "Hopper-v5"])):
            assert [chart.title.partition(":")[0] for chart in section.chart] == names
        series = first.chart[1].margin.series[0]
        assert (series.value, series.lower, series.upper) == ("Ant-v5/iqm", "Ant-v5/lower", "Ant-v5/upper")
        (pattern,) = last.chart[0].multiline.tag
        assert re.match(pattern, "Ant-v5/best_so_far_mean")
        assert not re.match(pattern, "Ant-v52/best_so_far_mean")

    @pytest.mark.parametrize("seeds", [(5, 5), (2, 2), (5, 2)])
    def test_every_chart_has_a_curve_and_every_curve_a_chart(self, main, tmp_path, seeds):
        for algo, n in zip(("rpp_sac", "sac"), seeds, strict=True):
            write_runs(tmp_path / "runs", ["Ant-v5"], {algo: 1.0}, range(n))
        write_runs(tmp_path / "runs", ["Hopper-v5"], seeds=range(3))
        assert main("compare", "runs", "--no-report")[0] == 0
        tags = set()
        for path in (tmp_path / "runs/compare").glob("*-v5/*"):
            events = EventAccumulator(str(path))
            events.Reload()
            tags |= set(events.Tags()["scalars"])
        shown = set()
        for chart in (chart for section in layout_of(tmp_path / "runs/compare").category for chart in section.chart):
            patterns = list(chart.multiline.tag)
            for series in chart.margin.series:
                patterns += [f"^{re.escape(tag)}$" for tag in (series.value, series.lower, series.upper)]
            for pattern in patterns:
                matching = {tag for tag in tags if re.match(pattern, tag)}
                assert matching, (chart.title, pattern)
                shown |= matching
        assert shown == tags

    def test_a_table_of_all_runs(self, compared):
        sessions = sorted((compared[0] / "hparams").glob("*/*/*"))
        assert len(sessions) == 24
        run = EventAccumulator(str(sessions[0]))
        run.Reload()
        data = run.SummaryMetadata("_hparams_/experiment").plugin_data.content
        names = [info.name for info in HParamsPluginData.FromString(data).experiment.hparam_infos]
        assert names == ["environment", "algorithm", "seed", "actor_equiv_wd", "symmetry"]
        start = run.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        values = HParamsPluginData.FromString(start).session_start_info.hparams
        assert values["algorithm"].string_value == "rpp_sac"
        assert set(run.Tags()["scalars"]) == {"compare/final_return", "compare/area_under_curve"}

    def test_a_run_says_how_it_ended(self, main, tmp_path):
        write_runs(tmp_path / "runs", ["Ant-v5"], {"sac": 1.0}, seeds=range(1))
        write_run(tmp_path / "runs", "Ant-v5", "sac", 1, n_timesteps=20_000)
        (write_run(tmp_path / "runs", "Ant-v5", "sac", 2, n_timesteps=20_000) / "failure.json").write_text("{}")
        assert main("compare", "runs", "--no-report")[0] == 0
        found = []
        for seed in range(3):
            run = EventAccumulator(str(tmp_path / f"runs/compare/hparams/Ant-v5/sac/seed{seed}"))
            run.Reload()
            content = run.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
            found.append(HParamsPluginData.FromString(content).session_start_info.hparams["state"].string_value)
        assert found == ["finished", "unfinished", "failed"]

    def test_what_is_compared_no_more_is_removed_and_nothing_else(self, compared, main):
        (compared[0] / "Ant-v5" / "sac" / "mine.txt").write_text("mine")
        single = compared[0].parent / "Ant-v5" / "sac" / "seed0" / "events.out.tfevents.1.vm"
        single.write_text("")
        assert main("compare", "runs", "--filter", "Hopper-v5/*", "--no-report")[0] == 0
        assert not list((compared[0] / "Ant-v5").rglob("events*"))
        assert not list((compared[0] / "hparams" / "Ant-v5").rglob("events*"))
        assert len(list((compared[0] / "Hopper-v5").rglob("events*"))) == 2
        assert (compared[0] / "Ant-v5" / "sac" / "mine.txt").exists()
        assert single.exists()

    def test_another_comparison_in_a_folder_below_stays(self, compared, main):
        assert main("compare", "runs", "--filter", "Hopper-v5/*", "--no-report", "--out", "runs/compare/hopper")[0] == 0
        below = sorted((compared[0] / "hopper").rglob("events*"))
        assert main("compare", "runs", "--filter", "Ant-v5/*", "--no-report")[0] == 0
        assert below and sorted((compared[0] / "hopper").rglob("events*")) == below

    def test_nothing_of_an_earlier_comparison_is_left_beside_another(self, compared, main):
        assert (compared[0] / "report.html").exists() and (compared[0] / "curves.png").exists()
        assert main("compare", "runs", "--filter", "Hopper-v5/*", "--no-report", "--no-tensorboard")[0] == 0
        left = {path.name for path in compared[0].rglob("*") if path.is_file()}
        assert left == {"summary.csv", "summary.md", "curves.csv", "scores.csv", "pairs.csv"}

    def test_what_is_there_without_a_comparison_is_somebodys_own(self, main, tmp_path):
        write_runs(tmp_path / "runs", ["Ant-v5"])
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "report.html").write_text("mine")
        assert main("compare", "runs", "--no-report", "--out", "out")[0] == 0
        assert (tmp_path / "out" / "report.html").read_text() == "mine"

    def test_under_three_seeds_there_is_a_curve_and_no_interval(self, main, tmp_path):
        write_runs(tmp_path / "runs", ["Ant-v5"], seeds=range(2))
        assert main("compare", "runs", "--no-report")[0] == 0
        events = EventAccumulator(str(tmp_path / "runs/compare/Ant-v5/sac"))
        events.Reload()
        assert set(events.Tags()["scalars"]) == {"Ant-v5/iqm_without_interval", "Ant-v5/best_so_far_mean"}
        assert [r["low"] for r in rows(tmp_path / "runs/compare/summary.csv")] == ["", ""]

    def test_hostile_names_stay_in_the_folder(self, main, tmp_path):
        for seed in range(3):
            path = write_run(tmp_path / "runs", "Ant-v5", "sac", seed)
            config = (path / "config.json").read_text()
            (path / "config.json").write_text(config.replace('"Ant-v5"', '"../escaped"').replace('"sac"', '".."'))
        assert main("compare", "runs", "--out", "out")[0] == 0
        # Up to here only: what goes up is made a name of its own.
        assert {path.name for path in tmp_path.iterdir()} == {"runs", "out"}
        assert {p.name for p in (tmp_path / "runs").iterdir()} == {"Ant-v5"}


@pytest.mark.parametrize(
    ("out", "flag", "ticked"),
    [
        ("runs/compare", "--logdir runs", "compare/"),
        ("runs/of/mine (1)", "--logdir runs", "of/mine (1)/"),
        ("elsewhere", "--logdir_spec compare:elsewhere,runs:runs", "compare/"),
        ("a b", "--logdir_spec 'compare:a b,runs:runs'", "compare/"),
        ("runs", "--logdir runs", ""),
    ],
)
def test_tensorboard_ticks_the_curves_with_intervals_wherever_they_are(out, flag, ticked):
    where, fragment = tensorboard_place(Path(out), Path("runs"))
    assert where == flag
    pattern = re.compile(unquote(fragment.partition("regexInput=")[2].partition("&")[0]))
    assert pattern.search(f"{ticked}Ant-v5/sac")
    for other in ("Ant-v5/sac/seed0", "runs/Ant-v5/sac/seed0", f"{ticked}hparams/Ant-v5/sac/seed0"):
        assert not pattern.search(other), other
