"""Report an environment that fails in one sentence with file and line, so that what was learnt can be kept."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
from stable_baselines3.common.vec_env import SubprocVecEnv

from rpp_rl.errors import EnvironmentFailureError, RPPError

PATIENCE = 300.0
# Seconds that a worker gets to end by itself.
_FAREWELL = 5.0


def environment_failure(error: BaseException) -> EnvironmentFailureError | None:
    """Describe an exception that an environment of this process raised; None if something else raised it.

    Args:
        error: as caught around `learn`.
    """
    if isinstance(error, EnvironmentFailureError):
        return error
    frames = traceback.extract_tb(error.__traceback__)
    called = [i for i, frame in enumerate(frames) if Path(frame.filename).name == "dummy_vec_env.py"]
    if not called:
        return None
    return EnvironmentFailureError(f"the environment raised {raised(error)}")


def raised(error: BaseException) -> str:
    """The class and text of an exception, and where it was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    detail = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {detail} (in {last.name}, {last.filename}:{last.lineno})"


@contextmanager
def failures_of(environment: str) -> Iterator[None]:
    """Turn whatever an environment raises while it is made, reset or stepped into one sentence.

    Args:
        environment: its name.

    Raises:
        EnvironmentFailureError: the sentence, with file and line; errors of this library pass through.
    """
    try:
        yield
    except RPPError:
        raise
    except Exception as error:  # an environment may raise anything
        raise EnvironmentFailureError(f"{environment} raised {raised(error)}; mend the environment") from error


class WatchedSubprocVecEnv(SubprocVecEnv):
    """stable-baselines3's `SubprocVecEnv` that says which worker has died or hangs, instead of waiting for ever.

    Args:
        env_fns: make the environments, each in a process of its own.
        start_method: of the processes, as for `SubprocVecEnv`.
        patience: seconds that an environment may take for one answer.

    Raises:
        EnvironmentFailureError: by any method, if a worker has died or does not answer.
    """

    def __init__(
        self,
        env_fns: list[Callable[[], gym.Env[Any, Any]]],
        start_method: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        try:
            super().__init__(env_fns, start_method)
        except (EOFError, OSError) as error:
            raise EnvironmentFailureError(
                "a worker died while it made its environment; what it raised stands above"
            ) from error
        self.remotes = tuple(
            _WatchedConnection(remote, process, number, patience)
            for number, (remote, process) in enumerate(zip(self.remotes, self.processes, strict=True))
        )

    def close(self) -> None:
        """End all workers, also those that do not answer."""
        if self.closed:
            return
        for connection in self.remotes:
            connection.say_goodbye()
        for process in self.processes:
            process.join(_FAREWELL)
            if process.is_alive():
                process.kill()
                process.join()
        for connection in self.remotes:
            connection.close()
        self.closed = True


class _WatchedConnection:
    """A connection to a worker, with the process at its other end."""

    def __init__(self, remote: Any, process: Any, number: int, patience: float) -> None:
        self.remote, self.process, self.number, self.patience = remote, process, number, patience

    def send(self, message: Any) -> None:
        try:
            self.remote.send(message)
        except OSError as error:
            raise self._death() from error

    def recv(self) -> Any:
        if not self.remote.poll(self.patience):
            raise EnvironmentFailureError(
                f"worker environment {self.number} has not answered for {self.patience:g} s; it hangs, or is slow"
            )
        try:
            return self.remote.recv()
        except (EOFError, OSError) as error:
            raise self._death() from error

    def say_goodbye(self) -> None:
        """Ask the worker to end; one that still works at a step ends after it, one that is dead already has."""
        try:
            self.remote.send(("close", None))
        except OSError:
            return

    def close(self) -> None:
        self.remote.close()

    def _death(self) -> EnvironmentFailureError:
        self.process.join(_FAREWELL)
        code = self.process.exitcode
        how = "what it raised stands above" if code == 1 else f"exit code {code}"
        return EnvironmentFailureError(f"worker environment {self.number} died ({how})")
