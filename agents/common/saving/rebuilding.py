"""An agent from what its file says."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.utils import check_for_correct_spaces

from rpp_rl.agents.common.saving.saved_agent import SavedAgent, need_believable
from rpp_rl.errors import RPPError, RunError

RISK = (
    "loading with trust=True unpickles it, which runs whatever code its author put there; say that only if you made "
    "the file or trust who did"
)
# Without these there is no agent.
_NEEDED = ("policy_class", "observation_space", "action_space", "policy_kwargs", "learning_rate")
# Enough to take any agent further; a file without them is no agent.
_PARAMETERS = ("policy", "actor.optimizer", "critic.optimizer")
Agent = TypeVar("Agent", bound=SAC)


def rebuild(
    cls: type[Agent],
    saved: SavedAgent,
    env: Any = None,
    device: torch.device | str = "auto",
    custom_objects: Mapping[str, Any] | None = None,
    force_reset: bool = True,
    **overrides: Any,
) -> Agent:
    """Build an agent as stable-baselines3's `load` does; nothing is returned unless all of it fits.

    Args:
        cls: its class.
        saved: what the file says.
        env: for training on; None to predict only.
        device: where its networks are.
        custom_objects: objects in the place of saved ones, by attribute.
        force_reset: whether the environment is reset before training goes on.
        **overrides: attributes to change.

    Raises:
        RunError: if something that the agent needs cannot be read, or parts of the file do not fit each other.
        ValueError: if the environment has other spaces than the agent, as stable-baselines3 raises.
    """
    saved = saved.given({**(custom_objects or {}), **_spaces_of(env, saved)}).with_policy_of(cls)
    _say_what_is_unread(saved, overrides, learns=env is not None)
    attributes = dict(saved.attributes)
    missing = [name for name in _NEEDED if name not in attributes]
    lacking = [name for name in _PARAMETERS if name not in saved.parameters]
    if missing or lacking:
        raise RunError(f"{saved.name} is only a part of a saved agent: it lacks {', '.join(missing + lacking)}")
    given = overrides.get("policy_kwargs")
    if given is not None and given != attributes["policy_kwargs"]:
        raise ValueError(
            "the specified policy kwargs do not equal the stored policy kwargs: "
            f"{given} given, {attributes['policy_kwargs']} stored"
        )
    need_believable(saved)
    if env is not None:
        env = cls._wrap_env(env, attributes.get("verbose", 0))
        check_for_correct_spaces(env, attributes["observation_space"], attributes["action_space"])
        attributes["n_envs"] = env.num_envs
        if force_reset:
            attributes["_last_obs"] = None
    try:
        agent = cls(policy=attributes["policy_class"], env=env, device=device, _init_setup_model=False)
        agent.__dict__.update(attributes)
        agent.__dict__.update(overrides)
        agent._setup_model()
        agent.set_parameters(dict(saved.parameters), exact_match=True, device=device)
        if saved.log_ent_coef is not None and agent.log_ent_coef is not None:
            agent.log_ent_coef.data.copy_(saved.log_ent_coef)
    except RPPError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError, MemoryError) as error:
        detail = " ".join(str(error).split())[:300]
        raise RunError(f"{saved.name} does not fit itself: {detail}; was it saved with other versions?") from error
    return agent


def _spaces_of(env: Any, saved: SavedAgent) -> dict[str, Any]:
    """The environment's spaces, where the file's cannot be read."""
    names = [name for name in ("observation_space", "action_space") if name in saved.unread]
    return {name: getattr(env, name) for name in names if env is not None}


def _say_what_is_unread(saved: SavedAgent, overrides: Mapping[str, Any], learns: bool) -> None:
    unread = [u for u in saved.unread if u not in overrides]
    needed = [u for u in unread if u.partition("=")[0] in _NEEDED]
    if needed:
        raise RunError(
            f"{saved.name} has {', '.join(needed)} in a form that is not read from files: give it with "
            f"custom_objects={{{needed[0].partition('=')[0]!r}: ...}}{f'; {RISK}' if saved.has_pickles else ''}"
        )
    # How it learns is nothing to an agent that only acts.
    if unread and learns:
        logging.getLogger(__name__).warning(
            "not read from %s, since it is no plain data: %s; the defaults are taken; %s",
            *(saved.name, ", ".join(unread), RISK),
        )
