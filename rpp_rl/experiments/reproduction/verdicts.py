"""The paper's claims about each panel, and whether trials bear them out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rpp_rl.experiments.markdown import markdown_table

# A network keeps up with another if its median error is no more than this many times as large.
AS_GOOD = 1.5


@dataclass(frozen=True)
class Claim:
    """A statement about one condition: RPP's error beside another network's.

    Attributes:
        condition: of which panel.
        other: which network RPP is compared with.
        better: whether RPP should be better; as good as the other if not.
    """

    condition: str
    other: str
    better: bool

    @property
    def text(self) -> str:
        """The claim in words."""
        return f"RPP is {'better than' if self.better else 'as good as'} {self.other.upper()}"

    def holds(self, rpp: float, other: float) -> bool:
        """Whether two medians bear the claim out: below the other's, or not above `AS_GOOD` times it."""
        return rpp < other if self.better else rpp <= AS_GOOD * other


# Finzi, Benton and Wilson 2021, Figure 2.
CLAIMS = (
    Claim("perfect", "emlp", better=False),
    Claim("perfect", "mlp", better=True),
    Claim("approximate", "emlp", better=True),
    Claim("approximate", "mlp", better=True),
    Claim("misspecified", "emlp", better=True),
    Claim("misspecified", "mlp", better=False),
)


@dataclass(frozen=True)
class Verdict:
    """What trials say about a claim.

    Attributes:
        claim: the claim.
        rpp: RPP's median error.
        other: the other network's.
        holds: whether the medians bear the claim out.
        agreeing: seeds that bear it out, each with both networks on the same data.
        trials: seeds that both networks were trained with.
    """

    claim: Claim
    rpp: float
    other: float
    holds: bool
    agreeing: int
    trials: int


Errors = Mapping[tuple[str, str], Mapping[int, float]]


def verdicts(errors: Errors, claims: Sequence[Claim] = CLAIMS) -> list[Verdict]:
    """Judge every claim that there are trials for.

    Args:
        errors: test errors by (condition, network), then by seed; one that is no number counts as infinite.
        claims: what to judge.
    """
    found = []
    for claim in claims:
        rpp, other = (errors.get((claim.condition, n), {}) for n in ("rpp", claim.other))
        seeds = sorted(rpp.keys() & other.keys())
        if not seeds:
            continue
        medians = [median([e[s] for s in seeds]) for e in (rpp, other)]
        agreeing = sum(claim.holds(finite(rpp[s]), finite(other[s])) for s in seeds)
        found.append(Verdict(claim, medians[0], medians[1], claim.holds(*medians), agreeing, len(seeds)))
    return found


def median(values: Sequence[float]) -> float:
    """The median, with what is no number as infinity."""
    return statistics.median(map(finite, values))


def finite(value: float) -> float:
    """The number itself, or infinity."""
    return math.inf if math.isnan(value) else value


def table(errors: Errors) -> str:
    """A table in Markdown: median, least and greatest test error of every condition and network, and the verdicts."""
    rows = []
    for (condition, network), by_seed in errors.items():
        values = [finite(v) for v in by_seed.values()]
        spread = f"{min(values):.3g} to {max(values):.3g}"
        rows.append((condition, network.upper(), f"{median(values):.3g}", spread, str(len(values))))
    judged = []
    for v in verdicts(errors):
        verdict, medians = "holds" if v.holds else "**does not hold**", f"{v.rpp:.3g} and {v.other:.3g}"
        judged.append((v.claim.condition, v.claim.text, medians, verdict, f"{v.agreeing} of {v.trials}"))
    found = markdown_table(("condition", "network", "median test MSE", "least to greatest", "trials"), rows)
    claims = markdown_table(("condition", "claim", "medians", "verdict", "seeds that agree"), judged)
    return f"{found}\n\n{claims}"
