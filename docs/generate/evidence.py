"""Write docs/evidence.md from the tables that `rpp-rl compare` made, one folder per task.

python docs/generate/evidence.py docs/results/evidence docs/evidence.md
"""

import csv
import sys
from pathlib import Path

from rpp_rl.experiments.comparison.analysis import Pair
from rpp_rl.experiments.comparison.verdicts import shown
from rpp_rl.experiments.markdown import markdown_table
from rpp_rl.statistics import Estimate
from rpp_rl.strict_yaml import load_yaml

TEXT = """# Does the symmetry help?

Algorithms are compared here with the controls that this question needs. `make docs-evidence` writes the page; do not
edit it by hand.

{rates}## Two pathways, before steps were equal

`rpp-rl compare` made the tables below from {runs} runs: {hours:.0f} hours of training, two runs at a time on two cores.
`docs/results/evidence` has one folder per task; `scores.csv` in it lists every evaluation of every run.

[evidence/plan.yml](evidence/plan.yml) trains the algorithms and their controls.
[evidence/tries.yml](evidence/tries.yml) trains two more variants of `rpp_sac`. All networks have the paper's two
pathways and coefficients of orthonormal bases, the only ones at that time; the plans name them
(`parametrization:pathways`, `steps:orthonormal`). Every row has five seeds:

{rows}

A gain over `mlp_sac` counts as a gain from symmetry only if it also exceeds the control with the trivial group. The
reason is Adam: a weight that is the sum of two parameters moves up to twice as far in a step.

Bold marks a difference: both intervals, that of P(X > Y) and that of the difference in IQMs, exclude "no difference".
Every interval has a coverage of 95 % by itself. The page has {comparisons} of them, so about one in twenty excludes "no
difference" by chance. With five seeds the intervals of IQMs cover less: 86 to 90 %.

{tasks}### Conclusions

{reading}"""

RATES = """## Equal steps, over learning rates: InvertedDoublePendulum-v5

    python docs/evidence/rates.py --jobs 2 --runs runs/rates --out docs/results/evidence/rates

[evidence/rates.yml](evidence/rates.yml) trains {seeds} seeds of each row at each learning rate, {steps} steps with two
hidden layers of 64, on a task whose mirror is nearly exact. All networks move the entries of their weights equally far
in a step. A seed counts by its evaluation returns averaged over the run (two episodes every {every} steps).
`docs/results/evidence/rates/areas.csv` has every seed.

| row | what it is |
|---|---|
| plain | plain networks |
| coordinates | control: the coordinates of RPP from a plain start and without a prior, so that no symmetry is imposed |
| exact | exactly equivariant networks |
| rpp | the default: orthogonal coordinates and a budget for the residual |
| mirrored minibatches | plain networks on mirrored minibatches |
| rpp, wrong map | control: the action changes its sign and the observation does not, the worst map there is |
| rpp, trivial group | control: RPP with a group that moves nothing |

![Median and quartiles of the areas over learning rates](results/evidence/rates/areas.png)

Medians over seeds, then the probability that a seed of one row beats a seed of another, with intervals of 95 %:

{tables}

{reading}

"""

TASK = """### {name}: {what}

{steps} steps, with an evaluation of five episodes every {every} steps.

    export PYTHONPATH=docs/evidence OMP_NUM_THREADS=1
{commands}

![Reward curves: every seed thin, the interquartile mean bold](results/evidence/{name}/curves.png)

{table}

{contrasts}

The next table shows how symmetric the networks are: medians over the runs. Learning starts at step {begins}. The
residual share of a layer is |B| / (|A| + |B|); the column gives the smallest and the largest layer:

{symmetry}

![Residual shares and equivariance errors](results/evidence/{name}/symmetry.png)

{reading}
"""

WHAT = {
    "Reacher-v5": "the mirror is exact",
    "Walker2d-v5": "the mirror is exact",
    "HalfCheetah-v5": "the mirror of the paper is approximate, and no exact one exists",
}
STRONG = "rpp_sac [actor_basic_wd=0.01, actor_equiv_wd=1e-06, critic_basic_wd=0.01, critic_equiv_wd=1e-06]"
ROWS = {
    "rpp_sac": "both pathways, the task's own mirror, default hyperparameters",
    "equivariant_sac": "exactly equivariant networks without a residual",
    "mlp_sac": "plain networks in the same gradient step, equal to that of stable-baselines3's SAC up to rounding",
    "rpp_sac [symmetry=trivial]": "control: both pathways with the trivial group, twice the parameters, no symmetry",
    "rpp_sac [symmetry=wrong]": "control: both pathways with a [map that is wrong on purpose](evidence/wrong_maps.py)",
    "mlp_sac [learning_rate=0.0006]": "control: plain networks with twice the learning rate, also for the temperature",
    "rpp_sac [residual_step_ratio=0.1]": "the residual has a tenth of the learning rate",
    STRONG: "the residual's prior is a hundred times narrower, and its learning rate a hundredth",
}
PAIRS = (
    ("rpp_sac", "mlp_sac", "Is RPP-SAC better than plain networks?"),
    ("rpp_sac", "rpp_sac [symmetry=trivial]", "Better than two pathways without a symmetry?"),
    ("rpp_sac", "rpp_sac [symmetry=wrong]", "Better than with a wrong map?"),
    ("equivariant_sac", "mlp_sac", "Is exact symmetry better than plain networks?"),
    ("equivariant_sac", "rpp_sac", "Is it better than RPP-SAC?"),
    ("rpp_sac [symmetry=trivial]", "mlp_sac", "Are two pathways without a symmetry better than plain networks?"),
    ("mlp_sac [learning_rate=0.0006]", "mlp_sac", "Is twice the learning rate better?"),
    (
        "rpp_sac [symmetry=trivial]",
        "mlp_sac [learning_rate=0.0006]",
        "Are two pathways without a symmetry better than that?",
    ),
    ("rpp_sac [residual_step_ratio=0.1]", "rpp_sac", "Is a slower residual better?"),
    (STRONG, "rpp_sac", "Is a narrow prior better?"),
    (STRONG, "mlp_sac", "Is a narrow prior better than plain networks?"),
)
LEARNING_STARTS = 1000
Row = dict[str, str]


def main(folder: Path, page: Path) -> None:
    """Write the page from the tables of each task."""
    folders = [folder / name for name in WHAT if (folder / name).is_dir()]
    summary = [row for each in folders for row in rows(each / "summary.csv")]
    hours = sum(int(row["n"]) * float(row["wall_time_s"]) for row in summary) / 3600
    text = TEXT.format(
        rates=rates(folder / "rates"),
        runs=sum(int(row["n"]) for row in summary),
        hours=hours,
        comparisons=3 * sum(len(questions(rows(each / "summary.csv"))) for each in folders),
        tasks="".join(task(each) for each in folders),
        rows=markdown_table(("row", "what it is"), [[f"`{label}`", ROWS[label]] for label in recorded_rows(summary)]),
        reading=(folder / "reading.md").read_text(encoding="utf-8"),
    )
    page.write_text(text, encoding="utf-8")


def rates(folder: Path) -> str:
    """Format the study of learning rates, if it is recorded."""
    if not (folder / "tables.md").exists():
        return ""
    plan = load_yaml(Path(__file__).parents[1].joinpath("evidence", "rates.yml").read_text(encoding="utf-8"))
    tables, reading = (
        folder.joinpath(name).read_text(encoding="utf-8").strip() for name in ("tables.md", "reading.md")
    )
    return RATES.format(
        seeds=plan["seeds"], steps=plan["n_timesteps"], every=plan["eval_freq"], tables=tables, reading=reading
    )


def rows(path: Path) -> list[Row]:
    """Read the rows of a table."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def recorded_rows(summary: list[Row]) -> list[str]:
    """List the recorded rows in the order of `ROWS`."""
    labels = {row["algorithm"] for row in summary}
    return [label for label in ROWS if label in labels]


def questions(summary: list[Row]) -> list[tuple[str, str, str]]:
    """List the questions that the recorded rows of a task can answer."""
    return [pair for pair in PAIRS if set(recorded_rows(summary)).issuperset(pair[:2])]


def commands(name: str, steps: list[int], tried: bool) -> str:
    """Format the commands that train and compare the runs of a task."""
    options = f"--envs wrong_maps:{name} -n {steps[-1]} --eval-freq {steps[0]} --jobs 2 -f runs/evidence --trust"
    plans = ["plan", "tries"] if tried else ["plan"]
    train = [f"rpp-rl sweep --plan docs/evidence/{plan}.yml {options}" for plan in plans]
    compare = f'rpp-rl compare runs/evidence --filter "*{name}*" --baseline mlp_sac --out docs/results/evidence/{name}'
    return "\n".join(f"    {line}" for line in [*train, compare])


def task(folder: Path) -> str:
    """Format the section of a task."""
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
    by_pair = {(row["first"], row["second"]): row for row in pairs}
    contrasts = [[question, f"`{x}`", f"`{y}`", *contrast(by_pair, x, y)] for x, y, question in questions(summary)]
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
    """Format how symmetric the networks are at the first evaluation after learning starts, and at the end."""
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


def contrast(by_pair: dict[tuple[str, str], Row], x: str, y: str) -> list[str]:
    """Format P(X > Y) and both differences of a pair; the table may hold the pair as (y, x)."""
    turned = (x, y) not in by_pair
    row = by_pair[(y, x) if turned else (x, y)]
    chance = estimate(row, "probability_of_improvement", "probability_low", "probability_high")
    final = estimate(row, "iqm_difference", "difference_low", "difference_high")
    area = estimate(row, "area_difference", "area_difference_low", "area_difference_high")
    if turned:
        chance, final, area = turn(chance, 1.0), turn(final, 0.0), turn(area, 0.0)
    n = int(row["n_first"]), int(row["n_second"])
    differs = Pair(x, y, chance, final, area, row["paired"] == "True", n).direction is not None
    return [*(f"**{shown(e)}**" if differs else shown(e) for e in (chance, final)), shown(area)]


def turn(e: Estimate, whole: float) -> Estimate:
    """Turn an estimate of the pair (y, x) into one of (x, y): `whole` minus the estimate."""
    ends = [None if end is None else whole - end for end in (e.high, e.low)]
    return Estimate(whole - e.value, *ends, e.n)


def estimate(row: Row, value: str, low: str, high: str) -> Estimate:
    """Read an estimate from its columns; a missing end of the interval is an empty cell."""
    ends = [float(row[key]) if row[key] else None for key in (low, high)]
    n = row["n"] if "n" in row else min(row["n_first"], row["n_second"], key=int)
    return Estimate(float(row[value]), *ends, int(n))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
