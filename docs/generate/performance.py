"""Write docs/performance.md from recorded benchmarks.

python docs/generate/performance.py docs/results docs/performance.md
"""

import json
import sys
from pathlib import Path
from typing import Any

TEXT = """# Performance

`make docs-performance` writes this page from recorded output; do not edit it by hand. Each section begins with the
command that made the record. All ran on one machine ({cpu}; torch {torch}, stable-baselines3 {sb3}). Absolute figures
hold for this machine at that time, so compare ratios. Every figure is a median, with the minimum and the maximum in
brackets.

## Side by side

    rpp-rl bench --seconds 240 --sbx-python SBX/bin/python --json > docs/results/bench.json

The benchmark trains on HalfCheetah-v5 in {rounds} alternating rounds, with two hidden layers of 256 and one gradient
step of 256 rows per environment step. The first figure is of the whole training loop, the second of the gradient step
alone.

| | steps per second | ms per gradient step |
|---|---|---|
{rows}

| ratio within one round | measured | goal |
|---|---|---|
{ratios}

The goals were set before the first measurement. The bare products are the matrix products that every gradient step
needs, in float32; `update/floor` is the time of a whole step of `rpp_sac` divided by theirs. A step of
stable-baselines3 takes {sb3_floor:.1f} times the bare products in the same rounds. So a step in float32 can hardly be
faster than stable-baselines3's by more than that factor, and the whole loop, which includes the environment, gains
less. `rpp_sac_8_seeds` trains eight agents in one stack (`--seeds 0-7`); its figures count the steps of all eight.
Networks of this width keep the processor busy one at a time, so here a stack gains little. It gains more with narrow
networks, whose cost is mostly the overhead of operations.

`precision="bf16"` needs a processor with bfloat16 arithmetic. This older record, made by an earlier version on such a
processor, is of the same command ({bfloat16_cpu}, `docs/results/bench_bfloat16.json`):

| | steps per second | ms per gradient step |
|---|---|---|
{bfloat16_rows}

| ratio within one round | measured | goal |
|---|---|---|
{bfloat16_ratios}

## Where the time goes

    rpp-rl bench --profile --seconds 30 --json > docs/results/profile.json

| part of one gradient step of `rpp_sac` | ms | share |
|---|---|---|
{profile}

A SAC step with these networks needs sixteen products of 256 x 256 x 256 and some thin ones. The gradient step of
`RPPSAC` (`agents/rpp_sac/fast_update/`) does these and little else:

- It differentiates by hand, into tensors that are allocated once.
- All parameters of one kind, such as the actor's residuals, form one vector. Adam, Polyak averaging and the sum of
  the two pathways are one operation each, and the critics are one batched product.
- Between hidden layers it assembles the equivariant pathway by copying rows of channels, because the channels of one
  group element lie side by side.
- The actor sees both observations of a transition in one pass, and the actor's loss computes no gradient of the
  critics' weights.

The result equals stable-baselines3's own step up to rounding (`tests/agents/fast_update/`). For networks that it does
not know, `RPPSAC` takes stable-baselines3's step and logs one line about it; `fast_update=False` always takes that
step.

Two ideas were tried and dropped. Sending each row's gradient only through the critic with the smaller value saves a
sixteenth of the products and costs more in small operations. Taking environment steps during the gradient step, on the
other core or while a GPU works, contradicts the algorithm: an action needs the actor that the previous step ends with.

## Growth

    rpp-rl bench --growth --seconds 100 --plot docs/images/growth.png --json > docs/results/growth.json

![Milliseconds of a gradient step](images/growth.png)

Everything else stays at width 256, batch 256, 16 observations, a group of two, two critics and one seed:

| | | plain, ms | RPP, ms | RPP / plain |
|---|---|---|---|---|
{growth}

From the first to the last value of an axis the medians grow by these factors, RPP first and plain networks second:
{factors}.
With long observations RPP grows a little faster, because the first layer assembles its pathways entry by entry.

A transition of HalfCheetah-v5 takes {bytes_ours:.0f} bytes in our replay buffer and {bytes_sb3:.0f} in
stable-baselines3's, which keeps MuJoCo's float64. Peak memory of a process with {peak_steps} environment steps, and
gradient steps in the last hundred, is {peak_ours:.0f} MiB; stable-baselines3's SAC needs {peak_sb3:.0f} MiB. `import
rpp_rl` takes {imports:.2f} s in addition to torch's own import. Building the networks of Humanoid-v5 takes
{humanoid:.2f} s in a process that has made an optimizer before.

## On a GPU

With a CUDA device, the replay buffer, minibatches, gradient step and acting live on the device. Drawing a minibatch
and the gradient step are one CUDA graph; acting is another one between two copies. `rpp-rl bench` adds rows
`cuda/...`.
{on_gpu}

## Learning curves of the fast and the original step

The table shows the mean evaluation return of `rpp_sac` on InvertedPendulum-v5 after 1000, 2000, ... of 5000 steps, for
seeds 0 to 14. `python docs/generate/learning.py fast bf16 slow` prints it, from the runs of

    rpp-rl train --env InvertedPendulum-v5 --seeds 0-14 -n 5000 --eval-freq 1000 -f fast
    rpp-rl train --env InvertedPendulum-v5 --seeds 0-14 -n 5000 --eval-freq 1000 -f bf16 -params precision:bf16

and, one command per seed, `rpp-rl train --env InvertedPendulum-v5 --seed 0 -n 5000 --eval-freq 1000 -f slow
-params fast_update:False`:

{learning}
"""
WITH_GPU = "The `cuda/...` rows above ran on {gpus}."
WITHOUT_GPU = """**This record was made without a GPU.** `tests/agents/fast_update/test_graphs.py` tests the graphs
on the CPU: it records the operations of a step, refuses those that would make the host wait, and replays them without
Python to the same numbers, through whole trainings. The capture by CUDA itself has no record here yet. On a machine
with a GPU the same tests run the capture, and `rpp-rl bench` measures it."""
# Set before anything was measured.
GOALS = {"rpp_sac/sb3_sac": 2.8, "rpp_sac/sbx_sac": 1.3, "rpp_sac/mlp": 0.93, "rpp_sac_bf16/sb3_sac": 4.5}
CEILINGS = {"update/floor": 1.5}
NAMES = {
    "sb3_sac": "stable-baselines3 `SAC`",
    "sbx_sac": "SBX `SAC` (JAX)",
    "mlp": '`RPPSAC("PlainPolicy")`',
    "rpp_sac": '`RPPSAC("MlpPolicy")`',
    "rpp_sac_bf16": '`RPPSAC("MlpPolicy", precision="bf16")`',
    "rpp_sac_8_seeds": "eight of them in one stack, steps of all eight",
    "floor": "the bare products",
}


def title(name: str) -> str:
    """Name what a row measures."""
    return NAMES[name.removeprefix("cuda/")] + (", on the GPU" if name.startswith("cuda/") else "")


def spread(figures: dict[str, float]) -> str:
    """Format a median and its range."""
    return f"{figures['median']:.3g} ({figures['min']:.3g} to {figures['max']:.3g})" if figures else ""


def bench_rows(bench: dict[str, Any]) -> str:
    """Format the rows with the speed of each algorithm."""
    return "\n".join(
        f"| {title(name)} | {spread(row.get('steps_per_second', {}))} | {spread(row['update_ms'])} |"
        for name, row in bench["rows"].items()
    )


def ratio_rows(bench: dict[str, Any]) -> str:
    """Format the ratios, each with its goal and whether the median meets it."""
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
    """Format how much RPP and plain networks grow along each axis."""
    parts = []
    for axis in dict.fromkeys(p["axis"] for p in points):
        first, *_, last = (p for p in points if p["axis"] == axis)
        rpp, plain = (last[kind]["median"] / first[kind]["median"] for kind in ("rpp", "mlp"))
        parts.append(f"{axis} {rpp:.3g} and {plain:.3g}")
    return "; ".join(parts)


def growth_rows(points: list[dict[str, Any]]) -> str:
    """Format the rows of the growth table."""
    rows, previous = [], ""
    for p in points:
        axis = p["axis"] if p["axis"] != previous else ""
        previous = p["axis"]
        rows.append(f"| {axis} | {p['value']} | {spread(p['mlp'])} | {spread(p['rpp'])} | {spread(p['ratio'])} |")
    return "\n".join(rows)


def main(results: Path, path: Path) -> None:
    """Write the page from the records."""
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
