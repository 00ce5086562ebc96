"""A map that fits better than a given one, and the entries in which the two differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rpp_rl.errors import listed


@dataclass(frozen=True)
class ChangedEntry:
    """An entry whose image differs between a given map and a better one.

    Attributes:
        part: ``"observation"`` or ``"action"``.
        name: name of the entry.
        given: its image under the given map, such as ``"ankle_2"``.
        better: its image under the better map, such as ``"-ankle_2"``.
    """

    part: str
    name: str
    given: str
    better: str

    def __str__(self) -> str:
        action = "action " if self.part == "action" else ""
        return f"{action}{self.name} (given {self.given}, better {self.better})"


@dataclass(frozen=True)
class BetterMap:
    """A map that fits an environment better than one generator of a given symmetry.

    Attributes:
        generator: name of the generator.
        origin: where the better map comes from, as a noun phrase.
        error: median error of the given map over the states that decide; infinite if its mirror images diverge.
        better_error: median error of the better map over the same states.
        better_states: number of states in which the better map is clearly better.
        worse_states: number of states in which it is clearly worse.
        states: number of all states.
        entries: the entries whose images differ.
    """

    generator: str
    origin: str
    error: float
    better_error: float
    better_states: int
    worse_states: int
    states: int
    entries: tuple[ChangedEntry, ...]

    def __str__(self) -> str:
        return (
            f"generator {self.generator!r}: {self.origin} fits better, with error {self.better_error:.2g} instead of "
            f"{self.error:.2g} in {self.better_states} of {self.states} states; it differs in "
            f"{listed([str(entry) for entry in self.entries])}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON data."""
        return {
            **vars(self),
            "error": self.error if np.isfinite(self.error) else None,
            "entries": [vars(entry) for entry in self.entries],
            "sentence": str(self),
        }
