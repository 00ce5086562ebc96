"""A run that was killed and resumed equals the undisturbed run, bit for bit."""

import json
import shutil
import signal
import time

import numpy as np
import pytest
import torch
from helpers.processes import Hold, finish, start
from helpers.runs import PENDULUM
from stable_baselines3 import SAC
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rpp_rl.agents import RPPSAC
from rpp_rl.experiments import training
from rpp_rl.experiments.session import Session
from rpp_rl.scripts.main import main as entry

OPTIONS = (
    *("-n", 400, "--eval-freq", 100),
    *("-params", "learning_starts:200", "batch_size:16", "buffer_size:300", "policy_kwargs:{net_arch: [16, 16]}"),
)


class Killed(BaseException):
    """Ends a run abruptly within this process."""


def kill_at(monkeypatch, step):
    """End training abruptly at an environment step, without any cleanup."""
    original = RPPSAC._store_transition

    def store(self, *args, **kwargs):
        if self.num_timesteps >= step:
            raise Killed
        original(self, *args, **kwargs)

    for cls in (RPPSAC, SAC):
        monkeypatch.setattr(cls, "_store_transition", store)
    monkeypatch.setattr(Session, "save", lambda self: None)


@pytest.fixture
def killed_at(monkeypatch):
    """Let training be killed at an environment step; `monkeypatch.undo()` ends that."""
    return lambda step: kill_at(monkeypatch, step)


def scalars(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.startswith("time/")]
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags}


def episodes(folder):
    return [line.split(",")[:2] for line in (folder / "monitor.csv").read_text().splitlines()[2:]]


def assert_same_run(one, other):
    models = [RPPSAC.load(folder / "model.zip", device="cpu") for folder in (one, other)]
    for name, state in models[0].get_parameters().items():
        theirs = models[1].get_parameters()[name]
        entries = state.items() if "optimizer" not in name else enumerate(_tensors(state))
        others = theirs if "optimizer" not in name else dict(enumerate(_tensors(theirs)))
        for key, value in entries:
            assert torch.equal(value, others[key]), (name, key)
    for name in ("timesteps", "results", "ep_lengths"):
        np.testing.assert_array_equal(*(np.load(f / "evaluations.npz")[name] for f in (one, other)))
    best = [RPPSAC.load(folder / "best_model.zip", device="cpu") for folder in (one, other)]
    assert best[0].num_timesteps == best[1].num_timesteps
    for name, value in best[0].policy.state_dict().items():
        assert torch.equal(value, best[1].policy.state_dict()[name]), name
    assert episodes(one) == episodes(other)
    assert scalars(one) == scalars(other)


def _tensors(state):
    return [state["state"][k][n] for k in sorted(state["state"]) for n in sorted(state["state"][k])]


CASES = [
    (),
    ("--algo", "equivariant_sac"),
    ("--algo", "mlp_sac", "--n-envs", 2),
    ("--algo", "sac"),
    ("--n-envs", 3, "--vec-env", "subproc"),
    ("--algo", "equivariant_sac", "normalize"),
    ("--algo", "sac", "--n-envs", 2, "normalize"),
]


@pytest.mark.parametrize("case", [*CASES[:3], *(pytest.param(case, marks=pytest.mark.slow) for case in CASES[3:])])
def test_a_killed_and_resumed_run_equals_the_undisturbed_one(main, tmp_path, killed_at, monkeypatch, case):
    algo = case[1] if "--algo" in case else "rpp_sac"
    folders = [tmp_path / f / "InvertedPendulum-v5" / algo / "seed0" for f in ("whole", "killed")]
    options = (*OPTIONS, "normalize:{norm_reward: true}") if "normalize" in case else OPTIONS
    case = [word for word in case if word != "normalize"]
    assert main(*PENDULUM, *case, *options, "-f", "whole")[0] == 0
    with monkeypatch.context():
        killed_at(333)
        with pytest.raises(Killed):
            main(*PENDULUM, *case, *options, "-f", "killed", "--save-freq", 70)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert not (folders[1] / "model.zip").exists()
    time.sleep(
        1 - time.time() % 1
    )  # TensorBoard reads event files of one second in the order of their names, 10 before 9
    code, out, err = main("train", "--resume", folders[1])
    assert code == 0, err
    assert "resuming from step 28" in out and "note:" not in out, out
    assert_same_run(*folders)


def test_one_of_several_seeds_resumes_alone(main, tmp_path, killed_at, monkeypatch):
    folders = [tmp_path / f / "InvertedPendulum-v5" / "rpp_sac" / "seed1" for f in ("whole", "killed")]
    assert main(*PENDULUM, *OPTIONS, "--seed", 1, "-f", "whole")[0] == 0
    killed_at(333)
    with pytest.raises(Killed):
        main(*PENDULUM, *OPTIONS, "--seeds", "0-2", "-f", "killed", "--save-freq", 70)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    code, _, err = main("train", "--resume", folders[1])
    assert code == 0, err
    models = [RPPSAC.load(folder / "model.zip", device="cpu") for folder in folders]
    for p, q in zip(*(m.policy.parameters() for m in models), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-4)
    assert episodes(folders[0]) == episodes(folders[1])


@pytest.mark.slow
def test_several_seeds_resume_together(main, tmp_path, killed_at, monkeypatch):
    each = [[tmp_path / f / f"InvertedPendulum-v5/rpp_sac/seed{i}" for i in range(3)] for f in ("whole", "killed")]
    assert main(*PENDULUM, *OPTIONS, "--seeds", "0-2", "-f", "whole")[0] == 0
    killed_at(333)
    with pytest.raises(Killed):
        main(*PENDULUM, *OPTIONS, "--seeds", "0-2", "-f", "killed", "--save-freq", 70)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    time.sleep(1 - time.time() % 1)  # as above
    code, out, err = main("train", "--resume", *each[1])
    assert code == 0, err
    assert out.count("resuming from step 280") == 3
    for one, other in zip(*each, strict=True):
        assert_same_run(one, other)
    code, _, err = main("train", "--resume", *each[1], "-n", 300)
    assert (code, "done its 400 steps" in err) == (2, True)
    (each[1][1] / "evaluation.json").unlink()  # as if killed during the last evaluation
    code, out, err = main("train", "--resume", *each[1])
    assert code == 0, err
    assert out.count("resuming from step 400") == 3
    for one, other in zip(*each, strict=True):
        assert_same_run(one, other)


@pytest.fixture(scope="module")
def killed_run(tmp_path_factory):
    """A run killed at step 333, with checkpoints at 140, 210 and 280."""
    place = tmp_path_factory.mktemp("killed")
    with pytest.MonkeyPatch.context() as monkeypatch:
        kill_at(monkeypatch, 333)
        monkeypatch.chdir(place)
        with pytest.raises(Killed):
            entry([str(word) for word in (*PENDULUM, *OPTIONS, "--save-freq", 70)])
    return place / "runs"


@pytest.fixture
def interrupted(killed_run, tmp_path):
    """A copy of the killed run, for one test."""
    shutil.copytree(killed_run, tmp_path / "runs")
    return tmp_path / "runs/InvertedPendulum-v5/rpp_sac/seed0"


def test_a_checkpoint_of_the_evaluation_before_it_had_its_own_class_is_resumed(main, interrupted, monkeypatch):
    read = training.newest_checkpoint

    def older(path):
        found, state = read(path)
        evaluation = state["callbacks"][0]["callback"]
        assert evaluation["type"] == "RunEvaluation"
        evaluation["type"] = "EvalCallback"
        return found, state

    monkeypatch.setattr(training, "newest_checkpoint", older)
    code, _, err = main("train", "--resume", interrupted)
    assert code == 0, err


def test_the_best_agent_of_a_lost_end_is_removed(main, interrupted):
    path = interrupted / "best_model.zip"
    later = RPPSAC.load(path)
    later.num_timesteps = 330
    later.save(path)
    code, _, err = main("train", "--resume", interrupted, "-n", 290)
    assert code == 0, err
    assert not path.exists()
    code, _, err = main("evaluate", interrupted, "--load-best")
    assert code == 2 and "holds no best_model.zip" in err


def test_runs_of_different_commands_do_not_resume_together(main, tmp_path, interrupted, killed_at, monkeypatch):
    killed_at(222)
    with pytest.raises(Killed):
        main(*PENDULUM, *OPTIONS, "--save-freq", 70, "--seed", 1)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    code, _, err = main("train", "--resume", interrupted, interrupted.with_name("seed1"))
    assert code == 2
    assert "resume one at a time" in err


@pytest.mark.parametrize("part", ["checkpoint", "replay"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(main, interrupted, part, damage):
    newest = interrupted / "checkpoints" / "step_000000000280"
    path = next((interrupted / "checkpoints/replay").glob("*-000000000280.f32")) if part == "replay" else newest
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content if damage == "flipped" else content[: len(content) // 2])
    code, out, err = main("train", "--resume", interrupted)
    assert code == 0, err
    assert "resuming from step 210" in out
    if (part, damage) != ("checkpoint", "missing"):
        assert "trying the checkpoint before it" in out
    assert json.loads((interrupted / "evaluation.json").read_text())["episodes"] == 2


def test_old_checkpoints_and_transitions_are_removed(interrupted):
    names = sorted(p.name for p in (interrupted / "checkpoints").iterdir() if p.suffix != ".zip")
    assert names == ["replay", "step_000000000140", "step_000000000210", "step_000000000280"]
    sizes = sum(p.stat().st_size for p in (interrupted / "checkpoints/replay").iterdir())
    assert sizes == 280 * 4 * (4 + 4 + 1 + 1 + 1)


def test_a_resumed_run_drops_what_came_after_the_checkpoint(main, interrupted):
    assert np.load(interrupted / "evaluations.npz")["timesteps"].tolist() == [100, 200, 300]
    assert main("train", "--resume", interrupted, "-n", 290)[0] == 0
    assert np.load(interrupted / "evaluations.npz")["timesteps"].tolist() == [100, 200]
    assert max(step for step, _ in scalars(interrupted)["eval/mean_reward"]) == 200


def test_the_same_seed_and_command_give_the_same_run(main, tmp_path):
    for folder in ("one", "other"):
        assert main(*PENDULUM, *OPTIONS, "--seed", 5, "-f", folder)[0] == 0
    assert_same_run(*(tmp_path / f / "InvertedPendulum-v5/rpp_sac/seed5" for f in ("one", "other")))


def test_a_finished_run_resumes_only_with_more_steps(main, interrupted):
    assert main("train", "--resume", interrupted, "-n", 300)[0] == 0
    assert RPPSAC.load(interrupted / "model.zip").num_timesteps == 300
    for steps in (200, 300):
        code, _, err = main("train", "--resume", interrupted, "-n", steps)
        assert code == 2
        assert "has done its 300 steps; give more with -n" in err
    code, out, _ = main("train", "--resume", interrupted, "-n", 310)
    assert code == 0
    assert "resuming from step 300" in out


def test_a_run_killed_after_its_last_step_finishes_unchanged(main, tmp_path):
    assert main(*PENDULUM, *OPTIONS, "--save-freq", 150)[0] == 0
    run = tmp_path / "runs/InvertedPendulum-v5/rpp_sac/seed0"
    before = {name: (run / name).read_bytes() for name in ("evaluations.npz", "monitor.csv")}
    rewards = json.loads((run / "evaluation.json").read_text())["rewards"]
    for name in ("evaluation.json", "model.zip"):
        (run / name).unlink()
    code, out, err = main("train", "--resume", run)
    assert code == 0, err
    assert "resuming from step 400" in out
    assert RPPSAC.load(run / "model.zip").num_timesteps == 400
    assert {name: (run / name).read_bytes() for name in before} == before
    assert json.loads((run / "evaluation.json").read_text())["rewards"] == rewards


def test_wrong_arguments_are_refused(main, interrupted, tmp_path):
    for arguments, message in (
        (("--resume", "nowhere"), "nowhere is not a run folder"),
        (("--resume", interrupted, "--algo", "sac"), "leave out --algo"),
        (("--resume", interrupted, "-params", "gamma:0.9"), "leave out --hyperparams"),
    ):
        code, _, err = main("train", *arguments)
        assert code == 2
        assert message in " ".join(err.split())
    shutil.rmtree(interrupted / "checkpoints")
    code, _, err = main("train", "--resume", interrupted)
    assert code == 2
    assert "no checkpoint to resume from; train with --save-freq" in err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_writes_a_checkpoint_and_the_run_says_how_to_resume(main, tmp_path, monkeypatch, number):
    hold = Hold(tmp_path, monkeypatch)
    patient = ("train", "--env", "helpers.tasks:Patient-v0", "--eval-episodes", 1, "--no-audit")
    process = start((*patient, *OPTIONS), tmp_path)
    hold.wait_for(1)
    run = tmp_path / "runs/Patient-v0/rpp_sac/seed0"
    code, _, err = main("train", "--resume", run, "--trust")
    assert code == 2
    assert "another process is training" in err
    process.send_signal(number)
    code, printed = finish(process)
    assert code == 2
    assert "Traceback" not in printed
    assert "rpp-rl train --resume runs/Patient-v0/rpp_sac/seed0" in printed
    assert RPPSAC.load(run / "model.zip", device="cpu").num_timesteps == 100
    assert [p.name for p in (run / "checkpoints").glob("step_*")] == ["step_000000000100"]
