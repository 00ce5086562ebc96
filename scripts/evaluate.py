"""`rpp-rl evaluate`: the return of a saved agent over deterministic episodes of a seeded environment."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from tyro.conf import Positional, arg

from rpp_rl.errors import RPPError, RunError
from rpp_rl.scripts.settings import key_values

DEFAULT_SEED = 10_000


@dataclass(frozen=True)
class EvaluateArguments:
    """Evaluate a saved agent."""

    run: Positional[Path]
    """A run folder, or a model file."""
    episodes: Annotated[int, arg(aliases=["-n"])] = 10
    """Number of episodes."""
    seed: int | None = None
    """Seed of the environment; the run's own evaluation seed if left out."""
    env: str | None = None
    """Another environment than the run's."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value, beside the run's."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    trust: bool = False
    """Run what files name: modules of environments are imported, and pickles in model files are unpickled."""
    json: bool = False
    """Print JSON."""
    video: Path | None = None
    """A folder for a video of the first episode, which TensorBoard shows too."""
    plot: Path | None = None
    """A picture of residual shares and equivariance errors over the run's training."""


def evaluate(arguments: Annotated[EvaluateArguments, arg(name="")]) -> None:
    """Load an agent, run deterministic episodes on a seeded environment, print mean and standard deviation."""
    result = evaluate_run(arguments)
    if arguments.json:
        print(json.dumps(result))
        return
    score = f"{result['mean_reward']:.2f} +- {result['std_reward']:.2f}"
    print(f"{score} over {result['episodes']} episodes of {result['env']}")
    if arguments.video is not None:
        print(f"video in {arguments.video}")
    if arguments.plot is not None:
        print(f"picture in {arguments.plot}")


def evaluate_run(arguments: EvaluateArguments) -> dict[str, Any]:
    """Evaluate as the arguments say.

    Returns:
        ``mean_reward``, ``std_reward``, ``rewards``, ``lengths``, ``episodes``, ``seed``, ``env``, ``model`` and
        ``num_timesteps``.

    Raises:
        RPPError: if there is no model, it cannot be read, or it does not fit the environment.
    """
    if arguments.episodes < 1:
        raise RunError(f"--episodes must be at least 1, got {arguments.episodes}")
    if arguments.plot is not None:
        from rpp_rl.scripts.symmetry_plot import check_picture, plot_training

        check_picture(arguments.plot)
    if arguments.video is not None:
        from rpp_rl.scripts.filming.films import check_film
        from rpp_rl.scripts.filming.recording import EPISODE
        from rpp_rl.scripts.filming.renderers import choose_renderer

        check_film(arguments.video / EPISODE)
        choose_renderer()
    from stable_baselines3.common.evaluation import evaluate_policy

    loaded = load(arguments)
    if arguments.plot is not None:
        plot_training(loaded.path, arguments.plot)
    if arguments.video is not None:
        _film(loaded, arguments.video)
    env = loaded.env
    env.seed(loaded.seed)
    rewards, lengths = evaluate_policy(loaded.model, env, arguments.episodes, return_episode_rewards=True)
    env.close()
    return {
        "mean_reward": float(np.mean(rewards)),
        "std_reward": float(np.std(rewards)),
        "rewards": [float(r) for r in rewards],  # type: ignore[union-attr]
        "lengths": [int(n) for n in lengths],  # type: ignore[union-attr]
        "episodes": arguments.episodes,
        "seed": loaded.seed,
        "env": loaded.env_id,
        "model": str(loaded.path),
        "num_timesteps": loaded.model.num_timesteps,
    }


@dataclass(frozen=True)
class LoadedAgent:
    """An agent on an environment that it fits.

    Attributes:
        path: its file.
        model: the agent.
        env: one environment of stable-baselines3, that normalises observations where training did.
        env_id: of the environment.
        env_kwargs: its arguments.
        seed: for the environment; the run's evaluation seed unless another was asked for.
    """

    path: Path
    model: Any
    env: Any
    env_id: str
    env_kwargs: dict[str, Any]
    seed: int

    def act(self, observation: Any) -> Any:
        """The deterministic action for an observation as the task gives it."""
        normalize = getattr(self.env, "normalize_obs", lambda given: given)
        return self.model.predict(normalize(observation), deterministic=True)[0]


def load(which: EvaluateArguments) -> LoadedAgent:
    """Load an agent and make its environment.

    Args:
        which: says the run, the environment, its seed, the device, and whether files are trusted.

    Raises:
        RPPError: if there is no model, it cannot be read, or it does not fit the environment.
    """
    from stable_baselines3.common.vec_env import VecMonitor

    from rpp_rl.agents import FiniteVecEnv
    from rpp_rl.envs.wrapper import make_plain
    from rpp_rl.scripts.run_folder import find_model, read_config
    from rpp_rl.scripts.tasks import make_checked, vec_env
    from rpp_rl.scripts.training.normalization import with_statistics

    if which.seed is not None and not 0 <= which.seed < 2**32:
        raise RunError(f"--seed must be a number from 0 to {2**32 - 1}, got {which.seed}")
    check_device(which.device)
    path = find_model(which.run)
    given = key_values(which.env_kwargs, "--env-kwargs")
    env_id, env_kwargs = task_of(path, which.env, given, which.trust)
    model = load_agent(path, which.device, which.trust)
    seed = which.seed
    if seed is None:
        seed = int(read_config(path).get("evaluation_seed", DEFAULT_SEED))
    make_checked(make_plain, env_id, env_kwargs).close()
    monitored = VecMonitor(FiniteVecEnv(vec_env(env_id, None, env_kwargs), model.observation_names))
    env = with_statistics(monitored, path)
    _check_spaces(model, env, env_id, path)
    return LoadedAgent(path, model, env, env_id, env_kwargs, seed)


def task_of(path: Path, env: str | None, given: Mapping[str, Any], trust: bool) -> tuple[str, dict[str, Any]]:
    """The environment of a model file and its arguments.

    Args:
        path: the model file.
        env: another environment than the run's.
        given: arguments beside the run's.
        trust: whether to import a module that the run names.

    Raises:
        RunError: if neither the run nor the caller names an environment, or the run's is in a module of somebody's own.
    """
    from rpp_rl.scripts.run_folder import read_config
    from rpp_rl.scripts.training.begun import refuse_modules

    config = read_config(path)
    env_id = env or config.get("env")
    if env_id is None:
        raise RunError(f"there is no config.json beside {path} to say which environment it was trained on; give --env")
    if env is None and not trust:
        refuse_modules([env_id], path)
    return env_id, {**config.get("env_kwargs", {}), **given}


def check_device(name: str) -> None:
    """Check that torch has a device of that name.

    Raises:
        RunError: if not.
    """
    import torch

    kind, colon, index = name.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (colon and (kind != "cuda" or not index.isdecimal())):
        raise RunError(f"--device {name!r} is no device; use auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise RunError(f"--device {name} asked for, but torch sees {torch.cuda.device_count()} CUDA devices; use auto")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise RunError("--device mps asked for, but torch sees none; use auto")


def load_agent(path: Path, device: str = "auto", trust: bool = False) -> Any:
    """Load a SAC agent, of this library or of stable-baselines3, without its environment.

    Args:
        path: its file.
        device: where its networks are.
        trust: whether to unpickle what is no plain data, see `RPPSAC.load`.

    Raises:
        RunError: if the file is no such agent, or cannot be read with the libraries at hand.
    """
    from rpp_rl.agents import RPPSAC

    try:
        return RPPSAC.load(path, device=device, trust=trust)
    except RPPError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, AssertionError, EOFError, OSError) as error:
        detail = " ".join(str(error).split())[:300]
        raise RunError(f"{path} cannot be loaded: {detail}; was it saved with other versions?") from error


def _check_spaces(model: Any, env: Any, env_id: str, path: Path) -> None:
    for what in ("observation_space", "action_space"):
        trained, given = getattr(model, what), getattr(env, what)
        if trained.shape != given.shape:
            raise RunError(
                f"{path} was trained on {what.replace('_space', 's')} of shape {trained.shape}, but {env_id} has "
                f"{given.shape}; evaluate it on its own environment"
            )


def _film(loaded: LoadedAgent, folder: Path) -> None:
    """Film the first episode, and show it in TensorBoard beside the run's curves."""
    from rpp_rl.scripts.event_files import show_in_tensorboard
    from rpp_rl.scripts.filming.recording import EPISODE, record
    from rpp_rl.scripts.run_folder import run_of

    preview = record(loaded, folder / EPISODE)
    run = run_of(loaded.path)
    problem = show_in_tensorboard(run, "videos/evaluate", preview, loaded.model.num_timesteps) if run else None
    if problem:
        print(f"note: {problem}", file=sys.stderr)


if __name__ == "__main__":
    from rpp_rl.scripts.main import main

    sys.exit(main(["evaluate", *sys.argv[1:]]))
