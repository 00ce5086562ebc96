"""`rpp-rl audit`: check the declared symmetries of an environment on the simulator, and name what breaks them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tqdm import tqdm
from tyro.conf import Positional, arg

from rpp_rl.envs.auditing import SymmetryAudit
from rpp_rl.envs.auditing.plain_audit import WITHOUT_SIMULATOR
from rpp_rl.envs.auditing.report import THRESHOLDS
from rpp_rl.envs.registry import REGISTRY
from rpp_rl.errors import RunError
from rpp_rl.experiments.options import key_values
from rpp_rl.experiments.plots import check_plot
from rpp_rl.experiments.symmetry_reports import audit_declared, audit_table, plot_audits
from rpp_rl.scripts.main import main


@dataclass(frozen=True)
class AuditArguments:
    """Check the declared symmetries of an environment, on its simulator if that is MuJoCo."""

    env: Positional[str]
    """Environment id, with its version."""
    symmetry: str | None = None
    """Name of one symmetry, or a YAML file; all declared symmetries if left out."""
    states: int = 2000
    """Number of transitions to mirror."""
    seed: int = 0
    """Seed of states and actions."""
    policy: Path | None = None
    """A run folder or model file whose agent acts in a fourth kind of rollouts."""
    trust: bool = False
    """Unpickle what the model of --policy holds besides plain data; only for files you trust."""
    buffer: Path | None = None
    """A saved replay buffer to compare with its mirror image, for an environment without MuJoCo."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value."""
    json: bool = False
    """Print JSON."""
    plot: Path | None = None
    """A picture of the error of each entry."""


def audit(arguments: Annotated[AuditArguments, arg(name="")]) -> None:
    """Check the declared symmetries of an environment, on its simulator if that is MuJoCo."""
    a = arguments
    if a.states < 1:
        raise RunError(f"--states must be at least 1, got {a.states}")
    check_plot(a.plot)
    env_kwargs = key_values(a.env_kwargs, "--env-kwargs")
    track = partial(tqdm, desc="transitions", disable=None, leave=False)
    audits = audit_declared(a.env, a.symmetry, a.states, a.seed, env_kwargs, a.policy, a.trust, track, a.buffer)
    measured = [done for done in audits if isinstance(done, SymmetryAudit)]
    if a.plot is not None:
        plot_audits(measured, a.plot)
    default = REGISTRY.default(a.env)
    if a.json:
        found = [{**done.to_dict(), "default": done.symmetry.name == default} for done in audits]
        print(json.dumps({"environment": a.env, "symmetries": found}))
        return
    console = Console()
    for done in audits:
        console.print(audit_table(done, done.symmetry.name == default))
        for sentence in done.sentences:
            console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    print(THRESHOLDS if measured else WITHOUT_SIMULATOR)


if __name__ == "__main__":
    sys.exit(main(["audit", *sys.argv[1:]]))
