"""What a sweep consists of: every algorithm on every environment with every seed, each an ordinary run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rpp_rl.errors import RunError, UnknownNameError
from rpp_rl.scripts.settings import number_list

_LARGEST_PLAN = 1 << 20
_KEYS = ("algos", "envs", "seeds", "n_timesteps", "options")


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        algo: its algorithm.
        env: its environment.
        seed: its seed.
        steps: environment steps.
        root: the folder of all runs.
        options: further words of `rpp-rl train`.
    """

    algo: str
    env: str
    seed: int
    steps: int
    root: Path
    options: tuple[str, ...] = ()

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
class Plan:
    """A sweep.

    Attributes:
        algos: algorithms.
        envs: environments.
        seeds: the same for every algorithm, so that runs are paired.
        steps: environment steps of each run.
        options: further words of `rpp-rl train`, for all runs.
    """

    algos: tuple[str, ...]
    envs: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: int
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what in ("algos", "envs", "seeds"):
            values = getattr(self, what)
            if not values or len(set(values)) < len(values):
                raise RunError(f"a sweep needs {what}, each named once, got {list(values)}")
        if self.steps < 1:
            raise RunError(f"a sweep needs at least one step for each run, got {self.steps}")

    def jobs(self, root: Path) -> list[Job]:
        """The runs, seed by seed, so that a comparison can be made before all are done."""
        return [
            Job(algo, env, seed, self.steps, root, self.options)
            for seed in self.seeds
            for env in self.envs
            for algo in self.algos
        ]


def read_plan(path: Path) -> Mapping[str, Any]:
    """A plan in a YAML file: the keys of the command line, ``options`` a mapping of further flags of `rpp-rl train`.

    Raises:
        RunError: if it cannot be read, or is no mapping.
        UnknownNameError: for a key that is not known.
    """
    try:
        if path.stat().st_size > _LARGEST_PLAN:
            raise RunError(f"{path} is larger than a plan can be")
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
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
    """
    words = {key: data.get(key) or () for key in ("algos", "envs")}
    for key, value in words.items():
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise RunError(f"{key} of a plan is a list of names, got {value!r}")
    seeds = data.get("seeds", "0")
    numbers = number_list(str(seeds), "seeds") if not isinstance(seeds, list | tuple) else tuple(seeds)
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
        raise RunError(f"seeds of a plan are numbers, got {list(numbers)}")
    steps = data.get("n_timesteps")
    if not isinstance(steps, int) or isinstance(steps, bool):
        raise RunError(f"n_timesteps of a plan is a number, got {steps!r}; give -n")
    return Plan(tuple(words["algos"]), tuple(words["envs"]), numbers, steps, _options(data.get("options") or {}))


def _options(options: Any) -> tuple[str, ...]:
    if isinstance(options, list | tuple) and all(isinstance(v, str) for v in options):
        return tuple(options)
    if not isinstance(options, Mapping):
        raise RunError(f"options of a plan are a mapping of flags of rpp-rl train, got {options!r}")
    words: list[str] = []
    for key, value in options.items():
        flag = f"--{str(key).replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        else:
            words += [flag, *map(str, value if isinstance(value, list) else [value])]
    return tuple(words)
