"""How a run was begun, read from its folder, which may be a stranger's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from rpp_rl.agents.common.algorithms import CLASSES
from rpp_rl.errors import RunError
from rpp_rl.experiments.options import key_values
from rpp_rl.experiments.run_folder import CONFIG, read_config
from rpp_rl.scripts.train import TrainArguments

# What the command line says anew when a run goes on.
_GIVEN_ANEW = ("resume", "n_timesteps", "device", "progress", "verbose", "trust")
# Modules that are imported anyway.
_OWN_MODULES = ("torch", "rpp_rl", "gymnasium", "stable_baselines3")


def as_begun(run: Path, given: TrainArguments) -> TrainArguments:
    """The arguments with which a run was begun, with what the command line says anew.

    Args:
        run: its folder.
        given: the command line.

    Raises:
        RunError: if the folder does not say it, the command line contradicts it, or modules that are named there would
            have to be imported.
    """
    for field in fields(TrainArguments):
        if field.name not in _GIVEN_ANEW and getattr(given, field.name) != field.default:
            flag = field.name.replace("_", "-")
            raise RunError(f"--resume takes everything from the run's {CONFIG}; leave out --{flag}")
    if not (run / CONFIG).is_file():
        raise RunError(f"{run} is no run folder: it has no {CONFIG}")
    raw = read_config(run / CONFIG).get("arguments")
    if not isinstance(raw, dict):
        raise RunError(f"{run / CONFIG} does not say how the run was begun; it is of another version")
    begun = recorded_arguments(run, raw)
    if not given.trust:
        refuse_modules(modules_named(raw), run / CONFIG)
    device = begun.device if given.device == TrainArguments.device else given.device
    return replace(begun, device=device, progress=given.progress, verbose=given.verbose, trust=given.trust)


def recorded_arguments(run: Path, raw: Mapping[str, Any]) -> TrainArguments:
    """The arguments of a run from what its configuration says of them.

    Raises:
        RunError: if it says something else.
    """
    hints = get_type_hints(TrainArguments)
    values: dict[str, Any] = {}
    for name, value in raw.items():
        hint = hints.get(name)
        if (Path in get_args(hint) and isinstance(value, str)) or (hint is Path and isinstance(value, str)):
            values[name] = Path(value)
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
        if hint is None or not _fits(values[name], hint):
            raise RunError(f"{run / CONFIG} does not say how the run was begun: its {name} is {str(value)[:50]!r}")
    return TrainArguments(**values)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type of the command line."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, tuple) and all(isinstance(v, str | Path) for v in value)
    if hint in (int, NoneType):
        return type(value) is hint
    if hint is float:
        return type(value) in (int, float)
    return isinstance(value, hint)


def modules_named(arguments: Mapping[str, Any]) -> list[str]:
    """What the arguments of a run name in modules of somebody's own: its environment, classes among hyperparameters.

    Raises:
        RunError: if the hyperparameters cannot be read.
    """
    options = key_values(arguments.get("hyperparams") or (), "--hyperparams").get("policy_kwargs")
    classes = [options.get(name) for name in CLASSES] if isinstance(options, Mapping) else []
    named = [str(arguments.get("env")), *(name for name in classes if isinstance(name, str))]
    return [name for name in named if _is_strange(name)]


def refuse_modules(named: Iterable[str], path: Path) -> None:
    """Check that what a file names is not imported: importing a module runs it.

    Args:
        named: ids of environments and names of classes, with or without ``module:`` before them.
        path: the file, or what it belongs to.

    Raises:
        RunError: if one is in a module of somebody's own.
    """
    for name in named:
        if _is_strange(name):
            raise RunError(
                f"{path} names {name!r}, and importing {name.partition(':')[0]} would run it; if it is yours, add "
                "--trust, or name it with --env where there is that flag"
            )


def _is_strange(name: str) -> bool:
    module, colon, _ = name.partition(":")
    return bool(colon) and module.partition(".")[0] not in _OWN_MODULES
