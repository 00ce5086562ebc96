"""The runs that are compared: finding their folders and reading what they say."""

from __future__ import annotations

import ast
import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpp_rl.agents.common.algorithms import algorithm, algorithm_names
from rpp_rl.errors import RunError, printable
from rpp_rl.experiments.config import EVALUATION_SEED
from rpp_rl.experiments.run import CONFIG, Run
from rpp_rl.experiments.run_files import LARGEST_RETURN

SYMMETRY_DIGEST = "symmetry_sha256"
# Settings that every environment has its own of.
BELONGS_TO_ENVIRONMENT = ("symmetry", SYMMETRY_DIGEST, "target_entropy")
_LONGEST = 200
# Uses of a symmetry that build plain networks; runs record the symmetry only to measure them.
PLAIN_USES = ("none", "plain")
# The policy is what the algorithm's name stands for.
_ALGORITHM_ITSELF = ("policy",)


@dataclass(frozen=True)
class AuditLine:
    """What the audit before training found about a generator of the symmetry.

    Attributes:
        symmetry: its name.
        generator: its name.
        verdict: exact, near-exact, approximate or mis-specified.
        sentence: why.
        dynamics_error: median relative error of one step; None where it was not measured.
    """

    symmetry: str
    generator: str
    verdict: str
    sentence: str
    dynamics_error: float | None


@dataclass(frozen=True)
class ComparedRun:
    """What a comparison reads from a run.

    Attributes:
        path: the folder.
        env: id of the environment, with the arguments that it was made with.
        algo: name of the algorithm.
        use: the use that it makes of a symmetry, see `rpp_rl.agents.common.algorithms.USES`; empty where unknown.
        seed: of training.
        steps: of the evaluations, of shape (k,).
        scores: mean return of each evaluation, of shape (k,).
        episodes: of an evaluation.
        evaluation_offset: evaluation seed minus seed.
        budget: steps that it was to take; None where it does not say.
        settings: hyperparameters and the like, flat, as text.
        versions: of packages.
        model: digest of the simulated model; None where it has none.
        command: as it was typed.
        machine: processor and graphics cards.
        wall_time: in seconds; None where it does not say.
        failed: whether it was ended by an error.
        audit: of its symmetry.
        rank: which of the folders that were named it is in, and how deep: variants lie deeper than what they vary.
    """

    path: Path
    env: str
    algo: str
    use: str
    seed: int
    steps: NDArray[np.int64]
    scores: NDArray[np.float64]
    episodes: int
    evaluation_offset: int
    budget: int | None
    settings: Mapping[str, str]
    versions: Mapping[str, str]
    model: str | None
    command: str
    machine: str
    wall_time: float | None
    failed: bool
    audit: tuple[AuditLine, ...]
    rank: tuple[int, int] = (0, 0)


def read_runs(found: Sequence[Run], roots: Sequence[Path] = ()) -> tuple[list[ComparedRun], list[Path]]:
    """Read runs.

    Args:
        found: the runs.
        roots: the folders below which they were found.

    Returns:
        The runs, and the folders of those that have no evaluation yet.

    Raises:
        RunError: if there is no run with an evaluation, or one cannot be read.
    """
    runs: list[ComparedRun] = []
    waiting: list[Path] = []
    for run in found:
        read = read_run(run)
        if read is None:
            waiting.append(run.path)
        else:
            runs.append(replace(read, rank=_rank(run.path, roots)))
    if not runs:
        where = ", ".join(map(str, roots)) or "the list"
        raise RunError(f"there is no run with evaluations in {where}; train one with rpp-rl train, or widen --filter")
    return runs, waiting


def _rank(folder: Path, roots: Sequence[Path]) -> tuple[int, int]:
    """The root that a run lies below, and how deep it lies."""
    place = next((i for i, root in enumerate(roots) if folder.is_relative_to(root)), len(roots))
    return place, len(folder.relative_to(roots[place]).parts if place < len(roots) else folder.parts)


def _use(config: Mapping[str, Any]) -> str:
    """The use that an algorithm makes of a symmetry; runs of format 1 do not record it."""
    algo = config["algo"]
    return str(config.get("use") or (algorithm(algo).use if algo in algorithm_names() else ""))


def read_run(run: Run) -> ComparedRun | None:
    """Read a run; returns None before its first evaluation.

    Raises:
        RunError: if its ``config.json`` lacks environment, algorithm or seed, or its evaluations cannot be read.
    """
    config = run.record
    seed = config.get("seed")
    if not isinstance(config.get("env"), str) or not isinstance(config.get("algo"), str) or type(seed) is not int:
        raise RunError(f"{run.path / CONFIG} does not say environment, algorithm and seed; leave it out with --filter")
    evaluations = run.evaluations
    if evaluations is None:
        return None
    model = config.get("model")
    command = config.get("command")
    budget, gpus = config.get("n_timesteps"), config.get("gpu")
    return ComparedRun(
        path=run.path,
        env=_environment(config),
        algo=_short(config["algo"]),
        use=_use(config),
        seed=seed,
        steps=evaluations.timesteps,
        scores=evaluations.returns.mean(axis=1),
        episodes=evaluations.returns.shape[1],
        evaluation_offset=config.get("evaluation_seed", seed + EVALUATION_SEED) - seed,
        budget=budget if type(budget) is int else None,
        settings=MappingProxyType(_settings(config)),
        versions=MappingProxyType(_versions(config)),
        model=_short(model["compiled_sha256"]) if isinstance(model, dict) and "compiled_sha256" in model else None,
        command=printable(shlex.join(str(part) for part in command)) if isinstance(command, list) else "",
        machine=_short(", ".join([str(config.get("cpu", "")), *map(str, gpus if isinstance(gpus, list) else ())])),
        wall_time=run.monitor.seconds,
        failed=run.failed,
        audit=_audit(run.audit),
    )


def _environment(config: Mapping[str, Any]) -> str:
    """Its id without the module that registers it, and its arguments, since another argument makes another task."""
    name = str(config["env"]).rpartition(":")[2].removeprefix("RPP/")
    given = config.get("env_kwargs", {})
    return _short(name + (f" ({', '.join(f'{k}={given[k]}' for k in sorted(given))})" if given else ""))


def _settings(config: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    hyperparameters = config.get("hyperparameters")
    for key, value in (hyperparameters if isinstance(hyperparameters, dict) else {}).items():
        if key == "policy_kwargs":
            # stable-baselines3 writes use_sde into what it is given, where it also stands beside.
            options = _literal(value)
            flat = {f"policy_kwargs.{k}": v for k, v in options.items() if k not in ("use_sde", "symmetry")}
            found |= {_short(k): _short(v) for k, v in flat.items()}
        elif key not in _ALGORITHM_ITSELF:
            found[_short(key)] = _short(value)
    for key in ("n_envs", "normalize", "trained_agent"):
        if config.get(key) is not None:
            found[key] = _short(config[key])
    symmetry = config.get("symmetry")
    # Plain networks have none, but a normalization that commutes with it does.
    if isinstance(symmetry, dict) and (_use(config) not in PLAIN_USES or config.get("normalize")):
        found["symmetry"] = _short(symmetry.get("name"))
        text = json.dumps(symmetry, sort_keys=True, default=repr)
        found[SYMMETRY_DIGEST] = hashlib.sha256(text.encode()).hexdigest()[:12]
    return found


def _versions(config: Mapping[str, Any]) -> dict[str, str]:
    """Of packages, and the commit of this one where it ran from a repository: its version may be the same for long."""
    git = config.get("git")
    commit = {"rpp-rl's commit": git["rpp_rl"]} if isinstance(git, dict) and git.get("rpp_rl") else {}
    return {_short(k): _short(v) for k, v in {**config.get("versions", {}), **commit}.items()}


def _literal(value: Any) -> dict[str, Any]:
    """A dictionary that was written as its repr; where it cannot be read, under one key."""
    if isinstance(value, str) and len(value) < 10_000:
        try:
            value = ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            return {"all": value}
    return value if isinstance(value, dict) else {"all": value}


def _audit(data: Any) -> tuple[AuditLine, ...]:
    if not isinstance(data, dict) or not isinstance(data.get("generators"), list):
        return ()
    lines = []
    for g in data["generators"][:50]:
        if isinstance(g, dict):
            error = g.get("dynamics_median")
            number = float(error) if isinstance(error, int | float) and abs(error) < LARGEST_RETURN else None
            verdict, sentence = _short(g.get("verdict")), _short(g.get("sentence"))
            lines.append(AuditLine(_short(data.get("name")), _short(g.get("name")), verdict, sentence, number))
    return tuple(lines)


def _short(value: Any) -> str:
    """Text from a file, in one line, of printable characters and bounded length."""
    return " ".join(printable(str(value)).split())[:_LONGEST]
