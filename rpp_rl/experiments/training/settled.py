"""What the arguments of a run come to: hyperparameters, symmetry, and the agent on its environments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from stable_baselines3 import SAC

from rpp_rl.agents import RPPSAC, RPPPolicy
from rpp_rl.agents.common.algorithms import algorithm, build_agent, continue_agent, hyperparameters, load_agent
from rpp_rl.envs.registry import base_id
from rpp_rl.errors import RunError
from rpp_rl.experiments.environments import resolve_symmetry, vec_env
from rpp_rl.experiments.options import key_values
from rpp_rl.experiments.run_folder import find_model, read_config
from rpp_rl.experiments.training.normalization import normalization, normalized, settings_of, statistics_of

if TYPE_CHECKING:
    from rpp_rl.scripts.train import TrainArguments


@dataclass(frozen=True)
class Settled:
    """What the arguments of a run come to, whatever its seed.

    Attributes:
        values: arguments of the algorithm.
        steps: environment steps.
        n_envs: environments in parallel.
        env_kwargs: arguments of the environment.
        symmetry: of the task, as a dictionary; None where there is none.
        normalize: settings with which observations are normalised; None where they are not.
    """

    values: dict[str, Any]
    steps: int
    n_envs: int
    env_kwargs: dict[str, Any]
    symmetry: dict[str, Any] | None
    normalize: dict[str, Any] | None


def settle(arguments: TrainArguments) -> Settled:
    """Resolve hyperparameters and symmetry.

    Raises:
        RPPError: for arguments that cannot be met.
    """
    env_id = arguments.env
    env_kwargs = key_values(arguments.env_kwargs, "--env-kwargs")
    values = hyperparameters(arguments.algo, base_id(env_id), key_values(arguments.hyperparams, "--hyperparams"))
    steps, n_envs = int(values.pop("n_timesteps")), int(values.pop("n_envs"))
    normalize = normalization(values.pop("normalize", False))
    steps = steps if arguments.n_timesteps is None else arguments.n_timesteps
    n_envs = n_envs if arguments.n_envs is None else arguments.n_envs
    if steps < 1 or n_envs < 1:
        raise RunError(f"a run needs at least one step and one environment, got {steps} and {n_envs}")
    source = _source(arguments)
    if arguments.trained_agent is not None:
        normalize = settings_of(find_model(arguments.trained_agent))
    # An agent that goes on keeps the symmetry that it was built with.
    name = arguments.symmetry
    kept = source.symmetry.to_dict() if source is not None and source.symmetry is not None else None
    needed = algorithm(arguments.algo).needs_symmetry
    symmetry = kept or resolve_symmetry(env_id, name, env_kwargs, needed=needed)
    if kept is not None and name not in (None, kept["name"]):
        raise RunError(
            f"{arguments.trained_agent} has symmetry {kept['name']!r}, which --symmetry {name} cannot change"
        )
    return Settled(values, steps, n_envs, env_kwargs, symmetry, normalize)


def _source(arguments: TrainArguments) -> RPPSAC | None:
    """The agent to go on from, without its environment.

    Raises:
        RunError: if it was trained with another algorithm.
    """
    if arguments.trained_agent is None:
        return None
    path = find_model(arguments.trained_agent)
    agent: RPPSAC = load_agent(path, arguments.device, arguments.trust)
    trained = read_config(path).get("algo") or ("rpp_sac" if isinstance(agent.policy, RPPPolicy) else "sac")
    if trained != arguments.algo:
        raise RunError(f"{arguments.trained_agent} was trained with {trained}; go on with --algo {trained}")
    return agent


def build(arguments: TrainArguments, settled: Settled) -> SAC:
    """The agent on its environments.

    Raises:
        RPPError: if it cannot be built so.
    """
    env = vec_env(
        *(arguments.env, settled.symmetry, settled.env_kwargs, settled.n_envs, arguments.vec_env),
        patience=arguments.env_timeout,
    )
    source = None if arguments.trained_agent is None else find_model(arguments.trained_agent)
    env = normalized(env, settled.normalize, settled.symmetry, None if source is None else statistics_of(source))
    use = algorithm(arguments.algo)
    common: dict[str, Any] = {"seed": arguments.seed, "device": arguments.device, "verbose": arguments.verbose}
    if source is None:
        return cast(SAC, build_agent(use, env, values=settled.values, **common))
    given = key_values(arguments.hyperparams, "--hyperparams")
    given.pop("normalize", None)
    return cast(SAC, continue_agent(use, source, env, values=given, trust=arguments.trust, **common))
