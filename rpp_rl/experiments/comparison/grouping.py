"""Which runs belong together, which are the same run twice, and what keeps runs from being compared."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rpp_rl.errors import RunError, listed
from rpp_rl.experiments.comparison.runs import SYMMETRY_DIGEST, ComparedRun
from rpp_rl.statistics import AlignedCurves, align, shared_span, steps_within

# Settings of our algorithms alone, which a baseline lacks and which therefore do not count as differences.
_OWN = frozenset(
    (
        *("symmetry", SYMMETRY_DIGEST, "actor", "critic", "network", "zero_mean", "fast_update", "precision"),
        *("actor_equiv_wd", "actor_basic_wd", "critic_equiv_wd", "critic_basic_wd"),
        *("parametrization", "steps", "residual_prior", "residual_budget", "residual_init_scale"),
        *("residual_step_ratio", "augment"),
    )
)


_BETWEEN = "and between its own evaluations the score of a run is interpolated linearly"


@dataclass(frozen=True)
class Group:
    """The runs of one algorithm with one set of settings on one environment, a seed each.

    Attributes:
        label: the algorithm, and how its settings differ from those of most of its runs.
        runs: in the order of their seeds.
        curves: of the runs, in that order.
    """

    label: str
    runs: tuple[ComparedRun, ...]
    curves: AlignedCurves

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in order."""
        return tuple(run.seed for run in self.runs)


@dataclass(frozen=True)
class Task:
    """The groups of one environment.

    Attributes:
        name: the environment.
        groups: in the order of their labels.
        steps: from the first step that all runs share to the one at which they are compared; between them, every step
            at which at least one run was evaluated.
        notes: what a reader must know before believing the comparison.
    """

    name: str
    groups: tuple[Group, ...]
    steps: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def step(self) -> int:
        """Where final scores are taken."""
        return self.steps[-1]


def group_runs(runs: Iterable[ComparedRun], at: int | None = None) -> tuple[Task, ...]:
    """Put runs together by environment, algorithm and settings.

    Args:
        runs: all of them.
        at: the step at which to compare; runs whose evaluations begin later or end earlier are left out, and named. If
            it is None, the last step that every run of an environment has reached, as its evaluations tell.

    Raises:
        RunError: if a run of an environment ends before another begins, or no run has reached `at`.
    """
    by_env: dict[str, list[ComparedRun]] = defaultdict(list)
    for run in runs:
        by_env[run.env].append(run)
    return tuple(_task(name, by_env[name], at) for name in sorted(by_env))


def _task(name: str, runs: Sequence[ComparedRun], at: int | None) -> Task:
    notes: list[str] = []
    # First of all, since of two runs of a seed only one may have got there.
    kept = runs if at is None else _evaluated_around(name, runs, at, notes)
    kept = _without_twins(kept, notes)
    every = [run.steps for run in kept]
    span = shared_span(every)
    if span is None:
        raise _nothing_shared(name, kept)
    first, step = span[0], span[1] if at is None else at
    notes += [] if at is not None else _unequal_lengths(kept, step)
    notes += _interpolated_at(kept, step)
    groups = _by_label(kept)
    notes += incomparable(groups)
    return Task(name, groups, tuple(int(each) for each in steps_within(every, first, step)), tuple(notes))


def _evaluated_around(name: str, runs: Sequence[ComparedRun], at: int, notes: list[str]) -> list[ComparedRun]:
    """The runs that were evaluated at a step, or both before and after it."""
    kept = [run for run in runs if run.steps[0] <= at <= run.steps[-1]]
    if not kept:
        first, last = min(int(run.steps[0]) for run in runs), max(int(run.steps[-1]) for run in runs)
        raise RunError(
            f"no run of {name} has evaluations around step {at}, they are from {first} to {last}; choose another --at"
        )
    left = [run for run in runs if not run.steps[0] <= at <= run.steps[-1]]
    if left:
        notes.append(f"left out, since step {at} is outside their evaluations: {_named(left)}{_survivors(left)}")
    return kept


def _interpolated_at(runs: Sequence[ComparedRun], step: int) -> list[str]:
    """Which runs have no evaluation of their own where all are compared."""
    between = [run for run in runs if step not in run.steps]
    if not between:
        return []
    return [
        f"not evaluated at step {step}, so that scores there are interpolated between the evaluations before and "
        f"after: {_named(between)}"
    ]


def _nothing_shared(name: str, runs: Sequence[ComparedRun]) -> RunError:
    """What to say of runs of which one ends before another begins."""
    short, late = min(runs, key=lambda run: int(run.steps[-1])), max(runs, key=lambda run: int(run.steps[0]))
    return RunError(
        f"the runs of {name} share no steps, so that they cannot be compared: {short.path} was last evaluated at step "
        f"{short.steps[-1]}, {late.path} first at step {late.steps[0]}; leave runs out with --filter or --at"
    )


def _survivors(runs: Sequence[ComparedRun]) -> str:
    """What to know of runs that are left out, where some have failed."""
    failed = [run for run in runs if run.failed]
    return f"; of these failed, so that what is left are survivors: {_named(failed)}" if failed else ""


def _by_label(runs: Sequence[ComparedRun]) -> tuple[Group, ...]:
    by_label: dict[str, list[ComparedRun]] = defaultdict(list)
    for run, label in zip(runs, _labels(runs), strict=True):
        by_label[label].append(run)
    groups = []
    for label in sorted(by_label):
        members = sorted(by_label[label], key=lambda run: run.seed)
        groups.append(Group(label, tuple(members), align([(run.steps, run.scores) for run in members])))
    return tuple(groups)


def _without_twins(runs: Sequence[ComparedRun], notes: list[str]) -> list[ComparedRun]:
    """Keep one run for every seed: the same seed gives the same run again, not a second sample.

    What lies first and least deep is kept, of those side by side the one with the most evaluations.
    """
    kept: dict[tuple[object, ...], ComparedRun] = {}
    twins: list[ComparedRun] = []
    others_of_seed: list[ComparedRun] = []
    for run in sorted(runs, key=lambda run: (run.rank, -len(run.steps), str(run.path))):
        key = (run.algo, run.seed, tuple(sorted(run.settings.items())))
        other = kept.setdefault(key, run)
        if other is not run:
            alike = (run.model, run.episodes, run.versions) == (other.model, other.episodes, other.versions)
            (twins if alike else others_of_seed).append(run)
    if twins:
        notes.append(f"left out, since the same seed with the same settings is not a second run: {_named(twins)}")
    if others_of_seed:
        notes.append(
            "left out, since the same seed with the same settings is not a second run, though the simulated model, the "
            f"episodes of an evaluation or versions of packages are others: {_named(others_of_seed)}"
        )
    return sorted(kept.values(), key=lambda run: str(run.path))


def _labels(runs: Sequence[ComparedRun]) -> list[str]:
    """Algorithm, and in brackets the settings in which a run differs from the usual ones of that algorithm."""
    usual = {algo: _usual([run for run in runs if run.algo == algo]) for algo in {run.algo for run in runs}}
    contents: dict[tuple[str, str], set[str]] = defaultdict(set)
    for run in runs:
        contents[run.algo, run.settings.get("symmetry", "-")].add(run.settings.get(SYMMETRY_DIGEST, "-"))
    labels = []
    for run in runs:
        keys = sorted(usual[run.algo].keys() | run.settings.keys())
        differs = [key for key in keys if run.settings.get(key, "-") != usual[run.algo].get(key, "-")]
        one = len(contents[run.algo, run.settings.get("symmetry", "-")]) == 1
        if "symmetry" in differs and SYMMETRY_DIGEST in differs and one:
            differs.remove(SYMMETRY_DIGEST)
        inside = ", ".join(f"{key}={run.settings.get(key, '-')}" for key in differs)
        labels.append(f"{run.algo} [{inside}]" if inside else run.algo)
    return labels


def _usual(runs: Sequence[ComparedRun]) -> Mapping[str, str]:
    """The settings that need no mention: of what lies first and least deep, those of the most runs."""
    least = min(run.rank for run in runs)
    settings = [tuple(sorted(run.settings.items())) for run in runs if run.rank == least]
    return dict(Counter(settings).most_common(1)[0][0])


def _unequal_lengths(runs: Sequence[ComparedRun], step: int) -> list[str]:
    longest = max(int(run.steps[-1]) for run in runs)
    if step == longest:
        return []
    shorter = [run for run in runs if run.steps[-1] < longest]
    unfinished = [run for run in shorter if not has_ended(run)]
    done = [run for run in shorter if run not in unfinished]
    most = max(run.budget or 0 for run in runs)
    fewer, sparse = [r for r in done if r.budget != most], [r for r in done if r.budget == most]
    notes = [f"runs end at different evaluations: everything is compared at step {step}, the longest has {longest}"]
    if unfinished:
        notes.append(
            f"shorter than the longest, and not at their end: {_named(unfinished)}; finish them with "
            f"rpp-rl train --resume, or leave them out with --at{_survivors(unfinished)}"
        )
    if fewer:
        notes.append(
            f"shorter than the longest, and done: {_named(fewer)}; give them more steps with rpp-rl train --resume and "
            "-n, or leave them out with --at"
        )
    if sparse:
        notes.append(f"as long as the longest, but last evaluated before its end: {_named(sparse)}")
    return notes


def has_ended(run: ComparedRun) -> bool:
    """Whether a run was evaluated as often as it was to be; False where it does not say how often."""
    # A budget that is not a multiple of the interval ends after the last evaluation.
    return run.budget is not None and run.budget - int(run.steps[-1]) < _interval(run)


def _interval(run: ComparedRun) -> int:
    """Steps between the evaluations of a run; those to the first where there is only one."""
    return int(np.median(np.diff(run.steps, prepend=0)))


def incomparable(groups: Sequence[Group]) -> list[str]:
    """What differs between runs of one environment, beyond what an algorithm is, in sentences."""
    runs = [run for group in groups for run in group.runs]
    found = []
    for what, values in (
        ("evaluations have different numbers of episodes", [run.episodes for run in runs]),
        ("evaluation seeds are chosen in different ways", [run.evaluation_offset for run in runs]),
        ("the simulated model is not the same", [run.model for run in runs]),
        ("runs were to take different numbers of steps", [run.budget for run in runs]),
        (f"runs were evaluated at different steps, {_BETWEEN}", _schedules(runs)),
    ):
        if len(set(values)) > 1:
            counted = ", ".join(f"{str(value)[:20]} in {_runs(n)}" for value, n in Counter(values).most_common(4))
            found.append(f"{what}: {counted}")
    for package in sorted({name for run in runs for name in run.versions}):
        versions = Counter(run.versions.get(package, "unknown") for run in runs)
        if len(versions) > 1:
            found.append(f"{package} differs: {', '.join(f'{v} in {_runs(n)}' for v, n in versions.most_common(4))}")
    differing = differing_settings(groups)
    if differing:
        found.append(f"settings differ beyond the algorithm: {', '.join(differing)}")
    return found


def _schedules(runs: Sequence[ComparedRun]) -> list[str]:
    """When each run was evaluated, in words that are the same where the steps are, in the span that all share."""
    span = shared_span([run.steps for run in runs])
    low, high = span if span is not None else (0, 0)
    if len({tuple(run.steps[(run.steps >= low) & (run.steps <= high)].tolist()) for run in runs}) == 1:
        return []
    every = [f"every {_interval(run)}" for run in runs]
    return (
        every if len(set(every)) > 1 else [f"{each} from {run.steps[0]}" for each, run in zip(every, runs, strict=True)]
    )


def _runs(n: int) -> str:
    return f"{n} run{'' if n == 1 else 's'}"


def settings_table(groups: Sequence[Group]) -> dict[str, tuple[str, ...]]:
    """For every setting that is not the same in all groups, its value in each; ``-`` where a group does not have it."""
    keys = sorted({key for group in groups for key in group.runs[0].settings})
    table = {key: tuple(group.runs[0].settings.get(key, "-") for group in groups) for key in keys}
    return {key: values for key, values in table.items() if len(set(values)) > 1}


def differing_settings(groups: Sequence[Group]) -> list[str]:
    """Settings that differ beyond what the algorithms are: one that only some of them know is their own."""
    return [
        key
        for key, values in settings_table(groups).items()
        if len(set(values) - ({"-"} if key.removeprefix("policy_kwargs.") in _OWN else set())) > 1
    ]


def _named(runs: Sequence[ComparedRun]) -> str:
    return listed([str(run.path) for run in runs])
