"""The command `rpp-rl export`, and runs with normalized observations."""

import json

import numpy as np
import pytest
import yaml

from rpp_rl.agents import RPPSAC
from rpp_rl.agents.common.export import FORMATS

NORMALIZED = ("--env", "Swimmer-v5", "--eval-episodes", 1, "--no-audit", "-params", "normalize:true")
SMALL = ("learning_starts:50", "policy_kwargs:{net_arch: [16]}")


@pytest.mark.slow
def test_every_format_agrees_with_the_agent(tmp_path, run_cli, refused):
    run_cli("train", "-n", 120, *NORMALIZED, *SMALL)
    run = tmp_path / "runs/Swimmer-v5/rpp_sac/seed0"
    for kind in FORMATS:
        assert "over 1000 observations of Swimmer-v5" in run_cli("export", run, "--format", kind, "--out", kind).stdout
        described = json.loads((tmp_path / kind / "actor.json").read_text())
        assert described["observations_are_normalised_inside"]
        assert described["action_names"] == ["motor1_rot", "motor2_rot"]
        assert described["parity"]["greatest_difference_of_range"] < 1e-5
    (tmp_path / "file").write_text("")
    assert "cannot write to" in refused("export", run, "--out", "file/folder")
    assert "cannot find a run or model" in refused("export", "nowhere")


@pytest.mark.slow
@pytest.mark.parametrize("algo", ["rpp_sac", "sac"])
def test_a_run_evaluates_and_resumes_with_its_normalizer(tmp_path, run_cli, algo):
    run_cli("train", "--algo", algo, "-n", 400, "--save-freq", 200, "--eval-freq", 200, *NORMALIZED, *SMALL)
    run = tmp_path / f"runs/Swimmer-v5/{algo}/seed0"
    described = json.loads((run / "evaluation.json").read_text())
    again = json.loads(run_cli("evaluate", run, "-n", 1, "--json").stdout)
    assert again["rewards"] == described["rewards"]
    assert np.load(run / "evaluations.npz")["timesteps"].tolist() == [200, 400]
    model = run / "model.zip"
    (run / "normalizer.zip").rename(run / "away.zip")
    without = json.loads(run_cli("evaluate", model, "-n", 1, "--json").stdout)
    assert without["rewards"] != described["rewards"]
    (run / "away.zip").rename(run / "normalizer.zip")
    # An agent that is trained further keeps its statistics.
    run_cli("train", "--algo", algo, "-i", run, "-n", 60, "-f", "more", "--env", "Swimmer-v5", "--eval-episodes", 1)
    more = tmp_path / f"more/Swimmer-v5/{algo}/seed0"
    assert json.loads((more / "config.json").read_text())["normalize"]["norm_obs"]
    checkpoint = run / f"checkpoints/{algo}_200_steps.zip"
    assert run_cli("evaluate", checkpoint, "-n", 1).returncode == 0
    assert RPPSAC.load(checkpoint, device="cpu").num_timesteps == 200


def test_bad_settings_of_normalization_are_refused(refused):
    for value in ("3", "{norm: true}", "{norm_obs: 1}", "{clip_obs: -1}"):
        assert yaml.safe_load(value)
        assert "normalize" in refused("train", "--env", "Swimmer-v5", "-n", 10, "-params", f"normalize:{value}")
