"""The exceptions of the library: each message is one sentence that says what was wrong and what to do."""

import difflib
from collections.abc import Iterable, Sequence


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names for a sentence; of many the first, and how many more there are."""
    # Names of files need be no text.
    shown = [name.encode("utf-8", "backslashreplace").decode() for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


class RPPError(ValueError):
    """Base of every error that a caller's input can cause; the command line turns it into exit code 2."""


class GroupError(RPPError):
    """Generators that do not generate a matrix group, or elements asked for that a group does not have."""


class RepresentationError(RPPError):
    """Matrices that do not represent the group, or an operation that a representation does not have."""


class SymmetryError(RPPError):
    """A declared symmetry that is no group action, or that does not fit the spaces it is declared on."""


class UnknownNameError(RPPError):
    """A name (environment, algorithm, symmetry, entry) that is not known; carries the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        super().__init__(f"unknown {kind} {name!r}{f' ({hint})' if hint else ''}: {self._remedy()}")

    def _remedy(self) -> str:
        lowered = {k.lower(): k for k in self.known}
        close = difflib.get_close_matches(self.name.lower(), lowered, n=1, cutoff=0.5)
        if close:
            return f"did you mean {lowered[close[0]]!r}?"
        if not self.known:
            return "none is known"
        return f"known are {listed(self.known, most=12)}"


class NetworkError(RPPError):
    """A network that cannot be built as asked, for example a width that the group's order does not divide."""


class NonFiniteError(RPPError):
    """A NaN or an infinity where a number was needed."""


class EnvironmentFailureError(RPPError):
    """An environment that raised, died, hangs, or returned something of another form than its spaces say."""


class StatisticsError(RPPError):
    """Scores or settings that a statistic is not defined for."""


class RunError(RPPError):
    """A run folder, model file or setting with which a command cannot go on."""


class PlainDataError(RPPError):
    """A value that cannot be saved as plain data, or saved data that cannot be read."""
