"""Sections of docs/paper.md beyond the paper: step sizes, layers, strengths of priors, residual policies, costs."""

import json
from collections import defaultdict
from pathlib import Path

from paper_records import command, errors, last_errors

from rpp_rl.experiments.markdown import markdown_table
from rpp_rl.experiments.reproduction.results import median, read_csv

# Folders of the experiments that differ from the paper's in one setting.
STEPS, LEARNED, LAYERS, CHOSEN = "steps", "learned", "layers", "chosen"
# N d: the number of outputs in the training examples.
OUTPUTS = 9000
POLICY, STACKING = "residual-policy", "stacking.json"


def steps(folder: Path) -> str:
    """Format the section on the residual pathway's learning rate."""
    own = folder / STEPS
    found = {ratio: errors(read_csv(own / ratio / "inertia.csv"))["perfect", "rpp"] for ratio in ("0", "0.1", "1")}
    rows = {"in proportion to its prior": (errors(read_csv(folder / "inertia.csv"))["perfect", "rpp"], folder)}
    rows |= {f"{ratio} times the rest": (by_seed, own / ratio) for ratio, by_seed in found.items()}
    few = min(rows.items(), key=lambda row: len(row[1][0]))[1][0].keys()
    first = f"median of the first {len(few)}"
    header = ("the residual's learning rate", "trials", "median test MSE", "min to max", first)
    lines = []
    for name, (by_seed, where) in rows.items():
        values, last = list(by_seed.values()), median(last_errors(where)["perfect"])
        spread, same = f"{min(values):.3g} to {max(values):.3g}", median([by_seed[seed] for seed in few])
        lines.append((name, str(len(values)), f"{median(values):.3g}", spread, f"{same:.3g}", f"{last:.2g}"))
    commands = "\n".join(f"    {command(own / ratio, 'inertia')}" for ratio in found)
    return f"""## The learning rate of the residual pathway

{commands}

The table is of RPP under perfect symmetry. Adam moves every parameter by about its learning rate, whatever the
gradient. Under the published strengths the residual's prior has a standard deviation of 5e-4 (see below), so a step
of 3e-3 is six standard deviations: the residual never settles, and the equivariant pathway learns under its noise.
Everywhere else on this page the residual's learning rate is smaller by the ratio of the two standard deviations,
sqrt(wd_equiv / wd_basic), or equal if that ratio exceeds 1; see `PathwayPrior.step_ratio`. With 0 the residual keeps
its initial values.

""" + markdown_table((*header, "equivariance error at the end"), lines)


def layers(folder: Path) -> str:
    """Format the section on the two pathways of each layer, if it is recorded."""
    own = folder / LAYERS
    if not (own / "inertia_layers.csv").exists():
        return ""
    found: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in read_csv(own / "inertia_layers.csv"):
        if row["residual_share"]:
            found[row["condition"], row["layer"]].append(row)
    lines = []
    for (condition, layer), rows in found.items():
        share, equiv, basic = (
            median([float(row[key]) for row in rows])
            for key in ("residual_share", "equiv_effective", "basic_effective")
        )
        lines.append((condition, f"`{layer}`", f"{share:.2g}", f"{equiv:.3g}", f"{basic:.2g}"))
    header = ("condition", "layer", "residual share", "effective, equivariant", "effective, residual")
    return f"""## Is it only two weight decays?

    {command(own, "inertia")}

For each layer of a trained RPP the table gives the residual share |B| / (|A| + |B|), and the number of parameters of
each pathway that the data determine (`rpp_rl.empirical_bayes.effective_parameters`), from {rows[0]["outputs"]}
outputs. The values are medians over {len({row["seed"] for row in rows})} seeds.

{markdown_table(header, lines)}"""


def learned(folder: Path) -> str:
    """Format the section on learned strengths, if it is recorded."""
    own = folder / LEARNED
    if not (own / "inertia.csv").exists():
        return ""
    found = errors(read_csv(own / "inertia.csv"))
    priors = read_csv(own / "inertia_priors.csv")
    lines = []
    for (condition, _), by_seed in found.items():
        mine = [row for row in priors if row["condition"] == condition]
        last = [row for row in mine if row["epoch"] == mine[-1]["epoch"]]
        stds = [median([float(r["std"]) for r in last if r["pathway"] == p]) for p in ("equiv", "basic")]
        wds = [
            median([(float(r["noise"]) / float(r["std"])) ** 2 / OUTPUTS for r in last if r["pathway"] == p])
            for p in ("equiv", "basic")
        ]
        noise, values = median([float(r["noise"]) for r in last]), list(by_seed.values())
        spread = f"{min(values):.3g} to {max(values):.3g}"
        values_learned = [f"{value:.2g}" for value in (*stds, noise, *wds)]
        lines.append((condition, *values_learned, f"{median(values):.3g}", spread, str(len(values))))
    header = ("condition", "s_eq", "s_res", "sigma", "wd_equiv", "wd_basic", "median test MSE", "min to max")
    return (
        f"## Learning the strengths\n\n    {command(own, 'inertia')}\n\n"
        "The values are medians over seeds at the end of training; wd = sigma^2 / (N d s^2).\n\n"
        + markdown_table((*header, "trials"), lines)
    )


def chosen(folder: Path) -> str:
    """Format the section on the choice of strengths, if it is recorded."""
    own = folder / CHOSEN
    if not (own / "prior-sweep.csv").exists():
        return ""
    rows = read_csv(own / "prior-sweep.csv")
    strengths = list(dict.fromkeys(row["basic_wd"] for row in rows))
    lines = []
    for condition in dict.fromkeys(row["condition"] for row in rows):
        of = {row["basic_wd"]: float(row["validation_mse"]) for row in rows if row["condition"] == condition}
        lines.append((condition, *(f"{of[wd]:.3g}" for wd in strengths)))
    header = ("condition", *(f"{float(wd):g}" for wd in strengths))
    return f"""## Choosing the strengths

    {command(own, "prior-sweep")}

We chose the strengths of the approximate and mis-specified conditions ourselves, because the published facts that we
had contain none. The table gives validation errors by wd_basic, with wd_equiv = 1e-3, on seed {rows[0]["seed"]}; no
result uses that seed.

{markdown_table(header, lines)}"""


def residual_policy(folder: Path) -> str:
    """Format the section on residual policy learning, if it is recorded."""
    own = folder / POLICY
    if not (own / "curves.csv").exists():
        return ""
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for row in read_csv(own / "curves.csv"):
        values = [float(row[key]) for key in ("iqm", "low", "high")]
        found[int(row["step"])][row["environment"]] = f"{values[0]:.2f} ({values[1]:.2f} to {values[2]:.2f})"
    names = ("Reacher-v5", "ResidualReacher-v5")
    rows = [(str(step), *(by_env[name] for name in names)) for step, by_env in sorted(found.items())]
    notes = (own / "notes.md").read_text(encoding="utf-8").rstrip()
    shown = markdown_table(("step", "from scratch", "on top of the controller"), rows)
    return f"## Residual policy learning\n\n{notes}\n\n{shown}"


def costs(folder: Path) -> str:
    """Format the section on the time of a trial, and of several at once."""
    stacked = json.loads((folder / STACKING).read_text(encoding="utf-8"))
    passes = [
        (f"five {name.upper()}", f"{t['one_after_the_other']:g}", f"{t['stacked']:g}") for name, t in stacked.items()
    ]
    seconds: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for path in (folder / "inertia.csv", folder / "pendulum.csv"):
        for row in read_csv(path) if path.exists() else []:
            seconds[row["problem"], row["condition"], row["network"]].append(float(row["seconds"]))
    times = [(*key, f"{median(values):.0f}") for key, values in seconds.items()]
    return f"""## The time of a trial, and of several at once

Median wall time of a trial, while at least one other ran at the same time on two processors:

{markdown_table(("experiment", "condition", "network", "seconds"), times)}

Trials run one after the other, because stacking them (`torch.func.vmap`) is slower on a processor.
`python -m rpp_rl.experiments.benchmarks.stacking` measures a forward and backward pass, in milliseconds:

{markdown_table(("", "one after the other", "stacked"), passes)}"""
