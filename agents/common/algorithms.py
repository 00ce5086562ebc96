"""The registry of algorithms: their names, classes and hyperparameters, and how agents are built and loaded."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from rpp_rl.agents.common.arguments import check_arguments
from rpp_rl.agents.common.saving.agent_files import load_safely, read_agent
from rpp_rl.agents.common.saving.plain_objects import CLASS_OPTIONS
from rpp_rl.agents.common.saving.saved_agent import rebuild
from rpp_rl.agents.common.transition_buffer import TransitionBuffer
from rpp_rl.errors import RPPError, RunError, UnknownNameError
from rpp_rl.strict_yaml import load_yaml
from rpp_rl.user_modules import import_user_module

# The uses that an algorithm makes of a symmetry: the prefix of the pair's name, and the policy.
USES: Mapping[str, tuple[str, str]] = {
    "rpp": ("rpp_", "RPPPolicy"),
    "equivariant": ("equivariant_", "EquivariantPolicy"),
    "plain": ("mlp_", "PlainPolicy"),
    "none": ("", "MlpPolicy"),
}
# Entries of a hyperparameter file that describe the run, not the algorithm.
RUN_KEYS: Mapping[str, Any] = {"n_timesteps": 1, "n_envs": 1, "normalize": False}
# Entries that stand for the argument `action_noise`, as in RL Zoo.
NOISE_KEYS: Mapping[str, Any] = {"noise_type": "", "noise_std": 0.0}
_NOISES: Mapping[str, Any] = {
    "normal": NormalActionNoise,
    "ornstein-uhlenbeck": OrnsteinUhlenbeckActionNoise,
}
# Arguments that the run's configuration gives.
_OF_THE_RUN = (
    *("self", "env", "seed", "device", "verbose", "tensorboard_log", "_init_setup_model"),
    *("args", "kwargs", "symmetry"),
)


@dataclass(frozen=True)
class AlgorithmUse:
    """An algorithm and the use that it makes of a symmetry.

    Attributes:
        name: of the pair, for example ``"rpp_sac"``.
        algorithm: for example ``"sac"``.
        use: ``"rpp"``, ``"equivariant"``, ``"plain"`` (our class with plain networks), or ``"none"`` (the class of
            stable-baselines3).
        cls: the class of the agent.
        ours: the class of this library for the algorithm; the same as `cls` unless `use` is ``"none"``.
        baseline: the class of stable-baselines3.
        hyperparams: the file of hyperparameters, YAML in the form of RL Zoo.
        together: trains several seeds in one process; None where nothing does.
    """

    name: str
    algorithm: str
    use: str
    cls: type[OffPolicyAlgorithm]
    ours: type[OffPolicyAlgorithm]
    baseline: type[OffPolicyAlgorithm]
    hyperparams: Traversable
    together: type[Any] | None = None

    @property
    def uses_symmetry(self) -> bool:
        """Whether the networks are built from the symmetry."""
        return self.use in ("rpp", "equivariant")

    @property
    def needs_symmetry(self) -> bool:
        """Whether an agent cannot be built without a symmetry."""
        return self.uses_symmetry

    @property
    def policy(self) -> str:
        """The policy's name."""
        return USES[self.use][1]


# What a task needs whichever algorithm learns it.
_TASKS = files("rpp_rl.agents.common") / "tasks.yml"
_REGISTERED: dict[str, AlgorithmUse] = {}


def register_algorithm(
    name: str,
    cls: type[OffPolicyAlgorithm],
    baseline: type[OffPolicyAlgorithm],
    hyperparams: Traversable,
    together: type[Any] | None = None,
) -> None:
    """Register an algorithm under the names ``rpp_<name>``, ``equivariant_<name>``, ``mlp_<name>`` and ``<name>``.

    Afterwards it trains from the command line and is found in saved agents. A third party calls this where its module
    is imported:

        class MySAC(RPPSAC): ...

        register_algorithm("my_sac", MySAC, baseline=SAC, hyperparams=Path(__file__).with_name("hyperparams.yml"))

    Args:
        name: of the algorithm.
        cls: a class of agents that takes the policies ``"RPPPolicy"``, ``"EquivariantPolicy"`` and ``"PlainPolicy"``.
        baseline: the class of stable-baselines3 that it extends; registered as ``<name>``.
        hyperparams: a YAML file in the form of RL Zoo: arguments under ``default`` and under ids of environments.
        together: a class that trains agents of several seeds in one process, as `ManySeeds` does.

    Raises:
        RunError: if a name is taken.
    """
    made = [
        AlgorithmUse(
            prefix + name, name, use, baseline if use == "none" else cls, cls, baseline, hyperparams,
            None if use == "none" else together,
        )
        for use, (prefix, _) in USES.items()
    ]  # fmt: skip
    for one in made:
        if one.name in _REGISTERED:
            raise RunError(f"an algorithm named {one.name!r} is registered already; choose another name")
    _REGISTERED.update({one.name: one for one in made})


def algorithm(name: str) -> AlgorithmUse:
    """Look an algorithm up.

    Raises:
        UnknownNameError: if there is none of that name.
    """
    if name not in _REGISTERED:
        raise UnknownNameError("algorithm", name, _REGISTERED)
    return _REGISTERED[name]


def algorithm_names() -> tuple[str, ...]:
    """The names of all algorithms in the order of registration; the first is the default."""
    return tuple(_REGISTERED)


def hyperparameters(name: str, env_id: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The arguments of an algorithm for an environment: from the file of tasks, the algorithm's, then the overrides.

    Args:
        name: of the algorithm.
        env_id: full id; environments without an entry take the file's ``default``.
        overrides: values that win over the file's.

    Returns:
        Arguments of the algorithm's class, with ``n_timesteps``, ``n_envs`` and perhaps ``normalize`` among them.

    Raises:
        UnknownNameError: if the algorithm or a hyperparameter is not known.
        RunError: if a value is not of the kind that its argument needs.
    """
    use = algorithm(name)
    tables = [load_yaml(file.read_text(encoding="utf-8")) for file in (_TASKS, use.hyperparams)]
    from_file: dict[str, Any] = {}
    for key in ("default", env_id):
        for table in tables:
            from_file |= table.get(key) or {}
    values = {"n_envs": 1, "policy": use.policy, **from_file, **(overrides or {})}
    known = _hyperparameters_of(use)
    for key, value in values.items():
        if key not in known:
            raise UnknownNameError(f"hyperparameter of {name}", key, known)
        values[key] = _checked(key, value, known[key])
    return values


def has_hyperparameter(name: str, key: str) -> bool:
    """Whether an algorithm has a hyperparameter of that name."""
    return key in _hyperparameters_of(algorithm(name))


def _hyperparameters_of(use: AlgorithmUse) -> dict[str, Any]:
    """The hyperparameters of an algorithm and their defaults."""
    return {**_arguments(use.baseline), **_arguments(use.cls), **RUN_KEYS, **NOISE_KEYS}


def plain_arguments(agent: OffPolicyAlgorithm) -> dict[str, Any]:
    """The arguments of the algorithm that are numbers or words, as an agent has them."""
    baselines = [use.baseline for use in _REGISTERED.values() if isinstance(agent, use.baseline)]
    values = {name: getattr(agent, name, None) for name in _arguments((baselines or [type(agent)])[0])}
    return {k: v for k, v in values.items() if isinstance(v, int | float | str)}


def build_agent(
    use: AlgorithmUse, env: Any, *, seed: int | None, device: str, verbose: int, values: Mapping[str, Any]
) -> Any:
    """Build an agent on an environment.

    Args:
        use: the algorithm.
        env: the environment.
        seed: of the agent.
        device: of its networks.
        verbose: 0 for no output, 1 for the log.
        values: further arguments of the class, as `hyperparameters` gives them.

    Raises:
        RunError: if the class does not take them.
    """
    given = {"policy": use.policy, **_with_action_noise(values, env)}
    if use.use == "none" and given.get("n_steps", 1) == 1 and not given.get("optimize_memory_usage"):
        # The same transitions, in a buffer that checkpoints know.
        given.setdefault("replay_buffer_class", TransitionBuffer)
    try:
        return use.cls(env=env, seed=seed, device=device, verbose=verbose, **given)
    except RPPError:
        raise
    except (TypeError, ValueError, AssertionError, KeyError, RuntimeError, MemoryError) as error:
        raise RunError(f"{use.name} cannot be built: {' '.join(str(error).split())}") from error


def load_agent(path: str | Path, device: torch.device | str = "auto", trust: bool = False) -> Any:
    """Load an agent without an environment; the file says which class it is of.

    Args:
        path: a file of this library or of stable-baselines3.
        device: of its networks.
        trust: whether to unpickle what is not plain data, see `SafeFiles.load`.

    Raises:
        FileNotFoundError: if there is no such file.
        RunError: if it is damaged, or of an algorithm that is not registered.
    """
    try:
        saved = read_agent(path)
        cls = _class_named(saved.made_by, str(path))
        return load_safely(cls, path, device=device, trust=True) if trust else rebuild(cls, saved, device=device)
    except (RPPError, FileNotFoundError):
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, AssertionError, EOFError, OSError) as error:
        detail = " ".join(str(error).split())[:300]
        raise RunError(f"{path} cannot be loaded: {detail}; was it saved with other versions?") from error


def continue_agent(
    use: AlgorithmUse,
    path: str | Path,
    env: Any,
    *,
    seed: int | None,
    device: str,
    verbose: int,
    values: Mapping[str, Any],
    trust: bool = False,
) -> Any:
    """Load an agent and give it an environment, to train it further.

    Args:
        use: the algorithm.
        path: of the saved agent.
        env: the environment.
        seed: of the global generators from now on.
        device: of its networks.
        verbose: 0 for no output, 1 for the log.
        values: attributes to change.
        trust: as for `load_agent`.

    Raises:
        RunError: if the file is damaged or does not fit.
    """
    try:
        changed = _with_action_noise(values, env)
        agent = load_safely(use.cls, path, env, device, trust=trust, verbose=verbose, **changed)
    except (RPPError, FileNotFoundError):
        raise
    except (TypeError, ValueError, AssertionError, KeyError, RuntimeError, MemoryError) as error:
        detail = " ".join(str(error).split())
        raise RunError(f"{use.name} cannot continue {path}: {detail}") from error
    if seed is not None:
        agent.set_random_seed(seed)
    return agent


def named_class(option: str, name: str) -> type:
    """Import the class that the user names for an option of a policy, for example ``"torch.nn:Tanh"``.

    Raises:
        RunError: if the module or the class is missing, or the class does not fit the option.
    """
    kind = CLASS_OPTIONS[option][1]
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_user_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise RunError(f"{name!r} names nothing: {error}; write module:class, such as torch.nn:Tanh") from error
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise RunError(f"{option} must name a {kind.__name__}, such as torch.nn:Tanh, not {name!r}")
    return found


def _with_action_noise(values: Mapping[str, Any], env: Any) -> dict[str, Any]:
    """Arguments of an algorithm, with action noise in the place of its type and its standard deviation.

    Raises:
        RunError: if only one of both is given, or no such noise exists.
    """
    given = {name: value for name, value in values.items() if name not in NOISE_KEYS}
    if not values.keys() & NOISE_KEYS.keys():
        return given
    kind, std = str(values.get("noise_type")), values.get("noise_std")
    if kind not in _NOISES or not isinstance(std, int | float) or std < 0:
        raise RunError(
            f"noise_type must be one of {', '.join(_NOISES)} and noise_std a number >= 0, got {kind!r} and {std!r}"
        )
    size = env.action_space.shape[0]
    return {**given, "action_noise": _NOISES[kind](np.zeros(size), np.full(size, float(std)))}


def _class_named(name: str, path: str) -> type[OffPolicyAlgorithm]:
    """The class of this library for a class that a file names."""
    for use in _REGISTERED.values():
        if name in (use.ours.__name__, use.baseline.__name__):
            return use.ours
    known = {use.ours.__name__ for use in _REGISTERED.values()}
    raise RunError(f"{path} is a saved {name}, and the registered classes are {', '.join(sorted(known))}")


def _arguments(cls: type[OffPolicyAlgorithm]) -> dict[str, Any]:
    """Arguments and their defaults."""
    parameters = inspect.signature(cls.__init__).parameters
    return {name: p.default for name, p in parameters.items() if name not in _OF_THE_RUN}


def _checked(key: str, value: Any, default: Any) -> Any:
    if value is None and default is not None:
        raise RunError(f"hyperparameter {key} needs a value")
    if isinstance(value, str) and not isinstance(default, str) and default is not inspect.Parameter.empty:
        # YAML reads 1e-3, without a dot, as a string.
        try:
            value = float(value)
        except ValueError:
            if default is not None:
                raise RunError(f"hyperparameter {key} must be a {type(default).__name__}, got {value!r}") from None
    if isinstance(default, int) and not isinstance(default, bool) and isinstance(value, float):
        if not value.is_integer():
            raise RunError(f"hyperparameter {key} must be a whole number, got {value!r}")
        value = int(value)
    check_arguments({key: value})
    if key == "policy_kwargs" and not isinstance(value, Mapping | None):
        raise RunError(f"policy_kwargs must be a mapping such as {{net_arch: [64, 64]}}, got {value!r}")
    if key == "policy_kwargs" and value is not None:
        return {k: named_class(k, v) if k in CLASS_OPTIONS and isinstance(v, str) else v for k, v in value.items()}
    return tuple(value) if key == "train_freq" and isinstance(value, list) else value
