"""Declare reflections by name: which entries change places, and which change sign."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np

from rpp_rl.envs.coordinates import Entries, declare
from rpp_rl.envs.derivation.candidates import Derivation
from rpp_rl.envs.derivation.observation_layout import driven_joints
from rpp_rl.errors import SymmetryError, UnknownNameError
from rpp_rl.signed_permutation import SignedPermutation
from rpp_rl.symmetry import Symmetry

Entry = int | str
Pair = tuple[Entry, Entry]
_Form = tuple[str, str]
_ITSELF: _Form = ("", "")
_NOTHING: Mapping[str, Any] = MappingProxyType({})

# A limit on the number of entries, which a file may set to anything.
_MOST_ENTRIES = 1_000_000


def reflection(
    observation: int | Sequence[str],
    action: int | Sequence[str],
    *,
    swap: Sequence[Pair] = (),
    flip: Sequence[Entry] = (),
    action_swap: Sequence[Pair] | None = None,
    action_flip: Sequence[Entry] | None = None,
    center: Mapping[str, float] = _NOTHING,
    name: str = "mirror",
    breaks: str = "",
    source: str = "declared by hand",
    driven: Mapping[str, str] = _NOTHING,
) -> Symmetry:
    """Declare a reflection: pairs of entries change places, and flipped entries change sign.

    An entry in a pair may also be flipped, together with its partner. A name stands for every entry derived from it:
    ``left_knee`` also for its velocity ``v_left_knee`` or ``qvel.left_knee``, its last action ``previous_left_knee``,
    its sine ``sin(left_knee)`` and its past ``left_knee[t-1]``. Cosines are never flipped.

    Args:
        observation: the names of the observation's entries, or their number.
        action: the names of the action's entries, or their number.
        swap: pairs of observation entries, by name or index.
        flip: observation entries that change sign.
        action_swap: pairs of action entries; if neither these nor `action_flip` are given, the names in `swap` and
            `flip` apply to the actions too.
        action_flip: action entries that change sign.
        center: by name, the values of entries on the mirror plane, if they are not zero.
        name: the name of the symmetry.
        breaks: what breaks it, for people.
        source: where the declaration comes from.
        driven: for each action, by name, the joint that it drives; the name of the joint may be used for the action.

    Returns:
        The symmetry, with group C2 and the generator ``mirror``.

    Raises:
        SymmetryError: if an entry is in two pairs, or the map is not a reflection.
        UnknownNameError: if an entry is unknown.
    """
    pairs, entries = {"swap": swap, "action_swap": action_swap}, {"flip": flip, "action_flip": action_flip}
    for key, value in (*pairs.items(), *entries.items()):
        if value is not None or not key.startswith("action"):
            _need_list(key, value, pairs=key in pairs)
    for key, text in (("name", name), ("breaks", breaks), ("source", source)):
        if not isinstance(text, str):
            raise SymmetryError(f"{key} must be text, got {text!r}")
    names, action_names = _Names("observation", observation), _Names("action", action, driven)
    if action_swap is None and action_flip is None:
        action_swap = [pair for pair in swap if all(action_names.has(entry) for entry in pair)]
        action_flip = [entry for entry in flip if action_names.has(entry)]
        # A name may be the name of an action only.
        swap = [pair for pair in swap if pair not in action_swap or any(names.has(entry) for entry in pair)]
        flip = [entry for entry in flip if entry not in action_flip or names.has(entry)]
    image = names.reflected(swap, flip)
    action_image = action_names.reflected(action_swap or (), action_flip or ())
    _need_center(center, names)
    if all(moved == SignedPermutation.identity(moved.size) for moved in (image, action_image)):
        raise SymmetryError(
            f"symmetry {name!r} moves nothing: name pairs of entries that change places in swap, or entries that "
            "change sign in flip"
        )
    return declare(
        name,
        Entries(names.names, (image,)),
        Entries(action_names.names, (action_image,)),
        center=tuple(float(center.get(entry, 0.0)) for entry in names.names) if center else (),
        breaks=breaks,
        source=source,
    )


def reflection_by_joints(env: gym.Env[Any, Any], **declaration: Any) -> Symmetry:
    """Declare a reflection as `reflection` does, with names of entries and actions from a MuJoCo model.

    Raises:
        SymmetryError: as for `reflection`; also if the environment is not a MuJoCo environment.
        UnknownNameError: if an entry is unknown.
    """
    try:
        deriving = Derivation(env)
    except SymmetryError as error:
        raise SymmetryError(f"{error}; without one, give the names of observation and action") from error
    named = {"observation": deriving.observation_names, "action": deriving.action_names}
    return reflection(**{**named, "driven": driven_joints(deriving.simulator.model), **declaration})


# The keys of a declaration, in Python and in files.
ARGUMENTS = tuple(key for key in inspect.signature(reflection).parameters if key != "driven")


def _need_list(key: str, value: Any, pairs: bool) -> None:
    """Check the form of a list of entries or of pairs.

    Raises:
        SymmetryError: if it is another form, or has an entry twice.
    """
    form = "pairs, as [('left', 'right')]" if pairs else "names or indices, as ['roll']"
    if isinstance(value, str) and not pairs:
        form = f"names or indices, as [{value!r}]"
    if pairs and isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(e, str) for e in value):
        form = f"pairs, as [{tuple(value)!r}]"
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise SymmetryError(f"{key} must be a list of {form}, got {repr(value)[:200]}")
    for one in value:
        parts = list(one) if pairs and isinstance(one, list | tuple) else [one]
        if len(parts) != 1 + pairs or not all(
            isinstance(e, int | np.integer | str) and not isinstance(e, bool) for e in parts
        ):
            quote = "; quote a name such as 'on'" if isinstance(one, bool) else ""
            raise SymmetryError(f"{key} must be a list of {form}, got {repr(value)[:200]}{quote}")
    twice = [entry for entry, count in Counter(map(str, value)).items() if count > 1]
    if twice and not pairs:
        raise SymmetryError(f"{key} has {twice[0]!r} twice; name each entry once")


def _need_names(what: str, entries: Sequence[Any]) -> None:
    """Check the names of entries.

    Raises:
        SymmetryError: if one is not text, or names two entries.
    """
    for name in entries:
        if not isinstance(name, str):
            raise SymmetryError(f"{what} must be a list of names, got {name!r} in it; quote a name such as 'on'")
    twice = [name for name, count in Counter(entries).items() if count > 1]
    if twice:
        raise SymmetryError(f"{what} names {twice[0]!r} twice; give each entry a name of its own")


def _need_center(center: Any, names: _Names) -> None:
    """Check values of entries on the mirror plane.

    Raises:
        SymmetryError: if they are not numbers by name.
        UnknownNameError: if an entry is unknown.
    """
    if not isinstance(center, Mapping):
        raise SymmetryError(f"center must map names of entries to numbers, got {center!r}")
    for entry, value in center.items():
        if entry not in names.names:
            raise UnknownNameError("observation entry", str(entry), names.names)
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise SymmetryError(f"the center of {entry!r} must be a number, got {value!r}")


class _Names:
    """The entries of an observation or of an action."""

    def __init__(self, what: str, entries: int | Sequence[str], aliases: Mapping[str, str] = _NOTHING) -> None:
        self.what = what
        if isinstance(entries, str | bool) or not isinstance(entries, int | np.integer | Sequence):
            raise SymmetryError(f"{what} must be a list of names, or the number of entries, got {entries!r}")
        if isinstance(entries, Sequence):
            _need_names(what, entries)
        self.size = len(entries) if isinstance(entries, Sequence) else int(entries)
        if not 1 <= self.size <= _MOST_ENTRIES:
            raise SymmetryError(f"{what} must have 1 to {_MOST_ENTRIES} entries, got {self.size}")
        self.names = tuple(entries) if isinstance(entries, Sequence) else ()
        self.aliases = aliases

    def has(self, entry: Entry) -> bool:
        """Whether a name stands for at least one of the entries."""
        return isinstance(entry, str) and bool(self._made_of(entry, components=True))

    def reflected(self, swap: Sequence[Pair], flip: Sequence[Entry]) -> SignedPermutation:
        """The reflection that exchanges the pairs and flips the signs."""
        perm, sign = list(range(self.size)), [1] * self.size
        given: set[frozenset[int]] = set()
        for pair in swap:
            ours, theirs = (self._indices(entry, components=True) for entry in pair)
            if ours.keys() != theirs.keys():
                odd = "NAME".join(min(ours.keys() ^ theirs.keys()))
                raise SymmetryError(
                    f"{self.what} entries {pair} cannot change places: only one of the two has an entry {odd!r}"
                )
            for form, i in ours.items():
                j = theirs[form]
                # A pair that follows from another pair may also be given explicitly.
                again = form == _ITSELF and frozenset((i, j)) in given
                if i == j or again or perm[i] not in (i, j) or perm[j] not in (i, j):
                    raise SymmetryError(
                        f"{self.what} entries {pair} cannot change places: an entry may be in one pair only, with "
                        "another entry"
                    )
                perm[i], perm[j] = j, i
                if form == _ITSELF:
                    given.add(frozenset((i, j)))
        for entry in flip:
            for (before, _), i in self._indices(entry).items():
                sign[i] = 1 if before.endswith("cos(") else -1
        return SignedPermutation(tuple(perm), tuple(sign))

    def _indices(self, entry: Entry, components: bool = False) -> dict[_Form, int]:
        if isinstance(entry, int | np.integer):
            if not 0 <= entry < self.size:
                raise SymmetryError(f"{self.what} entry {entry} does not exist; entries are 0 to {self.size - 1}")
            return {_ITSELF: int(entry)}
        found = self._made_of(entry, components)
        if not found and not self.names and not self.aliases:
            raise SymmetryError(
                f"{self.what} has {self.size} entries without names, so {entry!r} must be an index from 0 to "
                f"{self.size - 1}, or {self.what} must list the names"
            )
        if not found:
            raise UnknownNameError(f"{self.what} entry", entry, (*self.names, *self.aliases.values()))
        return found

    def _made_of(self, entry: str, components: bool) -> dict[_Form, int]:
        """The entries derived from a name, by the text before and after it."""
        ends = r"\.\w+|" if components else ""
        pattern = re.compile(rf"((?:\w+[.(])*(?:(?:v|vel|previous|prev|last)_)?){re.escape(entry)}((?:{ends}[)\[]).*)?")
        found: dict[_Form, int] = {}
        for i, name in enumerate(self.names):
            for alias in dict.fromkeys((name, self.aliases.get(name, name))):
                match = pattern.fullmatch(alias)
                if match:
                    found[match[1], match[2] or ""] = i
        return found
