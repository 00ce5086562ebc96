"""Sections of docs/paper.md with one setting for all conditions, and with more or less asymmetry."""

import math
from pathlib import Path

from paper_records import command, errors

from rpp_rl.experiments.markdown import markdown_table
from rpp_rl.experiments.reproduction import figures
from rpp_rl.experiments.reproduction.results import (
    HOPES,
    LABELS,
    asymmetry_table,
    median,
    ratio_table,
    read_csv,
    table,
    verdicts,
)

ONE_SETTING, TUNED, ASYMMETRY = "one-setting", "one-setting/tuned", "asymmetry"
SYMMETRY = {
    "perfect": "where the symmetry holds",
    "approximate": "where it is approximate",
    "misspecified": "where it is mis-specified",
}
NAMES = {"one-setting": "inertia", "one-setting-pendulum": "the double pendulum"}


def one_setting(folder: Path, images: Path) -> str:
    """Format the section on one setting for all conditions, of each problem that is recorded."""
    own = folder / ONE_SETTING
    parts = [_problem(own, images, stem) for stem in NAMES if (own / f"{stem}.csv").exists()]
    if not parts:
        return ""
    parts.append(tuned(folder))
    shown = "\n\n".join(part for part in parts if part)
    return (
        shown
        and f"""## One setting for all conditions

The strengths above are chosen for each condition, so they depend on how well the symmetry holds. Here one setting
serves all three conditions; it was chosen on other seeds. All networks have the same epochs and the same learning rate,
which falls by half a cosine to zero. Exact networks and both RPPs have equal steps, and each RPP starts as the exact
network of its seed. "RPP" adds two pathways, with Gaussian priors in the loss. "RPP, orthogonal" has coordinates
W = E beta + R gamma, and a budget for the residual, held by decay apart from the loss (`rpp_rl.residual_priors`). We
hoped for an error of at most 1.1 times EMLP's under perfect symmetry, the least error under approximate symmetry, and
at most MLP's error under mis-specified symmetry.

{shown}"""
    )


def _problem(own: Path, images: Path, stem: str) -> str:
    rows = read_csv(own / f"{stem}.csv")
    found = errors(rows)
    figures.box_plots(found, images / f"{stem}.png")
    rpps = {row["network"]: row for row in rows}
    settings = [f"{rows[0]['epochs']} epochs, width {rows[0]['width']}, learning rate {rows[0]['learning_rate']}"]
    if "rpp-orthogonal" in rpps:
        row = rpps["rpp-orthogonal"]
        settings.append(
            f"a budget of {row['residual_budget']} and residual steps of {row['residual_step']} times the rest"
        )
    if "rpp" in rpps:
        row = rpps["rpp"]
        settings.append(f"strengths of {float(row['equiv_wd']):g} and {float(row['basic_wd']):g} for two pathways")
    seconds = {n: median([float(r["seconds"]) for r in rows if r["network"] == n]) for n in rpps}
    times = ", ".join(f"{LABELS[n]} {value:.0f} s" for n, value in seconds.items())
    seeds = sorted({int(row["seed"]) for row in rows})
    return f"""### One setting: {NAMES[stem]}

    {command(own, stem)}

- Setting: {"; ".join(settings)}.
- Seeds: {seeds[0]} to {seeds[-1]}.
- Median time of a trial: {times}.

![Test errors with one setting](images/{stem}.png)

{table(found, HOPES)}

{said(found)}

{ratio_table(found, HOPES)}"""


def said(found: dict[tuple[str, str], dict[int, float]]) -> str:
    """Say which hopes the medians agree with, for each parametrization."""
    lines = []
    for rpp in ("rpp-orthogonal", "rpp"):
        judged = [v for v in verdicts(found, HOPES) if v.claim.rpp == rpp and math.isfinite(v.rpp / v.other)]
        if not judged:
            continue
        held = "; ".join(
            f"{SYMMETRY[v.claim.condition]}, {v.rpp / v.other:.2f} times {LABELS[v.claim.other]}'s "
            f"({'as hoped' if v.holds else 'not as hoped'})"
            for v in judged
        )
        agree = sum(v.holds for v in judged)
        lines.append(f"- **{LABELS[rpp]}: {agree} of {len(judged)} hopes hold.** Its median error is, {held}.")
    return "\n".join(lines)


def tuned(folder: Path) -> str:
    """Format what was tried to choose the setting."""
    own, parts = folder / TUNED, []
    for stem, name in (("setting-sweep", "inertia"), ("setting-sweep-pendulum", "the double pendulum")):
        for path in sorted(own.glob(f"**/{stem}.md")):
            rows = read_csv(path.with_suffix(".csv"))
            seeds = ", ".join(sorted({row["seed"] for row in rows}))
            shown = path.read_text(encoding="utf-8").strip()
            parts.append(
                f"    {command(path.parent, stem)}\n\nMedian validation errors on {name} after {rows[0]['epochs']} "
                f"epochs at width {rows[0]['width']}, seeds {seeds}:\n\n{shown}"
            )
    if not parts:
        return ""
    notes = own / "notes.md"
    reasons = [notes.read_text(encoding="utf-8").strip()] if notes.exists() else []
    return "### How the setting was chosen\n\nNo result uses these seeds.\n\n" + "\n\n".join([*parts, *reasons])


def asymmetry(folder: Path, images: Path) -> str:
    """Format the section on the error against the amount of planted asymmetry, if it is recorded."""
    own = folder / ASYMMETRY
    if not (own / "asymmetry.csv").exists():
        return ""
    rows = read_csv(own / "asymmetry.csv")
    found: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        by_amount = found.setdefault(row["network"], {})
        by_amount.setdefault(float(row["asymmetry"]), []).append(float(row["test_mse"]))
    figures.asymmetry_lines(found, images / "asymmetry.png")
    seeds = sorted({int(row["seed"]) for row in rows})
    return f"""## Error against the amount of planted asymmetry

    {command(own, "asymmetry")}

Inertia with a v g^T added to the tensor: O(3) holds at a = 0, and a = 0.3 is the approximate condition. The setting is
the one above for all amounts, and the seeds are {seeds[0]} to {seeds[-1]}.

![Test error against planted asymmetry](images/asymmetry.png)

{asymmetry_table(found)}

{lines_said(found)}"""


def lines_said(found: dict[str, dict[float, list[float]]]) -> str:
    """Say where RPP lies between the exact and the free network."""
    if not {"emlp", "rpp-orthogonal", "mlp"} <= found.keys():
        return ""
    rows = []
    for a in sorted(found["rpp-orthogonal"]):
        exact, rpp, free = (median(found[n][a]) for n in ("emlp", "rpp-orthogonal", "mlp"))
        least = min((exact, "emlp"), (rpp, "rpp-orthogonal"), (free, "mlp"))[1]
        rows.append((f"{a:g}", f"{rpp / exact:.2f}", f"{rpp / free:.2f}", LABELS[least]))
    return markdown_table(("asymmetry", "RPP / EMLP", "RPP / MLP", "least median error"), rows)
