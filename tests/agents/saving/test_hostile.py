"""Malicious and damaged files: a clear error, no code run, no partial agent, bounded memory and time."""

import base64
import io
import json
import pickle
import tracemalloc
import zipfile

import cloudpickle
import numpy as np
import pytest
import torch
from helpers.agents import agent, assert_same_parameters, parameters
from helpers.tasks import bicycle
from safetensors.numpy import load, save
from stable_baselines3 import SAC
from stable_baselines3.common.vec_env import DummyVecEnv

from rpp_rl.agents import RPPSAC, RPPPolicy, SymmetricVecNormalize
from rpp_rl.errors import RPPError, RunError

MEAN = "actor.mu.weight_basic"


class Canary:
    """Unpickling it writes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    path = tmp_path_factory.mktemp("native") / "agent.zip"
    model = agent()
    model.learn(40)
    model.save(path)
    return path, parameters(model)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    path = tmp_path_factory.mktemp("sb3") / "agent.zip"
    model = SAC("MlpPolicy", bicycle(), learning_starts=10, buffer_size=100, policy_kwargs={"net_arch": [8]})
    model.learn(20)
    model.save(path)
    return path, parameters(model)


def rewritten(source, target, compression=zipfile.ZIP_STORED, **members):
    """Copy an archive and replace members; None leaves one out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        contents = {name: old.read(name) for name in old.namelist()} | members
        for name, content in contents.items():
            if content is not None:
                new.writestr(name, content)
    return target


def with_arrays(path, target, change):
    """Change the arrays of a native file and give it the right checksum, as an attacker would."""
    import hashlib

    with zipfile.ZipFile(path) as archive:
        document, arrays = json.loads(archive.read("document.json")), load(archive.read("arrays.safetensors"))
    change(document["value"], arrays)
    packed = save(arrays)
    document["arrays_sha256"] = hashlib.sha256(packed).hexdigest()
    return rewritten(path, target, **{"document.json": json.dumps(document), "arrays.safetensors": packed})


class TestPickles:
    def test_unpickling_a_canary_writes_its_file(self, tmp_path):
        pickle.loads(pickle.dumps(Canary(tmp_path / "canary")))
        assert (tmp_path / "canary").exists()

    @pytest.mark.parametrize("entry", ["policy_class", "observation_space", "learning_rate", "ep_info_buffer", "new"])
    def test_a_pickle_in_the_data_of_stable_baselines_is_not_run(self, theirs, tmp_path, entry):
        canary = tmp_path / "canary"
        with zipfile.ZipFile(theirs[0]) as archive:
            data = json.loads(archive.read("data"))
        kept = data.get(entry) if isinstance(data.get(entry), dict) else {}
        pickled = base64.b64encode(cloudpickle.dumps(Canary(canary))).decode()
        data[entry] = {**kept, ":type:": "x", ":serialized:": pickled}
        path = rewritten(theirs[0], tmp_path / "bad.zip", data=json.dumps(data))
        try:
            loaded = RPPSAC.load(path, device="cpu")
        except RunError as error:
            assert entry == "learning_rate"
            assert "trust=True" in str(error) and "runs whatever code" in str(error)
        else:
            assert_same_parameters(parameters(loaded), theirs[1])
        assert not canary.exists()
        if entry in ("ep_info_buffer", "new"):
            RPPSAC.load(path, device="cpu", trust=True)
            assert canary.exists(), "trust=True unpickles"

    @pytest.mark.parametrize("member", ["policy.pth", "actor.optimizer.pth", "pytorch_variables.pth"])
    @pytest.mark.parametrize("form", ["torch", "pickle"])
    def test_a_pickle_in_the_parameters_of_stable_baselines_is_not_run(self, theirs, tmp_path, member, form):
        content = io.BytesIO()
        if form == "torch":
            torch.save({"weight": Canary(tmp_path / "canary")}, content)
        else:
            pickle.dump(Canary(tmp_path / "canary"), content)
        path = rewritten(theirs[0], tmp_path / "bad.zip", **{member: content.getvalue()})
        with pytest.raises(RunError, match=member):
            RPPSAC.load(path, device="cpu")
        with pytest.raises(RunError, match=member):
            agent().set_parameters(str(path))
        assert not (tmp_path / "canary").exists()

    def test_a_pickle_in_the_place_of_another_file_is_not_run(self, tmp_path):
        path = tmp_path / "file.pkl"
        path.write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
        opened = [
            lambda: RPPSAC.load(path),
            lambda: RPPPolicy.load(path),
            lambda: SymmetricVecNormalize.load(path, DummyVecEnv([bicycle])),
            lambda: agent().load_replay_buffer(path),
        ]
        for open_it in opened:
            with pytest.raises(RunError):
                open_it()
        assert not (tmp_path / "canary").exists()
        with pytest.raises((TypeError, AttributeError, AssertionError)):
            agent().load_replay_buffer(path, trust=True)
        assert (tmp_path / "canary").exists(), "a trusted pickle is unpickled"


class TestReading:
    def test_agents_of_stable_baselines_are_read(self, theirs, tmp_path, caplog):
        loaded = RPPSAC.load(theirs[0], env=bicycle(), device="cpu")
        assert_same_parameters(parameters(loaded), theirs[1])
        assert (loaded.learning_starts, loaded.buffer_size, loaded.num_timesteps) == (10, 100, 20)
        assert "train_freq" in caplog.text and "trust=True" in caplog.text
        loaded.learn(10, reset_num_timesteps=False)
        loaded.save(tmp_path / "ours")
        assert_same_parameters(parameters(RPPSAC.load(tmp_path / "ours", device="cpu")), parameters(loaded))

    def test_only_activation_functions_of_torch_are_read(self, tmp_path):
        for cls, fits in ((torch.nn.Tanh, True), (Mine, False)):
            model = SAC("MlpPolicy", bicycle(), policy_kwargs={"activation_fn": cls}, buffer_size=10)
            model.save(tmp_path / "theirs")
            if fits:
                loaded = RPPSAC.load(tmp_path / "theirs", device="cpu")
                assert loaded.policy_kwargs["activation_fn"] is torch.nn.Tanh
            else:
                with pytest.raises(RunError, match=r"policy_kwargs.*custom_objects"):
                    RPPSAC.load(tmp_path / "theirs", device="cpu")
            ours = agent(policy_kwargs={"activation_fn": cls, "net_arch": [8]})
            ours.save(tmp_path / "ours")
            if fits:
                RPPSAC.load(tmp_path / "ours", device="cpu")
            else:
                with pytest.raises(RunError, match=r"activation_fn=.*Mine"):
                    RPPSAC.load(tmp_path / "ours", device="cpu")
                given = {"policy_kwargs": ours.policy_kwargs}
                again = RPPSAC.load(tmp_path / "ours", device="cpu", custom_objects=given)
                assert_same_parameters(parameters(again), parameters(ours))


class Mine(torch.nn.Tanh):
    pass


class TestDamage:
    def test_truncated_files_are_refused(self, native, theirs, tmp_path):
        for path, _ in (native, theirs):
            content = path.read_bytes()
            for size in range(0, len(content) - 1, 1024):
                (tmp_path / "cut.zip").write_bytes(content[:size])
                with pytest.raises(RunError):
                    RPPSAC.load(tmp_path / "cut.zip", device="cpu")

    def test_flipped_bits_are_found_or_change_nothing(self, native, tmp_path):
        path, expected = native
        content, rng, seen = path.read_bytes(), np.random.default_rng(0), 0
        for place in rng.integers(0, len(content), 120):
            changed = bytearray(content)
            changed[place] ^= 1 << int(rng.integers(8))
            (tmp_path / "flipped.zip").write_bytes(changed)
            try:
                loaded = RPPSAC.load(tmp_path / "flipped.zip", device="cpu")
            except RunError:
                seen += 1
            else:
                assert_same_parameters(parameters(loaded), expected)
        assert seen > 100

    def test_arrays_of_another_file_do_not_match_the_checksum(self, native, tmp_path):
        other = agent(seed=1)
        other.learn(40)
        other.save(tmp_path / "other.zip")
        with zipfile.ZipFile(tmp_path / "other.zip") as archive:
            arrays = archive.read("arrays.safetensors")
        path = rewritten(native[0], tmp_path / "mixed.zip", **{"arrays.safetensors": arrays})
        with pytest.raises(RunError, match="do not match their checksum"):
            RPPSAC.load(path, device="cpu")

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_nan_and_infinity_are_refused(self, native, theirs, tmp_path, value):
        def spoil(document, arrays):
            name = document["parameters"]["policy"][MEAN]["$tensor"]
            arrays[name] = arrays[name].copy()
            arrays[name].flat[0] = value

        with pytest.raises(RunError, match="NaN"):
            RPPSAC.load(with_arrays(native[0], tmp_path / "nan.zip", spoil), device="cpu")
        state, content = {k: v.clone() for k, v in theirs[1].items()}, io.BytesIO()
        state["actor.mu.bias"][0] = value
        torch.save(state, content)
        path = rewritten(theirs[0], tmp_path / "theirs.zip", **{"policy.pth": content.getvalue()})
        with pytest.raises(RunError, match=r"infinity in policy\.actor\.mu\.bias"):
            RPPSAC.load(path, device="cpu")

    def test_other_shapes_and_missing_parts_are_refused(self, native, theirs, tmp_path):
        def reshape(document, arrays):
            name = document["parameters"]["policy"][MEAN]["$tensor"]
            arrays[name] = arrays[name][:-1].copy()

        def forget(document, arrays):
            document["parameters"]["policy"].pop(MEAN)

        model = agent()
        before = parameters(model)
        for change in (reshape, forget):
            path = with_arrays(native[0], tmp_path / "bad.zip", change)
            with pytest.raises(RunError, match="does not fit this agent"):
                RPPSAC.load(path, device="cpu")
        for member in ("policy.pth", "critic.optimizer.pth"):
            with pytest.raises(RunError):
                RPPSAC.load(rewritten(theirs[0], tmp_path / "part.zip", **{member: None}), device="cpu")
        assert_same_parameters(parameters(model), before)

    @pytest.mark.parametrize(
        ("where", "value"),
        [
            (("values", "buffer_size"), 10**18),
            (("values", "buffer_size"), -1),
            (("values", "gamma"), "high"),
            (("values", "batch_size"), 2.5),
            (("values", "unheard_of"), 1),
            (("policy_kwargs", "net_arch"), [10**6, 10**6]),
            (("policy_kwargs", "n_critics"), 10**9),
            (("policy_kwargs", "symmetry"), {"name": "x"}),
            (("policy_class",), "os.system"),
            (("train_freq",), [1, "century"]),
            (("learning_rate",), {"start": "x"}),
            (("parameters",), []),
            (("observation_space",), {"low": [0], "high": [1], "dtype": "O"}),
        ],
    )
    def test_values_that_no_agent_has_are_refused(self, native, tmp_path, where, value):
        def change(document, arrays):
            for key in where[:-1]:
                document = document[key]
            document[where[-1]] = value

        tracemalloc.start()
        with pytest.raises(RPPError):
            RPPSAC.load(with_arrays(native[0], tmp_path / "odd.zip", change), device="cpu")
        assert tracemalloc.get_traced_memory()[1] < 50e6
        tracemalloc.stop()


class TestArchives:
    @pytest.mark.parametrize("member", ["document.json", "arrays.safetensors", "data", "policy.pth", "extra"])
    def test_zip_bombs_are_refused(self, native, theirs, tmp_path, member):
        source = native[0] if member in ("document.json", "arrays.safetensors") else theirs[0]
        path = rewritten(source, tmp_path / "bomb.zip", zipfile.ZIP_DEFLATED, **{member: bytes(300_000_000)})
        assert path.stat().st_size < 1e6
        self._refused_cheaply(path, "expand")

    def test_a_zip_bomb_within_a_member_is_refused(self, theirs, tmp_path):
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", bytes(300_000_000))
        self._refused_cheaply(rewritten(theirs[0], tmp_path / "bomb.zip", **{"policy.pth": inner.getvalue()}), "expand")

    def test_deeply_nested_json_is_refused(self, native, tmp_path):
        path = rewritten(native[0], tmp_path / "deep.zip", **{"document.json": b"[" * 10**6})
        self._refused_cheaply(path, "not a saved file")

    @staticmethod
    def _refused_cheaply(path, match):
        tracemalloc.start()
        with pytest.raises(RunError, match=match):
            RPPSAC.load(path, device="cpu")
        assert tracemalloc.get_traced_memory()[1] < 50e6
        tracemalloc.stop()

    def test_members_outside_the_archive_are_not_written(self, native, tmp_path):
        inside = tmp_path / "inside"
        inside.mkdir()
        path = rewritten(native[0], inside / "agent.zip", **{"../evil.py": b"x", "/tmp/rpp_rl_evil.py": b"x"})  # noqa: S108
        assert_same_parameters(parameters(RPPSAC.load(path, device="cpu")), native[1])
        assert sorted(p.name for p in tmp_path.rglob("*")) == ["agent.zip", "inside"]
