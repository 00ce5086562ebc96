"""Write docs/performance.md from a recorded benchmark.

rpp-rl bench --seconds 240 --json > docs/results/bench.json
python docs/performance.py docs/results/bench.json docs/performance.md
"""

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

TEXT = """# Performance, measured

Written by `python docs/performance.py`, never by hand, from `docs/results/bench.json`, the output of

    rpp-rl bench --seconds 240 --json > docs/results/bench.json

on {machine}, two threads, torch {torch}, stable-baselines3 {sb3}. Whole training loop on HalfCheetah-v5 (environment,
buffer, one gradient step of 256 rows for each environment step, two hidden layers of 256) in alternating rounds;
median, and least to greatest. Absolute figures hold for this machine and this hour only: compare ratios.

| | steps per second | ms per gradient step |
|---|---|---|
{rows}

| ratio of one round | |
|---|---|
{ratios}

The last row of the first table is the time of the bare matrix products that a gradient step cannot do without, in
float32; the last ratio is how far the whole step of `rpp_sac` is from it.

## Where the time goes

A step of SAC with these networks is sixteen products of 256 x 256 x 256 and the thin ones. The gradient step of
`RPPSAC` (`agents/update/`) does these and little else: it differentiates by hand into tensors that are allocated once,
passes the actor once over both observations of a transition, computes no gradient of the critics' weights for the
actor's loss, and merges each layer's two pathways into one matrix once per change. What RPP costs beyond a plain
network is that merging, its gradient, and Adam and Polyak averaging on twice as many parameters. The result is that of
stable-baselines3's own step up to rounding (`tests/agents/test_fast_update.py`); networks that it does not know go
stable-baselines3's way, with one line in the log, and `fast_update=False` asks for that.

## Does it learn alike?

InvertedPendulum-v5, `rpp_sac`, 5000 steps, the mean evaluation return after 1000, 2000, ..., seeds 0 to 14 of

    rpp-rl train --env InvertedPendulum-v5 --algo rpp_sac --seed 0 -n 5000 --eval-freq 1000

and of the same with `-params fast_update:False`:

| | 1000 | 2000 | 3000 | 4000 | 5000 |
|---|---|---|---|---|---|
{learning}
"""
NAMES = {
    "sb3_sac": "stable-baselines3 `SAC`",
    "mlp": '`RPPSAC("MlpPolicy")`',
    "rpp_sac": '`RPPSAC("RPPPolicy")`',
    "floor": "the bare products",
}


def spread(figures: dict[str, float]) -> str:
    """Median and range."""
    return f"{figures['median']:.3g} ({figures['min']:.3g} to {figures['max']:.3g})" if figures else ""


def main(recorded: Path, path: Path) -> None:
    """Render."""
    found = json.loads(recorded.read_text(encoding="utf-8"))
    rows = "\n".join(
        f"| {NAMES[name]} | {spread(row.get('steps_per_second', {}))} | {spread(row['update_ms'])} |"
        for name, row in found["rows"].items()
    )
    ratios = "\n".join(f"| {name} | {spread(figures)} |" for name, figures in found["ratios"].items())
    learning = (recorded.parent / "fast_and_slow.md").read_text(encoding="utf-8").strip()
    text = TEXT.format(
        machine=f"a {platform.machine()} processor ({processor()})",
        torch=version("torch"),
        sb3=version("stable-baselines3"),
        rows=rows,
        ratios=ratios,
        learning=learning,
    )
    path.write_text(text, encoding="utf-8")


def processor() -> str:
    """Its name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
