"""The configuration of a run, from Python, the command line or a YAML plan."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

from rpp_rl.agents.common.algorithms import AlgorithmUse, algorithm
from rpp_rl.agents.common.saving.plain_objects import CLASS_OPTIONS, class_option
from rpp_rl.envs.ids import base_id, full_id
from rpp_rl.errors import RunError, UnknownNameError
from rpp_rl.experiments.options import key_values, yaml_word
from rpp_rl.symmetry import Symmetry

# Added to the seed of a run, so that its evaluations never repeat a training episode.
EVALUATION_SEED = 10_000
VecEnvKind = Literal["dummy", "subproc"]
_MOST_ENVS = 4096
_MAPPINGS = ("env_kwargs", "hyperparams")
_PATHS = ("log_folder", "tensorboard_log", "trained_agent")
# Options of format 1 that are not part of a configuration.
_OF_THE_COMMAND = ("progress", "verbose", "resume", "trust", "seeds")
# Packages whose modules a configuration may name without trust: they are imported anyway.
_OWN_PACKAGES = ("rpp_rl", "gymnasium")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the result of a run.

    Attributes:
        env: environment id, with or without ``module:`` before it; without its version, the newest is taken.
        algo: name of an algorithm and the use it makes of the symmetry: ``rpp_sac``, ``equivariant_sac``, ``mlp_sac``
            (plain networks), ``augment_sac`` (plain networks on mirrored minibatches), ``sac`` (stable-baselines3's
            own), the same for ``td3``, and what `rpp_rl.agents.register_algorithm` adds.
        symmetry: a `Symmetry`, the name of a declared one or a YAML file; None for the environment's default.
        n_timesteps: environment steps; None takes them from the hyperparameter file.
        seed: seed of everything that is drawn.
        env_kwargs: arguments of the environment.
        hyperparams: arguments of the algorithm; they override those of the hyperparameter file.
        n_envs: environments in parallel; None takes them from the hyperparameter file.
        vec_env: parallel environments in this process (``dummy``) or one process each (``subproc``).
        env_timeout: seconds that an environment in its own process may take for a step.
        eval_freq: environment steps between evaluations; None for 10 000, or a fifth of a shorter run.
        eval_episodes: episodes of an evaluation.
        eval_max_steps: steps after which an episode of an evaluation is cut off; None for the task's own limit.
        save_freq: environment steps between checkpoints; -1 writes one only when the run is asked to stop.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ...
        audit: whether to check the symmetry on the simulator before training.
        force: whether to train an agent that cannot learn where the symmetry fails, though the audit finds it wrong.
        trained_agent: a model or run folder to continue in a new run; its replay buffer starts empty.
        log_folder: folder of all runs.
        tensorboard_log: another folder for TensorBoard's events; None for the run's own.

    Raises:
        RunError: for a value that no run can have.
        UnknownNameError: for an algorithm that is not registered.
    """

    env: str = "HalfCheetah-v5"
    algo: str = "rpp_sac"
    symmetry: Symmetry | str | None = None
    n_timesteps: int | None = None
    seed: int = 0
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    hyperparams: Mapping[str, Any] = field(default_factory=dict)
    n_envs: int | None = None
    vec_env: VecEnvKind = "dummy"
    env_timeout: float = 300.0
    eval_freq: int | None = None
    eval_episodes: int = 10
    eval_max_steps: int | None = None
    save_freq: int = -1
    device: str = "auto"
    audit: bool = True
    force: bool = False
    trained_agent: Path | None = None
    log_folder: Path = Path("runs")
    tensorboard_log: Path | None = None

    def __post_init__(self) -> None:
        for name in _MAPPINGS:
            object.__setattr__(self, name, dict(getattr(self, name)))
        for name in _PATHS:
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else text_path(value))
        _check_kinds(self)
        if not self.env:
            raise RunError("env must be the id of an environment, got nothing; name one, such as HalfCheetah-v5")
        object.__setattr__(self, "env", full_id(self.env))
        algorithm(self.algo)
        for name in ("eval_episodes", "eval_freq", "eval_max_steps", "n_timesteps", "n_envs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RunError(f"{name} must be at least 1, got {value}")
        if self.n_envs is not None and self.n_envs > _MOST_ENVS:
            raise RunError(f"n_envs must be at most {_MOST_ENVS}, got {self.n_envs}")
        if not 0 <= self.seed < 2**32 - EVALUATION_SEED:
            raise RunError(f"seed must be a number from 0 to {2**32 - EVALUATION_SEED - 1}, got {self.seed}")
        if not self.env_timeout > 0:
            raise RunError(f"env_timeout must be positive, got {self.env_timeout}")

    @property
    def use(self) -> AlgorithmUse:
        """The algorithm, and the use it makes of the symmetry."""
        return algorithm(self.algo)

    @property
    def folder(self) -> Path:
        """The folder of the run, ``<log_folder>/<env>/<algo>/seed<seed>``; later runs get ``-2``, ``-3``, ..."""
        return self.log_folder / base_id(self.env).replace("/", "-") / self.algo / f"seed{self.seed}"

    @property
    def evaluation_kwargs(self) -> dict[str, Any]:
        """Arguments of the environment on which the agent is evaluated."""
        limit = {} if self.eval_max_steps is None else {"max_episode_steps": self.eval_max_steps}
        return {**self.env_kwargs, **limit}

    @property
    def evaluation_seed(self) -> int:
        """Seed of the environment on which the agent is evaluated."""
        return self.seed + EVALUATION_SEED

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain data for JSON.

        Raises:
            RunError: if a hyperparameter has no form in JSON.
        """
        data: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        data["symmetry"] = self.symmetry.to_dict() if isinstance(self.symmetry, Symmetry) else self.symmetry
        for name in _PATHS:
            data[name] = None if data[name] is None else str(data[name])
        for name in _MAPPINGS:
            data[name] = {k: plain_data(v, f"{name}[{k!r}]") for k, v in data[name].items()}
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str = "the configuration") -> Self:
        """The configuration that `to_dict` has written, also of format 1.

        Args:
            data: plain data.
            source: its file, for error messages.

        Raises:
            RunError: if a value is of another type.
        """
        values = {str(k): v for k, v in data.items() if k not in _OF_THE_COMMAND}
        try:
            for name in _MAPPINGS:
                if isinstance(values.get(name), list | tuple):
                    values[name] = key_values(_as_words(values[name]), name)
            if isinstance(values.get("symmetry"), Mapping):
                values["symmetry"] = Symmetry.from_dict(values["symmetry"])
            return cls(**values)
        except (TypeError, ValueError, RecursionError) as error:
            raise RunError(f"{source} does not hold a run's configuration: {error}") from error

    def with_options(self, options: Mapping[str, Any]) -> Self:
        """The configuration with some fields changed; hyperparameters and arguments of the environment are added.

        Args:
            options: values by the name of a field, ``eval_freq`` or ``eval-freq``. ``hyperparams`` and ``env_kwargs``
                are mappings, or lists of ``key:value`` as on the command line.

        Raises:
            UnknownNameError: for a field that does not exist.
            RunError: for a value that no run can have.
        """
        known = {f.name for f in fields(self)}
        values: dict[str, Any] = {}
        for key, value in options.items():
            name = str(key).replace("-", "_")
            if name not in known:
                raise UnknownNameError("option", str(key), known)
            if name in _MAPPINGS:
                given = value if isinstance(value, Mapping) else key_values(_as_words(value), name)
                value = {**getattr(self, name), **given}
            values[name] = value
        return replace(self, **values)

    def command(self) -> list[str]:
        """The command line that repeats the run."""
        words = ["rpp-rl", "train", "--env", self.env, "--algo", self.algo, "--seed", str(self.seed)]
        shown = {"symmetry": getattr(self.symmetry, "name", self.symmetry)}
        for option in fields(self):
            name, value = option.name, shown.get(option.name, getattr(self, option.name))
            if name in ("env", "algo", "seed") or value is None or value == _DEFAULTS[name]:
                continue
            flag = f"--{name.replace('_', '-')}"
            if isinstance(value, bool):
                words.append(flag if value else f"--no-{name.replace('_', '-')}")
            elif isinstance(value, Mapping):
                words += [flag, *(f"{k}:{yaml_word(plain_data(v, name))}" for k, v in value.items())]
            else:
                words += [flag, str(value)]
        return words

    def named_modules(self) -> list[str]:
        """Objects that the configuration names in modules outside of the library: its environment, and classes."""
        options = self.hyperparams.get("policy_kwargs")
        named = {k: v for k, v in options.items() if k in CLASS_OPTIONS} if isinstance(options, Mapping) else {}
        classes = [v for k, v in named.items() if isinstance(v, str) and class_option(k, v) is None]
        return [*([self.env] if _is_foreign(self.env) else []), *classes]


def text_path(path: str | Path) -> Path:
    """A path whose name is text: TensorBoard writes to no other.

    Raises:
        RunError: if it is not.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise RunError(f"the name of {path} is not text in UTF-8; rename it, or choose another folder") from error
    return Path(path)


def refuse_modules(names: Iterable[str], path: Path) -> None:
    """Check that no module is imported because a file names it: importing a module runs it.

    Args:
        names: environment ids and names of classes, with or without ``module:`` before them.
        path: the file.

    Raises:
        RunError: if one of them is in a module outside of the library.
    """
    for name in names:
        if _is_foreign(name):
            raise RunError(
                f"{path} names {name!r}, and importing {name.partition(':')[0]} would run it; if it is yours, add "
                "--trust, or name it with --env where there is that flag"
            )


def shell_command(words: Iterable[object]) -> str:
    """A command line to copy into a shell; our program is named as it was called where the shell does not know it."""
    program, *rest = map(str, words)
    if program == "rpp-rl" and Path(sys.argv[0]).name == "rpp-rl" and shutil.which("rpp-rl") is None:
        program = os.path.relpath(sys.argv[0])
    return shlex.join([program, *rest])


def _is_foreign(name: str) -> bool:
    module, colon, _ = name.partition(":")
    return bool(colon) and module.partition(".")[0] not in _OWN_PACKAGES


def _as_words(value: Any) -> list[str]:
    return [str(v) for v in (value if isinstance(value, list | tuple) else [value])]


def plain_data(value: Any, where: str = "a value") -> Any:
    """A value in the form that JSON has; a class becomes ``module:name``.

    Raises:
        RunError: for a value that has no form in JSON.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(k): plain_data(v, where) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_data(v, where) for v in value]
    if isinstance(value, type):
        return f"{value.__module__}:{value.__qualname__}"
    raise RunError(f"{where} is a {type(value).__name__}, which config.json cannot hold; give a number, text or class")


def _check_kinds(config: RunConfig) -> None:
    """Check the types of all fields.

    Raises:
        RunError: if one is of another type.
    """
    for name in ("n_timesteps", "n_envs", "eval_freq", "eval_max_steps"):
        _check(config, name, (int, type(None)))
    for name in ("seed", "eval_episodes", "save_freq"):
        _check(config, name, (int,))
    for name in ("env", "algo", "device"):
        _check(config, name, (str,))
    _check(config, "symmetry", (str, Symmetry, type(None)))
    _check(config, "env_timeout", (int, float))
    for name in ("audit", "force"):
        if type(getattr(config, name)) is not bool:
            raise RunError(f"{name} must be true or false, got {getattr(config, name)!r}")
    if config.vec_env not in get_args(VecEnvKind):
        raise RunError(f"vec_env must be one of {', '.join(get_args(VecEnvKind))}, got {config.vec_env!r}")
    config.to_dict()


def _check(config: RunConfig, name: str, kinds: tuple[type, ...]) -> None:
    value = getattr(config, name)
    if isinstance(value, bool) or not isinstance(value, kinds):
        wanted = " or ".join("nothing" if kind is type(None) else kind.__name__ for kind in kinds)
        raise RunError(f"{name} must be {wanted}, got {str(value)[:80]!r}")


_DEFAULTS: Mapping[str, Any] = {f.name: f.default if f.name not in _MAPPINGS else {} for f in fields(RunConfig)}
