"""Write docs/performance.md from recorded benchmarks; the commands stand in the page itself.

python docs/performance.py docs/results docs/performance.md
"""

import json
import sys
from pathlib import Path
from typing import Any

TEXT = """# Performance, measured

Written by `make docs-performance`, never by hand, from the recorded output of
the commands that stand here, on one machine ({cpu}; torch {torch}, stable-baselines3 {sb3}). Absolute
figures hold for this machine and this hour only: compare ratios. Each is the median, and in brackets the least and the
greatest.

## Side by side

    rpp-rl bench --seconds 240 --sbx-python SBX/bin/python --json > docs/results/bench.json

Whole training loop on HalfCheetah-v5 (environment, buffer, one gradient step of 256 rows for each environment step,
two hidden layers of 256) in {rounds} alternating rounds; the second figure is the gradient step alone.

| | steps per second | ms per gradient step |
|---|---|---|
{rows}

| ratio of one round | measured | goal |
|---|---|---|
{ratios}

The goals were set before anything was measured. The bare products are the matrix products that a gradient step cannot
do without, in float32; `update/floor` is how far the whole step of `rpp_sac` is from them. stable-baselines3's own step
takes {sb3_floor:.1f} times those products in the same rounds, so one that does them in float32 can hardly be faster by
more than that, and the whole loop, with the environment's part, by less. `rpp_sac_8_seeds` trains
eight agents in one stack (`--seeds 0-7`), counted as steps of all of them: networks of this width keep the processor
busy one by one, so here a stack gains little; with narrow networks, or on a GPU, the sequence of operations is what
it shares.

`precision="bf16"` needs a processor with bfloat16 arithmetic. An earlier record of the same command, by an earlier
version and on such a processor ({bfloat16_cpu}, `docs/results/bench_bfloat16.json`):

| | steps per second | ms per gradient step |
|---|---|---|
{bfloat16_rows}

| ratio of one round | measured | goal |
|---|---|---|
{bfloat16_ratios}

## Where the time goes

    rpp-rl bench --profile --seconds 30 --json > docs/results/profile.json

| part of one gradient step of `rpp_sac` | ms | share |
|---|---|---|
{profile}

A step of SAC with these networks is sixteen products of 256 x 256 x 256 and the thin ones. The gradient step of
`RPPSAC` (`agents/update/`) does these and little else. It differentiates by hand into tensors that are allocated
once. All parameters of one kind (the actor's residuals, say) are one vector, so that Adam, Polyak averaging and the
sum of the two pathways are one operation each, and the critics are one batched product. Equivariant pathways between
hidden layers are assembled by copying rows of channels, since the channels of one group element lie side by side. The
actor passes once over both observations of a transition, and the actor's loss computes no gradient of the critics'
weights. The result is that of stable-baselines3's own step up to rounding (`tests/agents/update/`); networks that it
does not know go stable-baselines3's way, with one line in the log, and `fast_update=False` asks for that.

Tried and left out: sending each row's gradient down through the one critic that has the least value, which spares a
sixteenth of the products and costs more in small operations than it spares; environment steps during the gradient step,
on the other core or beside a GPU at work, for which the algorithm leaves no room, since an action needs the actor that
the step before ends with.

## Growth

    rpp-rl bench --growth --seconds 100 --plot docs/images/growth.png --json > docs/results/growth.json

![Milliseconds of a gradient step](images/growth.png)

All else at width 256, batch 256, 16 observations, a group of two, two critics, one seed:

| | | plain, ms | RPP, ms | RPP / plain |
|---|---|---|---|---|
{growth}

From the first to the last value of each axis the median of RPP grows by a factor beside that of plain networks:
{factors}.
Where observations are long, RPP grows a little faster: the pathways of the first layer are assembled entry by entry.

A transition of HalfCheetah-v5 takes {bytes_ours:.0f} bytes in the replay buffer, in stable-baselines3's
{bytes_sb3:.0f}, which keeps MuJoCo's float64. Peak memory of a process that takes {peak_steps} steps in the
environment, and gradient steps in the last hundred: {peak_ours:.0f} MiB, stable-baselines3's SAC {peak_sb3:.0f} MiB.
`import rpp_rl` takes {imports:.2f} s beyond torch's own import, building Humanoid-v5's networks {humanoid:.2f} s in a
process that has made an optimiser before.

## On a GPU

Where torch sees a CUDA device, replay buffer, minibatches, gradient step and acting live there: drawing and step are
one CUDA graph, acting is another between two copies, and `rpp-rl bench` adds rows `cuda/...`. {on_gpu}

## Does it learn alike?

InvertedPendulum-v5, `rpp_sac`, 5000 steps, the mean evaluation return after 1000, 2000, ..., seeds 0 to 14 of

    rpp-rl train --env InvertedPendulum-v5 --seeds 0-14 -n 5000 --eval-freq 1000 -f fast
    rpp-rl train --env InvertedPendulum-v5 --seeds 0-14 -n 5000 --eval-freq 1000 -f bf16 -params precision:bf16

and, one seed after the other, of `rpp-rl train --env InvertedPendulum-v5 --seed 0 -n 5000 --eval-freq 1000 -f slow
-params fast_update:False`; `python docs/learning.py fast bf16 slow` makes the table:

{learning}
"""
WITH_GPU = "The rows on the GPU above are of {gpus}."
WITHOUT_GPU = """**No GPU was at hand
for this record.** What a graph does to the step is tested on the CPU (`tests/agents/update/test_graphs.py`): its
operations are recorded, with whatever would make the host wait refused, and replayed without the Python around them, to
the same numbers as one by one, through whole trainings. That CUDA captures them, and every figure about it, is still to
be shown; the same tests do the first where there is a GPU, `rpp-rl bench` the second."""
# Set before anything was measured.
GOALS = {"rpp_sac/sb3_sac": 2.8, "rpp_sac/sbx_sac": 1.3, "rpp_sac/mlp": 0.93, "rpp_sac_bf16/sb3_sac": 4.5}
CEILINGS = {"update/floor": 1.5}
NAMES = {
    "sb3_sac": "stable-baselines3 `SAC`",
    "sbx_sac": "SBX `SAC` (JAX)",
    "mlp": '`RPPSAC("MlpPolicy")`',
    "rpp_sac": '`RPPSAC("RPPPolicy")`',
    "rpp_sac_bf16": '`RPPSAC("RPPPolicy", precision="bf16")`',
    "rpp_sac_8_seeds": "eight of them in one stack, all steps counted",
    "floor": "the bare products",
}


def title(name: str) -> str:
    """What a row is of."""
    return NAMES[name.removeprefix("cuda/")] + (", on the GPU" if name.startswith("cuda/") else "")


def spread(figures: dict[str, float]) -> str:
    """Median and range."""
    return f"{figures['median']:.3g} ({figures['min']:.3g} to {figures['max']:.3g})" if figures else ""


def bench_rows(bench: dict[str, Any]) -> str:
    """The table of steps."""
    return "\n".join(
        f"| {title(name)} | {spread(row.get('steps_per_second', {}))} | {spread(row['update_ms'])} |"
        for name, row in bench["rows"].items()
    )


def ratio_rows(bench: dict[str, Any]) -> str:
    """The table of ratios, each with its goal and whether the median meets it."""
    rows = []
    for name, figures in bench["ratios"].items():
        goal = ""
        if name in GOALS:
            goal = f"at least {GOALS[name]}, {'met' if figures['median'] >= GOALS[name] else 'missed'}"
        if name in CEILINGS:
            goal = f"at most {CEILINGS[name]}, {'met' if figures['median'] <= CEILINGS[name] else 'missed'}"
        rows.append(f"| {name} | {spread(figures)} | {goal} |")
    return "\n".join(rows)


def factors(points: list[dict[str, Any]]) -> str:
    """How much RPP and plain networks grow along each axis."""
    said = []
    for axis in dict.fromkeys(p["axis"] for p in points):
        first, *_, last = (p for p in points if p["axis"] == axis)
        rpp, plain = (last[kind]["median"] / first[kind]["median"] for kind in ("rpp", "mlp"))
        said.append(f"{axis} {rpp:.3g} and {plain:.3g}")
    return "; ".join(said)


def growth_rows(points: list[dict[str, Any]]) -> str:
    """The table of growth."""
    rows, previous = [], ""
    for p in points:
        axis = p["axis"] if p["axis"] != previous else ""
        previous = p["axis"]
        rows.append(f"| {axis} | {p['value']} | {spread(p['mlp'])} | {spread(p['rpp'])} | {spread(p['ratio'])} |")
    return "\n".join(rows)


def main(results: Path, path: Path) -> None:
    """Render."""
    bench, bfloat16, growth, profile = (
        json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("bench", "bench_bfloat16", "growth", "profile")
    )
    parts = dict(profile["profile_ms"])
    whole, costs = parts.pop("whole"), growth["costs"]
    machine, on_gpu = bench["machine"], any(name.startswith("cuda/") for name in bench["rows"])
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    text = TEXT.format(
        cpu=machine["cpu"],
        torch=machine["versions"]["torch"],
        sb3=machine["versions"]["stable-baselines3"],
        on_gpu=WITH_GPU.format(gpus=", ".join(machine["gpu"])) if on_gpu else WITHOUT_GPU,
        rounds=bench["rounds"],
        rows=bench_rows(bench),
        ratios=ratio_rows(bench),
        bfloat16_cpu=bfloat16["machine"]["cpu"],
        bfloat16_rows=bench_rows(bfloat16),
        bfloat16_ratios=ratio_rows(bfloat16),
        factors=factors(growth["growth"]),
        sb3_floor=bench["rows"]["sb3_sac"]["update_ms"]["median"] / bench["rows"]["floor"]["update_ms"]["median"],
        profile="\n".join(f"| {name} | {ms:.2f} | {ms / whole:.0%} |" for name, ms in [*ordered, ("whole", whole)]),
        growth=growth_rows(growth["growth"]),
        bytes_ours=costs["bytes_per_transition"]["ours"],
        bytes_sb3=costs["bytes_per_transition"]["sb3"],
        peak_steps=costs["peak_memory_steps"],
        peak_ours=costs["peak_memory_mib"]["rpp_sac"],
        peak_sb3=costs["peak_memory_mib"]["sb3_sac"],
        imports=costs["import_seconds_beyond_torch"],
        humanoid=costs["humanoid_networks_seconds"],
        learning=(results / "learning.md").read_text(encoding="utf-8").strip(),
    )
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
