"""Asking a run, or a sweep of runs, to stop: checkpoints are written first; asked twice, a run ends at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Not everywhere.
_HANGUP = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()


@contextmanager
def stop_when_asked() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether a signal has asked to stop; signals are as before afterwards.

    In another thread than the main one, where Python handles no signals, nothing ever asks.
    """
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    with _handled(ask, _SIGNALS):
        yield asked.is_set


@contextmanager
def interrupted_when_asked() -> Iterator[None]:
    """SIGTERM and a closed terminal raise KeyboardInterrupt as Ctrl-C does; signals are as before afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # nohup has it that a closed terminal is no reason to stop.
    wanted = [n for n in (signal.SIGTERM, *_HANGUP) if signal.getsignal(n) != signal.SIG_IGN]
    with _handled(signal.default_int_handler, wanted):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object], numbers: Iterable[signal.Signals]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
