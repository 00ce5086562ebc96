"""The verdicts of a comparison, in sentences that claim no more than the runs show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rpp_rl.experiments.comparison.analysis import Pair, TaskResult
from rpp_rl.experiments.comparison.over_environments import Aggregate
from rpp_rl.statistics import FEWEST_FOR_INTERVAL, FEWEST_WITHOUT_WARNING, Estimate, may_distinguish

# As `rpp_rl.statistics.estimate` has measured it.
COVERAGE = "that of an IQM with about 77 % for 3 seeds, 86 to 90 % for 5, 93 to 96 % for 10"
_ENOUGH = 10
# The part of a curve that one run may cut off without a note.
_MUCH = 0.1
Word = Literal["better", "worse", "not distinguishable"]
NO_DIFFERENCE: Word = "not distinguishable"
TOO_FEW = "too few seeds"


@dataclass(frozen=True)
class ComparisonVerdict:
    """How an algorithm compares with the baseline on an environment; ``str`` gives it as a sentence.

    Attributes:
        environment: its name.
        step: environment step of the comparison.
        algorithm: its label.
        baseline: label of the baseline.
        word: ``"better"`` or ``"worse"`` where both intervals exclude no difference, else ``"not distinguishable"``.
        probability: that a run of the algorithm is better than one of the baseline, with its interval.
        difference: the IQM of the algorithm's final scores minus the baseline's, with its interval.
        paired: whether runs with the same seed were drawn together for the difference.
        n: runs of the algorithm and of the baseline.
    """

    environment: str
    step: int
    algorithm: str
    baseline: str
    word: Word
    probability: Estimate
    difference: Estimate
    paired: bool
    n: tuple[int, int]

    @property
    def mark(self) -> str:
        """The word, or ``"too few seeds"`` where so few could not show any difference, however large it is."""
        return self.word if may_distinguish(*self.n) else TOO_FEW

    @property
    def headline(self) -> str:
        """The verdict without its figures."""
        if self.word == NO_DIFFERENCE:
            return f"{self.algorithm} and {self.baseline}: {self.word}"
        return f"{self.algorithm} is {self.word} than {self.baseline}"

    @property
    def sentence(self) -> str:
        """The verdict with its figures, without the environment."""
        return f"{self.headline}{' ' if min(self.n) < FEWEST_FOR_INTERVAL else ': '}{self.detail}"

    @property
    def detail(self) -> str:
        """The figures of the verdict."""
        one, other, n = self.algorithm, self.baseline, self.n
        seeds = f"n = {n[0]} seeds each" if n[0] == n[1] else f"n = {n[0]} and {n[1]} seeds"
        if min(n) < FEWEST_FOR_INTERVAL:
            return f"with {seeds}; an interval needs {FEWEST_FOR_INTERVAL} seeds."
        drawn = "seeds drawn in pairs" if self.paired else "runs drawn apart"
        warning = ""
        if min(n) < FEWEST_WITHOUT_WARNING:
            warning = f" Warning: under {FEWEST_WITHOUT_WARNING} seeds an interval is hardly one; train more."
        return (
            f"a run of {one} beats one of {other} with probability {shown(self.probability)}, "
            f"and the IQM of {one} minus that of {other} is {shown(self.difference)} ({seeds}; {drawn}).{warning}"
        )

    def __str__(self) -> str:
        return f"{self.environment} at step {self.step}: {self.sentence}"


def verdicts(result: TaskResult) -> list[ComparisonVerdict]:
    """A verdict on every algorithm of an environment but the baseline."""
    return [_verdict(result, pair) for pair in result.pairs if pair.second == result.baseline]


def _verdict(result: TaskResult, pair: Pair) -> ComparisonVerdict:
    words: dict[int | None, Word] = {1: "better", -1: "worse", None: NO_DIFFERENCE}
    return ComparisonVerdict(
        result.task.name,
        result.task.step,
        pair.first,
        pair.second,
        words[pair.direction],
        pair.probability,
        pair.difference,
        pair.paired,
        pair.n,
    )


def warnings_of(result: TaskResult) -> list[str]:
    """What a reader must know before believing the comparison on an environment."""
    first, *others = result.groups
    alone = [] if others else [f"{first.label} is alone, with nothing to compare it with"]
    return [*alone, *seed_warnings(result), *result.task.notes, *cut_curves(result)]


def cut_curves(result: TaskResult) -> list[str]:
    """Curves that one run makes much shorter than the others of its algorithm, with that run, in sentences."""
    found = []
    for g in result.groups:
        runs, begin, end = g.group.runs, int(g.curve.steps[0]), int(g.curve.steps[-1])
        first, last = min(int(run.steps[0]) for run in runs), max(int(run.steps[-1]) for run in runs)
        limits = []
        if begin - first > _MUCH * (last - first):
            limits.append(f"the first of {max(runs, key=lambda run: int(run.steps[0])).path} is at step {begin}")
        if last - end > _MUCH * (last - first):
            limits.append(f"the last of {min(runs, key=lambda run: int(run.steps[-1])).path} is at step {end}")
        if limits:
            found.append(
                f"the curve of {g.label} covers steps {begin} to {end} only, since all its runs count at every step; "
                f"its evaluations are from step {first} to {last}, but {' and '.join(limits)}"
            )
    return found


def seed_warnings(result: TaskResult) -> list[str]:
    """Algorithms with too few seeds, in sentences."""
    few = [g for g in result.groups if g.n < FEWEST_WITHOUT_WARNING]
    found = [f"{g.label} has {g.n} {'seed' if g.n == 1 else 'seeds'}" for g in few]
    needed = f"at least {FEWEST_WITHOUT_WARNING} are needed for a look, 10 for a claim"
    return [f"too few seeds: {', '.join(found)}; {needed}"] if few else []


def caution(results: list[TaskResult]) -> str:
    """What the numbers of seeds and of comparisons mean for a reader; empty where there is no interval."""
    sizes = [g.n for r in results for g in r.groups if g.n >= FEWEST_FOR_INTERVAL]
    if not sizes:
        return ""
    meant = "Every interval is meant to hold with 95 % by itself"
    if min(sizes) < _ENOUGH:
        meant += f", and with {min(sizes)} seeds holds less often ({COVERAGE})"
    told = sum(len(r.groups) - 1 for r in results)
    if told < 2:
        return f"{meant}."
    return (
        f"{meant}; there are {told} comparisons here: of twenty without any difference, chance alone finds one in "
        "about one."
    )


@dataclass(frozen=True)
class AggregateVerdict:
    """How an algorithm compares with the baseline over environments; ``str`` gives it as a sentence.

    Attributes:
        algorithm: its label.
        mark: as that of `ComparisonVerdict`.
        headline: the verdict without its figures.
        detail: the figures.
    """

    algorithm: str
    mark: str
    headline: str
    detail: str

    def __str__(self) -> str:
        return f"{self.headline}{self.detail}"


def aggregate_verdicts(found: Aggregate) -> list[AggregateVerdict]:
    """A verdict on every algorithm beside the baseline, over environments."""
    where = f"{len(found.environments)} environments"
    given = []
    for a in found.algorithms:
        p, pair = a.probability, f"{a.label} and {found.baseline}"
        if p is None:
            continue
        if p.low is None:
            few = f" over {where}; some have under {FEWEST_FOR_INTERVAL} seeds."
            given.append(AggregateVerdict(a.label, TOO_FEW, f"{pair}: {NO_DIFFERENCE}", few))
            continue
        word = NO_DIFFERENCE if p.includes(0.5) else ("better" if p.value > 0.5 else "worse")
        headline = f"{pair} over {where}: {word}"
        if word != NO_DIFFERENCE:
            headline = f"{a.label} is {word} than {found.baseline} over {where}"
        figures = f", by the probability of improvement alone, {shown(p)}."
        given.append(AggregateVerdict(a.label, word, headline, figures))
    return given


def aggregate_sentences(found: Aggregate) -> list[str]:
    """A sentence for every algorithm beside the baseline, over environments."""
    return [str(verdict) for verdict in aggregate_verdicts(found)]


def number(value: float) -> str:
    """A score, with as many digits as a reader can use."""
    size = abs(value)
    if size >= 10:
        return f"{value:.3g}" if size >= 1e7 else f"{value:.0f}" if size >= 1000 else f"{value:.1f}"
    # An end of an interval is not rounded onto what the interval leaves out.
    for digits in (2, 3, 4, 5):
        text = f"{value:.{digits}f}"
        if float(text) == value or float(text) not in (0.0, 0.5):
            return text.removeprefix("-") if float(text) == 0 else text
    return f"{value:.2g}"


def shown(estimate: Estimate) -> str:
    """An estimate with its interval in brackets."""
    if estimate.low is None or estimate.high is None:
        return f"{number(estimate.value)} (no interval, n = {estimate.n})"
    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]"
