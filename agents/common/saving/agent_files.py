"""Save and load agents as plain data where stable-baselines3 pickles."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Self, TypeVar

import torch
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.save_util import open_path
from stable_baselines3.common.utils import get_system_info

from rpp_rl.agents.common.saving.documents import is_document, read_document, write_document
from rpp_rl.agents.common.saving.parameter_checks import check_parameters
from rpp_rl.agents.common.saving.saved_agent import (
    KINDS,
    PLACES,
    RISK,
    SavedAgent,
    describe_agent,
    need_finite,
    rebuild,
    saved_agent,
)
from rpp_rl.agents.common.saving.stable_baselines import is_stable_baselines, read_stable_baselines
from rpp_rl.agents.common.saving.transitions import read_transitions, write_transitions
from rpp_rl.errors import RunError
from rpp_rl.files import Archive, name_of

AGENT = "agent"
Source = str | Path | IO[bytes]
Agent = TypeVar("Agent", bound=OffPolicyAlgorithm)


def read_agent(path: Source) -> SavedAgent:
    """Read the file of an agent that this library or stable-baselines3 saved; no code in it is run.

    Raises:
        FileNotFoundError: if the file is missing.
        RunError: if it is damaged, or not the file of an agent.
    """
    opened: Any = open_path(path, "r", suffix="zip")  # type: ignore[arg-type]
    with opened if isinstance(path, str | Path) else _left_open(opened) as file:
        archive = Archive(file, name_of(path))
        if is_document(archive):
            return saved_agent(read_document(archive, AGENT), archive.name)
        if is_stable_baselines(archive):
            return read_stable_baselines(archive)
    raise RunError(f"{name_of(path)} is not an agent that stable-baselines3 or rpp-rl saved")


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
    """Load an agent of a class; code in the file is run only if it is trusted. See `SafeFiles.load`."""
    if trust and _has_pickles(path):
        # `cls.load` may be the caller.
        unpickled: Any = OffPolicyAlgorithm.load.__func__(  # type: ignore[attr-defined]
            cls, path, env, device, custom_objects, False, force_reset, **overrides
        )
        return unpickled  # type: ignore[no-any-return]
    return rebuild(cls, read_agent(path), env, device, custom_objects, force_reset, **overrides)


class SafeFiles(OffPolicyAlgorithm):
    """Mixin for agents whose files hold only numbers and text, where stable-baselines3 also writes pickles."""

    def save(self, path: Any, exclude: Iterable[str] | None = None, include: Iterable[str] | None = None) -> None:
        """Save the agent, atomically: an old file stays until the new one is complete.

        Args:
            path: a path, to which ``.zip`` is added where it has no suffix, or a file open for writing.
            exclude: attributes to leave out.
            include: attributes to save although `exclude` names them.

        Raises:
            RunError: if `include` names an attribute that is not saved here, or the agent is not finite, so that
                nothing could load the file.
            OSError: if the file cannot be written.
        """
        unknown = set(include or ()) - {*KINDS, *PLACES}
        if unknown:
            raise RunError(
                f"{', '.join(sorted(unknown))} cannot be included in a saved agent; save_replay_buffer saves the "
                "replay buffer"
            )
        data, unsaved = describe_agent(self, set(exclude or ()) - set(include or ()))
        need_finite({**data["parameters"], "log_ent_coef": data["log_ent_coef"]}, "the agent is not saved, since it")
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
        """Load an agent that this library or stable-baselines3 has saved.

        Parameters and plain data are read, and no code in the file is run. A file of stable-baselines3 also holds
        pickles, which can run any code. They are skipped: a warning lists them, and it is an error if the agent cannot
        be built without one of them.

        Args:
            path: the file, or an open one.
            env: environment to train on; None to predict only.
            device: device of the networks.
            custom_objects: objects that replace saved ones, by attribute, for example a learning rate schedule.
            print_system_info: whether to print versions.
            force_reset: whether the environment is reset before training continues.
            trust: True unpickles what stable-baselines3 has pickled. Use it only for a file that you made, or whose
                author you trust as much as the author of a program that you run.
            **kwargs: attributes to change. ``tensorboard_log`` is not taken from the file, so give it here.

        Raises:
            FileNotFoundError: if the file is missing.
            RunError: if the file is damaged, not that of an agent, or lacks a needed attribute.
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
        """Set the parameters as stable-baselines3 does; a file is read as by `load`.

        Args:
            load_path_or_dict: the file of an agent, or the result of `get_parameters`.
            exact_match: whether all networks and optimisers must be given.
            device: device of the parameters.

        Raises:
            RunError: if they do not fit; the agent is then unchanged.
        """
        given = load_path_or_dict
        if not isinstance(given, Mapping):
            given = dict(read_agent(given).parameters)
        check_parameters(self, given, name_of(load_path_or_dict), exact_match)
        super().set_parameters(given, exact_match, device)

    def save_replay_buffer(self, path: Any) -> None:
        """Save the transitions as arrays; ``.zip`` is added to a path that has no suffix.

        Raises:
            RunError: if there is no buffer, or its kind cannot be saved.
            OSError: if the file cannot be written.
        """
        write_transitions(path, self.replay_buffer)

    def load_replay_buffer(self, path: Any, truncate_last_traj: bool = True, trust: bool = False) -> None:
        """Load transitions that `save_replay_buffer` has saved.

        Args:
            path: the file.
            truncate_last_traj: as for `OffPolicyAlgorithm.load_replay_buffer`, for hindsight experience replay.
            trust: True unpickles a file of stable-baselines3, which runs any code in it.

        Raises:
            RunError: if the file is damaged, made for other spaces, or a pickle that is not trusted.
        """
        if not read_transitions(path, self.replay_buffer):
            if not trust:
                raise RunError(
                    f"{name_of(path)} does not hold transitions that rpp-rl saved; if it is a pickle, {RISK}"
                )
            super().load_replay_buffer(path, truncate_last_traj)


def _has_pickles(path: Source) -> bool:
    opened: Any = open_path(path, "r", suffix="zip")  # type: ignore[arg-type]
    with opened if isinstance(path, str | Path) else _left_open(opened) as file:
        return is_stable_baselines(Archive(file, name_of(path)))


class _left_open:  # noqa: N801 - used like contextlib.nullcontext
    """An open file of the caller, whose position is restored at the end."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.place = file, file.tell()

    def __enter__(self) -> IO[bytes]:
        return self.file

    def __exit__(self, *args: object) -> None:
        self.file.seek(self.place)
