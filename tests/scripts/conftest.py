import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run_cli(tmp_path):
    """Run `rpp-rl` as a process of its own in an empty folder."""

    def run(*arguments, cwd=tmp_path, check=True, timeout=300):
        command = [sys.executable, "-m", "rpp_rl.scripts.main", *map(str, arguments)]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)
        if check:
            assert done.returncode == 0, done.stderr + done.stdout
        return done

    return run


@pytest.fixture
def main(monkeypatch, tmp_path, capsys):
    """Call the command line in this process, in an empty folder; returns (exit code, stdout, stderr)."""
    from rpp_rl.scripts.main import main as entry

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        try:
            code = entry([str(a) for a in arguments])
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return code, out, err

    return run
