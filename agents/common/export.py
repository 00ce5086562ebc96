"""Export a trained actor as one plain network that needs neither this library nor stable-baselines3."""

from __future__ import annotations

import importlib
import io
import itertools
import json
import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor, nn

from rpp_rl.errors import NetworkError, RunError
from rpp_rl.files import replace_file
from rpp_rl.networks import merged

Runner = Callable[[NDArray[np.float32]], NDArray[np.float32]]
# Activations that a file of weights alone can name, as functions of numpy.
_ACTIVATIONS: Mapping[str, Callable[[Any], Any]] = {
    "ReLU": lambda x: np.maximum(x, 0),
    "Tanh": np.tanh,
    "ELU": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "LeakyReLU": lambda x: np.where(x > 0, x, 0.01 * x),
    "SiLU": lambda x: x / (1 + np.exp(-x)),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


class PlainActor(nn.Module):
    """The deterministic actor: low + (tanh f((o - mean) / std clipped to [-c, c]) + 1) / 2 (high - low).

    f is the perceptron to the mean action, with the two pathways of each layer merged into one weight.

    Args:
        agent: a SAC or TD3 agent whose actions are a box of one axis.
        normalizer: the normalizer of its observations; None if there is none.

    Raises:
        NetworkError: if the actor uses gSDE, or another features extractor than flattening.
    """

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, agent: SAC | TD3, normalizer: VecNormalize | None = None) -> None:
        super().__init__()
        actor: Any = agent.actor
        if getattr(actor, "use_sde", False) or type(actor.features_extractor) is not FlattenExtractor:
            raise NetworkError("only actors without gSDE and with flat observations are exported")
        # TD3's actor is one sequence with tanh at its end.
        layers = [*actor.latent_pi, actor.mu] if hasattr(actor, "latent_pi") else list(actor.mu)[:-1]
        self.layers = nn.Sequential(*map(merged, layers)).cpu().float()
        space: Any = agent.action_space
        size = agent.observation_space.shape[0]  # type: ignore[index]
        mean, std, self.clip = np.zeros(size), np.ones(size), float("inf")
        if normalizer is not None and normalizer.norm_obs:
            rms: Any = normalizer.obs_rms
            mean, std, self.clip = rms.mean, np.sqrt(rms.var + normalizer.epsilon), float(normalizer.clip_obs)
        for name, value in {"mean": mean, "std": std, "low": space.low, "high": space.high}.items():
            self.register_buffer(name, torch.as_tensor(np.array(value), dtype=torch.float32))

    def forward(self, observation: Tensor) -> Tensor:
        """Actions in the environment's units, shape (n, entries), for observations of shape (n, entries)."""
        x = ((observation - self.mean) / self.std).clamp(-self.clip, self.clip)
        scaled: Tensor = torch.tanh(self.layers(x))
        return self.low + (scaled + 1) / 2 * (self.high - self.low)


def as_torchscript(actor: PlainActor) -> bytes:
    """Convert to TorchScript, for `torch.jit.load` in Python and C++."""
    with warnings.catch_warnings():
        # torch advises torch.export, which C++ without Python cannot read yet.
        warnings.simplefilter("ignore", DeprecationWarning)
        trace: Any = torch.jit.trace
        file = io.BytesIO()
        torch.jit.save(trace(actor.eval(), torch.zeros(2, len(actor.mean))), file)
    return file.getvalue()


def as_onnx(actor: PlainActor) -> bytes:
    """Convert to ONNX with one input, ``observation``, and one output, ``action``, of any number of rows.

    Raises:
        RunError: if the extra ``onnx`` is not installed.
    """
    _need_onnx("onnxscript")
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    with warnings.catch_warnings():
        # Warnings about torch's internals, and about torchvision, which is not needed.
        warnings.simplefilter("ignore", FutureWarning)
        registration.setLevel(logging.ERROR)
        try:
            program: Any = torch.onnx.export(
                actor.eval(),
                (torch.zeros(2, len(actor.mean)),),
                input_names=["observation"],
                output_names=["action"],
                dynamic_shapes={"observation": {0: torch.export.Dim("batch")}},
                external_data=False,
                dynamo=True,
                verbose=False,
            )
        finally:
            registration.setLevel(level)
    serialized: bytes = program.model_proto.SerializeToString()
    return serialized


def as_safetensors(actor: PlainActor) -> bytes:
    """Convert to weights: ``layers.<i>.weight`` and ``.bias``, mean, std, low, high; activations and clip as metadata.

    Raises:
        NetworkError: if an activation has no name there.
    """
    names = [type(layer).__name__ for layer in actor.layers]
    for name in set(names) - {"Linear", "Shift", *_ACTIVATIONS}:
        raise NetworkError(f"{name} has no name in a file of weights; export to torchscript or onnx")
    tensors = {name: value.detach().contiguous() for name, value in actor.state_dict().items()}
    # The center of a shift is not part of a network's state.
    tensors |= {f"layers.{i}.center": layer.center for i, layer in enumerate(actor.layers) if hasattr(layer, "center")}
    return save(tensors, {"layers": json.dumps(names), "clip": repr(actor.clip)})


def run_torchscript(path: Path) -> Runner:
    """Read an actor back from TorchScript."""
    load: Any = torch.jit.load
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = load(str(path))
    return lambda observation: module(torch.from_numpy(observation)).detach().numpy()


def run_onnx(path: Path) -> Runner:
    """Read an actor back from ONNX, with ONNX Runtime.

    Raises:
        RunError: if the extra ``onnx`` is not installed.
    """
    session = _need_onnx("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda observation: session.run(["action"], {"observation": observation})[0]


def run_safetensors(path: Path) -> Runner:
    """Read an actor back from weights, with numpy alone."""
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        metadata = file.metadata()
    names, clip = json.loads(metadata["layers"]), float(metadata["clip"])

    def run(observation: NDArray[np.float32]) -> NDArray[np.float32]:
        x: Any = np.clip((observation - tensors["mean"]) / tensors["std"], -clip, clip)
        for i, name in enumerate(names):
            if name == "Linear":
                x = x @ tensors[f"layers.{i}.weight"].T + tensors[f"layers.{i}.bias"]
            else:
                x = x - tensors[f"layers.{i}.center"] if name == "Shift" else _ACTIVATIONS[name](x)
        action: NDArray[np.float32] = tensors["low"] + (np.tanh(x) + 1) / 2 * (tensors["high"] - tensors["low"])
        return action

    return run


# For each format the suffix of its files, the function that converts an actor, and the one that reads it back.
FORMATS: Mapping[str, tuple[str, Callable[[PlainActor], bytes], Callable[[Path], Runner]]] = {
    "torchscript": (".pt", as_torchscript, run_torchscript),
    "onnx": (".onnx", as_onnx, run_onnx),
    "safetensors": (".safetensors", as_safetensors, run_safetensors),
}


def export_actor(actor: PlainActor, kind: str, stem: Path) -> tuple[Path, Runner]:
    """Write an actor, atomically; return the file, and the actor that is read back from it.

    Args:
        actor: the network.
        kind: ``"torchscript"``, ``"onnx"`` or ``"safetensors"``.
        stem: the file's name without its suffix.

    Raises:
        RunError: if a library is missing.
        OSError: if the file cannot be written.
    """
    suffix, convert, run = FORMATS[kind]
    path = stem.with_name(stem.name + suffix)
    replace_file(path, convert(actor))
    return path, run(path)


def greatest_difference(
    agent: SAC | TD3, normalizer: VecNormalize | None, run: Runner, observations: NDArray[Any]
) -> float:
    """Return the greatest difference between actions of an agent and an exported actor, as a share of their range."""
    space: Any = agent.action_space
    seen = observations if normalizer is None else normalizer.normalize_obs(observations)
    expected, _ = agent.predict(seen, deterministic=True)
    found = np.concatenate([run(part) for part in _batches(observations.astype(np.float32))])
    return float(np.max(np.abs(found - expected) / (space.high - space.low)))


def _batches(rows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Split rows into batches of several sizes; one has a single row, as on a robot."""
    edges = [0, 1, 3, *range(100, len(rows), 300), len(rows)]
    return [rows[a:b] for a, b in itertools.pairwise(edges) if b > a]


def _need_onnx(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RunError(f"onnx needs {module}; install it with: pip install 'rpp-rl[onnx]'") from error
