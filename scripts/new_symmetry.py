"""`rpp-rl new-symmetry`: write a symmetry file, filled in as far as the model tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import yaml
from tyro.conf import Positional, arg

from rpp_rl.errors import RunError, SymmetryError
from rpp_rl.experiments.options import key_values
from rpp_rl.signed_permutation import SignedPermutation

if TYPE_CHECKING:
    from rpp_rl.envs.derivation.candidates import Candidate, Derivation


@dataclass(frozen=True)
class NewSymmetryArguments:
    """Write a YAML file that declares a reflection of an environment."""

    env: Positional[str]
    """Environment id, with its version."""
    reflection: str = "y"
    """The reflection to derive: x, y, z or rot180."""
    out: Path | None = None
    """The file; <environment>.yaml unless given."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value."""


def new_symmetry(arguments: Annotated[NewSymmetryArguments, arg(name="")]) -> None:
    """Write a YAML file that declares a reflection of an environment, filled in as far as the model tells."""
    from rpp_rl.envs.registry import base_id
    from rpp_rl.envs.wrapper import box_sizes, make_plain
    from rpp_rl.experiments.environments import make_checked

    out = arguments.out or Path(f"{base_id(arguments.env)}.yaml")
    if out.exists():
        raise RunError(f"{out} exists already and is not overwritten; give another file with --out")
    if not out.parent.is_dir():
        raise RunError(f"there is no folder {out.parent} for the file; make it first")
    env = make_checked(make_plain, arguments.env, key_values(arguments.env_kwargs, "--env-kwargs"))
    try:
        sizes = box_sizes(env.observation_space, env.action_space, arguments.env)
        declaration, remark = derived_declaration(env, arguments.reflection, sizes)
    finally:
        env.close()
    unknown = declaration.get("unknown", [])
    out.write_text(_text(arguments, declaration, remark), encoding="utf-8")
    print(f"{out}: {remark}")
    if unknown:
        print(f"still unknown: {', '.join(unknown)}; put each into swap or flip, or nowhere if it does not move")
    print(f"check it with: rpp-rl audit {arguments.env} --symmetry {out}")


def derived_declaration(env: Any, reflection: str, sizes: tuple[int, int]) -> tuple[dict[str, Any], str]:
    """The keys of a symmetry file, and a remark on where they come from.

    Raises:
        RunError: if the reflection is no signed permutation, which is all that a file can hold.
    """
    from rpp_rl.envs.derivation.candidates import Derivation

    try:
        deriving = Derivation(env)
    except SymmetryError as error:
        names = {
            what: [f"{what[:3]}[{i}]" for i in range(size)]
            for what, size in zip(("observation", "action"), sizes, strict=True)
        }
        return _all_unknown(names), f"nothing could be derived: {error}"
    names = {"observation": list(deriving.observation_names), "action": list(deriving.action_names)}
    try:
        candidates = deriving.candidates(reflection)
    except SymmetryError as error:
        return _all_unknown(names), f"nothing could be derived: {error}"
    best = next((c for c in candidates if not c.is_trivial), candidates[0])
    remark = f"derived from the model for reflection {reflection!r}"
    if len(candidates) > 1:
        remark += f", one of {len(candidates)} maps that fit"
    return {**names, **_entries(deriving, best)}, remark


def _all_unknown(names: dict[str, list[str]]) -> dict[str, Any]:
    return {**names, "unknown": [*names["observation"], *names["action"]]}


def _entries(deriving: Derivation, candidate: Candidate) -> dict[str, Any]:
    known = candidate.move.observation.copy()
    for i in candidate.unknown:
        known[i] = known[:, i] = 0.0
        known[i, i] = 1.0
    found: dict[str, Any] = {}
    for prefix, matrix, names in (
        ("", known, deriving.observation_names),
        ("action_", candidate.move.action, deriving.action_names),
    ):
        image = SignedPermutation.from_matrix(matrix)
        if image is None or (image @ image) != SignedPermutation.identity(image.size):
            raise RunError(
                "this map is no reflection of entries, which is all that a file can hold; register it in Python"
            )
        found[f"{prefix}swap"] = [[names[i], names[j]] for i, j in enumerate(image.perm) if i < j]
        found[f"{prefix}flip"] = [name for name, sign in zip(names, image.sign, strict=True) if sign < 0]
    offsets = candidate.move.offset
    if offsets.any():
        found["center"] = {deriving.observation_names[i]: float(round(offsets[i] / 2, 9)) for i in offsets.nonzero()[0]}
    if candidate.unknown:
        found["unknown"] = [deriving.observation_names[i] for i in candidate.unknown]
    return found


def _text(arguments: NewSymmetryArguments, declaration: dict[str, Any], remark: str) -> str:
    body = yaml.safe_dump(declaration, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
    return f"# {arguments.env}: {remark}.\n# Keys: see rpp_rl.envs.reflection.\n{body}"
