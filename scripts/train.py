"""`rpp-rl train`: train an agent, evaluate it, and leave one folder that says everything about the run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

from tyro.conf import arg

from rpp_rl.errors import RunError
from rpp_rl.experiments.options import number_list

if TYPE_CHECKING:
    from rpp_rl.agents import RPPSAC


@dataclass(frozen=True)
class TrainArguments:
    """Train an agent on an environment; flags are those of RL Zoo."""

    algo: Literal["rpp_sac", "equivariant_sac", "mlp_sac", "sac"] | str = "rpp_sac"
    """rpp_sac, equivariant_sac (no residual), mlp_sac (plain networks) or sac (stable-baselines3's own)."""
    env: str = "HalfCheetah-v5"
    """Environment id, with its version."""
    symmetry: str | None = None
    """A declared symmetry (see `rpp-rl symmetries`) or a YAML file; the environment's default if left out."""
    n_timesteps: Annotated[int | None, arg(aliases=["-n"])] = None
    """Environment steps; from the hyperparameter file if left out."""
    seed: int = 0
    """Seed of everything that is drawn."""
    seeds: str | None = None
    """Several seeds, such as 0-7 or 0,2,5: agents that are trained together in this process, a run folder for each."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    log_folder: Annotated[Path, arg(aliases=["-f"])] = Path("runs")
    """Where runs are kept: <log-folder>/<env>/<algo>/seed<seed>."""
    tensorboard_log: Annotated[Path | None, arg(aliases=["-tb"])] = None
    """Another folder for TensorBoard's events; beside everything else if left out."""
    eval_freq: int | None = None
    """Steps between evaluations; every 10000, or a fifth of a shorter run, if left out."""
    eval_episodes: int = 10
    """Episodes of an evaluation."""
    save_freq: int = -1
    """Steps between checkpoints, from which --resume goes on; one is always written when the run is asked to stop."""
    progress: Annotated[bool, arg(aliases=["-P"])] = False
    """Show a progress bar."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value."""
    n_envs: int | None = None
    """Environments in parallel; from the hyperparameter file if left out."""
    vec_env: Literal["dummy", "subproc"] = "dummy"
    """Parallel environments in this process, or in one process each."""
    env_timeout: float = 300.0
    """Seconds that an environment in a process of its own may take for a step before it is taken to hang."""
    resume: tuple[Path, ...] = ()
    """Run folders to go on with, several together, from their newest checkpoints, as if they had never stopped."""
    trained_agent: Annotated[Path | None, arg(aliases=["-i"])] = None
    """A model or run folder to go on from, in a new run folder; the replay buffer starts empty."""
    hyperparams: Annotated[tuple[str, ...], arg(aliases=["-params"])] = ()
    """Hyperparameters to override, as key:value."""
    audit: bool = True
    """Check the symmetry on the simulator first, for a second or so."""
    trust: bool = False
    """Run what files name: modules of a run to resume are imported, pickles of an agent to go on from unpickled."""
    verbose: int = 0
    """1 prints stable-baselines3's tables."""


def train(arguments: Annotated[TrainArguments, arg(name="")]) -> None:
    """Train an agent on an environment, evaluate it, and keep the run in a folder of its own."""
    if arguments.resume:
        from rpp_rl.experiments.training.resuming import resume

        resume(arguments.resume, arguments)
    elif arguments.seeds is None:
        run_training(arguments)
    else:
        run_many(arguments)


def run_training(arguments: TrainArguments) -> Path:
    """Train as the arguments say; returns the run folder.

    Raises:
        RPPError: for arguments that cannot be met (then nothing is written), for an environment that gives a number
            that is none, and when asked to stop (then a checkpoint is written first).
    """
    # Learning libraries take seconds to import, so only a command that learns imports them.
    from rpp_rl.experiments.training.learning import learn
    from rpp_rl.experiments.training.prepared_run import audited, complete, say_if_nothing_is_learnt
    from rpp_rl.experiments.training.settled import build, settle
    from rpp_rl.experiments.training.stopping import stop_when_asked

    check(arguments)
    settled = settle(arguments)
    model = build(arguments, settled)
    say_if_nothing_is_learnt(arguments, model, settled.steps)
    audit = audited(arguments, settled)
    with ExitStack() as held:
        stop = held.enter_context(stop_when_asked())
        prepared = complete(arguments, settled, model, audit, stop, held)
        return learn(prepared, settled.steps, fresh=arguments.trained_agent is None)


def run_many(arguments: TrainArguments) -> list[Path]:
    """Train agents of several seeds together; returns the run folders.

    Raises:
        RPPError: as `run_training`; where only some of the runs were stopped, after the others are done.
    """
    from rpp_rl.agents.rpp_sac.many_seeds import ManySeeds
    from rpp_rl.experiments.training.learning import learn_together
    from rpp_rl.experiments.training.prepared_run import audited, complete, say_if_nothing_is_learnt
    from rpp_rl.experiments.training.settled import build, settle
    from rpp_rl.experiments.training.stopping import stop_when_asked

    seeds = number_list(arguments.seeds or "", "--seeds")
    _check_together(arguments, seeds)
    settled = settle(arguments)
    each = [replace(arguments, seed=seed, seeds=None) for seed in seeds]
    # Every algorithm but sac, which is refused, is an RPPSAC.
    together = ManySeeds(lambda seed: cast("RPPSAC", build(each[seeds.index(seed)], settled)), seeds)
    say_if_nothing_is_learnt(arguments, together.agents[0], settled.steps)
    audit = audited(arguments, settled)
    with ExitStack() as held:
        stop = held.enter_context(stop_when_asked())
        pairs = zip(each, together.agents, strict=True)
        runs = [complete(one, settled, agent, audit, stop, held) for one, agent in pairs]
        return learn_together(runs, together, settled.steps, fresh=True)


def _check_together(arguments: TrainArguments, seeds: Sequence[int]) -> None:
    for seed in seeds:
        check(replace(arguments, seed=seed))
    if arguments.trained_agent is not None:
        raise RunError("--seeds starts new agents; leave out -i, or go on with one run at a time")
    if arguments.seed != TrainArguments.seed:
        raise RunError(f"--seed {arguments.seed} and --seeds {arguments.seeds} are both given; give one of them")
    if arguments.algo == "sac":
        raise RunError("sac is stable-baselines3's own, which trains one agent at a time; use mlp_sac, or --seed")


def check(arguments: TrainArguments) -> None:
    """Check what does not need an environment.

    Raises:
        RunError: if an argument cannot be met.
    """
    from rpp_rl.experiments.loading import check_device
    from rpp_rl.experiments.run_folder import EVALUATION_SEED

    if arguments.eval_episodes < 1:
        raise RunError(f"--eval-episodes must be at least 1, got {arguments.eval_episodes}")
    if arguments.eval_freq is not None and arguments.eval_freq < 1:
        raise RunError(f"--eval-freq must be at least 1, got {arguments.eval_freq}")
    if not 0 <= arguments.seed < 2**32 - EVALUATION_SEED:
        raise RunError(f"--seed must be a number from 0 to {2**32 - EVALUATION_SEED - 1}, got {arguments.seed}")
    if not arguments.env_timeout > 0:
        raise RunError(f"--env-timeout must be positive, got {arguments.env_timeout}")
    check_device(arguments.device)
    events = arguments.tensorboard_log
    if events is not None and any(p.is_file() for p in (events, *events.parents)):
        raise RunError(f"-tb {events} is a file, or lies in one; choose a folder")


if __name__ == "__main__":
    from rpp_rl.scripts.main import main

    sys.exit(main(["train", *sys.argv[1:]]))
