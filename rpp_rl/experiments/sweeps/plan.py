"""What a sweep consists of: every algorithm on every environment with every seed, each an ordinary run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from rpp_rl.errors import RunError, UnknownNameError
from rpp_rl.experiments.options import number_list
from rpp_rl.strict_yaml import load_yaml

_LARGEST_PLAN = 1 << 20
_KEYS = ("algos", "envs", "seeds", "n_timesteps", "options", "variants")
_VARIANT_KEYS = ("algos", "envs", "options")
# Names of folders that are the same everywhere, and of none that a run itself has.
_VARIANT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
Words = tuple[str, ...]
_HYPERPARAMS = "--hyperparams"
_SAME_AS = {"-params": _HYPERPARAMS, "-n": "--n-timesteps", "-f": "--log-folder", "-tb": "--tensorboard-log"}
# What a sweep says of every run.
_ITS_OWN = ("--algo", "--env", "--seed", "--seeds", "--n-timesteps", "--log-folder", "--resume")


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        algo: its algorithm.
        env: its environment.
        seed: its seed.
        steps: environment steps.
        root: the folder of all runs, or of those of a variant.
        options: further words of `rpp-rl train`.
    """

    algo: str
    env: str
    seed: int
    steps: int
    root: Path
    options: Words = ()

    @property
    def folder(self) -> Path:
        """The run's folder."""
        base = self.env.rpartition(":")[2].removeprefix("RPP/")
        return self.root / base.replace("/", "-") / self.algo / f"seed{self.seed}"

    @property
    def log(self) -> Path:
        """What the run has printed."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.env} {self.algo} {self.seed}"

    def command(self) -> list[str]:
        """The words with which the run is begun."""
        words = ["train", "--algo", self.algo, "--env", self.env, "--seed", str(self.seed), "-n", str(self.steps)]
        return [*words, "-f", str(self.root), *self.options]


@dataclass(frozen=True)
class Variant:
    """Further runs of a sweep, such as a control.

    Attributes:
        name: the folder below that of all runs in which these are.
        algos: algorithms; those of the plan if empty.
        envs: environments; those of the plan if empty.
        options: words of `rpp-rl train` that are other than the plan's; hyperparameters join the plan's.
    """

    name: str
    algos: tuple[str, ...] = ()
    envs: tuple[str, ...] = ()
    options: Words = ()


@dataclass(frozen=True)
class Plan:
    """A sweep.

    Attributes:
        algos: algorithms.
        envs: environments.
        seeds: the same for every algorithm, so that runs are paired.
        steps: environment steps of each run.
        options: further words of `rpp-rl train`, for all runs.
        variants: what is run besides.
    """

    algos: tuple[str, ...]
    envs: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: int
    options: Words = ()
    variants: tuple[Variant, ...] = ()

    def __post_init__(self) -> None:
        for what in ("algos", "envs", "seeds"):
            _check_names(what, getattr(self, what), may_be_empty=False)
        for variant in self.variants:
            if not _VARIANT_NAME.fullmatch(variant.name):
                raise RunError(
                    f"the variant {variant.name!r} needs a name of letters, digits, - and _, as a folder has"
                )
            for what in ("algos", "envs"):
                _check_names(f"{what} of the variant {variant.name}", getattr(variant, what), may_be_empty=True)
        if self.steps < 1:
            raise RunError(f"a sweep needs at least one step for each run, got {self.steps}")

    def jobs(self, root: Path) -> list[Job]:
        """The runs, seed by seed, so that a comparison can be made before all are done.

        Raises:
            RunError: if two of them have one folder.
        """
        folders = [root, *(root / v.name for v in self.variants)]
        options = [self.options, *(joined(self.options, v.options) for v in self.variants)]
        parts = [(f, *names, o) for f, names, o in zip(folders, self.pairs, options, strict=True)]
        jobs = [
            Job(algo, env, seed, self.steps, folder, options)
            for seed in self.seeds
            for folder, algos, envs, options in parts
            for env in envs
            for algo in algos
        ]
        by_folder: dict[Path, Job] = {}
        for job in jobs:
            other = by_folder.setdefault(job.folder, job)
            if other is not job:
                raise RunError(f"{other.env} and {job.env} would both run in {job.folder}; name one of them")
        return jobs

    @property
    def pairs(self) -> tuple[tuple[Words, Words], ...]:
        """Algorithms and environments of the plan itself, then of each variant."""
        return ((self.algos, self.envs), *((v.algos or self.algos, v.envs or self.envs) for v in self.variants))

    def with_options(self, options: Words) -> Plan:
        """The same with further words for all runs, which win over the plan's but not over those of a variant."""
        return replace(self, options=joined(self.options, options))


def read_plan(path: Path) -> Mapping[str, Any]:
    """A plan in a YAML file: the keys of the command line, ``options`` a mapping of further flags of `rpp-rl train`.

    Raises:
        RunError: if it cannot be read, or is no mapping.
        UnknownNameError: for a key that is not known.
    """
    try:
        if path.stat().st_size > _LARGEST_PLAN:
            raise RunError(f"{path} is larger than a plan can be")
        data = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"the plan {path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(data, dict):
        raise RunError(f"the plan {path} is a mapping of {', '.join(_KEYS)}")
    for key in data:
        if key not in _KEYS:
            raise UnknownNameError("key of a plan", str(key), _KEYS)
    return data


def plan_from(data: Mapping[str, Any]) -> Plan:
    """A plan from the keys of a file or of the command line.

    Raises:
        RunError: if a value is of another kind.
        UnknownNameError: for a key of a variant that is not known.
    """
    seeds = data.get("seeds", "0")
    numbers = number_list(str(seeds), "seeds") if not isinstance(seeds, list | tuple) else tuple(seeds)
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
        raise RunError(f"seeds of a plan are numbers, got {list(numbers)}")
    steps = data.get("n_timesteps")
    if not isinstance(steps, int) or isinstance(steps, bool):
        raise RunError(f"n_timesteps of a plan is a whole number without a point, got {steps!r}; give -n")
    algos, envs, options = _names(data, "algos"), _names(data, "envs"), _options(data.get("options") or {})
    return Plan(algos, envs, numbers, steps, options, _variants(data.get("variants") or {}))


def joined(*options: Words) -> Words:
    """Words of several: of a flag that comes again the last values hold, except that hyperparameters add up."""
    flags: dict[str, list[str]] = {}
    for word in (word for words in options for word in words):
        if re.match(r"-+[A-Za-z]", word):
            flag, equals, value = word.partition("=")
            flag = _SAME_AS.get(flag, flag.replace("_", "-"))
            if flag in _ITS_OWN:
                raise RunError(f"{flag} is no option of a plan, which says it of every run itself")
            opposite = f"--{flag[5:]}" if flag.startswith("--no-") else f"--no-{flag[2:]}"
            flags.pop(opposite, None)
            earlier = flags.pop(flag, []) if flag == _HYPERPARAMS else []
            flags.pop(flag, None)
            flags[flag] = earlier + ([value] if equals else [])
        elif flags:
            flags[next(reversed(flags))].append(word)
        else:
            raise RunError(f"options of a plan begin with a flag, got {word!r}")
    return tuple(word for flag, values in flags.items() for word in (flag, *values))


def _variants(data: Any) -> tuple[Variant, ...]:
    if not isinstance(data, Mapping) or not all(isinstance(v, Mapping) for v in data.values()):
        raise RunError(f"variants of a plan are a mapping of names to {', '.join(_VARIANT_KEYS)}, got {data!r}")
    for variant in data.values():
        for key in variant:
            if key not in _VARIANT_KEYS:
                raise UnknownNameError("key of a variant", str(key), _VARIANT_KEYS)
    return tuple(
        Variant(str(name), _names(v, "algos"), _names(v, "envs"), _options(v.get("options") or {}))
        for name, v in data.items()
    )


def _names(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = data.get(key) or ()
    if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
        raise RunError(f"{key} of a plan is a list of names, got {value!r}")
    return tuple(value)


def _check_names(what: str, names: Sequence[object], may_be_empty: bool) -> None:
    if len(set(names)) < len(names) or not (names or may_be_empty):
        raise RunError(f"a sweep needs {what}, each named once, got {list(names)}")


def _options(options: Any) -> Words:
    if isinstance(options, list | tuple) and all(isinstance(v, str) for v in options):
        return joined(tuple(options))
    if not isinstance(options, Mapping):
        raise RunError(f"options of a plan are a mapping of flags of rpp-rl train, got {options!r}")
    words: list[str] = []
    for key, value in options.items():
        flag = f"--{str(key).replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        else:
            words += [flag, *map(str, value if isinstance(value, list) else [value])]
    return joined(tuple(words))
