"""Follow a run with Weights & Biases, which reads what is written for TensorBoard."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rpp_rl.errors import RunError


@dataclass(frozen=True)
class Tracking:
    """Where runs are followed.

    Attributes:
        project: name of the project.
        entity: name of the team; None for the user's own.

    Raises:
        RunError: if Weights & Biases is not installed.
    """

    project: str = "rpp-rl"
    entity: str | None = None

    def __post_init__(self) -> None:
        if importlib.util.find_spec("wandb") is None:
            raise RunError("--track needs Weights & Biases; install it with: pip install 'rpp-rl[track]'")

    @contextmanager
    def following(self, name: str, record: Mapping[str, Any], folder: Path) -> Iterator[None]:
        """Follow a run; begin before its logger is made, so that no event is missed.

        Args:
            name: of the run.
            record: its configuration.
            folder: where the files of Weights & Biases go, in the folder ``wandb``.

        Raises:
            RunError: if the service cannot be reached.
        """
        import wandb

        try:
            run = wandb.init(
                project=self.project,
                entity=self.entity,
                name=name,
                config=dict(record),
                dir=str(folder),
                sync_tensorboard=True,
                settings=wandb.Settings(silent=True),
            )
        except wandb.errors.Error as error:
            detail = " ".join(str(error).split())[:300]
            raise RunError(
                f"the run cannot be followed: {detail}; log in with `wandb login`, or set WANDB_MODE=offline"
            ) from error
        try:
            yield
        finally:
            run.finish()
