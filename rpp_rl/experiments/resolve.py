"""Resolve a run's configuration: hyperparameters, symmetry and environment, and the agent built from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from rpp_rl.agents.common.building import build_agent, continue_agent, load_agent
from rpp_rl.agents.common.checkpoints import agent_of_checkpoint
from rpp_rl.agents.common.devices import check_device
from rpp_rl.agents.common.environment_failures import failures_of
from rpp_rl.agents.common.hyperparameters import hyperparameters
from rpp_rl.envs.auditing import SymmetryAudit, quick_audit
from rpp_rl.envs.ids import base_id
from rpp_rl.errors import RunError, SymmetryError
from rpp_rl.experiments.config import RunConfig
from rpp_rl.experiments.environments import (
    Env,
    normalize_settings,
    normalized,
    probe,
    settings_of,
    simulated_model,
    statistics_of,
    vec_env,
)
from rpp_rl.experiments.finding import find_model, record_of
from rpp_rl.symmetry import Symmetry


@dataclass(frozen=True)
class Resolved:
    """A configuration with everything that files and defaults add to it.

    Attributes:
        config: the configuration.
        values: arguments of the algorithm.
        steps: environment steps.
        n_envs: environments in parallel.
        normalize: settings with which observations are normalized; None where they are not.
        symmetry: symmetry of the task; None where there is none.
        model: file and digest of the simulated model; None where there is none.
        probe: an environment to look at and to audit on.
    """

    config: RunConfig
    values: dict[str, Any]
    steps: int
    n_envs: int
    normalize: dict[str, Any] | None
    symmetry: Symmetry | None
    model: dict[str, str] | None
    probe: Env

    @property
    def eval_freq(self) -> int:
        """Environment steps between evaluations."""
        return self.config.eval_freq or min(10_000, max(1, self.steps // 5))

    @property
    def observation_names(self) -> tuple[str, ...]:
        """Names of the observation's entries; empty without a symmetry."""
        return () if self.symmetry is None else self.symmetry.observation_names


@contextmanager
def resolved(config: RunConfig, trust: bool = False) -> Iterator[Resolved]:
    """Resolve hyperparameters and symmetry; the environment that this needs is closed at the end.

    Args:
        config: the configuration.
        trust: whether to unpickle what the file of a trained agent holds besides plain data.

    Raises:
        RPPError: if the configuration cannot be met.
    """
    check_device(config.device)
    events = config.tensorboard_log
    if events is not None and any(p.is_file() for p in (events, *events.parents)):
        raise RunError(f"-tb {events} is a file, or lies in one; choose a folder")
    values = hyperparameters(config.algo, base_id(config.env), config.hyperparams)
    steps, n_envs = (int(values.pop(name)) for name in ("n_timesteps", "n_envs"))
    normalize = normalize_settings(values.pop("normalize", False))
    symmetry: Symmetry | str | None = config.symmetry
    if config.trained_agent is not None:
        normalize = settings_of(find_model(config.trained_agent))
        symmetry = _symmetry_of_trained_agent(config, trust) or symmetry
    env = probe(config.env, symmetry, config.env_kwargs, config.use.needs_symmetry)
    try:
        yield Resolved(
            config,
            values,
            steps if config.n_timesteps is None else config.n_timesteps,
            n_envs if config.n_envs is None else config.n_envs,
            normalize,
            getattr(env, "symmetry", None),
            simulated_model(env),
            env,
        )
    finally:
        env.close()


def _symmetry_of_trained_agent(config: RunConfig, trust: bool) -> Symmetry | None:
    """The symmetry of the agent that a configuration continues; an agent keeps the one it was built with.

    Raises:
        RunError: if the agent was trained with another algorithm, or the configuration asks for another symmetry.
    """
    path = find_model(config.trained_agent or config.folder)
    agent = load_agent(path, "cpu", trust)
    symmetry: Symmetry | None = getattr(agent, "symmetry", None)
    trained = record_of(path).get("algo") or (config.algo if symmetry is not None else "")
    if trained and trained != config.algo:
        raise RunError(f"{config.trained_agent} was trained with {trained}; use --algo {trained}")
    wanted = getattr(config.symmetry, "name", config.symmetry)
    if symmetry is not None and wanted not in (None, symmetry.name):
        raise RunError(f"{config.trained_agent} has symmetry {symmetry.name!r}, which cannot become {wanted!r}")
    return symmetry


def build(task: Resolved, verbose: int = 0, trust: bool = False) -> OffPolicyAlgorithm:
    """Build the agent on its environments.

    Args:
        task: the resolved configuration.
        verbose: 1 prints stable-baselines3's tables.
        trust: whether to unpickle what the file of a trained agent holds besides plain data.

    Raises:
        RPPError: if it cannot be built.
    """
    config = task.config
    source = None if config.trained_agent is None else find_model(config.trained_agent)
    env = _environments(task, None if source is None else statistics_of(source))
    common: dict[str, Any] = {"seed": config.seed, "device": config.device, "verbose": verbose}
    if source is None:
        agent = build_agent(config.use, env, values=task.values, **common)
    else:
        changed = {k: v for k, v in config.hyperparams.items() if k != "normalize"}
        agent = continue_agent(config.use, source, env, values=changed, trust=trust, **common)
    return agent  # type: ignore[no-any-return]


def build_from_checkpoint(task: Resolved, path: Path, state: dict[str, Any]) -> OffPolicyAlgorithm:
    """Build the agent that a checkpoint describes on the environments of its run.

    Args:
        task: the resolved configuration.
        path: the checkpoint's path.
        state: its state.

    Raises:
        RunError: if the checkpoint describes no agent of the run's algorithm.
    """
    cls = task.config.use.cls
    return agent_of_checkpoint(cls, path, state, _environments(task), task.config.device)


def _environments(task: Resolved, statistics: Path | None = None) -> VecEnv:
    config = task.config
    env = vec_env(
        *(config.env, task.symmetry, config.env_kwargs, task.n_envs, config.vec_env), patience=config.env_timeout
    )
    return normalized(env, task.normalize, task.symmetry, statistics)


def audited(task: Resolved) -> SymmetryAudit | None:
    """Audit the symmetry for a second or so, and print its verdict in one line; None without an audit.

    A line of its own names each map that fits the model better. Without MuJoCo there are checks, but no audit.

    Raises:
        RunError: if the symmetry is wrong and the agent cannot learn where it fails.
    """
    if task.symmetry is None:
        return None
    name = task.symmetry.name
    if not task.config.audit:
        print(f"symmetry {name}: not audited, because the audit is switched off (--no-audit)")
        return None
    try:
        with failures_of(task.config.env):
            found = quick_audit(task.probe, task.symmetry, task.config.seed)
    except SymmetryError as error:
        print(f"symmetry {name}: not audited: {error}")
        return None
    use = task.config.use
    better = [str(one) for one in found.better] if isinstance(found, SymmetryAudit) else []
    if (found.is_wrong or better) and use.imposes_symmetry and not task.config.force:
        raise RunError(
            f"{'; '.join([found.line, *better])}; {use.name} cannot learn where a map is wrong: mend the map (rpp-rl "
            f"audit {found.environment} says more), train rpp_{use.algorithm}, or add --force"
        )
    print(f"warning: {found.line}; see rpp-rl audit {found.environment}" if found.is_wrong else found.line)
    for sentence in found.warnings:
        print(f"warning: {sentence}")
    # The file of an audit holds measurements.
    return found if isinstance(found, SymmetryAudit) else None
