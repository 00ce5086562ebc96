"""The flags of `rpp-rl train`, which are those of RL Zoo, in groups."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from rpp_rl.envs.ids import import_module_of
from rpp_rl.errors import RunError
from rpp_rl.experiments.config import RunConfig
from rpp_rl.experiments.options import key_values
from rpp_rl.scripts.whole_numbers import Steps


@dataclass(frozen=True)
class Training:
    """What to train."""

    task: Annotated[Positional[str | None], arg(metavar="[ENV]")] = None
    """Environment id, as with --env."""
    env: str | None = None
    """Environment id, with or without its version; my_module:MyRobot-v0 imports the module that registers it;
    HalfCheetah-v5 if left out."""
    algo: str = "rpp_sac"
    """rpp_sac, equivariant_sac (no residual), mlp_sac (plain networks), augment_sac (plain networks, mirrored
    minibatches), sac (stable-baselines3's own); the same for td3."""
    hyperparams: Annotated[tuple[str, ...], arg(aliases=["-params"])] = ()
    """Hyperparameters to override, as key:value."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value."""
    trained_agent: Annotated[Path | None, arg(aliases=["-i"])] = None
    """A model or run folder to continue in a new run; its replay buffer starts empty."""


@dataclass(frozen=True)
class Length:
    """How long, and how often."""

    n_timesteps: Annotated[Steps, arg(aliases=["-n"])] = None
    """Environment steps, such as 1e6; from the hyperparameter file if left out."""
    seed: int = 0
    """Seed of everything that is drawn."""
    seeds: str | None = None
    """Several seeds, such as 0-7 or 0,2,5, each in a run folder of its own; they learn together where they can."""


@dataclass(frozen=True)
class Evaluation:
    """How the agent is evaluated."""

    eval_freq: Steps = None
    """Environment steps between evaluations; 10000, or a fifth of a shorter run, if left out."""
    eval_episodes: int = 10
    """Episodes of an evaluation."""
    eval_max_steps: Steps = None
    """Steps after which an episode of an evaluation is cut off, for tasks without a time limit of their own."""


@dataclass(frozen=True)
class Symmetric:
    """The symmetry of the task."""

    symmetry: str | None = None
    """A declared symmetry (see `rpp-rl symmetries`) or a YAML file; the environment's default if left out."""
    audit: bool = True
    """Check the symmetry on the simulator first, for a second or so."""
    force: bool = False
    """Train exact networks, or on mirrored data, with a symmetry that the check finds wrong."""


@dataclass(frozen=True)
class Saving:
    """Where everything is written, and resumed from."""

    log_folder: Annotated[Path, arg(aliases=["-f"])] = Path("runs")
    """Folder of all runs: <log-folder>/<env>/<algo>/seed<seed>."""
    tensorboard_log: Annotated[Path | None, arg(aliases=["-tb"])] = None
    """Another folder for TensorBoard's events; the run's own if left out."""
    save_freq: Steps = -1
    """Environment steps between checkpoints, from which --resume starts; -1 writes one only when asked to stop."""
    resume: tuple[Path, ...] = ()
    """Run folders to resume from their newest checkpoints, several together."""
    track: bool = False
    """Send the run to Weights & Biases too; needs rpp-rl[track]."""
    wandb_project_name: str = "rpp-rl"
    """With --track: the project."""
    wandb_entity: str | None = None
    """With --track: the team; yours if left out."""


@dataclass(frozen=True)
class Machine:
    """What the machine does, and what it shows."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    n_envs: int | None = None
    """Environments in parallel; from the hyperparameter file if left out."""
    vec_env: Literal["dummy", "subproc"] = "dummy"
    """Parallel environments in this process, or in one process each."""
    env_timeout: float = 300.0
    """Seconds that an environment in its own process may take for a step."""
    progress: Annotated[bool, arg(aliases=["-P"])] = field(default_factory=lambda: sys.stderr.isatty())
    """Show a progress bar; by default on a terminal."""
    verbose: int = 0
    """1 prints stable-baselines3's tables."""
    trust: bool = False
    """Import the modules that a run to resume names, and unpickle what an agent to continue holds."""


@dataclass(frozen=True)
class TrainArguments:
    """Train an agent on an environment."""

    training: Training = field(default_factory=Training)
    length: Length = field(default_factory=Length)
    evaluation: Evaluation = field(default_factory=Evaluation)
    symmetric: Symmetric = field(default_factory=Symmetric)
    saving: Saving = field(default_factory=Saving)
    machine: Machine = field(default_factory=Machine)

    def values(self) -> dict[str, Any]:
        """All flags by their names."""
        groups = [getattr(self, group.name) for group in fields(self)]
        return {flag.name: getattr(group, flag.name) for group in groups for flag in fields(group)}

    def config(self) -> RunConfig:
        """The configuration of the run."""
        given = self.values()
        task, env = given["task"], given["env"]
        if task is not None and env is not None:
            raise RunError(f"two environments are given, {task} and --env {env}; give one of them")
        named = env if task is None else task
        given["env"] = RunConfig.env if named is None else named
        # The environment's module may register the algorithm too.
        import_module_of(given["env"])
        given["env_kwargs"] = key_values(self.training.env_kwargs, "--env-kwargs")
        given["hyperparams"] = key_values(self.training.hyperparams, "--hyperparams")
        return RunConfig(**{f.name: given[f.name] for f in fields(RunConfig)})
