"""Write docs/evidence.md from the tables of comparisons, one folder for each task; commands stand in the page itself.

python docs/evidence.py docs/results/evidence docs/evidence.md
"""

import csv
import sys
from pathlib import Path

from rpp_rl.experiments.comparison.analysis import Pair
from rpp_rl.experiments.comparison.verdicts import direction, shown
from rpp_rl.experiments.markdown import markdown_table
from rpp_rl.statistics import Estimate

TEXT = """# Does the symmetry help? With the controls that the question needs

Written by `make docs-evidence`, never by hand, from the tables that `rpp-rl compare` has made of {runs} runs,
{hours:.0f} hours of them, two at a time on two cores. Those tables, with each evaluation of every run in `scores.csv`,
are in a folder for each task in `docs/results/evidence`.

What a claim about symmetry needs is in [evidence/plan.yml](evidence/plan.yml), what was tried besides in
[evidence/tries.yml](evidence/tries.yml). The rows, five seeds each:

{rows}

What is better than `mlp_sac` but no better than the control with the group of one element is no gain of symmetry: with
Adam a weight that is the sum of two parameters moves up to twice as far. A difference is told, in bold, only where the
intervals of P(X > Y) and of the difference both leave out none. Each interval is meant to hold with 95 % by itself, and
there are {comparisons} of them: chance alone tells about one of twenty. With five seeds those of IQMs hold less often,
with 86 to 90 %.

{tasks}## What follows

{reading}"""

TASK = """## {name}: {what}

{steps} steps, an evaluation of five episodes every {every}.

    export PYTHONPATH=docs/evidence OMP_NUM_THREADS=1
{commands}

![Reward curves: every seed thin, the interquartile mean bold](results/evidence/{name}/curves.png)

{table}

{contrasts}

How symmetric the networks are, in medians over the runs, where learning began at step {begins}; a residual share is
|B| / (|A| + |B|), between the least and the greatest of all layers:

{symmetry}

![Residual shares and equivariance errors](results/evidence/{name}/symmetry.png)

{reading}
"""

WHAT = {
    "Reacher-v5": "the mirror is exact",
    "Walker2d-v5": "the mirror is exact",
    "HalfCheetah-v5": "there is no exact mirror, and the one of the paper is approximate",
}
STRONG = "rpp_sac [actor_basic_wd=0.01, actor_equiv_wd=1e-06, critic_basic_wd=0.01, critic_equiv_wd=1e-06]"
ROWS = {
    "rpp_sac": "both pathways, the task's own mirror, hyperparameters as shipped",
    "equivariant_sac": "no residual: exactly equivariant networks",
    "mlp_sac": "plain networks in the same gradient step, which is that of stable-baselines3's SAC up to rounding",
    "rpp_sac [symmetry=trivial]": "both pathways, but the group of one element: no symmetry, and twice the parameters",
    "rpp_sac [symmetry=wrong]": "both pathways, and a [map that is wrong on purpose](evidence/wrong_maps.py)",
    "mlp_sac [learning_rate=0.0006]": "plain networks that move twice as far, and so does the temperature",
    "rpp_sac [residual_step_ratio=0.1]": "a residual that moves a tenth as far",
    STRONG: "a residual with a prior a hundred times narrower, that moves a hundredth as far",
}
PAIRS = (
    ("rpp_sac", "mlp_sac", "Does RPP-SAC learn more than plain networks?"),
    ("rpp_sac", "rpp_sac [symmetry=trivial]", "More than two pathways without a symmetry?"),
    ("rpp_sac", "rpp_sac [symmetry=wrong]", "More than with a wrong map?"),
    ("equivariant_sac", "mlp_sac", "Does exact symmetry alone help?"),
    ("equivariant_sac", "rpp_sac", "Does it help more than RPP?"),
    ("rpp_sac [symmetry=trivial]", "mlp_sac", "Do two pathways help without a symmetry?"),
    ("mlp_sac [learning_rate=0.0006]", "mlp_sac", "Does moving twice as far?"),
    (
        "rpp_sac [symmetry=trivial]",
        "mlp_sac [learning_rate=0.0006]",
        "More than that, with the temperature as shipped?",
    ),
    ("rpp_sac [residual_step_ratio=0.1]", "rpp_sac", "Does a slower residual?"),
    (STRONG, "rpp_sac", "Does a strong prior?"),
    (STRONG, "mlp_sac", "Does it, beside plain networks?"),
)
LEARNING_STARTS = 1000
Row = dict[str, str]


def main(folder: Path, page: Path) -> None:
    """Write the page."""
    folders = [folder / name for name in WHAT if (folder / name).is_dir()]
    summary = [row for each in folders for row in rows(each / "summary.csv")]
    hours = sum(int(row["n"]) * float(row["wall_time_s"]) for row in summary) / 3600
    text = TEXT.format(
        runs=sum(int(row["n"]) for row in summary),
        hours=hours,
        comparisons=3 * sum(len(asked(rows(each / "summary.csv"))) for each in folders),
        tasks="".join(task(each) for each in folders),
        rows=markdown_table(("row", "what it is"), [[f"`{label}`", ROWS[label]] for label in present(summary)]),
        reading=(folder / "reading.md").read_text(encoding="utf-8"),
    )
    page.write_text(text, encoding="utf-8")


def rows(path: Path) -> list[Row]:
    """The rows of a table."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def present(summary: list[Row]) -> list[str]:
    """The rows that there are, in the order of `ROWS`."""
    there = {row["algorithm"] for row in summary}
    return [label for label in ROWS if label in there]


def asked(summary: list[Row]) -> list[tuple[str, str, str]]:
    """The questions that the rows of a task can answer."""
    return [pair for pair in PAIRS if set(present(summary)).issuperset(pair[:2])]


def commands(name: str, steps: list[int], tried: bool) -> str:
    """The commands that train the runs of a task, and go on with them, and the one that compares them."""
    options = f"--envs wrong_maps:{name} -n {steps[-1]} --eval-freq {steps[0]} --jobs 2 -f runs/evidence --trust"
    plans = ["plan", "tries"] if tried else ["plan"]
    train = [f"rpp-rl sweep --plan docs/evidence/{plan}.yml {options}" for plan in plans]
    compare = f'rpp-rl compare runs/evidence --filter "*{name}*" --baseline mlp_sac --out docs/results/evidence/{name}'
    return "\n".join(f"    {line}" for line in [*train, compare])


def task(folder: Path) -> str:
    """The part of a task."""
    summary, pairs, scores, symmetry = (rows(folder / f"{n}.csv") for n in ("summary", "pairs", "scores", "symmetry"))
    steps = sorted({int(row["step"]) for row in scores})
    header = ("", "n", "final IQM", "area under the curve, as a height", "minutes a run")
    cells = [
        [
            *(f"`{row['algorithm']}`", row["n"], shown(estimate(row, "final_iqm", "low", "high"))),
            shown(estimate(row, "area_under_curve", "area_low", "area_high")),
            f"{float(row['wall_time_s']) / 60:.0f}",
        ]
        for row in summary
    ]
    found = {(row["first"], row["second"]): row for row in pairs}
    contrasts = [[question, f"`{x}`", f"`{y}`", *contrast(found, x, y)] for x, y, question in asked(summary)]
    return TASK.format(
        name=folder.name,
        what=WHAT[folder.name],
        steps=steps[-1],
        every=steps[0],
        commands=commands(folder.name, steps, tried=any(row["algorithm"] == STRONG for row in summary)),
        table=markdown_table(header, cells),
        begins=LEARNING_STARTS,
        symmetry=symmetry_table(summary, symmetry),
        contrasts=markdown_table(("", "X", "Y", "P(X > Y)", "final IQM, X minus Y", "area, X minus Y"), contrasts),
        reading=(folder / "reading.md").read_text(encoding="utf-8"),
    )


def symmetry_table(summary: list[Row], symmetry: list[Row]) -> str:
    """How symmetric the networks are after the first evaluation that followed learning, and at the end."""
    header = ("", "step", "actor's equivariance error", "critics' invariance error", "residual share of the layers")
    cells = []
    for label in (row["algorithm"] for row in summary):
        mine = [row for row in symmetry if row["algorithm"] == label]
        steps = sorted({int(row["step"]) for row in mine})
        for step in (next(step for step in steps if step > LEARNING_STARTS), steps[-1]):
            at = {row["quantity"]: float(row["median"]) for row in mine if int(row["step"]) == step}
            shares = [value for key, value in at.items() if key.startswith("residual_share/")]
            span = f"{min(shares):.3f} to {max(shares):.3f}" if shares else "-"
            cells.append([f"`{label}`", str(step), f"{at['error/actor']:.2g}", f"{at['error/critic']:.2g}", span])
    return markdown_table(header, cells)


def contrast(found: dict[tuple[str, str], Row], x: str, y: str) -> list[str]:
    """A pair's probability and both differences, the other way round where the table has it so."""
    turned = (x, y) not in found
    row = found[(y, x) if turned else (x, y)]
    chance = estimate(row, "probability_of_improvement", "probability_low", "probability_high")
    final = estimate(row, "iqm_difference", "difference_low", "difference_high")
    area = estimate(row, "area_difference", "area_difference_low", "area_difference_high")
    if turned:
        chance, final, area = turn(chance, 1.0), turn(final, 0.0), turn(area, 0.0)
    told = direction(Pair(x, y, chance, final, area, row["paired"] == "True")) is not None
    return [*(f"**{shown(e)}**" if told else shown(e) for e in (chance, final)), shown(area)]


def turn(e: Estimate, whole: float) -> Estimate:
    """An estimate of a pair as one of the pair the other way round: of `whole` minus what is estimated."""
    ends = [None if end is None else whole - end for end in (e.high, e.low)]
    return Estimate(whole - e.value, *ends, e.n)


def estimate(row: Row, value: str, low: str, high: str) -> Estimate:
    """An estimate from the columns of a table, where an end that does not exist is empty."""
    ends = [float(row[key]) if row[key] else None for key in (low, high)]
    n = row["n"] if "n" in row else min(row["n_first"], row["n_second"], key=int)
    return Estimate(float(row[value]), *ends, int(n))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
