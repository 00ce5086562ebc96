"""A whole comparison: all environments, what holds over them, and what a reader must know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rpp_rl.errors import listed
from rpp_rl.experiments.comparison.analysis import TaskResult
from rpp_rl.experiments.comparison.over_environments import Aggregate
from rpp_rl.experiments.comparison.runs import BELONGS_TO_ENVIRONMENT
from rpp_rl.experiments.comparison.verdicts import aggregate_sentences, caution, seed_warnings, verdicts


@dataclass(frozen=True)
class Comparison:
    """Everything that is shown.

    Attributes:
        results: of every environment.
        aggregate: over environments; None where fewer than two have a normalization.
        normalization: where the normalization is from.
        notes: on the whole.
        command: that made it.
    """

    results: tuple[TaskResult, ...]
    aggregate: Aggregate | None
    normalization: str
    notes: tuple[str, ...]
    command: str

    @property
    def verdicts(self) -> list[str]:
        """A sentence for every algorithm beside the baseline, for each environment."""
        return [f"{r.task.name} at step {r.task.step}: {line}" for r in self.results for line in verdicts(r)]

    def lines(self) -> Iterator[str]:
        """Verdicts and notes, as the command prints them."""
        for result in self.results:
            for line in verdicts(result):
                yield f"{result.task.name} at step {result.task.step}: {line}"
            for note in warnings_of(result):
                yield f"  note: {note}"
        if self.aggregate is not None:
            yield from aggregate_sentences(self.aggregate)
            for what in self.aggregate.left_out:
                yield f"note: left out over environments: {what}"
        for note in self.notes:
            yield f"note: {note}"


def warnings_of(result: TaskResult) -> list[str]:
    """What a reader must know before believing the comparison on an environment."""
    return [*seed_warnings(result), *result.task.notes]


def _pooled(results: Sequence[TaskResult]) -> list[str]:
    """What a name stands for that is not the same on every environment, though one number is given for all."""
    notes = []
    for label in sorted({g.group.label for result in results for g in result.groups}):
        settings = [g.group.runs[0].settings for result in results for g in result.groups if g.group.label == label]
        keys = sorted({key for found in settings for key in found} - set(BELONGS_TO_ENVIRONMENT))
        differing = [key for key in keys if len({found.get(key, "-") for found in settings}) > 1]
        if differing:
            notes.append(f"{label} has another {', '.join(differing)} on some environments than on others")
    return notes


def general_notes(results: Sequence[TaskResult], unevaluated: Sequence[Path]) -> tuple[str, ...]:
    """What holds for all environments.

    Args:
        results: of every environment.
        unevaluated: run folders without evaluations.
    """
    notes = [sentence for sentence in [caution(list(results))] if sentence]
    names = [result.task.name for result in results]
    bases: dict[str, list[str]] = {}
    for name in names:
        bases.setdefault(name.split(" ")[0].rpartition("-v")[0] or name, []).append(name)
    notes += [
        f"{' and '.join(same)} are different environments and are not compared with each other"
        for same in bases.values()
        if len(same) > 1
    ]
    notes += _pooled(results)
    if unevaluated:
        shown = listed([str(path) for path in unevaluated])
        notes.append(f"{len(unevaluated)} runs have no evaluation yet and are left out: {shown}")
    return tuple(notes)
