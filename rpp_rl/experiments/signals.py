"""Signals that stop a run or a sweep after its checkpoints are written; a second one ends a run at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

# A terminal that is closed sends SIGHUP, which Windows has not.
_HANGUP = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()


@contextmanager
def stop_when_asked() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether SIGINT, SIGTERM or SIGHUP has arrived; handlers are restored at the end.

    Python handles signals in the main thread only; in another thread the function always returns False.
    """
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    with _handled(ask, (signal.SIGINT, *_ending())):
        yield asked.is_set


@contextmanager
def interrupted_when_asked() -> Iterator[None]:
    """Let SIGTERM and a closed terminal raise KeyboardInterrupt as Ctrl-C does; handlers are restored at the end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled(signal.default_int_handler, _ending()):
        yield


def _ending() -> list[signal.Signals]:
    """The signals besides SIGINT that end a command; under nohup SIGHUP is ignored, and stays so."""
    return [n for n in (signal.SIGTERM, *_HANGUP) if signal.getsignal(n) != signal.SIG_IGN]


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object], numbers: Iterable[signal.Signals]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
