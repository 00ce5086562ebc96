"""`rpp-rl symmetries`: list declared symmetries, or derive them from a model."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tyro.conf import Positional, arg

from rpp_rl.envs.derivation import DerivedMap, derive_maps, try_reflections
from rpp_rl.envs.listing import declared_symmetries, described
from rpp_rl.envs.model_files import is_model
from rpp_rl.envs.wrapper import make_plain
from rpp_rl.errors import RunError
from rpp_rl.experiments.environments import make_checked
from rpp_rl.experiments.model_reports import show_model
from rpp_rl.experiments.options import key_values
from rpp_rl.experiments.symmetry_reports import audit_lines, moves_table, overview_table
from rpp_rl.scripts.main import main
from rpp_rl.symmetry import Symmetry


@dataclass(frozen=True)
class SymmetriesArguments:
    """List declared symmetries."""

    env: Positional[str | None] = None
    """Environment id; all environments if left out. Or a model: a file, such as robot.xml, or menagerie:unitree_g1."""
    derive: bool = False
    """Derive symmetries from the environment's model instead."""
    reflection: Annotated[str | None, arg(aliases=["--plane"])] = None
    """With --derive, and for models: x, y, z, rot90, rot180 (also several, as x,y); all but z if omitted."""
    env_kwargs: tuple[str, ...] = ()
    """With --derive: arguments of the environment, as key:value."""
    out: Path | None = None
    """For a model: the file for --symmetry and register_symmetry to write, in YAML."""
    json: bool = False
    """Print JSON."""


def symmetries(arguments: Annotated[SymmetriesArguments, arg(name="")]) -> None:
    """List the declared symmetries of an environment, or of all environments."""
    a = arguments
    if a.env is not None and is_model(a.env):
        if a.derive or a.json or a.env_kwargs:
            raise RunError("--derive, --json and --env-kwargs are for environments only; leave them out for a model")
        show_model(a.env, a.reflection, a.out)
        return
    if a.out is not None:
        raise RunError("--out belongs to a model file; for an environment use rpp-rl new-symmetry")
    if a.derive:
        _show([(one.symmetry, "\n".join(one.sentences)) for one in _derived(a)], a.json, has_default=False)
        return
    if a.reflection or a.env_kwargs:
        raise RunError("--reflection and --env-kwargs belong to --derive; add it, or leave them out")
    if a.env is not None:
        found = declared_symmetries(a.env)[a.env]
        _show(list(zip(found, audit_lines(a.env, found), strict=True)), a.json, has_default=True)
        return
    declared = declared_symmetries()
    if a.json:
        print(json.dumps({env_id: [described(s, i == 0) for i, s in enumerate(d)] for env_id, d in declared.items()}))
    else:
        Console().print(overview_table(declared))


def _derived(a: SymmetriesArguments) -> tuple[DerivedMap, ...]:
    if a.env is None:
        raise RunError("--derive needs an environment: rpp-rl symmetries MyRobot-v0 --derive")
    env = make_checked(make_plain, a.env, key_values(a.env_kwargs, "--env-kwargs"))
    try:
        if a.reflection:
            return derive_maps(env, tuple(a.reflection.split(",")))
        found, refused = try_reflections(env)
    finally:
        env.close()
    sys.stderr.writelines(f"{error}\n" for error in refused)
    return found


def _show(shown: list[tuple[Symmetry, str]], as_json: bool, has_default: bool) -> None:
    """Print each symmetry with the line of its audit."""
    if as_json:
        print(
            json.dumps([{**described(s, has_default and i == 0), "audit": line} for i, (s, line) in enumerate(shown)])
        )
        return
    for i, (symmetry, line) in enumerate(shown):
        Console().print(moves_table(symmetry, has_default and i == 0))
        print(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(["symmetries", *sys.argv[1:]]))
