import os
import subprocess
import sys

import helpers.tasks  # noqa: F401, registers Bicycle-v0
import pytest
import torch
from helpers.run_folders import write_runs
from helpers.runs import FAST, PENDULUM
from hypothesis import settings

from rpp_rl.scripts.main import main as entry

# An example may take long on a busy machine.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

_VISIBLE = os.environ.get("CUDA_VISIBLE_DEVICES")
_is_available = torch.cuda.is_available


@pytest.fixture(scope="session", autouse=True)
def no_gpu():
    """Hide the GPU from most tests: on the CPU results are the same bit for bit."""
    with pytest.MonkeyPatch.context() as patch:
        if _is_available():
            patch.setattr(torch.cuda, "is_available", lambda: False)
            patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


@pytest.fixture(autouse=True)
def gpu(request, monkeypatch, no_gpu):
    """Show the GPU to tests marked `gpu`."""
    if request.node.get_closest_marker("gpu") is not None and _is_available():
        monkeypatch.setattr(torch.cuda, "is_available", _is_available)
        if _VISIBLE is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", _VISIBLE)


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


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """One short run of each algorithm; gradient steps of stable-baselines3 are slow, so there are a hundred."""
    folder = tmp_path_factory.mktemp("runs")
    options = ("-n", 400, "-f", folder, "--save-freq", 200, "--eval-freq", 100, *FAST, "learning_starts:300")
    for algo in ("rpp_sac", "equivariant_sac", "sac"):
        assert entry([str(a) for a in (*PENDULUM, "--algo", algo, *options)]) == 0
    return folder / "InvertedPendulum-v5"


@pytest.fixture
def refused(main, tmp_path):
    """Call the command line and expect one sentence, exit code 2, no traceback and nothing written."""

    def run(*arguments):
        before = sorted(tmp_path.rglob("*"))
        code, _, err = main(*arguments)
        assert code == 2, err
        assert "Traceback" not in err
        assert sorted(tmp_path.rglob("*")) == before
        return err

    return run


@pytest.fixture
def compared(main, tmp_path):
    """The folder of a comparison, and the output of the command."""
    write_runs(tmp_path / "runs")
    code, out, err = main("compare", "runs")
    assert code == 0, err
    return tmp_path / "runs" / "compare", out
