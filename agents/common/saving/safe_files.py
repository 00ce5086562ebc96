"""Saving and loading for SAC agents: what stable-baselines3 pickles is plain data here."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Self, TypeVar

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.save_util import open_path
from stable_baselines3.common.utils import get_system_info

from rpp_rl.agents.common.saving.documents import is_document, read_document, write_document
from rpp_rl.agents.common.saving.rebuilding import RISK, rebuild
from rpp_rl.agents.common.saving.saved_agent import KINDS, PLACES, SavedAgent, describe_agent, saved_agent
from rpp_rl.agents.common.saving.stable_baselines import is_stable_baselines, read_stable_baselines
from rpp_rl.agents.common.saving.transitions import read_transitions, write_transitions
from rpp_rl.errors import RunError
from rpp_rl.files import Archive, name_of

AGENT = "agent"
Source = str | Path | IO[bytes]
Agent = TypeVar("Agent", bound=SAC)


def read_agent(path: Source) -> SavedAgent:
    """What a file says of an agent, whether this library or stable-baselines3 saved it; nothing in it is run.

    Raises:
        FileNotFoundError: if there is none.
        RunError: if it is damaged, or no SAC agent.
    """
    opened: Any = open_path(path, "r", suffix="zip")  # type: ignore[arg-type]
    with opened if isinstance(path, str | Path) else _left_open(opened) as file:
        archive = Archive(file, name_of(path))
        if is_document(archive):
            return saved_agent(read_document(archive, AGENT), archive.name)
        if is_stable_baselines(archive):
            return read_stable_baselines(archive)
    raise RunError(f"{name_of(path)} is no SAC agent that stable-baselines3 or rpp-rl saved; give one that is")


def load_safely(
    cls: type[Agent],
    path: Source,
    env: Any = None,
    device: torch.device | str = "auto",
    custom_objects: dict[str, Any] | None = None,
    force_reset: bool = True,
    trust: bool = False,
    **overrides: Any,
) -> Agent:
    """Load an agent of a class, without running anything from the file unless it is trusted; see `RPPSAC.load`."""
    if trust and _has_pickles(path):
        # The class's own `load` may be the one that asks.
        unpickled: Any = SAC.load.__func__(  # type: ignore[attr-defined]
            cls, path, env, device, custom_objects, False, force_reset, **overrides
        )
        return unpickled  # type: ignore[no-any-return]
    return rebuild(cls, read_agent(path), env, device, custom_objects, force_reset, **overrides)


class SafeFiles(SAC):
    """A SAC agent whose files hold numbers and words only: JSON and `safetensors` where stable-baselines3 pickles."""

    def save(self, path: Any, exclude: Iterable[str] | None = None, include: Iterable[str] | None = None) -> None:
        """Save the agent; a file that was there before is replaced as a whole or not at all.

        Args:
            path: a path, to which ``.zip`` is added where it has no suffix, or a file open for writing.
            exclude: names of attributes to leave out.
            include: names of attributes to take in though `exclude` names them.

        Raises:
            RunError: if `include` names something else than what is saved anyway.
            OSError: if the file cannot be written.
        """
        strange = set(include or ()) - {*KINDS, *PLACES}
        if strange:
            raise RunError(
                f"{', '.join(sorted(strange))} cannot be included in a saved agent; a replay buffer has a file of its "
                "own, by save_replay_buffer"
            )
        data, unsaved = describe_agent(self, set(exclude or ()) - set(include or ()))
        write_document(path, AGENT, data, ".zip")
        if unsaved:
            logging.getLogger(__name__).warning("not saved in %s: %s", name_of(path), "; ".join(unsaved))

    @classmethod
    def load(
        cls,
        path: Any,
        env: Any = None,
        device: torch.device | str = "auto",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        trust: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Load an agent that this library or stable-baselines3's SAC has saved.

        Nothing in the file is run: parameters and plain data are read. A file of stable-baselines3 holds more, as
        pickles, which run what their author put there. They are skipped: a warning lists them, and it is an error if
        there is no agent without one of them.

        Args:
            path: the file, or an open one.
            env: an environment to train on; None to predict only.
            device: where its networks are.
            custom_objects: objects in the place of saved ones, by attribute: a learning rate schedule, for example.
            print_system_info: whether to print versions.
            force_reset: whether the environment is reset before training goes on.
            trust: True unpickles what stable-baselines3 has pickled. Say that only for a file that you made, or whose
                author you trust as much as the author of a program that you run.
            **kwargs: attributes to change.

        Raises:
            FileNotFoundError: if there is no such file.
            RunError: if it is damaged or no such agent, or needs something that is not read from files.
            ValueError: if the environment has other spaces than the agent.
        """
        if print_system_info:
            get_system_info()
        return load_safely(cls, path, env, device, custom_objects, force_reset, trust, **kwargs)

    def set_parameters(
        self,
        load_path_or_dict: Any,
        exact_match: bool = True,
        device: torch.device | str = "auto",
    ) -> None:
        """As `SAC.set_parameters`; a file is read as by `load`.

        Args:
            load_path_or_dict: a file of an agent, or what `get_parameters` gives.
            exact_match: whether all networks and optimisers must be given.
            device: where the parameters are wanted.
        """
        given = load_path_or_dict
        if not isinstance(given, Mapping):
            given = dict(read_agent(given).parameters)
        super().set_parameters(given, exact_match, device)

    def save_replay_buffer(self, path: Any) -> None:
        """Save the transitions as arrays; ``.safetensors`` is added to a path that has no suffix.

        Raises:
            RunError: if there is no buffer, or one of a kind that is not saved.
            OSError: if the file cannot be written.
        """
        write_transitions(path, self.replay_buffer)

    def load_replay_buffer(self, path: Any, truncate_last_traj: bool = True, trust: bool = False) -> None:
        """Load transitions that `save_replay_buffer` has saved.

        Args:
            path: the file.
            truncate_last_traj: as for `SAC.load_replay_buffer`, for hindsight experience replay.
            trust: True unpickles a file of stable-baselines3, which runs whatever is in it.

        Raises:
            RunError: if the file is damaged, a pickle that is not trusted, or made for other spaces.
        """
        if trust and not read_transitions(path, self.replay_buffer, only_look=True):
            super().load_replay_buffer(path, truncate_last_traj)
            return
        if not read_transitions(path, self.replay_buffer):
            raise RunError(f"{name_of(path)} is no file of transitions that rpp-rl saved; if it is a pickle, {RISK}")


def _has_pickles(path: Source) -> bool:
    opened: Any = open_path(path, "r", suffix="zip")  # type: ignore[arg-type]
    with opened if isinstance(path, str | Path) else _left_open(opened) as file:
        return is_stable_baselines(Archive(file, name_of(path)))


class _left_open:  # noqa: N801 - used like contextlib.nullcontext
    """A caller's file, put back to where it was."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.place = file, file.tell()

    def __enter__(self) -> IO[bytes]:
        return self.file

    def __exit__(self, *args: object) -> None:
        self.file.seek(self.place)
