import json

import numpy as np
import pytest
from helpers.runs import FAST, PENDULUM
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import rpp_rl
from rpp_rl.agents import RPPSAC
from rpp_rl.experiments.evaluation import LoadedAgent


def test_audits_are_printed_as_json(main):
    code, out, err = main("audit", "Walker2d-v5", "--states", 60, "--json")
    assert code == 0, err
    data = json.loads(out)
    assert data["environment"] == "Walker2d-v5"
    assert [(s["name"], s["default"], s["verdict"]) for s in data["symmetries"]] == [
        ("sagittal", True, "exact"),
        ("rpp2021", False, "exact"),
    ]


@pytest.mark.slow
def test_audits_are_printed_and_plotted_for_people(main, tmp_path):
    code, out, _ = main("audit", "Humanoid-v5", "--symmetry", "sagittal", "--states", 120, "--plot", "bars.png")
    assert code == 0
    text = " ".join(out.split())
    assert "near-exact" in text
    assert "stiffness: right_knee 0., left_knee 1." in text
    assert "repairing stiffness removes" in text
    assert "exact: 95 % of steps within" in text
    assert (tmp_path / "bars.png").stat().st_size > 1000


def test_a_better_map_is_named(main):
    code, out, err = main("audit", "Swimmer-v5", "--states", 60)
    assert code == 0, err
    (line,) = [line for line in out.splitlines() if "fits better" in line]
    assert "generator 'mirror': symmetry 'sagittal' fits better" in line
    assert "it differs in vy (given vy, better -vy)" in line
    data = json.loads(main("audit", "Swimmer-v5", "--states", 60, "--json")[1])
    sagittal, paper = data["symmetries"]
    assert sagittal["better"] == []
    (better,) = paper["better"]
    assert better["entries"] == [{"part": "observation", "name": "vy", "given": "vy", "better": "-vy"}]
    assert better["better_error"] < 1e-9 < better["error"]


def test_a_trained_agent_acts(main, trained):
    run = trained / "rpp_sac" / "seed0"
    code, out, err = main("audit", "InvertedPendulum-v5", "--states", 250, "--policy", run, "--json")
    assert code == 0, err
    assert json.loads(out)["symmetries"][0]["verdict"] == "near-exact"


def test_an_agent_trained_on_normalized_observations_acts_on_them(main, monkeypatch):
    words = ("--env", "InvertedPendulum-v5", "-n", 150, "--eval-episodes", 1, "--no-audit")
    assert main("train", *words, "-params", "normalize:true", "learning_starts:100")[0] == 0
    run = "runs/InvertedPendulum-v5/rpp_sac/seed0"
    seen = []
    act = LoadedAgent.act
    monkeypatch.setattr(LoadedAgent, "act", lambda self, x: seen.append((self, x, act(self, x))) or seen[-1][-1])
    code, _, err = main("audit", "InvertedPendulum-v5", "--states", 250, "--policy", run, "--json")
    assert code == 0, err
    loaded, observation, action = seen[0]
    wanted = loaded.agent.predict(loaded.env.normalize_obs(observation), deterministic=True)[0]
    np.testing.assert_array_equal(action, wanted)
    assert not np.array_equal(action, loaded.agent.predict(observation, deterministic=True)[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Walker2d-v6",), "its versions are v2, v3, v4, v5"),
        (("Walker2d-v5", "--symmetry", "sagital"), "did you mean 'sagittal'?"),
        (("Walker2d-v5", "--states", 0), "--states must be at least 1"),
        (("Walker2d-v5", "--policy", "nowhere"), "cannot find a run or model at nowhere"),
        (("Walker2d-v5", "--plot", "nowhere/bars.png"), "make it first"),
        (("Walker2d-v5", "--plot", "bars.docx"), "--plot takes a file that ends in .png, .svg, .pdf"),
        (("Pendulum-v1",), "no symmetry is declared for Pendulum-v1"),
        (("Bicycle-v0", "--symmetry", "wheel"), "did you mean 'wheels'?"),
    ],
)
def test_bad_input_is_refused(refused, arguments, message):
    assert message in " ".join(refused("audit", *arguments).split())


class TestTraining:
    def audit_of(self, run):
        return json.loads((run / "audit.json").read_text())

    def test_the_audit_is_written_and_logged(self, trained):
        run = trained / "rpp_sac" / "seed0"
        (generator,) = self.audit_of(run)["generators"]
        events = EventAccumulator(str(run))
        events.Reload()
        (logged,) = events.Scalars("symmetry/dynamics_error")
        assert logged.step == 0
        assert logged.value == pytest.approx(generator["dynamics_median"], rel=1e-6)
        assert events.Scalars("symmetry/reward_error")[0].value == pytest.approx(generator["reward_error"], abs=1e-6)

    def test_a_wrong_map_gives_one_line_of_warning(self, main, tmp_path):
        code, out, err = main(
            "train", "--env", "Ant-v5", "--symmetry", "rpp2021", "-n", 20, "--eval-episodes", 1, *FAST
        )
        assert code == 0, err
        (line,) = [line for line in out.splitlines() if "mis-specified" in line]
        assert "rpp-rl audit Ant-v5" in line
        assert self.audit_of(tmp_path / "runs/Ant-v5/rpp_sac/seed0")["verdict"] == "mis-specified"

    def test_a_map_that_holds_gives_one_line(self, main, tmp_path):
        swimmer = ("train", "--env", "Swimmer-v5", "-n", 20, "--eval-episodes", 1)
        code, out, err = main(*swimmer, *FAST)
        assert code == 0, err
        (line,) = [line for line in out.splitlines() if "symmetry" in line]
        assert line.startswith("symmetry sagittal: exact (audit of 100 states; median error of a step ")
        assert self.audit_of(tmp_path / "runs/Swimmer-v5/rpp_sac/seed0")["better"] == []

    def test_a_better_map_gives_a_second_line(self, main, tmp_path):
        words = ("--env", "Swimmer-v5", "--symmetry", "rpp2021", "-n", 20, "--eval-episodes", 1)
        code, out, err = main("train", *words, *FAST)
        assert code == 0, err
        first, second = [line for line in out.splitlines() if "symmetry" in line]
        assert "symmetry rpp2021: " in first
        assert second.startswith("warning: generator 'mirror': symmetry 'sagittal' fits better, with error ")
        (better,) = self.audit_of(tmp_path / "runs/Swimmer-v5/rpp_sac/seed0")["better"]
        assert better["sentence"] in second

    def test_an_algorithm_without_a_symmetry_has_no_line(self, main):
        code, out, err = main("train", "--env", "Pendulum-v1", "--algo", "sac", "-n", 20, "--eval-episodes", 1, *FAST)
        assert code == 0, err
        assert "symmetry" not in out

    def test_the_audit_can_be_switched_off(self, main, tmp_path):
        code, out, err = main(*PENDULUM, "-n", 20, "--no-audit", *FAST)
        assert code == 0, err
        assert "symmetry sagittal: not audited, because the audit is switched off (--no-audit)" in out.splitlines()
        assert not (tmp_path / "runs/InvertedPendulum-v5/rpp_sac/seed0/audit.json").exists()

    def test_checks_without_a_simulator_give_one_line(self, main, tmp_path):
        code, out, err = main("train", "--env", "Bicycle-v0", "-n", 20, "--eval-episodes", 1, *FAST)
        assert code == 0, err
        (line,) = [line for line in out.splitlines() if "symmetry" in line]
        assert line.startswith(
            "symmetry wheels: not contradicted (3 checks without MuJoCo; not checked: observation bo"
        )
        assert not (tmp_path / "runs/Bicycle-v0/rpp_sac/seed0/audit.json").exists()

    def test_a_wrong_map_without_a_simulator_gives_one_line_of_warning(self, main, tmp_path):
        (tmp_path / "wrong.yaml").write_text("observation: 3\naction: 1\nflip: [2]\naction_flip: [0]\n")
        words = ("--env", "Pendulum-v1", "--symmetry", "wrong.yaml", "-n", 20, "--eval-episodes", 1)
        code, out, err = main("train", *words, *FAST)
        assert code == 0, err
        (line,) = [line for line in out.splitlines() if "symmetry" in line]
        assert line.startswith(
            "warning: symmetry wrong: contradicted (4 checks without MuJoCo): one mirrored step: FAILS"
        )


def test_checks_without_a_simulator_are_printed(main, tmp_path):
    (tmp_path / "mirror.yaml").write_text("observation: 3\naction: 1\nflip: [1, 2]\naction_flip: [0]\n")
    code, out, err = main("audit", "Pendulum-v1", "--symmetry", "mirror.yaml", "--states", 60)
    assert code == 0, err
    for line in ("group action: holds", "observation bounds: holds", "one mirrored step: holds", "without MuJoCo: "):
        assert line in out
    code, out, err = main("audit", "Bicycle-v0", "--states", 60, "--json")
    assert code == 0, err
    (found,) = json.loads(out)["symmetries"]
    assert found["verdict"] == "not contradicted"
    holds = {check["name"]: check["holds"] for check in found["checks"]}
    assert holds == {
        "group action": True,
        "action bounds": True,
        "observation bounds": None,
        "one mirrored step": True,
        "recorded transitions": None,
    }


@pytest.fixture
def mirror(tmp_path):
    (tmp_path / "mirror.yaml").write_text("observation: 3\naction: 1\nflip: [1, 2]\naction_flip: [0]\n")
    (tmp_path / "wrong.yaml").write_text("observation: 3\naction: 1\nflip: [1, 2]\n")
    return str(tmp_path / "mirror.yaml")


def buffer_of(agent, path, steps=600):
    agent.learn(steps)
    agent.save_replay_buffer(path)
    return path


@pytest.mark.parametrize("kind", [None, ReplayBuffer])
def test_a_replay_buffer_is_compared_with_its_mirror_image(main, tmp_path, mirror, kind):
    env = rpp_rl.make("Pendulum-v1", mirror)
    agent = RPPSAC("MlpPolicy", env, learning_starts=10_000, replay_buffer_class=kind, seed=0)
    path = buffer_of(agent, tmp_path / "buffer.zip", 1500)
    checks = {}
    for name in ("mirror", "wrong"):
        words = ("--symmetry", f"{name}.yaml", "--buffer", path, "--json")
        code, out, err = main("audit", "Pendulum-v1", *words)
        assert code == 0, err
        checks[name] = json.loads(out)["symmetries"][0]["checks"][-1]
    assert [check["name"] for check in checks.values()] == ["recorded transitions"] * 2
    assert [check["holds"] for check in checks.values()] == [True, False]
    assert "of 1500 transitions" in checks["mirror"]["detail"]


def test_replay_buffers_that_cannot_be_compared_are_refused(main, refused, tmp_path, mirror):
    pickled = buffer_of(SAC("MlpPolicy", "Pendulum-v1", learning_starts=1000), tmp_path / "pickled.pkl", 10)
    other = buffer_of(
        RPPSAC("MlpPolicy", rpp_rl.make("InvertedPendulum-v5"), learning_starts=1000), tmp_path / "other.zip", 10
    )
    agent = tmp_path / "agent.zip"
    RPPSAC("MlpPolicy", rpp_rl.make("Pendulum-v1", mirror), learning_starts=1000).save(agent)
    (tmp_path / "empty.zip").write_bytes(b"")
    audit = ("audit", "Pendulum-v1", "--symmetry", "mirror.yaml", "--buffer")
    assert "files that must be unpickled are not read" in refused(*audit, pickled)
    assert "do not fit observations of 3 and actions of 1 entries" in refused(*audit, other)
    assert "not a transitions" in refused(*audit, agent)
    assert "is not a replay buffer of this library" in refused(*audit, "empty.zip")
    assert "cannot be read" in refused(*audit, "nowhere.zip")
    assert "cannot be read" in refused(*audit, tmp_path)
    assert "omit --buffer" in refused("audit", "Swimmer-v5", "--buffer", other)


def test_a_symmetry_file_is_audited_and_trained_with(main, refused, tmp_path):
    (tmp_path / "mirror.yaml").write_text("observation: 4\naction: 1\nflip: [0, 1, 2, 3]\naction_flip: [0]\n")
    code, out, err = main("audit", "InvertedPendulum-v5", "--symmetry", "mirror.yaml", "--states", 60, "--json")
    assert code == 0, err
    assert json.loads(out)["symmetries"][0]["verdict"] == "near-exact"
    code, _, err = main(*PENDULUM, "-n", 20, "--symmetry", "mirror.yaml", *FAST)
    assert code == 0, err
    config = json.loads((tmp_path / "runs/InvertedPendulum-v5/rpp_sac/seed0/config.json").read_text())
    assert config["symmetry"]["name"] == "mirror"
    assert "cannot be read" in refused("audit", "InvertedPendulum-v5", "--symmetry", "nowhere.yaml")
