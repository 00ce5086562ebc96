"""Derive a symmetry from a compiled model: the map of a robot to itself under a reflection or rotation of the world."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np

from rpp_rl.envs.auditing.measurement import BRIEF, audit_symmetry
from rpp_rl.envs.auditing.report import SymmetryAudit
from rpp_rl.envs.derivation.candidates import Candidate, Derivation, is_identity
from rpp_rl.envs.geometry.body_matching import Match
from rpp_rl.envs.geometry.isometry import WORLD_MAPS
from rpp_rl.envs.simulator import Simulator
from rpp_rl.errors import RPPError, SymmetryError
from rpp_rl.groups import Group
from rpp_rl.named_groups import cyclic_group, dihedral_group, matrix_group
from rpp_rl.representations import as_matrix
from rpp_rl.symmetry import Symmetry

# Number of transitions in the audit of each map.
_AUDITED = 30


@dataclass(frozen=True)
class DerivedMap:
    """A symmetry that was derived from a model.

    Attributes:
        symmetry: the symmetry.
        matches: the match of bodies of each generator.
        audit: its brief audit; None for a map that moves nothing, or if the environment cannot be audited.
    """

    symmetry: Symmetry
    matches: tuple[Match, ...]
    audit: SymmetryAudit | None = None

    @property
    def misfit(self) -> float:
        """The misfit of the bodies, see `Match`; the largest of the generators."""
        return max(match.misfit for match in self.matches)

    @property
    def line(self) -> str:
        """Misfit and verdict in one line."""
        verdict = "it moves nothing, or cannot be audited" if self.audit is None else self.audit.line
        return f"misfit of the bodies {self.misfit:.2g} of the robot's size; {verdict}"

    @property
    def sentences(self) -> list[str]:
        """Misfit, verdict, what is unequal by name, and what to expect of the map."""
        if self.audit is None:
            return [self.line]
        unequal = dict.fromkeys(f"unequal {one}" for g in self.audit.generators for one in g.unequal)
        return [self.line, *unequal, f"expect: {self.audit.expected}"]


def derive_maps(
    env: gym.Env[Any, Any], reflection: str | Sequence[str] = "y", *, name: str = "", seed: int = 0
) -> tuple[DerivedMap, ...]:
    """Derive all maps that fit and audit each, the best first, one that moves nothing last; see `derive_symmetry`."""
    reflections = (reflection,) if isinstance(reflection, str) else tuple(reflection)
    deriving = Derivation(env, seed)
    per_generator = [deriving.candidates(r) for r in reflections]
    found: list[DerivedMap] = []
    refused: list[RPPError] = []
    for choice in itertools.product(*per_generator):
        try:
            symmetry = _symmetry(deriving, reflections, choice, name or "derived_" + "_".join(reflections))
            audit = None if _is_trivial(symmetry) else _audit(deriving.simulator, symmetry, seed)
        except RPPError as error:
            refused.append(error)
            continue
        if audit is not None and audit.is_wrong:
            refused.append(SymmetryError(f"the map derived from {deriving.simulator.name} does not hold: {audit.line}"))
        else:
            found.append(DerivedMap(symmetry, tuple(candidate.match for candidate in choice), audit))
    if refused and all(_is_trivial(one.symmetry) for one in found):
        raise refused[0]
    if len(found) > 1:
        source = f"{found[0].symmetry.source}, chosen among {len(found)} maps that fit"
        found = [replace(one, symmetry=replace(one.symmetry, source=source)) for one in sorted(found, key=_rank)]
    return tuple(found)


def derive_symmetries(
    env: gym.Env[Any, Any], reflection: str | Sequence[str] = "y", *, name: str = "", seed: int = 0
) -> tuple[Symmetry, ...]:
    """Derive all symmetries that fit, the best first, one that moves nothing last; see `derive_symmetry`."""
    return tuple(one.symmetry for one in derive_maps(env, reflection, name=name, seed=seed))


def derive_symmetry(
    env: gym.Env[Any, Any], reflection: str | Sequence[str] = "y", *, name: str = "", seed: int = 0
) -> Symmetry:
    """Derive how a reflection or rotation of the world moves a task's observations and actions.

    Bodies and joints are matched with their mirror images by geometry, actuators by their forces. Entries of the
    observation are found through `observation_structure` or, if an environment has none, by comparing observations of
    states with those of their mirror images. If several maps fit, for example the identity and the exchange of two legs
    of a planar robot, a short audit chooses; `derive_maps` returns them all with their audits.

    Args:
        env: a MuJoCo environment like gymnasium's, which is reset.
        reflection: ``"x"``, ``"y"`` or ``"z"`` for a mirror that changes the sign of that axis, ``"rot90"`` or
            ``"rot180"`` for a turn about the vertical; or several of these, which generate a group.
        name: name of the symmetry; ``derived_<reflection>`` by default.
        seed: seed of the random states that are compared.

    Raises:
        SymmetryError: if the robot is not its own image even approximately, if the map moves nothing or is
            mis-specified, or if the image of an entry of the observation is not found.
        UnknownNameError: if there is no such reflection.
    """
    best, *_ = derive_symmetries(env, reflection, name=name, seed=seed)
    if _is_trivial(best):
        raise SymmetryError(
            f"{reflection!r} moves nothing in {Simulator(env).name}: every state is its own image; try another "
            "reflection"
        )
    return best


def try_reflections(
    env: gym.Env[Any, Any], reflections: Sequence[str] = ("x", "y", "rot90", "rot180")
) -> tuple[tuple[DerivedMap, ...], tuple[SymmetryError, ...]]:
    """Derive the maps of an environment under each of several reflections and turns.

    Args:
        env: a MuJoCo environment like gymnasium's, which is reset.
        reflections: each as for `derive_maps`.

    Returns:
        The maps, and the reasons why the other reflections are not symmetries.
    """
    found: list[DerivedMap] = []
    refused: list[SymmetryError] = []
    for reflection in reflections:
        try:
            found += derive_maps(env, reflection)
        except SymmetryError as error:
            refused.append(error)
    return tuple(found), tuple(refused)


@dataclass(frozen=True)
class Derived:
    """A symmetry that is derived from a model when it is needed.

    Attributes:
        name: name of the symmetry.
        reflection: as for `derive_symmetry`.
        breaks: what breaks the symmetry, for people.
    """

    name: str
    reflection: str | tuple[str, ...]
    breaks: str = ""

    def __call__(self, env: gym.Env[Any, Any]) -> Symmetry:
        """Derive the symmetry of an environment."""
        return replace(derive_symmetry(env, self.reflection, name=self.name), breaks=self.breaks)


def _symmetry(deriving: Derivation, reflections: Sequence[str], choice: Sequence[Candidate], name: str) -> Symmetry:
    for reflection, candidate in zip(reflections, choice, strict=True):
        if candidate.unknown:
            index = candidate.unknown[0]
            entry = deriving.observation_names[index]
            outside = (
                "" if index not in deriving.simulator.undetermined else ", since it is kept outside of the simulator"
            )
            raise SymmetryError(
                f"how entry {entry!r} of the observation of {deriving.simulator.name} moves under {reflection!r} "
                f"cannot be derived{outside}; `rpp-rl new-symmetry` writes a file in which it can be declared by hand"
            )
    return Symmetry.from_generators(
        name,
        _group(reflections),
        [c.move.observation for c in choice],
        [c.move.action for c in choice],
        observation_names=deriving.observation_names,
        action_names=deriving.action_names,
        center=_center(deriving.simulator.name, choice),
        source="; ".join(filter(None, (f"derived from the model: {', '.join(reflections)}", deriving.cut_off))),
    )


def _group(reflections: Sequence[str]) -> Group:
    """The group that maps of the world generate."""
    names = tuple({"rot90": "turn", "rot180": "half_turn"}.get(r, "mirror") for r in reflections)
    if len(reflections) == 1:
        return cyclic_group(4 if reflections[0] == "rot90" else 2, names[0])
    if names == ("turn", "mirror"):
        return dihedral_group(4, names)
    if len(set(names)) < len(names):
        names = tuple(f"{n}_{r}" if n == "mirror" else n for n, r in zip(names, reflections, strict=True))
    matrices = [WORLD_MAPS[r] for r in reflections]
    commuting = all(np.allclose(a @ b, b @ a) for a in matrices for b in matrices)
    name = " x ".join("C4" if r == "rot90" else "C2" for r in reflections) if commuting else "".join(reflections)
    return matrix_group(name, matrices, names)


def _center(where: str, choice: Sequence[Candidate]) -> tuple[float, ...]:
    """The point of observation space that all generators fix: the solution c of (1 - rho) c = offset."""
    size = len(choice[0].move.offset)
    if not any(candidate.move.offset.any() for candidate in choice):
        return ()
    system = np.concatenate([np.eye(size) - c.move.observation for c in choice])
    offsets = np.concatenate([c.move.offset for c in choice])
    center = np.linalg.lstsq(system, offsets, rcond=None)[0]
    if np.abs(system @ center - offsets).max() > 1e-6:
        raise SymmetryError(
            f"the map moves an entry of the observation of {where} by a constant and leaves no point fixed; observe "
            "angles by their sines and cosines"
        )
    return tuple(float(np.round(value, 9)) for value in center.tolist())


def _audit(simulator: Simulator, symmetry: Symmetry, seed: int) -> SymmetryAudit | None:
    """The brief audit of a symmetry; None if the environment cannot be audited."""
    try:
        return audit_symmetry(simulator, symmetry, _AUDITED, seed=seed, thoroughness=BRIEF)
    except SymmetryError:
        return None


def _rank(one: DerivedMap) -> tuple[float, ...]:
    """The key by which maps are sorted; better maps have smaller keys, and one that moves nothing comes last."""
    if one.audit is None:
        return (1.0 + _is_trivial(one.symmetry),)
    return (0.0, float(one.audit.verdict), max(g.dynamics_median for g in one.audit.generators))


def _is_trivial(symmetry: Symmetry) -> bool:
    images = (*symmetry.observation.images, *symmetry.action.images)
    return all(is_identity(as_matrix(image)) for image in images) and not symmetry.center
