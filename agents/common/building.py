"""Build agents, load saved ones, and continue them on an environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from rpp_rl.agents.common.algorithms import AlgorithmUse, algorithm, algorithm_names
from rpp_rl.agents.common.hyperparameters import with_action_noise
from rpp_rl.agents.common.saving.agent_files import load_safely, read_agent
from rpp_rl.agents.common.saving.saved_agent import rebuild
from rpp_rl.agents.common.transition_buffer import TransitionBuffer
from rpp_rl.errors import RPPError, RunError


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
    given = {"policy": use.policy, **use.arguments, **with_action_noise(values, env)}
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
        FileNotFoundError: if the file is missing.
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
        changed = {**use.arguments, **with_action_noise(values, env)}
        agent = load_safely(use.cls, path, env, device, trust=trust, verbose=verbose, **changed)
    except (RPPError, FileNotFoundError):
        raise
    except (TypeError, ValueError, AssertionError, KeyError, RuntimeError, MemoryError) as error:
        detail = " ".join(str(error).split())
        raise RunError(f"{use.name} cannot continue {path}: {detail}") from error
    if seed is not None:
        agent.set_random_seed(seed)
    return agent


def _class_named(name: str, path: str) -> type[OffPolicyAlgorithm]:
    """The class of this library for a class that a file names."""
    uses = [algorithm(each) for each in algorithm_names()]
    for use in uses:
        if name in (use.ours.__name__, use.baseline.__name__):
            return use.ours
    known = {use.ours.__name__ for use in uses}
    raise RunError(f"{path} is a saved {name}, and the registered classes are {', '.join(sorted(known))}")
