"""The flags of `rpp-rl train`, which are those of RL Zoo."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from rpp_rl.envs.ids import import_module_of
from rpp_rl.experiments.config import RunConfig
from rpp_rl.experiments.options import key_values


@dataclass(frozen=True)
class TrainArguments:
    """Train an agent on an environment."""

    algo: str = "rpp_sac"
    """rpp_sac, equivariant_sac (no residual), mlp_sac (plain networks), sac (stable-baselines3's own); the same for
    td3."""
    env: str = "HalfCheetah-v5"
    """Environment id, with its version."""
    symmetry: str | None = None
    """A declared symmetry (see `rpp-rl symmetries`) or a YAML file; the environment's default if left out."""
    n_timesteps: Annotated[int | None, arg(aliases=["-n"])] = None
    """Environment steps; from the hyperparameter file if left out."""
    seed: int = 0
    """Seed of everything that is drawn."""
    seeds: str | None = None
    """Several seeds, such as 0-7 or 0,2,5: agents trained together in this process, each in a run folder of its own."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    log_folder: Annotated[Path, arg(aliases=["-f"])] = Path("runs")
    """Folder of all runs: <log-folder>/<env>/<algo>/seed<seed>."""
    tensorboard_log: Annotated[Path | None, arg(aliases=["-tb"])] = None
    """Another folder for TensorBoard's events; the run's own if left out."""
    eval_freq: int | None = None
    """Environment steps between evaluations; 10000, or a fifth of a shorter run, if left out."""
    eval_episodes: int = 10
    """Episodes of an evaluation."""
    save_freq: int = -1
    """Environment steps between checkpoints, from which --resume starts; -1 writes one only when asked to stop."""
    progress: Annotated[bool, arg(aliases=["-P"])] = False
    """Show a progress bar."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value."""
    n_envs: int | None = None
    """Environments in parallel; from the hyperparameter file if left out."""
    vec_env: Literal["dummy", "subproc"] = "dummy"
    """Parallel environments in this process, or in one process each."""
    env_timeout: float = 300.0
    """Seconds that an environment in its own process may take for a step."""
    resume: tuple[Path, ...] = ()
    """Run folders to resume from their newest checkpoints, several together."""
    trained_agent: Annotated[Path | None, arg(aliases=["-i"])] = None
    """A model or run folder to continue in a new run; its replay buffer starts empty."""
    hyperparams: Annotated[tuple[str, ...], arg(aliases=["-params"])] = ()
    """Hyperparameters to override, as key:value."""
    audit: bool = True
    """Check the symmetry on the simulator first, for a second or so."""
    trust: bool = False
    """Import the modules that a run to resume names, and unpickle what an agent to continue holds."""
    verbose: int = 0
    """1 prints stable-baselines3's tables."""

    def config(self) -> RunConfig:
        """The configuration of the run."""
        # The environment's module may register the algorithm too.
        import_module_of(self.env)
        values = {f.name: getattr(self, f.name) for f in fields(RunConfig)}
        values["env_kwargs"] = key_values(self.env_kwargs, "--env-kwargs")
        values["hyperparams"] = key_values(self.hyperparams, "--hyperparams")
        return RunConfig(**values)
