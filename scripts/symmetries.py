"""`rpp-rl symmetries`: what is declared."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import Positional, arg

from rpp_rl.errors import RunError, SymmetryError
from rpp_rl.experiments.options import key_values
from rpp_rl.representations import as_matrix
from rpp_rl.signed_permutation import SignedPermutation
from rpp_rl.symmetry import Symmetry


@dataclass(frozen=True)
class SymmetriesArguments:
    """List declared symmetries."""

    env: Positional[str | None] = None
    """Environment id; all environments if left out."""
    derive: bool = False
    """Derive them from the environment's model instead."""
    reflection: str | None = None
    """With --derive: x, y, z, rot90 or rot180, or several such as x,y; each of x, y, rot90 and rot180 if left out."""
    env_kwargs: tuple[str, ...] = ()
    """With --derive: arguments of the environment, as key:value."""
    json: bool = False
    """Print JSON."""


def symmetries(arguments: Annotated[SymmetriesArguments, arg(name="")]) -> None:
    """List the declared symmetries of an environment, or of all."""
    import mujoco

    from rpp_rl.envs.registry import REGISTRY, import_module_of

    # A model that warns when it is read says so when it is used; a list is no place for it.
    mujoco.set_mju_user_warning(lambda message: None)
    if arguments.env is not None:
        import_module_of(arguments.env)
    if arguments.derive:
        _derive(arguments)
        return
    if arguments.reflection or arguments.env_kwargs:
        raise RunError("--reflection and --env-kwargs belong to --derive; add it, or leave them out")
    env_ids = REGISTRY.environments() if arguments.env is None else (arguments.env,)
    declared = {
        env_id: [describe(REGISTRY.get(env_id, name), i == 0) for i, name in enumerate(REGISTRY.names(env_id))]
        for env_id in env_ids
    }
    if arguments.json:
        print(json.dumps(declared if arguments.env is None else declared[arguments.env]))
    elif arguments.env is None:
        _print_overview(declared)
    else:
        for name in REGISTRY.names(arguments.env):
            _print_moves(REGISTRY.get(arguments.env, name), name == REGISTRY.names(arguments.env)[0])


def _derive(arguments: SymmetriesArguments) -> None:
    from rpp_rl.envs.derivation import derive_symmetries
    from rpp_rl.envs.wrapper import make_plain
    from rpp_rl.experiments.environments import make_checked

    if arguments.env is None:
        raise RunError("--derive needs an environment: rpp-rl symmetries MyRobot-v0 --derive")
    wanted = (arguments.reflection,) if arguments.reflection else ("x", "y", "rot90", "rot180")
    env = make_checked(make_plain, arguments.env, key_values(arguments.env_kwargs, "--env-kwargs"))
    derived: list[Symmetry] = []
    try:
        for reflection in wanted:
            try:
                found = derive_symmetries(env, tuple(reflection.split(",")))
            except SymmetryError as error:
                if arguments.reflection:
                    raise
                print(error, file=sys.stderr)
                continue
            derived += found
    finally:
        env.close()
    if arguments.json:
        print(json.dumps([describe(symmetry, False) for symmetry in derived]))
        return
    for symmetry in derived:
        _print_moves(symmetry, False)


def describe(symmetry: Symmetry, default: bool) -> dict[str, Any]:
    """Plain data of a symmetry, per generator: (g x)[i] = sign[i] * x[perm[i]], plus the offset where there is one.

    A map that is no signed permutation stands there as ``obs_matrix`` or ``act_matrix``.
    """
    generators = []
    for k, (observation, action) in enumerate(zip(symmetry.observation.images, symmetry.action.images, strict=True)):
        generator: dict[str, Any] = {"name": symmetry.group.generator_names[k]}
        for prefix, image in (("obs", observation), ("act", action)):
            if isinstance(image, SignedPermutation):
                generator |= {f"{prefix}_perm": list(image.perm), f"{prefix}_sign": list(image.sign)}
            else:
                generator[f"{prefix}_matrix"] = image.tolist()
        if symmetry.center:
            generator["obs_offset"] = symmetry.offset(symmetry.group.words.index((k,))).tolist()
        generators.append(generator)
    return {
        "name": symmetry.name,
        "default": default,
        "group": symmetry.group.name,
        "breaks": symmetry.breaks,
        "source": symmetry.source,
        "generators": generators,
    }


def _print_overview(declared: dict[str, list[dict[str, Any]]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("environment", "symmetry", "group", "what breaks it")
    for env_id, entries in declared.items():
        for i, entry in enumerate(entries):
            name = f"{entry['name']} (default)" if entry["default"] else entry["name"]
            table.add_row(env_id if i == 0 else "", name, entry["group"], entry["breaks"])
    Console().print(table)


def _print_moves(symmetry: Symmetry, default: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    names = symmetry.group.generator_names
    title = f"{symmetry.name}{' (default)' if default else ''}: {symmetry.group.name}, {symmetry.source}"
    table = Table("entry", *names, title=title, caption=symmetry.breaks or None)
    for entries, images in (
        (symmetry.observation_names, symmetry.observation.images),
        (symmetry.action_names, symmetry.action.images),
    ):
        for i, entry in enumerate(entries):
            table.add_row(entry, *(_image_of(as_matrix(image)[i], entries) for image in images))
        table.add_section()
    Console().print(table)


def _image_of(row: Any, names: tuple[str, ...]) -> str:
    terms = [(name, value) for name, value in zip(names, row, strict=True) if value]
    return " ".join(
        f"{'-' if value < 0 else ''}{'' if abs(value) == 1 else f'{abs(value):.3g} '}{name}" for name, value in terms
    )


if __name__ == "__main__":
    from rpp_rl.scripts.main import main

    sys.exit(main(["symmetries", *sys.argv[1:]]))
