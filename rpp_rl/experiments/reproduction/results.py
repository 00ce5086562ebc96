"""Results of trials: the paper's claims judged, tables, and rows of CSV files."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scipy.stats import t as student_t

from rpp_rl.experiments.markdown import markdown_table
from rpp_rl.experiments.reproduction.trials import Result
from rpp_rl.files import replace_file

# A network is as good as another if its median error is at most this many times as large.
AS_GOOD = 1.5
LABELS = {"emlp": "EMLP", "rpp": "RPP", "rpp-orthogonal": "RPP, orthogonal", "mlp": "MLP"}


@dataclass(frozen=True)
class Claim:
    """A claim about one condition: RPP's error beside another network's.

    Attributes:
        condition: the condition, a panel of the figure.
        other: the network that RPP is compared with.
        better: whether RPP should be better, or else as good.
        rpp: the kind of RPP.
        at_most: if it should be as good, its error may be this many times the other's.
    """

    condition: str
    other: str
    better: bool
    rpp: str = "rpp"
    at_most: float = AS_GOOD

    @property
    def text(self) -> str:
        """The claim in words."""
        as_good = "as good as" if self.at_most == AS_GOOD else f"at most {self.at_most:g} times"
        return f"{LABELS[self.rpp]} is {'better than' if self.better else as_good} {LABELS[self.other]}"

    def holds(self, rpp: float, other: float) -> bool:
        """Whether two medians agree with the claim: RPP's is less, or at most `at_most` times the other's."""
        return rpp < other if self.better else rpp <= self.at_most * other


# Finzi, Benton and Wilson 2021, Figure 2.
CLAIMS = (
    Claim("perfect", "emlp", better=False),
    Claim("perfect", "mlp", better=True),
    Claim("approximate", "emlp", better=True),
    Claim("approximate", "mlp", better=True),
    Claim("misspecified", "emlp", better=True),
    Claim("misspecified", "mlp", better=False),
)
# What one setting for all conditions should achieve: the hopes that were written down before the first trial.
HOPES = tuple(
    Claim(condition, other, better, rpp, at_most)
    for rpp in ("rpp-orthogonal", "rpp")
    for condition, other, better, at_most in (
        ("perfect", "emlp", False, 1.1),
        ("approximate", "emlp", True, 1.0),
        ("approximate", "mlp", True, 1.0),
        ("misspecified", "mlp", False, 1.0),
    )
)


@dataclass(frozen=True)
class Verdict:
    """The judgment of a claim by trials.

    Attributes:
        claim: the claim.
        rpp: RPP's median error.
        other: the other network's median error.
        holds: whether the medians agree with the claim.
        agreeing: the number of seeds that agree, each with both networks on the same data.
        trials: the number of seeds that both networks were trained with.
    """

    claim: Claim
    rpp: float
    other: float
    holds: bool
    agreeing: int
    trials: int


Errors = Mapping[tuple[str, str], Mapping[int, float]]


def verdicts(errors: Errors, claims: Sequence[Claim] = CLAIMS) -> list[Verdict]:
    """Judge every claim that has trials.

    Args:
        errors: test errors by (condition, network), then by seed; NaN counts as infinite.
        claims: the claims.
    """
    found = []
    for claim in claims:
        rpp, other = (errors.get((claim.condition, n), {}) for n in (claim.rpp, claim.other))
        seeds = sorted(rpp.keys() & other.keys())
        if not seeds:
            continue
        medians = [median([e[s] for s in seeds]) for e in (rpp, other)]
        agreeing = sum(claim.holds(_finite(rpp[s]), _finite(other[s])) for s in seeds)
        found.append(Verdict(claim, medians[0], medians[1], claim.holds(*medians), agreeing, len(seeds)))
    return found


def median(values: Sequence[float]) -> float:
    """The median; NaN counts as infinite."""
    return statistics.median(map(_finite, values))


def _finite(value: float) -> float:
    return math.inf if math.isnan(value) else value


def table(errors: Errors, claims: Sequence[Claim] = CLAIMS) -> str:
    """Two tables in Markdown: test errors of every condition and network, and the verdicts on the claims."""
    rows = []
    for (condition, network), by_seed in errors.items():
        values = [_finite(v) for v in by_seed.values()]
        spread = f"{min(values):.3g} to {max(values):.3g}"
        rows.append((condition, LABELS[network], f"{median(values):.3g}", spread, str(len(values))))
    judged = []
    for v in verdicts(errors, claims):
        verdict, medians = "holds" if v.holds else "**does not hold**", f"{v.rpp:.3g} and {v.other:.3g}"
        judged.append((v.claim.condition, v.claim.text, medians, verdict, f"{v.agreeing} of {v.trials}"))
    found = markdown_table(("condition", "network", "median test MSE", "least to greatest", "trials"), rows)
    shown = markdown_table(("condition", "claim", "medians", "verdict", "seeds that agree"), judged)
    return f"{found}\n\n{shown}"


def ratio_table(errors: Errors, claims: Sequence[Claim]) -> str:
    """A table in Markdown of RPP's error relative to another network's on the same data.

    Each row has the geometric mean over seeds of the ratio of two errors, and its interval of 95 % by Student's t
    for the logarithms.
    """
    rows = []
    for claim in claims:
        rpp, other = (errors.get((claim.condition, n), {}) for n in (claim.rpp, claim.other))
        logs = [math.log(rpp[s] / other[s]) for s in sorted(rpp.keys() & other.keys()) if other[s] and rpp[s]]
        if not logs or not all(map(math.isfinite, logs)):
            continue
        mean, shown = statistics.fmean(logs), "-"
        if len(logs) > 1:
            half = float(student_t.ppf(0.975, len(logs) - 1)) * statistics.stdev(logs) / math.sqrt(len(logs))
            shown = f"{math.exp(mean - half):.2f} to {math.exp(mean + half):.2f}"
        names = f"{LABELS[claim.rpp]} / {LABELS[claim.other]}"
        rows.append((claim.condition, names, f"{math.exp(mean):.2f}", shown, str(len(logs))))
    return markdown_table(("condition", "ratio of errors", "geometric mean", "95 % interval", "seeds"), rows)


def errors_by_seed(results: Iterable[Result]) -> dict[tuple[str, str], dict[int, float]]:
    """Final test errors by (condition, network), then by seed."""
    errors: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for r in results:
        errors[r.trial.condition, r.trial.network][r.trial.seed] = r.final.test_mse
    return dict(errors)


def errors_by_asymmetry(results: Iterable[Result]) -> dict[str, dict[float, list[float]]]:
    """Final test errors over seeds by network, then by planted asymmetry."""
    errors: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for r in results:
        if r.trial.asymmetry is not None:
            errors[r.trial.network][r.trial.asymmetry].append(r.final.test_mse)
    return errors


def asymmetry_table(errors: Mapping[str, Mapping[float, Sequence[float]]]) -> str:
    """A table in Markdown: median test errors by planted asymmetry, a column for each network."""
    amounts = sorted({a for by_amount in errors.values() for a in by_amount})
    rows = [(f"{a:g}", *(f"{median(by_amount[a]):.3g}" for by_amount in errors.values())) for a in amounts]
    trials = max(len(values) for by_amount in errors.values() for values in by_amount.values())
    return markdown_table((f"asymmetry (n = {trials})", *(LABELS[n] for n in errors)), rows)


SweepKey = tuple[str, str, float | None, float | None, float | str, float]


def sweep_errors(results: Iterable[Result]) -> dict[SweepKey, list[float]]:
    """Validation errors over seeds by condition, network, learning rate, budget, residual step and basic_wd."""
    found: dict[SweepKey, list[float]] = defaultdict(list)
    for r in results:
        t = r.trial
        key = (t.condition, t.network, t.learning_rate, t.residual_budget, t.residual_step, t.basic_wd)
        found[key].append(r.final.validation_mse)
    return found


def sweep_table(errors: Mapping[SweepKey, Sequence[float]]) -> str:
    """A table in Markdown: a row for each setting, and a column with the median validation error of each condition."""
    conditions = list(dict.fromkeys(key[0] for key in errors))
    rows = []
    for setting in dict.fromkeys(key[1:] for key in errors):
        network, rate, budget, step, basic_wd = setting
        own = {"rpp": ("", "", f"{basic_wd:g}"), "rpp-orthogonal": (f"{budget}", f"{step}", "")}
        values = [errors.get((c, *setting)) for c in conditions]
        medians = ("" if v is None else f"{median(v):.3g}" for v in values)
        rows.append((LABELS[network], f"{rate:g}", *own.get(network, ("", "", "")), *medians))
    return markdown_table(("network", "learning rate", "budget", "rho", "wd_basic", *conditions), rows)


def median_errors(results: Iterable[Result]) -> dict[str, dict[tuple[float, float], tuple[float, float]]]:
    """Median validation and test errors by condition, then by (equiv_wd, basic_wd)."""
    found: dict[str, dict[tuple[float, float], list[Result]]] = defaultdict(lambda: defaultdict(list))
    for r in results:
        found[r.trial.condition][r.trial.equiv_wd, r.trial.basic_wd].append(r)
    return {
        condition: {
            wds: (median([r.final.validation_mse for r in rs]), median([r.final.test_mse for r in rs]))
            for wds, rs in by_strengths.items()
        }
        for condition, by_strengths in found.items()
    }


def equivariance_errors(results: Iterable[Result]) -> dict[str, dict[int, list[float]]]:
    """Equivariance errors over trials and elements, by condition, then by epoch."""
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for r in results:
        for m in r.measurements:
            found[r.trial.condition][m.epoch].extend(m.equivariance_errors)
    return found


def result_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row for each trial: its settings and its last measurement."""
    return [
        {
            **asdict(r.trial),
            "validation_mse": r.final.validation_mse,
            "test_mse": r.final.test_mse,
            "seconds": round(r.seconds, 1),
        }
        for r in results
    ]


def error_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row for each equivariance error: trial, epoch, number of the element."""
    return [
        {
            **{k: getattr(r.trial, k) for k in ("problem", "condition", "network", "seed")},
            "epoch": m.epoch,
            "element": i,
            "equivariance_error": float(f"{error:.4g}"),
        }
        for r in results
        for m in r.measurements
        for i, error in enumerate(m.equivariance_errors)
    ]


def prior_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row for each learned standard deviation: trial, epoch, layer, pathway."""
    return [{"condition": r.trial.condition, "seed": r.trial.seed, **row} for r in results for row in r.priors]


def layer_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row for each layer of each RPP."""
    return [{"condition": r.trial.condition, "seed": r.trial.seed, **row} for r in results for row in r.layers]


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write at least one row as CSV; all rows have the same keys."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace_file(path, text.getvalue().encode())


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a file of `write_csv`; values are text."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
