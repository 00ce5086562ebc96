"""`compare` from Python: the same verdicts as the command."""

import numpy as np
import pytest
from helpers.run_folders import write_run, write_runs

from rpp_rl.errors import RunError, UnknownNameError
from rpp_rl.experiments import compare, find_runs


def final(root, algo, scores):
    for seed, score in enumerate(scores):
        write_run(root, "Ant-v5", algo, seed, [100], [[float(score)]])


def test_the_better_algorithm_is_called_better(tmp_path):
    final(tmp_path, "rpp_sac", np.arange(200, 210))
    final(tmp_path, "sac", np.arange(100, 110))
    (verdict,) = compare(find_runs(tmp_path)).verdicts
    assert str(verdict).startswith("Ant-v5 at step 100: rpp_sac is better than sac")
    assert "n = 10 seeds each" in str(verdict)
    (verdict,) = compare(find_runs(tmp_path), baseline="rpp_sac").verdicts
    assert str(verdict).startswith("Ant-v5 at step 100: sac is worse than rpp_sac")


@pytest.mark.parametrize(("algos", "baseline"), [(("rpp_td3", "mlp_td3", "td3"), "td3"), (("a", "mlp_sac"), "mlp_sac")])
def test_the_usual_baseline_makes_no_use_of_a_symmetry(tmp_path, algos, baseline):
    for algo in algos:
        final(tmp_path, algo, range(5))
    assert [r.baseline for r in compare(find_runs(tmp_path)).results] == [baseline]


def test_the_recorded_use_names_the_baseline_of_an_unknown_algorithm(tmp_path):
    for algo, use in (("a", "rpp"), ("b", "none")):
        for seed in range(5):
            write_run(tmp_path, "Ant-v5", algo, seed, use=use)
    assert [r.baseline for r in compare(find_runs(tmp_path)).results] == ["b"]


def test_python_and_the_command_give_the_same_verdicts_also_of_a_seed_that_exists_twice(main, tmp_path):
    write_runs(tmp_path / "runs", ["Ant-v5"])
    # The folder sorts before the others, but its runs lie deeper.
    write_runs(tmp_path / "runs" / "A-variant", ["Ant-v5"], {"sac": 9000.0})
    out = main("compare", "runs", "--no-report", "--no-tensorboard")[1]
    said = [line for line in out.splitlines() if "at step" in line]
    for found in (compare(find_runs(tmp_path / "runs")), compare(tmp_path / "runs"), compare([str(tmp_path / "runs")])):
        assert [str(verdict) for verdict in found.verdicts] == said
    assert "9000" not in str(said)


def test_a_comparison_writes_the_files_of_the_command(main, tmp_path):
    write_runs(tmp_path / "runs", ["Ant-v5"])
    assert main("compare", "runs", "--no-report", "--no-tensorboard")[0] == 0
    compare(tmp_path / "runs", filter=["Ant-v5/*"]).write(tmp_path / "here", report=False, tensorboard=False)
    files = {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "runs" / "compare").iterdir()}
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write to"):
        compare(tmp_path / "runs").write(tmp_path / "file", report=False)


def test_a_link_in_the_folder_of_a_comparison_is_not_followed(main, tmp_path):
    write_runs(tmp_path / "runs", ["Ant-v5"])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs" / "compare").mkdir()
    (tmp_path / "runs" / "compare" / "Ant-v5").symlink_to(tmp_path / "elsewhere")
    code, _, err = main("compare", "runs", "--no-report")
    assert code == 2
    assert "by a link" in err
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_bad_arguments_are_refused(tmp_path):
    final(tmp_path, "sac", range(3))
    runs = find_runs(tmp_path)
    with pytest.raises(RunError, match="no run with evaluations in the list"):
        compare([])
    with pytest.raises(RunError, match="seed must not be negative"):
        compare(runs, seed=-1)
    with pytest.raises(UnknownNameError, match="did you mean 'sac'"):
        compare(runs, baseline="sacc")
    with pytest.raises(UnknownNameError, match="'Ant-v4'"):
        compare(runs, thresholds={"Ant-v4": 1.0})
