"""The symmetry of a task: one group acting on its observations and on its actions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpp_rl.errors import RPPError, SymmetryError
from rpp_rl.groups import Group
from rpp_rl.named_groups import trivial_group
from rpp_rl.representations import Array, Map, Representation
from rpp_rl.signed_permutation import SignedPermutation

# Limits for symmetries read from files: matrices of this size are still made quickly.
_LARGEST_GROUP, _LARGEST_SPACE = 2048, 1_000_000


@dataclass(frozen=True)
class Symmetry:
    """How a finite group moves the observations and actions of a task: x -> c + rho(g) (x - c), a -> rho(g) a.

    The center c is zero for every reflection or rotation that fixes the origin of the observation. It is needed, for
    example, if a mirror plane does not contain the origin. Symmetries are immutable, compare and hash by content, and
    convert to plain JSON and back.

    Attributes:
        name: the name under which the symmetry is registered.
        observation: orthogonal representation on observations.
        action: orthogonal representation on actions, of the same group.
        observation_names: one name per entry; ``obs[0], obs[1], ...`` by default.
        action_names: one name per entry; ``act[0], act[1], ...`` by default.
        center: the point c of observation space that the group fixes; empty for the origin.
        breaks: what breaks the symmetry, for people; empty if nothing is known to break it.
        source: where the declaration comes from.

    Raises:
        SymmetryError: if sizes or groups do not fit, a representation is not orthogonal, or c is not finite.
    """

    name: str
    observation: Representation
    action: Representation
    observation_names: tuple[str, ...] = ()
    action_names: tuple[str, ...] = ()
    center: tuple[float, ...] = ()
    breaks: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if self.observation.group != self.action.group:
            raise SymmetryError(
                f"symmetry {self.name!r}: observations have group {self.observation.group.name} and actions have "
                f"group {self.action.group.name}; represent one group on both"
            )
        if self.group.is_continuous:
            raise SymmetryError(
                f"symmetry {self.name!r}: {self.group.name} is continuous, but the symmetry of a task must be finite; "
                "declare a finite subgroup, for example quarter turns"
            )
        for what, rep in (("observation", self.observation), ("action", self.action)):
            if not rep.is_orthogonal:
                raise SymmetryError(
                    f"symmetry {self.name!r}: the {what} map is not orthogonal; scale the entries that it mixes alike"
                )
        names = {"observation_names": self.observation, "action_names": self.action}
        for attribute, rep in names.items():
            given = tuple(getattr(self, attribute)) or tuple(f"{attribute[:3]}[{i}]" for i in range(rep.size))
            if len(given) != rep.size:
                raise SymmetryError(f"symmetry {self.name!r}: {len(given)} {attribute} given for {rep.size} entries")
            object.__setattr__(self, attribute, given)
        self._check_center()

    def _check_center(self) -> None:
        center = tuple(float(c) for c in self.center)
        object.__setattr__(self, "center", center if any(center) else ())
        if not self.center:
            return
        if not np.isfinite(center).all():
            raise SymmetryError(f"symmetry {self.name!r}: the center {center} is not finite")
        if len(center) != self.observation.size:
            raise SymmetryError(
                f"symmetry {self.name!r}: the center has {len(center)} entries for an observation of "
                f"{self.observation.size}"
            )

    @classmethod
    def from_generators(
        cls,
        name: str,
        group: Group,
        observation: Sequence[Map | ArrayLike],
        action: Sequence[Map | ArrayLike],
        sizes: tuple[int, int] | None = None,
        **details: Any,
    ) -> Symmetry:
        """Build a symmetry from one map per generator.

        Args:
            name: the name of the symmetry.
            group: its group.
            observation: the image of each generator on observations.
            action: the image of each generator on actions.
            sizes: sizes of observation and action; needed only for a group without generators.
            **details: the remaining attributes.

        Raises:
            SymmetryError: if the maps are not a group action; the message names the generator and the entry.
        """
        try:
            observation_rep = Representation(group, observation, "the observation map", sizes[0] if sizes else None)
            action_rep = Representation(group, action, "the action map", sizes[1] if sizes else None)
        except RPPError as error:
            raise SymmetryError(f"symmetry {name!r}: {_with_names(str(error), details)}") from error
        return cls(name, observation_rep, action_rep, **details)

    @classmethod
    def trivial(cls, observation_size: int, action_size: int) -> Symmetry:
        """The symmetry of the trivial group, under which every map is equivariant."""
        source = "the group of one element"
        return cls.from_generators("trivial", trivial_group(), (), (), (observation_size, action_size), source=source)

    @property
    def group(self) -> Group:
        """The group."""
        return self.observation.group

    def transform_observation(self, element: int, observation: Array) -> Array:
        """Act with a group element (by index in `Group.words`) on the last axis of observations."""
        if not self.center:
            return self.observation.act(element, observation)
        return self.observation.act(element, observation) + self._like(self.offset(element), observation)

    def transform_action(self, element: int, action: Array) -> Array:
        """Act with a group element on the last axis of actions."""
        return self.action.act(element, action)

    def offset(self, element: int) -> NDArray[np.float64]:
        """The constant part c - rho(g) c of a group element's action on observations."""
        if not self.center:
            return np.zeros(self.observation.size)
        center = np.array(self.center)
        return center - self.observation.act(element, center)

    @staticmethod
    def _like(values: NDArray[np.float64], array: Array) -> Array:
        if isinstance(array, np.ndarray):
            return values.astype(array.dtype)
        return array.new_tensor(values)

    def stacked(self, frames: int) -> Symmetry:
        """The symmetry of a stack of the last `frames` observations, the oldest first.

        The names of older entries end with their age: ``height[t-2]``, ``height[t-1]``, ``height``.
        """
        ages = [f"[t-{age}]" if age else "" for age in range(frames - 1, -1, -1)]
        return replace(
            self,
            observation=frames * self.observation,
            observation_names=tuple(name + age for age in ages for name in self.observation_names),
            center=self.center * frames,
        )

    def with_invariants(self, names: Sequence[str]) -> Symmetry:
        """The symmetry of observations to which entries are appended that no group element moves."""
        still = SignedPermutation.identity(len(names))
        rep = Representation(self.group, [still] * len(self.group.generators), "invariants", len(names))
        return replace(
            self,
            observation=self.observation + rep,
            observation_names=(*self.observation_names, *names),
            center=(*self.center, *(0.0,) * len(names)) if self.center else (),
        )

    def check_sizes(self, observation_size: int, action_size: int, where: str) -> None:
        """Check that observations and actions have the declared sizes.

        Raises:
            SymmetryError: if they have not; `where` names the environment in the message.
        """
        for what, rep, size in (
            ("observation", self.observation, observation_size),
            ("action", self.action, action_size),
        ):
            if rep.size != size:
                raise SymmetryError(
                    f"symmetry {self.name!r} is declared for an {what} of {rep.size} entries, but that of {where} has "
                    f"{size}; declare a symmetry for these arguments or wrappers of the environment"
                )

    def check_action_bounds(self, low: NDArray[np.floating[Any]], high: NDArray[np.floating[Any]], where: str) -> None:
        """Check that every generator maps the box [low, high] of actions onto itself.

        Raises:
            SymmetryError: if one does not; the message names the generator and the entry.
        """
        box = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        for generator, image in zip(self.group.generator_names, self.action.images, strict=True):
            moved_low, moved_high = _moved_box(image, *box)
            wrong = ~(np.isclose(moved_low, low, atol=1e-6) & np.isclose(moved_high, high, atol=1e-6))
            if wrong.any():
                i = int(wrong.argmax())
                raise SymmetryError(
                    f"symmetry {self.name!r}: generator {generator!r} maps the action bounds of {where} at entry "
                    f"{self.action_names[i]!r} from [{low[i]:g}, {high[i]:g}] to "
                    f"[{moved_low[i]:g}, {moved_high[i]:g}]; rescale the actions so that the map preserves them"
                )

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON data, which `from_dict` reads."""
        return {
            "name": self.name,
            "group": {
                "name": self.group.name,
                "dimension": self.group.dimension,
                "generators": [g.tolist() for g in self.group.generators],
                "generator_names": list(self.group.generator_names),
            },
            "observation_size": self.observation.size,
            "action_size": self.action.size,
            "generators": [
                {**_map_to_dict("obs", o), **_map_to_dict("act", a)}
                for o, a in zip(self.observation.images, self.action.images, strict=True)
            ],
            "observation_names": list(self.observation_names),
            "action_names": list(self.action_names),
            "center": list(self.center),
            "breaks": self.breaks,
            "source": self.source,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Symmetry:
        """Read what `to_dict` wrote.

        Raises:
            SymmetryError: if a key is missing, a value has the wrong type, or the maps are not a group action.
        """
        try:
            group = Group(
                str(data["group"]["name"]),
                tuple(np.array(g, dtype=np.float64) for g in data["group"]["generators"]),
                int(data["group"]["dimension"]),
                tuple(data["group"]["generator_names"]),
            )
            generators = data["generators"]
            details = {
                "observation_names": tuple(map(str, data.get("observation_names", ()))),
                "action_names": tuple(map(str, data.get("action_names", ()))),
                "center": tuple(map(float, data.get("center", ()))),
                "breaks": str(data.get("breaks", "")),
                "source": str(data.get("source", "")),
            }
            observation = [_map_from_dict("obs", g) for g in generators]
            action = [_map_from_dict("act", g) for g in generators]
            sizes = (int(data["observation_size"]), int(data["action_size"])) if not generators else None
            name = str(data["name"])
            if group.dimension > _LARGEST_GROUP or max(sizes or (0,)) > _LARGEST_SPACE:
                raise SymmetryError(
                    f"symmetry {name!r} is too large: the limits are a group of {_LARGEST_GROUP} dimensions and "
                    f"{_LARGEST_SPACE} entries"
                )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, RPPError):
                raise
            raise SymmetryError(f"the data must have the form that Symmetry.to_dict writes: {error!r}") from error
        return cls.from_generators(name, group, observation, action, sizes, **details)

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Symmetry:
        """Read what `to_json` wrote.

        Raises:
            SymmetryError: if the text is not JSON, or its data does not describe a symmetry.
        """
        try:
            data = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise SymmetryError(f"the text is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise SymmetryError(f"a symmetry must be a JSON object, got a {type(data).__name__}")
        return cls.from_dict(data)


def _moved_box(
    image: Map, low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The smallest box around the image of a box."""
    if isinstance(image, SignedPermutation):
        ends = np.stack([low, high])[:, image.perm_array] * image.sign_array
        return ends.min(axis=0) + 0.0, ends.max(axis=0) + 0.0
    center, half = image @ ((high + low) / 2), np.abs(image) @ ((high - low) / 2)
    return center - half, center + half


def _map_to_dict(prefix: str, image: Map) -> dict[str, Any]:
    if isinstance(image, SignedPermutation):
        return {f"{prefix}_perm": list(image.perm), f"{prefix}_sign": list(image.sign)}
    return {f"{prefix}_matrix": image.tolist()}


def _map_from_dict(prefix: str, data: Mapping[str, Any]) -> Map | ArrayLike:
    if f"{prefix}_matrix" in data:
        return np.array(data[f"{prefix}_matrix"], dtype=np.float64)
    return SignedPermutation(tuple(data[f"{prefix}_perm"]), tuple(data[f"{prefix}_sign"]))


def _with_names(message: str, details: Mapping[str, Any]) -> str:
    """Add the name of an entry to a message that gives its number, if the declaration gives names."""
    kind = "action_names" if "the action map" in message else "observation_names"
    for i, name in enumerate(details.get(kind, ())):
        message = message.replace(f" at entry {i},", f" at entry {i} ({name}),")
    return message
