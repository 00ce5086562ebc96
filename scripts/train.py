"""`rpp-rl train`: train an agent, evaluate it, and keep the run in a folder of its own."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from tyro.conf import arg

from rpp_rl.errors import RunError
from rpp_rl.experiments.options import number_list
from rpp_rl.experiments.tracking import Tracking
from rpp_rl.experiments.training import resume, train_seeds
from rpp_rl.experiments.training import train as train_run
from rpp_rl.scripts.main import main
from rpp_rl.scripts.train_arguments import TrainArguments

_WITH_RESUME = ("resume", "n_timesteps", "device", "tensorboard_log", "progress", "verbose", "trust")
_DEFAULTS = TrainArguments().values()


def train(arguments: Annotated[TrainArguments, arg(name="")]) -> None:
    """Train an agent on an environment, evaluate it, and keep the run in a folder of its own.

    Examples:
      rpp-rl train Hopper-v5 -n 1e6 --save-freq 50000
      rpp-rl train --env my_robots:MyRobot-v0 --algo equivariant_sac --seeds 0-4
      rpp-rl train --resume runs/Hopper-v5/rpp_sac/seed0
    """
    a, flags = arguments, arguments.values()
    seeds = None if a.length.seeds is None else number_list(a.length.seeds, "--seeds")
    shown: dict[str, Any] = {name: flags[name] for name in ("verbose", "trust")}
    shown["progress_bar"] = flags["progress"]
    if a.saving.resume:
        _refuse_other_flags(a)
        resume(
            a.saving.resume,
            n_timesteps=a.length.n_timesteps,
            device=None if a.machine.device == _DEFAULTS["device"] else a.machine.device,
            tensorboard_log=a.saving.tensorboard_log,
            **shown,
        )
        return
    if seeds is not None and a.length.seed != _DEFAULTS["seed"]:
        raise RunError(f"--seed {a.length.seed} and --seeds {a.length.seeds} are both given; give one of them")
    tracking = Tracking(flags["wandb_project_name"], flags["wandb_entity"]) if flags["track"] else None
    if seeds is None:
        train_run(a.config(), track=tracking, **shown)
    else:
        train_seeds(a.config(), seeds, track=tracking, **shown)


def _refuse_other_flags(arguments: TrainArguments) -> None:
    for name, value in arguments.values().items():
        if name not in _WITH_RESUME and value != _DEFAULTS[name]:
            flag = value if name == "task" else f"--{name.replace('_', '-')}"
            raise RunError(f"--resume takes everything from the run's config.json; leave out {flag}")


if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
