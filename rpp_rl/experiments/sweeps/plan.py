"""The plan of a sweep: every algorithm on every environment with every seed, as configurations of runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from rpp_rl.envs.ids import import_module_of
from rpp_rl.errors import RPPError, RunError, UnknownNameError
from rpp_rl.experiments.config import RunConfig
from rpp_rl.experiments.options import number_list
from rpp_rl.strict_yaml import load_yaml

_LARGEST_PLAN = 1 << 20
_KEYS = ("algos", "envs", "seeds", "n_timesteps", "options", "variants")
_VARIANT_KEYS = ("algos", "envs", "options")
# Names of folders on every system, and of none that a run itself has.
_VARIANT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# The plan itself sets these for every run.
_OWN_OPTIONS = ("algo", "env", "seed", "n_timesteps", "log_folder")
_CHECKPOINTS = 20
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Variant:
    """Further runs of a sweep, such as a control.

    Attributes:
        name: folder of these runs below that of all runs.
        algos: algorithms; empty for those of the plan.
        envs: environments; empty for those of the plan.
        options: fields of `RunConfig` that override the plan's; hyperparameters are added to the plan's.
    """

    name: str
    algos: tuple[str, ...] = ()
    envs: tuple[str, ...] = ()
    options: Options = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A sweep.

    Attributes:
        algos: algorithms.
        envs: environments.
        seeds: seeds; the same for every algorithm, so that runs are paired.
        n_timesteps: environment steps of each run.
        options: further fields of `RunConfig`, for all runs.
        variants: further runs.
    """

    algos: tuple[str, ...]
    envs: tuple[str, ...]
    seeds: tuple[int, ...]
    n_timesteps: int
    options: Options = field(default_factory=dict)
    variants: tuple[Variant, ...] = ()

    def __post_init__(self) -> None:
        for what in ("algos", "envs", "seeds"):
            _check_names(what, getattr(self, what), may_be_empty=False)
        for variant in self.variants:
            if not _VARIANT_NAME.fullmatch(variant.name):
                raise RunError(f"variant {variant.name!r} must have a name of letters, digits, - and _")
            for what in ("algos", "envs"):
                _check_names(f"{what} of the variant {variant.name}", getattr(variant, what), may_be_empty=True)
        if self.n_timesteps < 1:
            raise RunError(f"n_timesteps of a plan must be at least 1, got {self.n_timesteps}")

    def configs(self, root: Path = Path("runs"), flags: Options | None = None) -> list[RunConfig]:
        """The configurations of all runs, seed by seed, so that a comparison can be made before all are done.

        Args:
            root: folder of all runs; a variant has a folder of its own below it.
            flags: fields of `RunConfig` that override the plan's options, but not those of a variant.

        Raises:
            RPPError: if an option does not exist or has a bad value, or two runs would share a folder.
        """
        for env in {*self.envs, *(env for variant in self.variants for env in variant.envs)}:
            import_module_of(env)  # it may register an algorithm
        base = RunConfig(n_timesteps=self.n_timesteps, save_freq=max(1, self.n_timesteps // _CHECKPOINTS))
        common = base.with_options(self.options).with_options(flags or {})
        parts = [(replace(common, log_folder=root), self.algos, self.envs)]
        for v in self.variants:
            try:
                varied = replace(common.with_options(v.options), log_folder=root / v.name)
            except RPPError as error:
                raise RunError(f"variant {v.name}: {error}") from error
            parts.append((varied, v.algos or self.algos, v.envs or self.envs))
        configs = [
            replace(part, algo=algo, env=env, seed=seed)
            for seed in self.seeds
            for part, algos, envs in parts
            for env in envs
            for algo in algos
        ]
        by_folder: dict[Path, RunConfig] = {}
        for config in configs:
            other = by_folder.setdefault(config.folder, config)
            if other is not config:
                raise RunError(f"{other.env} and {config.env} would both run in {config.folder}; name one of them")
        return configs


def read_plan(path: Path) -> Mapping[str, Any]:
    """Read a plan from a YAML file, see `plan_from`.

    Raises:
        RunError: if it cannot be read, or is not a mapping.
        UnknownNameError: for an unknown key.
    """
    try:
        if path.stat().st_size > _LARGEST_PLAN:
            raise RunError(f"the plan {path} is larger than 1 MiB")
        data = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"the plan {path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(data, dict):
        raise RunError(f"the plan {path} must be a mapping of {', '.join(_KEYS)}")
    for key in data:
        if key not in _KEYS:
            raise UnknownNameError("key of a plan", str(key), _KEYS)
    return data


def plan_from(data: Mapping[str, Any]) -> Plan:
    """A plan from the keys of a file or of the command line.

    Args:
        data: ``algos``, ``envs``, ``seeds`` (a list, or text such as ``0-9``), ``n_timesteps``, ``options`` (a mapping
            of fields of `RunConfig`) and ``variants`` (a mapping of names to ``algos``, ``envs`` and ``options``).

    Raises:
        RunError: if a value has another type.
        UnknownNameError: for an unknown key of a variant.
    """
    seeds = data.get("seeds", "0")
    numbers = number_list(str(seeds), "seeds") if not isinstance(seeds, list | tuple) else tuple(seeds)
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
        raise RunError(f"seeds of a plan must be numbers, got {list(numbers)}")
    steps = data.get("n_timesteps")
    if not isinstance(steps, int) or isinstance(steps, bool):
        raise RunError(f"n_timesteps of a plan must be a whole number without a point, got {steps!r}; give -n")
    algos, envs, options = _names(data, "algos"), _names(data, "envs"), _options(data.get("options"))
    return Plan(algos, envs, numbers, steps, options, _variants(data.get("variants") or {}))


def _variants(data: Any) -> tuple[Variant, ...]:
    if not isinstance(data, Mapping) or not all(isinstance(v, Mapping) for v in data.values()):
        raise RunError(f"variants of a plan must map names to {', '.join(_VARIANT_KEYS)}, got {data!r}")
    for variant in data.values():
        for key in variant:
            if key not in _VARIANT_KEYS:
                raise UnknownNameError("key of a variant", str(key), _VARIANT_KEYS)
    return tuple(
        Variant(str(name), _names(v, "algos"), _names(v, "envs"), _options(v.get("options")))
        for name, v in data.items()
    )


def _names(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = data.get(key) or ()
    if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
        raise RunError(f"{key} of a plan must be a list of names, got {value!r}")
    return tuple(value)


def _check_names(what: str, names: Sequence[object], may_be_empty: bool) -> None:
    if len(set(names)) < len(names) or not (names or may_be_empty):
        raise RunError(f"a sweep needs {what}, each named once, got {list(names)}")


def _options(options: Any) -> Options:
    if not isinstance(options, Mapping | None):
        raise RunError(f"options of a plan must be a mapping such as {{eval_freq: 1000}}, got {options!r}")
    for name in options or {}:
        if str(name).replace("-", "_") in _OWN_OPTIONS:
            raise RunError(f"{name} is not an option of a plan: the plan sets it for every run")
    return dict(options or {})
