"""`rpp-rl export`: a trained actor as one file for a robot, checked against the agent it came from."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from rpp_rl.errors import RunError
from rpp_rl.experiments.options import key_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

OBSERVATIONS = 1000
# In units of an action's range; single precision leaves a few 1e-7.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class ExportArguments:
    """Export the actor of a saved agent."""

    run: Positional[Path]
    """A run folder, or a model file."""
    format: Literal["torchscript", "onnx", "safetensors"] = "onnx"
    """What to write; onnx needs the extra rpp-rl[onnx]."""
    out: Path | None = None
    """Folder of actor.onnx, .pt or .safetensors and of actor.json; that of the model if left out."""
    env: str | None = None
    """Another environment than the run's to take observations from."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value, beside the run's."""
    trust: bool = False
    """Run what files name: modules of environments are imported, and pickles in model files are unpickled."""


def export(arguments: Annotated[ExportArguments, arg(name="")]) -> None:
    """Write one plain network: observations normalised and actions scaled inside, both pathways merged."""
    result = export_run(arguments)
    print(f"actor          {result['file']}")
    print(f"description    {result['description']}")
    print(
        f"parity         greatest difference {result['greatest_difference']:.1e} of an action's range, over "
        f"{OBSERVATIONS} observations of {result['env']}"
    )


def export_run(arguments: ExportArguments) -> dict[str, Any]:
    """Export as the arguments say.

    Returns:
        ``file``, ``description``, ``greatest_difference`` and ``env``.

    Raises:
        RPPError: if there is no such agent, a library is missing, or the exported actor acts otherwise than the agent.
    """
    from rpp_rl.agents.common.algorithms import load_agent
    from rpp_rl.agents.common.export import PlainActor, export_actor, greatest_difference
    from rpp_rl.experiments.environments import vec_env
    from rpp_rl.experiments.loading import task_of
    from rpp_rl.experiments.run_folder import find_model
    from rpp_rl.experiments.training.normalization import with_statistics

    path = find_model(arguments.run)
    given = key_values(arguments.env_kwargs, "--env-kwargs")
    env_id, env_kwargs = task_of(path, arguments.env, given, arguments.trust)
    agent = load_agent(path, "cpu", arguments.trust)
    plain = vec_env(env_id, None, env_kwargs)
    env: Any = with_statistics(plain, path)
    normalizer = env if env is not plain else None
    actor = PlainActor(agent, normalizer)
    folder = arguments.out or path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file, run = export_actor(actor, arguments.format, folder / "actor")
    except OSError as error:
        raise RunError(
            f"{folder} cannot be written to: {error.strerror or error}; choose another with --out"
        ) from error
    observations = _observations(plain)
    plain.close()
    difference = greatest_difference(agent, normalizer, run, observations)
    if not difference < TOLERANCE:
        file.unlink()
        raise RunError(f"the exported actor differs from the agent by {difference:.1e} of an action's range; not kept")
    description = _describe(agent, env_id, file, difference, normalizer is not None)
    target = folder / "actor.json"
    target.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return {"file": str(file), "description": str(target), "greatest_difference": difference, "env": env_id}


def _observations(env: Any) -> NDArray[Any]:
    """What an agent meets: observations along seeded episodes of random actions."""
    import numpy as np

    env.action_space.seed(0)
    env.seed(0)
    rows = [env.reset()[0]]
    while len(rows) < OBSERVATIONS:
        rows.append(env.step([env.action_space.sample()])[0][0])
    return np.array(rows)


def _describe(agent: Any, env_id: str, file: Path, difference: float, normalised: bool) -> dict[str, Any]:
    symmetry = agent.symmetry
    return {
        "file": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "env": env_id,
        "input": {"name": "observation", "shape": ["batch", agent.observation_space.shape[0]], "dtype": "float32"},
        "output": {"name": "action", "shape": ["batch", agent.action_space.shape[0]], "dtype": "float32"},
        "action_low": agent.action_space.low.tolist(),
        "action_high": agent.action_space.high.tolist(),
        "observations_are_normalised_inside": normalised,
        "observation_names": [] if symmetry is None else list(symmetry.observation_names),
        "action_names": [] if symmetry is None else list(symmetry.action_names),
        "symmetry": None if symmetry is None else symmetry.to_dict(),
        "parity": {"observations": OBSERVATIONS, "greatest_difference_of_range": difference},
    }


if __name__ == "__main__":
    from rpp_rl.scripts.main import main

    sys.exit(main(["export", *sys.argv[1:]]))
