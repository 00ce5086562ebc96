"""`rpp-rl train`: train an agent, evaluate it, and keep the run in a folder of its own."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import Annotated

from tyro.conf import arg

from rpp_rl.errors import RunError
from rpp_rl.experiments.options import number_list
from rpp_rl.experiments.training import resume, train_together
from rpp_rl.experiments.training import train as train_run
from rpp_rl.scripts.main import main
from rpp_rl.scripts.train_arguments import TrainArguments

_WITH_RESUME = ("resume", "n_timesteps", "device", "tensorboard_log", "progress", "verbose", "trust")


def train(arguments: Annotated[TrainArguments, arg(name="")]) -> None:
    """Train an agent on an environment, evaluate it, and keep the run in a folder of its own."""
    a = arguments
    if a.resume:
        _refuse_other_flags(a)
        resume(
            a.resume,
            n_timesteps=a.n_timesteps,
            device=None if a.device == TrainArguments.device else a.device,
            tensorboard_log=a.tensorboard_log,
            progress_bar=a.progress,
            verbose=a.verbose,
            trust=a.trust,
        )
    elif a.seeds is None:
        train_run(a.config(), progress_bar=a.progress, verbose=a.verbose, trust=a.trust)
    elif a.seed != TrainArguments.seed:
        raise RunError(f"--seed {a.seed} and --seeds {a.seeds} are both given; give one of them")
    else:
        train_together(a.config(), number_list(a.seeds, "--seeds"), progress_bar=a.progress, verbose=a.verbose)


def _refuse_other_flags(arguments: TrainArguments) -> None:
    for field in fields(arguments):
        if field.name not in _WITH_RESUME and getattr(arguments, field.name) != field.default:
            flag = field.name.replace("_", "-")
            raise RunError(f"--resume takes everything from the run's config.json; leave out --{flag}")


if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
