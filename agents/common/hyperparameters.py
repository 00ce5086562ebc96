"""The hyperparameters of algorithms: from the file of tasks and the algorithm's own, under the user's."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from rpp_rl.agents.common.algorithms import AlgorithmUse, algorithm, algorithm_names
from rpp_rl.agents.common.arguments import check_arguments
from rpp_rl.agents.common.saving.plain_objects import CLASS_OPTIONS
from rpp_rl.errors import RunError, UnknownNameError
from rpp_rl.strict_yaml import load_yaml
from rpp_rl.user_modules import import_user_module

# What a task needs whichever algorithm learns it.
_TASKS = files("rpp_rl.agents.common") / "tasks.yml"
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


def plain_arguments(agent: OffPolicyAlgorithm) -> dict[str, Any]:
    """The arguments of the algorithm that are numbers or words, as an agent has them."""
    baselines = [use.baseline for use in map(algorithm, algorithm_names()) if isinstance(agent, use.baseline)]
    values = {name: getattr(agent, name, None) for name in _arguments((baselines or [type(agent)])[0])}
    return {k: v for k, v in values.items() if isinstance(v, int | float | str)}


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


def with_action_noise(values: Mapping[str, Any], env: Any) -> dict[str, Any]:
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


def _hyperparameters_of(use: AlgorithmUse) -> dict[str, Any]:
    """The hyperparameters of an algorithm and their defaults."""
    return {**_arguments(use.baseline), **_arguments(use.cls), **RUN_KEYS, **NOISE_KEYS}


def _arguments(cls: type[OffPolicyAlgorithm]) -> dict[str, Any]:
    """Arguments and their defaults."""
    parameters = inspect.signature(cls.__init__).parameters
    return {name: p.default for name, p in parameters.items() if name not in _OF_THE_RUN}


def _with_numbers(value: Any) -> Any:
    """A value whose text that reads as a number is one: YAML reads 1e-3, without a dot, as a string."""
    if isinstance(value, Mapping):
        return {k: _with_numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_numbers(v) for v in value]
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


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
    if key == "residual_budget":
        value = _with_numbers(value)
    check_arguments({key: value})
    if key == "policy_kwargs" and not isinstance(value, Mapping | None):
        raise RunError(f"policy_kwargs must be a mapping such as {{net_arch: [64, 64]}}, got {value!r}")
    if key == "policy_kwargs" and value is not None:
        return {k: named_class(k, v) if k in CLASS_OPTIONS and isinstance(v, str) else v for k, v in value.items()}
    return tuple(value) if key == "train_freq" and isinstance(value, list) else value
