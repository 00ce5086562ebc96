"""The exceptions of the library; each message is one sentence that says what is wrong and what to do."""

import difflib
from collections.abc import Iterable, Sequence


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names for a sentence, at most `most` of them, followed by how many more there are."""
    shown = [printable(name) for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def printable(text: str, most: int = 2000) -> str:
    """Text for a terminal, in one line: without control characters, and cut where it is longer."""
    # Names of files need not be valid text.
    text = text[: most + 1].encode("utf-8", "backslashreplace").decode()
    line = "".join(c if c.isprintable() else " " for c in text).strip()
    return line if len(line) <= most else f"{line[:most]}..."


class RPPError(ValueError):
    """Base of all errors that a caller's input can cause; commands then end with exit code 2."""


class GroupError(RPPError):
    """Generators that do not generate a matrix group, or elements that a group does not have."""


class RepresentationError(RPPError):
    """Matrices that do not represent the group, or an operation that a representation does not have."""


class SymmetryError(RPPError):
    """A declared symmetry that is not a group action, or does not fit the spaces of its environment."""


class UnknownNameError(RPPError):
    """An unknown name of an environment, algorithm, symmetry or entry.

    The message has the nearest known name, or the remedy that is given.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "", remedy: str = "") -> None:
        self.kind, self.name, self.known = kind, str(name), sorted(known)
        super().__init__(f"unknown {kind} {self.name!r}{f' ({hint})' if hint else ''}: {remedy or self._remedy()}")

    def _remedy(self) -> str:
        lowered = {k.lower(): k for k in self.known}
        close = difflib.get_close_matches(self.name.lower(), lowered, n=1, cutoff=0.5)
        if close:
            return f"did you mean {lowered[close[0]]!r}?"
        if not self.known:
            return "none is known"
        return f"known are {listed(self.known, most=12)}"


class NetworkError(RPPError):
    """A network that cannot be built, for example with a width that the group's order does not divide."""


class NonFiniteError(RPPError):
    """NaN or infinity where a finite number is needed."""


class DivergedError(RPPError):
    """An agent whose parameters or actions are not finite any more."""


class EnvironmentFailureError(RPPError):
    """An environment that raises, dies, hangs, or returns values that do not fit its spaces."""


class StatisticsError(RPPError):
    """Scores or settings for which a statistic is not defined."""


class RunError(RPPError):
    """A run folder, model file or setting that a command cannot use."""


class PlainDataError(RPPError):
    """A value that cannot be saved as plain data, or saved data that cannot be read."""
