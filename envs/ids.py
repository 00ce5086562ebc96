"""Ids of environments: the module before the colon, the version, and sentences about unknown ones."""

from __future__ import annotations

import difflib
import re

import gymnasium as gym

from rpp_rl.errors import RPPError, UnknownNameError
from rpp_rl.user_modules import import_user_module

_VERSION = re.compile(r"(.+)-v(\d+)")
# How alike two names must be, from 0 to 1: that one is proposed, and that it is surely meant.
_SIMILAR, _SAME = 0.65, 0.9


def base_id(env_id: str) -> str:
    """The id without a module before a colon; a name without a version stands for its newest version."""
    name = env_id.rsplit(":", 1)[-1]
    if name in gym.registry or _VERSION.fullmatch(name):
        return name
    versions = _versions(name)
    return f"{name}-v{max(versions)}" if versions else name


def full_id(env_id: str) -> str:
    """The id with its version, and with the module that it names."""
    module, colon, _ = env_id.rpartition(":")
    return f"{module}{colon}{base_id(env_id)}"


def import_module_of(env_id: str) -> None:
    """Import the module in ``module:Env-v0``, which registers the environment and its symmetries.

    Raises:
        RPPError: if the module cannot be imported.
    """
    module, colon, _ = env_id.partition(":")
    if colon:
        try:
            import_user_module(module)
        except Exception as error:  # whatever the user's module raises
            detail = " ".join(str(error).split())
            raise RPPError(f"the module of {env_id!r} cannot be imported: {type(error).__name__}: {detail}") from error


def unknown_environment(env_id: str) -> UnknownNameError:
    """The error for an id that gymnasium does not know: with its versions, a similar name, or how to name a module."""
    name = base_id(env_id)
    match = _VERSION.fullmatch(name)
    stem, versions = match[1] if match else name, _versions(match[1] if match else name)
    of_a_module = f"its module: my_robots:{name if match else 'MyRobot-v0'}"
    names = {m[1].lower(): m[1] for known in gym.registry if (m := _VERSION.fullmatch(known))}
    close = difflib.get_close_matches(stem.lower(), names, n=1, cutoff=_SIMILAR)
    if versions:
        remedy = f"its versions are {', '.join(f'v{v}' for v in sorted(versions))}"
    elif ":" in env_id:
        remedy = f"its module does not register it with gymnasium; add gymnasium.register({name!r}, ...) to it"
    elif close:
        version, known = int(match[2]) if match else -1, _versions(names[close[0]])
        meant = f"did you mean '{names[close[0]]}-v{version if version in known else max(known)}'?"
        same = difflib.SequenceMatcher(None, close[0], stem.lower()).ratio() >= _SAME
        remedy = meant if same else f"{meant} One of your own needs {of_a_module}"
    else:
        remedy = f"it is not registered with gymnasium; if it is yours, name {of_a_module}"
    return UnknownNameError("environment", env_id, gym.registry, remedy=remedy)


def _versions(name: str) -> set[int]:
    """The versions of a name that gymnasium knows."""
    return {int(m[2]) for known in gym.registry if (m := _VERSION.fullmatch(known)) and m[1] == name}
