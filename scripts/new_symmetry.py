"""`rpp-rl new-symmetry`: write a symmetry file, filled in as far as the model allows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from rpp_rl.envs.ids import base_id
from rpp_rl.envs.symmetry_drafts import draft_symmetry, write_draft
from rpp_rl.envs.wrapper import make_plain
from rpp_rl.errors import RunError
from rpp_rl.experiments.config import shell_command
from rpp_rl.experiments.environments import make_checked
from rpp_rl.experiments.options import key_values


@dataclass(frozen=True)
class NewSymmetryArguments:
    """Write a YAML file that declares a reflection of an environment."""

    env: Positional[str]
    """Environment id, with its version."""
    reflection: str = "y"
    """The reflection to derive: x, y, z or rot180."""
    out: Path | None = None
    """The file; <environment>.yaml if left out."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value."""


def new_symmetry(arguments: Annotated[NewSymmetryArguments, arg(name="")]) -> None:
    """Write a YAML file that declares a reflection of an environment, filled in as far as the model allows."""
    out = arguments.out or Path(f"{base_id(arguments.env)}.yaml")
    if out.exists():
        raise RunError(f"{out} exists already and is not overwritten; give another file with --out")
    if not out.parent.is_dir():
        raise RunError(f"there is no folder {out.parent} for the file; make it first")
    env = make_checked(make_plain, arguments.env, key_values(arguments.env_kwargs, "--env-kwargs"))
    try:
        drafted = draft_symmetry(env, arguments.reflection)
    finally:
        env.close()
    write_draft(drafted, out)
    print(f"{out}: {drafted.remark}")
    then = ""
    if drafted.unknown:
        print(
            f"still unknown: {', '.join(drafted.unknown)}; put each into swap or flip, or nowhere if it does not move, "
            "and delete the key unknown"
        )
        then = "then "
    if drafted.obstacle:
        print(f"it cannot be checked: {drafted.obstacle}")
        return
    command = ["rpp-rl", "audit", arguments.env, "--symmetry", str(out)]
    if arguments.env_kwargs:
        command += ["--env-kwargs", *arguments.env_kwargs]
    print(f"{then}check it with: {shell_command(command)}")
