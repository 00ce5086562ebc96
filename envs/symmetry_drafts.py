"""Draft a symmetry file from an environment's model; what cannot be derived is left to the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import yaml

from rpp_rl.envs.derivation.candidates import Derivation
from rpp_rl.envs.simulator import Simulator, has_simulator
from rpp_rl.envs.state_map import Move
from rpp_rl.envs.wrapper import box_sizes, name_of
from rpp_rl.errors import SymmetryError
from rpp_rl.signed_permutation import SignedPermutation
from rpp_rl.symmetry import Symmetry


@dataclass(frozen=True)
class SymmetryDraft:
    """The content of a symmetry file.

    Attributes:
        env_id: the environment.
        declaration: the keys of the file, see `rpp_rl.envs.read_symmetry`.
        remark: how the declaration was found.
        obstacle: why the environment cannot be audited; empty if it can.
    """

    env_id: str
    declaration: dict[str, Any]
    remark: str
    obstacle: str = ""

    @property
    def unknown(self) -> tuple[str, ...]:
        """Entries that the user has to declare."""
        return tuple(self.declaration.get("unknown", ()))


def draft_symmetry(env: gym.Env[Any, Any], reflection: str = "y") -> SymmetryDraft:
    """Derive a reflection from the model of an environment, as far as possible.

    Args:
        env: the environment, which is reset.
        reflection: ``"x"``, ``"y"``, ``"z"`` or ``"rot180"``, as for `rpp_rl.envs.derive_symmetry`.

    Raises:
        SymmetryError: if the spaces are not boxes of one axis, or the map does more to entries than swap and flip them.
        UnknownNameError: if there is no such reflection.
    """
    env_id = name_of(env)
    sizes = box_sizes(env.observation_space, env.action_space, env_id)
    names = {
        key: [f"{key[:3]}[{i}]" for i in range(n)] for key, n in zip(("observation", "action"), sizes, strict=True)
    }
    obstacle = ""
    try:
        if has_simulator(env):
            Simulator(env)
    except SymmetryError as error:
        obstacle = str(error)
    try:
        derivation = Derivation(env)
        names = {"observation": list(derivation.observation_names), "action": list(derivation.action_names)}
        candidates = derivation.candidates(reflection)
    except SymmetryError as error:
        unknown = [*names["observation"], *names["action"]]
        return SymmetryDraft(env_id, {**names, "unknown": unknown}, f"nothing could be derived: {error}", obstacle)
    best = next((c for c in candidates if not c.is_trivial), candidates[0])
    remark = f"derived from the model for reflection {reflection!r}"
    if len(candidates) > 1:
        remark += f", one of {len(candidates)} maps that fit"
    return SymmetryDraft(env_id, {**names, **_entries(best.move, names, best.unknown)}, remark)


def write_draft(drafted: SymmetryDraft, path: Path) -> None:
    """Write a draft as a symmetry file."""
    body = yaml.safe_dump(drafted.declaration, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
    head = f"# {drafted.env_id}: {drafted.remark}.\n# Keys: see rpp_rl.envs.reflection.\n"
    path.write_text(head + body, encoding="utf-8")


def draft_of(symmetry: Symmetry, name: str) -> SymmetryDraft:
    """The draft of a symmetry of one generator, for environments whose models give the names of entries.

    Args:
        symmetry: the symmetry.
        name: name of the robot.

    Raises:
        SymmetryError: if the map does more to entries than swap and flip them.
    """
    names = {"observation": list(symmetry.observation_names), "action": list(symmetry.action_names)}
    return SymmetryDraft(name, _entries(Move.of(symmetry, 0), names), symmetry.source)


def _entries(move: Move, entries: Mapping[str, Sequence[str]], unknown: Sequence[int] = ()) -> dict[str, Any]:
    """The keys of a symmetry file that say how entries move; `entries` has the names of observation and action."""
    known = move.observation.copy()
    for i in unknown:
        known[i] = known[:, i] = 0.0
        known[i, i] = 1.0
    found: dict[str, Any] = {}
    for prefix, matrix, names in (
        ("", known, entries["observation"]),
        ("action_", move.action, entries["action"]),
    ):
        image = SignedPermutation.from_matrix(matrix)
        if image is None or (image @ image) != SignedPermutation.identity(image.size):
            raise SymmetryError(
                "the map does not only swap pairs of entries and flip signs, and a symmetry file can declare nothing "
                "else; register it in Python with rpp_rl.register_symmetry"
            )
        found[f"{prefix}swap"] = [[names[i], names[j]] for i, j in enumerate(image.perm) if i < j]
        found[f"{prefix}flip"] = [name for name, sign in zip(names, image.sign, strict=True) if sign < 0]
    offsets, names = move.offset, entries["observation"]
    if offsets.any():
        found["center"] = {names[i]: float(round(offsets[i] / 2, 9)) for i in offsets.nonzero()[0].tolist()}
    if unknown:
        found["unknown"] = [names[i] for i in unknown]
    return found
