"""The verdicts of a comparison, in sentences that claim no more than the runs show."""

from __future__ import annotations

from rpp_rl.experiments.comparison.analysis import Pair, TaskResult
from rpp_rl.experiments.comparison.over_environments import Aggregate
from rpp_rl.statistics import FEWEST_FOR_INTERVAL, FEWEST_WITHOUT_WARNING, Estimate

# As `rpp_rl.statistics.estimate` has measured it.
COVERAGE = "that of an IQM with about 77 % for 3 seeds, 86 to 90 % for 5, 93 to 96 % for 10"
_ENOUGH = 10
NO_DIFFERENCE = "not distinguishable"


def verdicts(result: TaskResult) -> list[str]:
    """A sentence for every algorithm beside the baseline of an environment."""
    if len(result.groups) == 1:
        only = result.groups[0]
        return [f"{only.label} is alone; there is nothing to compare it with."]
    return [sentence(pair, result.groups_n(pair)) for pair in result.pairs if pair.second == result.baseline]


def sentence(pair: Pair, n: tuple[int, int]) -> str:
    """The verdict on a pair, with its figures.

    One is better only where both intervals agree: that of the probability of improvement excludes 1/2, and that of the
    difference of IQMs excludes 0, on the same side.

    Args:
        pair: two algorithms.
        n: runs of each.
    """
    seeds = f"n = {n[0]} seeds each" if n[0] == n[1] else f"n = {n[0]} and {n[1]} seeds"
    if min(n) < FEWEST_FOR_INTERVAL:
        return (
            f"{pair.first} and {pair.second}: {NO_DIFFERENCE} with {seeds}; under {FEWEST_FOR_INTERVAL} seeds there is "
            "no interval."
        )
    drawn = "its seeds drawn in pairs" if pair.paired else "its runs drawn apart"
    figures = (
        f"a run of {pair.first} beats one of {pair.second} with probability {shown(pair.probability)}, "
        f"and the IQM of {pair.first} minus that of {pair.second} is {shown(pair.difference)} ({seeds}; {drawn})"
    )
    told = direction(pair)
    if told is None:
        opening = f"{pair.first} and {pair.second}: {NO_DIFFERENCE}"
    else:
        opening = f"{pair.first} is {'better' if told > 0 else 'worse'} than {pair.second}"
    warning = ""
    if min(n) < FEWEST_WITHOUT_WARNING:
        warning = f" Warning: under {FEWEST_WITHOUT_WARNING} seeds an interval is hardly one; train more."
    return f"{opening}: {figures}.{warning}"


def direction(pair: Pair) -> int | None:
    """1 where the first is better, -1 where it is worse, None where they are not distinguishable."""
    if pair.probability.includes(0.5) or pair.difference.includes(0.0):
        return None
    signs = (pair.probability.value > 0.5, pair.difference.value > 0)
    if signs[0] != signs[1]:
        return None
    return 1 if signs[0] else -1


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


def aggregate_sentences(found: Aggregate) -> list[str]:
    """A sentence for every algorithm beside the baseline, over environments."""
    where = f"{len(found.environments)} environments"
    sentences = []
    for a in found.algorithms:
        p = a.probability
        if p is None:
            continue
        if p.low is None:
            few = f"some have under {FEWEST_FOR_INTERVAL} seeds"
            sentences.append(f"{a.label} and {found.baseline}: {NO_DIFFERENCE} over {where}; {few}.")
        else:
            told = NO_DIFFERENCE if p.includes(0.5) else ("better" if p.value > 0.5 else "worse")
            opening = f"{a.label} {'and' if told == NO_DIFFERENCE else f'is {told} than'} {found.baseline} over {where}"
            opening += f": {told}" if told == NO_DIFFERENCE else ""
            sentences.append(f"{opening}, by the probability of improvement alone, {shown(p)}.")
    return sentences


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
