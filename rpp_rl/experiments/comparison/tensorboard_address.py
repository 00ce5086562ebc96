"""Where TensorBoard shows a comparison."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import quote

# TensorBoard reads files with tfevents in their names; one name is replaced by the next comparison.
EVENTS = "events.out.tfevents.0.compare"
# TensorBoard ticks no run where there are more than 40; a filter that leaves fewer ticks those: the runs with curves
# and intervals, neither single runs nor rows of the table. Smoothing would draw a curve that leaves its own interval.
CHARTS = "#custom_scalars&regexInput={}&_smoothingWeight=0"
_BESIDE = "compare"


def places(out: Path, runs: Path, report: bool, tensorboard: bool) -> list[str]:
    """Lines that say where the files of a comparison are and how to open them.

    Args:
        out: folder of the comparison.
        runs: folder of the runs.
        report: whether there is a report.
        tensorboard: whether there are event files.
    """
    lines = [f"tables                  {out / 'summary.csv'}"]
    if report:
        lines.append(f"report                  {out / 'report.html'}")
    if tensorboard:
        where, fragment = tensorboard_place(out, runs)
        lines += [
            f"curves                  tensorboard {where}",
            f"  open                  http://localhost:6006/{fragment}",
        ]
    return lines


def tensorboard_place(out: Path, runs: Path) -> tuple[str, str]:
    """The flag with which TensorBoard shows a comparison beside its runs, and the part of the address with its charts.

    Args:
        out: the folder of the comparison.
        runs: that of the runs.
    """
    if out.resolve().is_relative_to(runs.resolve()):
        flag, name = f"--logdir {shlex.quote(str(runs))}", out.resolve().relative_to(runs.resolve()).as_posix()
    else:
        flag, name = f"--logdir_spec {shlex.quote(f'{_BESIDE}:{out},runs:{runs}')}", _BESIDE
    # Written into the runs' own folder, curves differ from runs only by lying less deep.
    pattern = f"^{re.escape(name)}/(?!hparams)" if name != "." else "^[^/]+/[^/]+$"
    return flag, CHARTS.format(quote(pattern))
