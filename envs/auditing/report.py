"""The result of an audit: measured errors and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Any

from rpp_rl.envs.auditing.better_map import BetterMap
from rpp_rl.envs.auditing.inequalities import Inequality
from rpp_rl.errors import listed
from rpp_rl.symmetry import Symmetry


class Verdict(IntEnum):
    """How well a symmetry holds, from best to worst."""

    EXACT = 0
    NEAR_EXACT = 1
    APPROXIMATE = 2
    WEAK = 3
    MIS_SPECIFIED = 4

    def __str__(self) -> str:
        return self.name.lower().replace("_", "-")


EXACT = 1e-8
"""A map is exact if the 95th percentile of the relative error, or the observation error, is at most this (rounding)."""
NEAR_EXACT = 0.05
"""A map is nearly exact if the median of the relative error is at most this."""
APPROXIMATE = 0.3
"""A map is approximate if the median of the relative error is at most this, and weak beyond."""
UNRELATED = 2**0.5
"""The relative error of two unrelated steps: the distance of two orthogonal vectors of length 1."""

THRESHOLDS = (
    f"exact: 95 % of steps within {EXACT:g}; near-exact: half of them within {NEAR_EXACT:g}; approximate: half of them "
    f"within {APPROXIMATE:g}; weak: half of them within {UNRELATED:.3g}, the error of an unrelated step; "
    "mis-specified: beyond that, or an observation map that does not hold, or an entry whose other sign is clearly "
    "better"
)


def dynamics_verdict(median: float, p95: float, suspects: Sequence[str] = ()) -> Verdict:
    """The verdict on the dynamics of one step."""
    if suspects or median >= UNRELATED:
        return Verdict.MIS_SPECIFIED
    if p95 <= EXACT:
        return Verdict.EXACT
    if median <= NEAR_EXACT:
        return Verdict.NEAR_EXACT
    return Verdict.APPROXIMATE if median <= APPROXIMATE else Verdict.WEAK


def observation_verdict(error: float) -> Verdict:
    """The verdict on the observation map, from the largest error of an entry relative to its spread.

    It depends on geometry only: sensors beside the mirror plane have small errors, a wrong declaration has large ones.
    """
    if error <= EXACT:
        return Verdict.EXACT
    if error <= NEAR_EXACT:
        return Verdict.NEAR_EXACT
    return Verdict.APPROXIMATE if error <= APPROXIMATE else Verdict.MIS_SPECIFIED


def task_verdict(reward_error: float, termination_mismatch: float) -> Verdict:
    """The verdict on reward and termination; the worst is approximate, since a task may break its robot's symmetry."""
    if reward_error <= EXACT and termination_mismatch == 0:
        return Verdict.EXACT
    small = reward_error <= NEAR_EXACT and termination_mismatch <= NEAR_EXACT
    return Verdict.NEAR_EXACT if small else Verdict.APPROXIMATE


def verdict_sentence(
    dynamics: Verdict, observation: Verdict, task: Verdict, reset: bool, suspects: Sequence[str]
) -> str:
    """The verdict in one sentence."""
    if suspects:
        return f"mis-specified: with the other sign or place of {', '.join(suspects)} the error is less than half"
    if observation == Verdict.MIS_SPECIFIED:
        return "mis-specified: the observation of the mirrored state is not the mirrored observation"
    if dynamics == Verdict.MIS_SPECIFIED:
        return "mis-specified: a mirrored step has nothing to do with the mirror image of the step"
    start = "" if reset else "; episodes do not start symmetrically"
    if task == Verdict.APPROXIMATE:
        return f"dynamics {dynamics}, but reward or termination break it: not a symmetry of the task{start}"
    return f"dynamics {dynamics}, reward and termination {task}{start}"


EXPECTED: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.EXACT: "exact networks and mirrored data cost nothing; a residual has nothing to learn",
        Verdict.NEAR_EXACT: "exact networks and mirrored data cost little; a residual can learn the difference",
        Verdict.APPROXIMATE: (
            "a residual can learn what differs; exact networks and mirrored data cannot, so they may end lower"
        ),
        Verdict.WEAK: (
            "exact networks and mirrored data teach much that is false; a residual may gain nothing, so compare it "
            "with --symmetry trivial"
        ),
        Verdict.MIS_SPECIFIED: "no use of this map; mend it, or train without a symmetry",
    }
)
"""What to expect of each use of a map, by its verdict."""


@dataclass(frozen=True)
class GeneratorAudit:
    """The measurements for one generator g; errors of dynamics are those of `relative_error`.

    Attributes:
        name: name of the generator.
        diverged: number of states that were left out, because the simulation diverged from them or their mirror images.
        observation_error: the largest |obs(g s) - g obs(s)|.
        observation_worst: the entry with the largest error.
        observation_relative: the largest root mean square error of an entry, relative to its standard deviation.
        dynamics_median: median error of one step over the transitions.
        dynamics_p95: 95th percentile of the error of one step.
        contact_free_median: median error without contacts; None if every transition has contacts.
        contact_median: median error with contacts; None if no transition has contacts.
        exact_share: share of transitions with an error up to 1e-6.
        rollout25_median: median error after 25 mirrored steps; None if none were taken, or all of them diverged.
        entry_errors: root mean square error of each entry over that of its change, by name.
        reward_error: mean |difference of rewards| over their standard deviation.
        termination_mismatch: share of transitions for which only one of the two steps ends the task.
        reset_invariant: whether a two-sample test finds no entry whose distribution at reset the map changes.
        reset_broken: the entries for which the test finds a change.
        unequal: quantities of the model that differ between the two sides.
        causes: by kind of inequality, the share of the error that its repair removes.
        untested: entries that could be wrong without notice.
        suspects: entries for which another sign or place is clearly better.
        unreachable: entries that no state determines, see `Simulator.unreachable`; they count neither for nor against
            the map, which is checked on them as a group action only.
        axes: the verdicts on observation, dynamics, and task (reward and termination).
    """

    name: str
    diverged: int
    observation_error: float
    observation_worst: str
    observation_relative: float
    dynamics_median: float
    dynamics_p95: float
    contact_free_median: float | None
    contact_median: float | None
    exact_share: float
    rollout25_median: float | None
    entry_errors: dict[str, float]
    reward_error: float
    termination_mismatch: float
    reset_invariant: bool
    reset_broken: tuple[str, ...]
    unequal: tuple[Inequality, ...]
    causes: dict[str, float]
    untested: tuple[str, ...]
    suspects: tuple[str, ...]
    unreachable: tuple[str, ...]
    axes: dict[str, Verdict]

    @property
    def verdict(self) -> Verdict:
        """The worst of the axes."""
        return max(self.axes.values())

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        axes = self.axes
        return verdict_sentence(
            axes["dynamics"], axes["observation"], axes["task"], self.reset_invariant, self.suspects
        )

    @property
    def findings(self) -> list[str]:
        """The verdict and its causes in sentences: unequal quantities, repairs, untested entries, largest errors."""
        lines = [self.sentence]
        lines += [f"unequal {inequality}" for inequality in self.unequal]
        lines += [f"repairing {kind} removes {share:.0%} of the error" for kind, share in self.causes.items()]
        if self.untested:
            lines.append(f"untested, a wrong map of these entries would not be noticed: {listed(self.untested)}")
        if self.unreachable:
            lines.append(
                f"not reachable, since no state that can be set determines them: {listed(self.unreachable)}; the map "
                "of these entries is not checked, and reward or termination may depend on them"
            )
        worst = sorted(self.entry_errors.items(), key=lambda item: -item[1])[:5]
        if worst and worst[0][1] > 1e-6:
            largest = ", ".join(f"{name} {error:.2g}" for name, error in worst)
            lines.append(f"entries with the largest errors: {largest}")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON data."""
        unequal = [{"kind": u.kind, "names": list(u.names), "values": list(u.values)} for u in self.unequal]
        return {
            **{k: v for k, v in vars(self).items() if k not in ("unequal", "axes")},
            "reset_broken": list(self.reset_broken),
            "unequal": unequal,
            "untested": list(self.untested),
            "suspects": list(self.suspects),
            "unreachable": list(self.unreachable),
            "axes": {axis: str(verdict) for axis, verdict in self.axes.items()},
            "verdict": str(self.verdict),
            "sentence": self.sentence,
        }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


MEASURED: Mapping[str, Callable[[GeneratorAudit], str]] = MappingProxyType(
    {
        "observation map, largest error": lambda g: f"{g.observation_error:.2g} ({g.observation_worst})",
        "observation map, error / deviation": lambda g: f"{g.observation_relative:.2g}",
        "one step, median relative error": lambda g: f"{g.dynamics_median:.2g}",
        "one step, 95th percentile": lambda g: f"{g.dynamics_p95:.2g}",
        "  without contact, median": lambda g: _number(g.contact_free_median),
        "  in contact, median": lambda g: _number(g.contact_median),
        "transitions exact to 1e-6": lambda g: f"{g.exact_share:.1%}",
        "25 steps, median relative error": lambda g: _number(g.rollout25_median),
        "reward, mean difference / deviation": lambda g: f"{g.reward_error:.2g}",
        "termination, mismatch": lambda g: f"{g.termination_mismatch:.1%}",
        "starts symmetrically": lambda g: "yes" if g.reset_invariant else "no: " + listed(g.reset_broken),
        "verdict": lambda g: str(g.verdict),
    }
)
"""What an audit measures of a generator, in the order of a report: the label, and the value as text."""


@dataclass(frozen=True)
class SymmetryAudit:
    """The audit of one symmetry.

    Attributes:
        environment: environment id.
        symmetry: the audited symmetry.
        states: number of transitions.
        generators: the audit of each generator.
        better: maps that fit better, see `rpp_rl.envs.auditing.better_maps`.
        unmirrored: arrays of the model that a reset changes, and that cannot be mirrored.
    """

    environment: str
    symmetry: Symmetry
    states: int
    generators: tuple[GeneratorAudit, ...]
    better: tuple[BetterMap, ...] = ()
    unmirrored: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the generators; the trivial group is exact."""
        return max((g.verdict for g in self.generators), default=Verdict.EXACT)

    @property
    def is_wrong(self) -> bool:
        """Whether a generator is mis-specified."""
        return self.verdict == Verdict.MIS_SPECIFIED

    @property
    def line(self) -> str:
        """The verdict in one line, with the errors of the worst generator."""
        start = f"symmetry {self.symmetry.name}: {self.verdict}"
        if not self.generators:
            return f"{start} (its group moves nothing)"
        worst = max(self.generators, key=lambda g: (g.verdict, g.dynamics_median))
        errors = f"median error of a step {worst.dynamics_median:.1g}, 95 % within {worst.dynamics_p95:.1g}"
        found = f"{start} (audit of {self.states} states; {errors})"
        if self.verdict == Verdict.EXACT:
            return found
        reason = worst.sentence.removeprefix(f"{self.verdict}: ")
        return f"{found}: generator {worst.name!r}: {reason}"

    @property
    def sentences(self) -> list[str]:
        """All findings of the generators, the warnings, and what to expect of the map."""
        found = [f"{g.name}: {line}" for g in self.generators for line in g.findings]
        return [*found, *self.warnings, f"expect: {self.expected}"]

    @property
    def expected(self) -> str:
        """What to expect of each use of the map."""
        return EXPECTED[self.verdict]

    @property
    def warnings(self) -> list[str]:
        """What to warn of in sentences: states that diverged, and better maps."""
        found = [
            f"generator {g.name!r}: {g.diverged} of {self.states} states diverged and were left out"
            for g in self.generators
            if g.diverged
        ]
        if self.unmirrored:
            found.append(f"a reset changes {listed(self.unmirrored)} of the model, which the audit does not mirror")
        return [*found, *(str(better) for better in self.better)]

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON data."""
        return {
            "name": self.symmetry.name,
            "group": self.symmetry.group.name,
            "verdict": str(self.verdict),
            "states": self.states,
            "expected": self.expected,
            "generators": [g.to_dict() for g in self.generators],
            "better": [b.to_dict() for b in self.better],
            "unmirrored": list(self.unmirrored),
        }
