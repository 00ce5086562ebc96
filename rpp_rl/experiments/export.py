"""Export a run's actor as one file for a robot, and check it against the agent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rpp_rl.agents.common.building import load_agent
from rpp_rl.agents.common.export import PlainActor, export_actor, greatest_difference
from rpp_rl.errors import RunError
from rpp_rl.experiments.environments import normalized_for_evaluation, settings_of, statistics_of, vec_env
from rpp_rl.experiments.evaluation import task_of
from rpp_rl.experiments.finding import find_model

Format = Literal["torchscript", "onnx", "safetensors"]

OBSERVATIONS = 1000
# In units of an action's range; rounding in single precision gives a few 1e-7.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class ExportedActor:
    """An exported actor.

    Attributes:
        file: the actor, one plain network: it normalizes observations and scales actions itself.
        description: a JSON file with its inputs, outputs, symmetry and checksum.
        env_id: the environment that it was compared on.
        greatest_difference: the greatest difference of an action from the agent's, in units of the action's range.
    """

    file: Path
    description: Path
    env_id: str
    greatest_difference: float


def export(
    run: Path,
    file_format: Format = "onnx",
    out: Path | None = None,
    env: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> ExportedActor:
    """Export the actor of a saved agent, and compare both on observations of its environment.

    Args:
        run: a run folder, or a model file.
        file_format: the format; ``"onnx"`` needs the extra ``rpp-rl[onnx]``.
        out: the folder of the files. Default: that of the model.
        env: another environment than the run's.
        env_kwargs: arguments of the environment, beside the run's.
        trust: whether to import modules and unpickle values that the files name.

    Raises:
        RPPError: if there is no such agent, a library is missing, or the exported actor acts differently.
    """
    path = find_model(run)
    env_id, settings = task_of(path, env, env_kwargs or {}, trust)
    agent: Any = load_agent(path, "cpu", trust)
    plain = vec_env(env_id, None, settings)
    wrapped: Any = normalized_for_evaluation(plain, settings_of(path), None, statistics_of(path))
    normalizer = wrapped if wrapped is not plain else None
    folder = out or path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file, act = export_actor(PlainActor(agent, normalizer), file_format, folder / "actor")
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror or error}; choose another with --out") from error
    observations = _observations(plain)
    plain.close()
    difference = greatest_difference(agent, normalizer, act, observations)
    if not difference < TOLERANCE:
        file.unlink()
        raise RunError(
            f"the exported actor differs from the agent by {difference:.1e} of an action's range; {file} was deleted"
        )
    description = folder / "actor.json"
    content = _describe(agent, env_id, file, difference, normalizer is not None)
    description.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return ExportedActor(file, description, env_id, difference)


def _observations(env: Any) -> NDArray[Any]:
    """Observations of seeded episodes with random actions."""
    env.action_space.seed(0)
    env.seed(0)
    rows = [env.reset()[0]]
    while len(rows) < OBSERVATIONS:
        rows.append(env.step([env.action_space.sample()])[0][0])
    return np.array(rows)


def _describe(agent: Any, env_id: str, file: Path, difference: float, normalized: bool) -> dict[str, Any]:
    symmetry = agent.symmetry
    return {
        "file": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "env": env_id,
        "input": {"name": "observation", "shape": ["batch", agent.observation_space.shape[0]], "dtype": "float32"},
        "output": {"name": "action", "shape": ["batch", agent.action_space.shape[0]], "dtype": "float32"},
        "action_low": agent.action_space.low.tolist(),
        "action_high": agent.action_space.high.tolist(),
        "observations_are_normalised_inside": normalized,
        "observation_names": [] if symmetry is None else list(symmetry.observation_names),
        "action_names": [] if symmetry is None else list(symmetry.action_names),
        "symmetry": None if symmetry is None else symmetry.to_dict(),
        "parity": {"observations": OBSERVATIONS, "greatest_difference_of_range": difference},
    }
