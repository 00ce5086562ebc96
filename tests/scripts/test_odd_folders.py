"""One damaged folder among runs: `status` and `compare` answer, or say one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.odd_files import CASES, NAMES
from helpers.run_folders import write_run


@pytest.fixture
def runs(tmp_path):
    """A good run beside a bad one."""
    for folder in ("good", "bad"):
        write_run(tmp_path / "runs" / folder, "Ant-v5", "sac", 0)
    return tmp_path / "runs"


@pytest.mark.parametrize("command", ["status", pytest.param("compare", marks=pytest.mark.slow)])
@pytest.mark.parametrize("change", CASES.values(), ids=CASES)
def test_an_odd_file_is_answered(main, runs, command, change):
    change(runs / "bad/Ant-v5/sac/seed0")
    code, out, err = main(command, runs, *(() if command == "status" else ("--no-report",)))
    assert code in (0, 2)
    assert code == 0 or len(err.strip().splitlines()) == 1
    assert command == "compare" or code == 0
    assert "\x1b" not in out + err


@pytest.mark.parametrize("command", ["status", "compare"])
@pytest.mark.parametrize("name", [os.fsencode(name) for name in NAMES] + [b"\xff\xfe"])
def test_an_odd_name_is_shown_without_effect(main, runs, command, name):
    os.renames(os.fsencode(runs / "bad"), os.path.join(os.fsencode(runs), name))
    code, out, err = main(command, runs, *(() if command == "status" else ("--no-report",)))
    assert code == 0, err
    assert not set("\x1b\x07\u202e") & set(out + err)
    if command == "compare":
        summary = (runs / "compare/summary.md").read_text()
        assert "<b>" not in summary
        assert "](" not in summary


def test_output_that_the_terminal_cannot_show_is_escaped(run_cli, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    for folder in ("\N{SNOWMAN}", "plain"):
        write_run(tmp_path / "runs" / folder, "Ant-v5", "sac", 0)
    assert "\\u2603" in run_cli("status", "runs").stdout


def test_a_command_ends_well_with_closed_output(tmp_path):
    write_run(tmp_path / "runs", "Ant-v5", "sac", 0)
    console = Path(sys.executable).with_name("rpp-rl")
    for closed in (">&-", ">&- 2>&-"):
        done = subprocess.run(["/bin/sh", "-c", f"'{console}' status runs {closed}"], cwd=tmp_path, check=False)
        assert done.returncode == 0


def test_a_name_that_is_not_text_is_refused_where_files_are_written(refused):
    for words in (("-f", os.fsdecode(b"\xff")), ("-tb", os.fsdecode(b"\xff"))):
        assert "\\udcff is not text in UTF-8" in refused("train", "--env", "InvertedPendulum-v5", "-n", 10, *words)
    assert "\\udcff is not text in UTF-8" in refused("train", "--resume", os.fsdecode(b"\xff"))
