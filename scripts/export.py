"""`rpp-rl export`: export a trained actor as one file for a robot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from rpp_rl.experiments import export as exporting
from rpp_rl.experiments.options import key_values


@dataclass(frozen=True)
class ExportArguments:
    """Export the actor of a saved agent."""

    run: Positional[Path]
    """A run folder, or a model file."""
    format: Literal["torchscript", "onnx", "safetensors"] = "onnx"
    """The file format; onnx needs the extra rpp-rl[onnx]."""
    out: Path | None = None
    """Folder of actor.onnx, .pt or .safetensors and of actor.json; None for that of the model."""
    env: str | None = None
    """Another environment than the run's to take observations from."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value, beside the run's."""
    trust: bool = False
    """Trust the files: import modules of environments that they name, and unpickle what models hold."""


def export(arguments: Annotated[ExportArguments, arg(name="")]) -> None:
    """Write one plain network that normalizes observations, has merged pathways and scales actions."""
    a = arguments
    env_kwargs = key_values(a.env_kwargs, "--env-kwargs")
    exported = exporting.export(a.run, a.format, a.out, a.env, env_kwargs, a.trust)
    print(f"actor          {exported.file}")
    print(f"description    {exported.description}")
    print(
        f"parity         greatest difference {exported.greatest_difference:.1e} of an action's range, over "
        f"{exporting.OBSERVATIONS} observations of {exported.env_id}"
    )
