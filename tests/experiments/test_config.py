"""The configuration of a run: the same from Python, JSON and the command line."""

import json
from pathlib import Path

import pytest
import tyro
from helpers.tasks import WHEELS
from hypothesis import given
from hypothesis import strategies as st

from rpp_rl.errors import RunError, UnknownNameError
from rpp_rl.experiments import Run, RunConfig
from rpp_rl.experiments.config import plain_data
from rpp_rl.scripts.train_arguments import TrainArguments

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
numbers = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**9), 10**9), numbers, st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=5,
)
counts = st.one_of(st.none(), st.integers(1, 10**7))
configs = st.builds(
    RunConfig,
    env=st.sampled_from(["Hopper-v5", "helpers.tasks:Bicycle-v0"]),
    algo=st.sampled_from(["rpp_sac", "equivariant_sac", "mlp_sac", "sac"]),
    symmetry=st.sampled_from([None, "sagittal", "a file.yaml"]),
    n_timesteps=counts,
    seed=st.integers(0, 10**9),
    env_kwargs=st.dictionaries(names, plain, max_size=3),
    hyperparams=st.dictionaries(names, plain, max_size=3),
    n_envs=st.one_of(st.none(), st.integers(1, 4096)),
    vec_env=st.sampled_from(["dummy", "subproc"]),
    env_timeout=st.floats(0.1, 1e6),
    eval_freq=counts,
    eval_episodes=st.integers(1, 100),
    save_freq=st.integers(-1, 10**6),
    device=st.sampled_from(["auto", "cpu", "cuda:1"]),
    audit=st.booleans(),
    trained_agent=st.sampled_from([None, Path("a run/model.zip")]),
    log_folder=st.sampled_from([Path("runs"), Path("/else where")]),
    tensorboard_log=st.sampled_from([None, Path("events")]),
)


@given(configs)
def test_json_holds_the_whole_configuration(config):
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@given(configs)
def test_the_command_line_repeats_the_configuration(config):
    arguments = tyro.cli(TrainArguments, args=config.command()[2:], config=(tyro.conf.OmitArgPrefixes,))
    assert arguments.config() == config


def test_a_configuration_names_the_version_of_its_environment():
    assert RunConfig("HalfCheetah").env == "HalfCheetah-v5"
    assert RunConfig("gymnasium:HalfCheetah").env == "gymnasium:HalfCheetah-v5"
    for unchanged in ("HalfCheetah-v4", "mine:Robot-v0", "Robot"):
        assert RunConfig(unchanged).env == unchanged


def test_a_symmetry_object_survives_json():
    config = RunConfig(symmetry=WHEELS)
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))).symmetry == WHEELS


def test_the_folder_tells_environment_algorithm_and_seed():
    config = RunConfig(env="my.module:Lab/Robot-v0", algo="sac", seed=3, log_folder="here")
    assert config.folder == Path("here/Lab-Robot-v0/sac/seed3")


def test_options_are_added_to_mappings_and_replace_the_rest():
    config = RunConfig(hyperparams={"gamma": 0.9, "tau": 0.1}, seed=1)
    changed = config.with_options({"hyperparams": ["gamma:0.8"], "eval-freq": 100, "env_kwargs": {"a": 1}})
    assert changed.hyperparams == {"gamma": 0.8, "tau": 0.1}
    assert (changed.eval_freq, changed.env_kwargs, changed.seed) == (100, {"a": 1}, 1)
    assert config.hyperparams["gamma"] == 0.9


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"algo": "rpp_sack"}, "did you mean 'rpp_sac'?"),
        ({"seed": -1}, "seed must be a number from 0 to"),
        ({"seed": "3"}, "seed must be int, got '3'"),
        ({"seed": True}, "seed must be int"),
        ({"n_timesteps": 0}, "n_timesteps must be at least 1, got 0"),
        ({"n_timesteps": 1e5}, "n_timesteps must be int or nothing"),
        ({"eval_episodes": 0}, "eval_episodes must be at least 1"),
        ({"env_timeout": 0}, "env_timeout must be positive"),
        ({"n_envs": 10**6}, "n_envs must be at most 4096"),
        ({"vec_env": "threads"}, "vec_env must be one of dummy, subproc"),
        ({"audit": "no"}, "audit must be true or false"),
        ({"hyperparams": {"policy_kwargs": {"f": object()}}}, "which config.json cannot hold"),
    ],
)
def test_impossible_values_are_refused(values, message):
    with pytest.raises((RunError, UnknownNameError), match=message.replace("?", r"\?")):
        RunConfig(**values)


@pytest.mark.parametrize("data", [{"seeds": "0-7", "seed": "x"}, {"nothing": 1}, {"env_kwargs": 3}])
def test_a_damaged_configuration_is_refused_with_its_file(data):
    with pytest.raises(RunError):
        RunConfig.from_dict(data, "config.json")


def test_a_configuration_of_format_1_is_read(tmp_path):
    arguments = {
        **{"env": "Hopper-v5", "algo": "rpp_sac", "seed": 4, "n_timesteps": 300, "log_folder": "runs"},
        **{"env_kwargs": ["healthy_reward:2.0"], "hyperparams": ["gamma:0.9", "policy_kwargs:{net_arch: [8, 8]}"]},
        **{"progress": True, "verbose": 0, "resume": [], "trust": False, "seeds": None},
    }
    (tmp_path / "config.json").write_text(json.dumps({"env": "Hopper-v5", "algo": "rpp_sac", "arguments": arguments}))
    config = Run(tmp_path).config
    assert config.env_kwargs == {"healthy_reward": 2.0}
    assert config.hyperparams == {"gamma": 0.9, "policy_kwargs": {"net_arch": [8, 8]}}
    assert (config.seed, config.n_timesteps) == (4, 300)


def test_classes_become_their_names_and_objects_are_refused():
    assert plain_data({"activation_fn": Path}) == {"activation_fn": f"{Path.__module__}:Path"}
    with pytest.raises(RunError, match="a value is a object"):
        plain_data(object())


def test_foreign_modules_are_named():
    config = RunConfig(
        env="mine:Robot-v0",
        hyperparams={"policy_kwargs": {"activation_fn": "theirs:Act", "optimizer_class": "torch.optim:Adam"}},
    )
    assert config.named_modules() == ["mine:Robot-v0", "theirs:Act"]
