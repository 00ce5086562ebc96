"""`rpp-rl train --seeds`: several agents in one process, a run folder for each."""

import json

import numpy as np
import pytest
import torch
from helpers.agents import parameters
from helpers.runs import FAST, PENDULUM

from rpp_rl.agents import RPPSAC
from rpp_rl.errors import RunError
from rpp_rl.experiments.options import number_list


def test_each_seed_equals_its_run_alone(main, tmp_path):
    options = ("-n", 300, "--eval-freq", 100, "--save-freq", 150, *FAST)
    code, out, err = main(*PENDULUM, "--seeds", "1,3", "-f", "together", *options)
    assert code == 0, err
    assert out.count("mean evaluation return") == 2
    assert main(*PENDULUM, "--seed", 3, "-f", "alone", *options)[0] == 0
    one, other = (tmp_path / f / "InvertedPendulum-v5" / "rpp_sac" / "seed3" for f in ("together", "alone"))
    # Event files are named by the time and the process.
    names = [{p.name for p in folder.rglob("*") if "tfevents" not in p.name} for folder in (one, other)]
    assert names[0] == names[1]
    assert len(list(one.glob("*tfevents*"))) == 1
    for name in ("timesteps", "results", "ep_lengths"):
        np.testing.assert_array_equal(*(np.load(f / "evaluations.npz")[name] for f in (one, other)))
    models = [RPPSAC.load(f / "model.zip", device="cpu") for f in (one, other)]
    for key, value in parameters(models[1]).items():
        torch.testing.assert_close(parameters(models[0])[key], value, rtol=1e-3, atol=1e-4)
    config = json.loads((one / "config.json").read_text())
    assert (config["seed"], config["evaluation_seed"]) == (3, 10_003)
    assert (tmp_path / "together/InvertedPendulum-v5/rpp_sac/seed1/evaluation.json").is_file()


def test_a_failing_evaluation_fails_only_its_own_seed(main, tmp_path):
    options = ("-n", 40, "--eval-freq", 1000, "--eval-episodes", 1, "--no-audit", *FAST)
    code, out, err = main("train", "--env", "Fragile-v0", "--seeds", "0-2", *options)
    runs = tmp_path / "runs/Fragile-v0/rpp_sac"
    assert (code, out.count("mean evaluation return")) == (2, 2)
    assert "the left wheel came off" in err and "rpp-rl evaluate runs/Fragile-v0/rpp_sac/seed1" in err
    assert [(runs / f"seed{k}/evaluation.json").is_file() for k in range(3)] == [True, False, True]
    assert (runs / "seed1/failure.json").is_file() and (runs / "seed1/model.zip").is_file()
    code, _, err = main("train", "--env", "Fragile-v0", "--seed", 1, *options)
    assert code == 2 and "the left wheel came off" in err and "Traceback" not in err


def test_mlp_sac_trains_plain_networks(main, tmp_path):
    code, _, err = main(*PENDULUM, "--algo", "mlp_sac", "--seeds", "0-1", "-n", 100, *FAST)
    assert code == 0, err
    model = RPPSAC.load(tmp_path / "runs/InvertedPendulum-v5/mlp_sac/seed1/model.zip", device="cpu")
    assert type(model.policy).__name__ == "PlainPolicy"


def test_seeds_of_an_algorithm_that_learns_alone_are_trained_one_after_the_other(main, tmp_path):
    options = ("-n", 60, "--eval-freq", 30, *FAST)
    code, out, err = main(*PENDULUM, "--algo", "sac", "--seeds", "1,3", "-f", "both", *options)
    assert code == 0, err
    assert out.count("mean evaluation return") == 2
    assert main(*PENDULUM, "--algo", "sac", "--seed", 3, "-f", "alone", *options)[0] == 0
    one, other = (tmp_path / f / "InvertedPendulum-v5/sac/seed3" for f in ("both", "alone"))
    np.testing.assert_array_equal(*(np.load(f / "evaluations.npz")["results"] for f in (one, other)))


def test_one_seed_that_fails_leaves_the_others(main, tmp_path):
    options = ("-n", 40, "--eval-freq", 1000, "--eval-episodes", 1, *FAST)
    code, out, err = main("train", "--env", "Fragile-v0", "--algo", "sac", "--seeds", "0-2", *options)
    runs = tmp_path / "runs/Fragile-v0/sac"
    assert code == 2 and "the left wheel came off" in err
    done = [(runs / f"seed{k}/evaluation.json").is_file() for k in range(3)]
    assert done == [True, False, True] and out.count("mean evaluation return") == sum(done)
    # A fault of all of them is printed once.
    code, _, err = main("train", "--env", "Fragile-v0", "--algo", "sac", "--seeds", "0-2", "-params", "gama:1")
    assert code == 2 and err.count("did you mean 'gamma'") == 1


@pytest.mark.parametrize(
    ("text", "numbers"), [("0-7", range(8)), ("5", [5]), ("0,2,5-6", [0, 2, 5, 6]), ("4-4,1", [4, 1])]
)
def test_a_list_of_seeds_is_read(text, numbers):
    assert number_list(text, "--seeds") == tuple(numbers)


@pytest.mark.parametrize("text", ["", "a", "3-1", "1,,2", "1-2-3", "-3", "1,1", "0-3,2", "0-1000000000", "1.5"])
def test_an_invalid_list_of_seeds_is_refused(text):
    with pytest.raises(RunError, match="--seeds"):
        number_list(text, "--seeds")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seeds", "0-x"), "--seeds takes numbers and ranges such as 0-7"),
        (("--seeds", "0,4294967295"), "seed must be a number from 0"),
        (("--seeds", "0-1", "--seed", "3"), "both given; give one of them"),
        (("--seeds", "0-1", "-i", "nowhere"), "leave out -i"),
        (("--seeds", "0-1", "-params", "fast_update:False"), "fast_update=True"),
        (("--seeds", "0-1", "-params", "train_freq:[1, episode]"), "every so many steps"),
        (("--seeds", "0-1", "-params", "gama:0.9"), "did you mean 'gamma'"),
        (("-params", "precision:bf17"), "unknown precision 'bf17'"),
    ],
)
def test_wrong_arguments_are_refused(refused, arguments, message):
    steps = ("train", "--env", "InvertedPendulum-v5", "-n", "50")
    assert message in " ".join(refused(*steps, *arguments).split())
