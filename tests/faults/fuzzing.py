"""Give parsers random input: each answers, or raises an error of ours in one sentence; never a traceback."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
import time
import traceback
from pathlib import Path

from helpers.tasks import WHEELS, bicycle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faults.table import Row
from rpp_rl import Symmetry
from rpp_rl.agents.common.checkpoints.files import files_beside
from rpp_rl.agents.common.hyperparameters import hyperparameters
from rpp_rl.agents.common.saving.agent_files import read_agent
from rpp_rl.envs.symmetry_files import read_symmetry
from rpp_rl.errors import RPPError
from rpp_rl.experiments.environments import normalize_settings
from rpp_rl.experiments.finding import record_of
from rpp_rl.experiments.options import key_values, number_list
from rpp_rl.experiments.run import Run
from rpp_rl.plain_data import from_plain
from rpp_rl.scripts.main import main

words = st.sampled_from(
    [
        *(
            "left",
            "right",
            "roll",
            "flip",
            "swap",
            "observation",
            "action",
            "sagittal",
            "!!python/object/apply:os.system",
        ),
        *(
            "$array",
            "$tensor",
            "$generator",
            "$items",
            "*a",
            "&a",
            "<<",
            "nan",
            "1e999",
            "null",
            "~",
            "0x10",
            "1_000",
            "",
        ),
    ]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.integers(-3, 5),
    st.floats(),
    st.text(max_size=12),
    words,
)
data = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.dictionaries(st.one_of(st.text(max_size=8), words), inner, max_size=5)
    ),
    max_leaves=12,
)


@st.composite
def changed(draw, original):
    """The original with a few parts removed or replaced by random data."""
    value = json.loads(json.dumps(original))
    for _ in range(draw(st.integers(1, 3))):
        place = value
        while isinstance(place, dict | list) and place:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            inner = place[key]
            if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
                if draw(st.booleans()):
                    del place[key]
                else:
                    place[key] = draw(data)
                break
            place = inner
    return value


flags = st.sampled_from(
    [
        *("--algo", "--symmetry", "-n", "--seed", "--seeds", "--device", "--eval-freq", "--n-envs", "--vec-env"),
        *("--resume", "-i", "-params", "--env-kwargs", "--save-freq", "--env-timeout", "--no-audit", "-P", "--"),
        *("--json", "--video", "--format", "--out", "--policy", "--derive", "--seconds", "--verbose", "--help-me"),
    ]
)
values = st.one_of(st.text(max_size=10), words, st.integers().map(str), st.floats().map(str), st.just("gamma:0.9"))
commands = st.sampled_from(["evaluate", "export", "symmetries", "audit", "new-symmetry", "train", "nothing", ""])
command_lines = st.builds(
    # The environment does not exist, so that every command line is refused in the end.
    lambda command, rest: [command, *(["--env", "Nothing-v0"] if command == "train" else ["Nothing-v0"]), *rest],
    commands,
    st.lists(st.one_of(flags, values), max_size=6),
)


def _written(scratch: Path, name: str, content: str | bytes) -> Path:
    path = scratch / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return path


def parsers(scratch: Path):
    """Each parser with the strategy of its inputs."""
    symmetry = WHEELS.to_dict()
    env = bicycle()
    declared = {"observation": ["a", "b", "c", "d"], "action": ["e", "f"], "swap": [["a", "b"]], "flip": ["d"]}
    config = {
        "env": "InvertedPendulum-v5",
        "env_kwargs": {},
        "evaluation_seed": 1,
        "config": {"env": "x", "seed": 0, "env_kwargs": {}, "hyperparams": {"gamma": 0.9}, "device": "auto"},
    }
    manifest = {"format": 1, "beside": {"replay/0-1.f32": {"size": 1, "sha256": "0"}}}
    state = {"a": {"$array": "0"}, "b": {"$tuple": [1, 2]}, "c": {"$deque": [1], "maxlen": 3}, "d": {"$float": "inf"}}

    def run(folder: str, name: str, content) -> Path:
        _written(scratch, f"{folder}/{name}", content if isinstance(content, bytes | str) else json.dumps(content))
        return scratch / folder

    return {
        "symmetry as JSON": (changed(symmetry), Symmetry.from_dict),
        "symmetry as YAML": (
            st.one_of(changed(declared).map(json.dumps), st.text(max_size=60), changed(symmetry).map(json.dumps)),
            lambda text: read_symmetry(str(_written(scratch, "symmetry.yaml", text)), env),
        ),
        "hyperparameters": (
            st.lists(
                st.builds(
                    lambda k, v: f"{k}:{v}",
                    st.one_of(st.sampled_from(["gamma", "batch_size", "policy_kwargs", "train_freq", "policy"]), words),
                    st.one_of(data.map(lambda d: json.dumps(d)), st.text(max_size=20), words),
                ),
                max_size=3,
            ),
            lambda pairs: normalize_settings(
                hyperparameters("rpp_sac", "Hopper-v5", key_values(pairs, "-params")).get("normalize")
            ),
        ),
        "lists of seeds": (st.text("0123456789-, x", max_size=12), lambda text: number_list(text, "--seeds")),
        "configuration of a run": (
            st.one_of(changed(config), data),
            lambda value: (
                record_of(run("config", "config.json", value) / "model.zip"),
                Run(scratch / "config").config,
            ),
        ),
        "manifest of a checkpoint": (
            st.one_of(changed(manifest), data, st.binary(max_size=40)),
            lambda value: files_beside(run("checkpoint", "manifest.json", value)),
        ),
        "state of a checkpoint": (st.one_of(changed(state), data), lambda value: from_plain(value, {})),
        "model file": (
            st.binary(max_size=200),
            lambda content: read_agent(_written(scratch, "model.zip", b"PK\x03\x04" + content)),
        ),
        "command line": (command_lines, lambda line: _call(line, scratch)),
    }


def _call(line, scratch: Path) -> None:
    printed = io.StringIO()
    before = Path.cwd()
    os.chdir(scratch)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                code = main(line)
            except SystemExit as stop:
                code = stop.code
    finally:
        os.chdir(before)
    if code not in (0, 2) or "Traceback" in printed.getvalue():
        raise AssertionError(f"{line}: exit code {code}, {printed.getvalue()}")


def fuzz(name: str, inputs: int, seconds: float) -> Row:
    """Give a parser random inputs, at most this many and for at most this many seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        strategy, parse = parsers(Path(scratch))[name]
        seen, failed, end = [0], [], time.monotonic() + seconds

        @settings(
            max_examples=inputs,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            derandomize=False,
        )
        @given(strategy)
        def try_one(value) -> None:
            if time.monotonic() > end or failed:
                return
            seen[0] += 1
            try:
                parse(value)
            except RPPError:
                return
            except Exception:
                failed.append((value, traceback.format_exc()))

        try_one()
    for value, trace in failed:
        print(f"{name}: {value!r}\n{trace}")
    return Row("fuzzing", name, "an answer, or an error in one sentence", seen[0], seen[0] - len(failed))
