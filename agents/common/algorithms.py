"""The algorithms by name, and their hyperparameters for each environment."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import yaml
from stable_baselines3 import SAC

from rpp_rl.agents.rpp_sac.rpp_sac import RPPSAC
from rpp_rl.errors import RunError, UnknownNameError

ALGORITHMS: Mapping[str, type[SAC]] = {
    **dict.fromkeys(("rpp_sac", "equivariant_sac", "mlp_sac"), RPPSAC),
    "sac": SAC,
}
# What a hyperparameter file says about the run rather than about the algorithm.
RUN_KEYS: Mapping[str, Any] = {"n_timesteps": 1, "n_envs": 1, "normalize": False}
# The least values with which an algorithm does anything sensible.
LEAST = {"n_timesteps": 1, "n_envs": 1, "batch_size": 1, "buffer_size": 1, "train_freq": 1, "learning_starts": 0}
# Arguments of a policy that are classes, which a file names as module:attribute.
CLASSES = ("activation_fn", "optimizer_class")
# What the command line says itself.
_OWN = (
    "self",
    "env",
    "seed",
    "device",
    "verbose",
    "tensorboard_log",
    "_init_setup_model",
    "args",
    "kwargs",
    "symmetry",
)


def algorithm(name: str) -> type[SAC]:
    """The class of an algorithm.

    Raises:
        UnknownNameError: if there is none of that name.
    """
    if name not in ALGORITHMS:
        raise UnknownNameError("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]


def hyperparameters(algo: str, env_id: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The arguments of an algorithm for an environment: from the files, then the overrides.

    Args:
        algo: name of the algorithm; its file is ``hyperparams/<algo>.yml``.
        env_id: full id; environments without an entry take the file's ``default``.
        overrides: values that win over the files'.

    Returns:
        Arguments of the algorithm's class, with ``n_timesteps``, ``n_envs`` and perhaps ``normalize`` among them.

    Raises:
        UnknownNameError: if the algorithm or a hyperparameter is not known.
        RunError: if a value is not of the kind that its argument needs.
    """
    values = {"n_envs": 1, **_from_files(algo, env_id), **(overrides or {})}
    known = {**_arguments(SAC), **_arguments(_class_of(algo)), **RUN_KEYS}
    for key, value in values.items():
        if key not in known:
            raise UnknownNameError(f"hyperparameter of {algo}", key, known)
        values[key] = _checked(key, value, known[key])
    return values


def _from_files(algo: str, env_id: str) -> dict[str, Any]:
    algorithm(algo)
    text = files("rpp_rl.agents").joinpath("hyperparams", f"{algo}.yml").read_text(encoding="utf-8")
    table = yaml.safe_load(text)
    inherited = _from_files(table["extends"], env_id) if "extends" in table else {}
    return {**inherited, **(table.get("default") or {}), **(table.get(env_id) or {})}


def _arguments(cls: type[SAC]) -> dict[str, Any]:
    """Arguments and their defaults."""
    parameters = inspect.signature(cls.__init__).parameters
    return {name: p.default for name, p in parameters.items() if name not in _OWN}


def plain_arguments(model: SAC) -> dict[str, Any]:
    """The arguments of an algorithm that are numbers or words, as a model has them."""
    values = {name: getattr(model, name, None) for name in _arguments(SAC)}
    return {k: v for k, v in values.items() if isinstance(v, int | float | str)}


def named_object(name: str) -> Any:
    """What ``"module.path:attribute"`` names, for example ``"torch.nn:Tanh"``.

    Raises:
        RunError: if there is no such module or attribute.
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise RunError(f"{name!r} names nothing: {error}; write module:attribute, such as torch.nn:Tanh") from error


def _checked(key: str, value: Any, default: Any) -> Any:
    if value is None and default is not None:
        raise RunError(f"hyperparameter {key} needs a value")
    if key in LEAST and isinstance(value, int | float) and value < LEAST[key]:
        raise RunError(f"hyperparameter {key} must be at least {LEAST[key]}, got {value}")
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
    if key == "policy_kwargs" and not isinstance(value, Mapping | None):
        raise RunError(f"policy_kwargs must be a mapping such as {{net_arch: [64, 64]}}, got {value!r}")
    if key == "policy_kwargs" and value is not None:
        return {k: named_object(v) if k in CLASSES and isinstance(v, str) else v for k, v in value.items()}
    return tuple(value) if key == "train_freq" and isinstance(value, list) else value


# ---- stand-in for the registry ----
from dataclasses import dataclass  # noqa: E402

_class_of = algorithm


@dataclass(frozen=True)
class AlgorithmUse:
    """A pair."""

    name: str
    algorithm: str
    use: str
    cls: Any
    together: Any = None

    @property
    def needs_symmetry(self) -> bool:
        """Whether."""
        return self.use in ("rpp", "equivariant")


def algorithm(name: str) -> AlgorithmUse:  # type: ignore[no-redef]
    """The pair."""
    cls = _class_of(name)
    use = {"rpp_sac": "rpp", "equivariant_sac": "equivariant", "mlp_sac": "plain", "sac": "none"}[name]
    from rpp_rl.agents.rpp_sac.many_seeds import ManySeeds

    return AlgorithmUse(name, "sac", use, cls, None if name == "sac" else ManySeeds)


def build_agent(use: Any, env: Any, *, seed: int, device: str, verbose: int, values: Mapping[str, Any]) -> Any:
    """Build."""
    from rpp_rl.agents.common.transition_buffer import TransitionBuffer

    values = dict(values)
    if use.cls is SAC and values.get("n_steps", 1) == 1 and not values.get("optimize_memory_usage"):
        values.setdefault("replay_buffer_class", TransitionBuffer)
    return use.cls(env=env, seed=seed, device=device, verbose=verbose, **values)


def continue_agent(
    use: Any, path: Any, env: Any, *, seed: int, device: str, verbose: int, trust: bool, values: Any
) -> Any:
    """Continue."""
    from rpp_rl.agents.common.saving.safe_files import load_safely

    model: Any = load_safely(use.cls, path, env, trust=trust, device=device, verbose=verbose, **values)
    model.set_random_seed(seed)
    return model


def load_agent(path: Any, device: str = "auto", trust: bool = False) -> Any:
    """Load."""
    return RPPSAC.load(path, device=device, trust=trust)


def checks_itself(agent: Any) -> bool:
    """Whether."""
    return isinstance(agent, RPPSAC)
