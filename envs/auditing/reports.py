"""What an audit found, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rpp_rl.envs.auditing import verdicts
from rpp_rl.envs.auditing.inequalities import Inequality
from rpp_rl.envs.auditing.verdicts import Verdict
from rpp_rl.symmetry import Symmetry


@dataclass(frozen=True)
class GeneratorAudit:
    """What was measured for one generator g; errors of dynamics are those of `relative_error`.

    Attributes:
        name: of the generator.
        observation_error: the largest |obs(g s) - g obs(s)|.
        observation_worst: the entry where it is.
        dynamics_median: over the transitions, one step.
        dynamics_p95: the 95th percentile.
        contact_free_median: the median without contacts; None if every state touches something.
        contact_median: the median with contacts; None if no state does.
        exact_share: of transitions with an error up to 1e-6.
        rollout25_median: the median error after 25 mirrored steps.
        entry_errors: by name, the root mean square error of an entry over that of its change.
        reward_error: mean |difference of rewards| over their standard deviation.
        termination_mismatch: share of transitions of which only one ends the task.
        reset_invariant: whether a two-sample test finds no entry whose distribution at reset the map changes.
        reset_broken: the entries for which it does.
        unequal: what the model gives unequally to two sides.
        causes: by kind of inequality, the share of the error that goes away when it is repaired.
        untested: entries that could be wrong without being noticed.
        suspects: entries of which another sign or place is clearly better.
        axes: the verdict on observation, dynamics, and task (reward and termination).
    """

    name: str
    observation_error: float
    observation_worst: str
    dynamics_median: float
    dynamics_p95: float
    contact_free_median: float | None
    contact_median: float | None
    exact_share: float
    rollout25_median: float
    entry_errors: dict[str, float]
    reward_error: float
    termination_mismatch: float
    reset_invariant: bool
    reset_broken: tuple[str, ...]
    unequal: tuple[Inequality, ...]
    causes: dict[str, float]
    untested: tuple[str, ...]
    suspects: tuple[str, ...]
    axes: dict[str, Verdict]

    @property
    def verdict(self) -> Verdict:
        """The worst of the axes."""
        return max(self.axes.values())

    @property
    def sentence(self) -> str:
        """The verdict for a person."""
        axes = self.axes
        return verdicts.sentence(
            axes["dynamics"], axes["observation"], axes["task"], self.reset_invariant, self.suspects
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        unequal = [{"kind": u.kind, "names": list(u.names), "values": list(u.values)} for u in self.unequal]
        return {
            **{k: v for k, v in vars(self).items() if k not in ("unequal", "axes")},
            "reset_broken": list(self.reset_broken),
            "unequal": unequal,
            "untested": list(self.untested),
            "suspects": list(self.suspects),
            "axes": {axis: str(verdict) for axis, verdict in self.axes.items()},
            "verdict": str(self.verdict),
            "sentence": self.sentence,
        }


@dataclass(frozen=True)
class SymmetryAudit:
    """The audit of one symmetry.

    Attributes:
        environment: its id.
        symmetry: what was audited.
        states: number of transitions.
        generators: one audit each.
    """

    environment: str
    symmetry: Symmetry
    states: int
    generators: tuple[GeneratorAudit, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of the generators'; a group of one element is exact."""
        return max((g.verdict for g in self.generators), default=Verdict.EXACT)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "name": self.symmetry.name,
            "group": self.symmetry.group.name,
            "verdict": str(self.verdict),
            "states": self.states,
            "generators": [g.to_dict() for g in self.generators],
        }
