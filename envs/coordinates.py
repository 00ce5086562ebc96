"""Named coordinates and their images under the generators of a group, with which symmetries are declared.

A declaration is data: a ruler that names the columns, and one row per generator with the entry that moves to each
column; a leading minus changes the sign:

>>> moved("hip_left hip_right torso_yaw",
...       "hip_right hip_left -torso_yaw")

The images of quantities in space follow from the generator's matrix R in O(3): vectors move by R, pseudovectors by
det(R) R, and the orientation of a body that R maps onto itself by q -> (w, det(R) R (x, y, z)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rpp_rl.errors import SymmetryError, UnknownNameError
from rpp_rl.groups import Group
from rpp_rl.named_groups import cyclic_group
from rpp_rl.signed_permutation import SignedPermutation, direct_sum
from rpp_rl.symmetry import Symmetry


@dataclass(frozen=True)
class Entries:
    """Coordinates with names and one signed permutation per generator.

    Attributes:
        names: one per coordinate.
        images: one per generator.
    """

    names: tuple[str, ...]
    images: tuple[SignedPermutation, ...]

    def __add__(self, other: Entries) -> Entries:
        """These coordinates followed by the others."""
        if len(self.images) != len(other.images):
            raise SymmetryError(
                f"cannot join {self.names} with {len(self.images)} generators and {other.names} with "
                f"{len(other.images)}; give one row per generator for both"
            )
        pairs = zip(self.images, other.images, strict=True)
        return Entries(self.names + other.names, tuple(direct_sum(pair) for pair in pairs))

    def each(self, kind: Entries) -> Entries:
        """One quantity of this kind for each of these coordinates, for example a force for each body."""
        names = tuple(f"{name}.{component}" for name in self.names for component in kind.names)
        pairs = zip(self.images, kind.images, strict=True)
        return Entries(names, tuple(mine.kron(theirs) for mine, theirs in pairs))

    def prefixed(self, prefix: str) -> Entries:
        """The same coordinates with a prefix before their names."""
        return Entries(tuple(f"{prefix}{name}" for name in self.names), self.images)


def moved(ruler: str, *rows: str) -> Entries:
    """Read a ruler of names and one row of signed names per generator.

    Raises:
        SymmetryError: if a row is not a rearrangement of the ruler.
        UnknownNameError: if a row has a name that is not in the ruler.
    """
    names = tuple(ruler.split())
    return Entries(names, tuple(_row(names, row.split()) for row in rows))


def _row(names: tuple[str, ...], row: Sequence[str]) -> SignedPermutation:
    if len(row) != len(names):
        raise SymmetryError(f"the row {' '.join(row)!r} has {len(row)} entries for a ruler of {len(names)}")
    bare = [entry.removeprefix("-") for entry in row]
    for entry in bare:
        if entry not in names:
            raise UnknownNameError("entry", entry, names)
        if bare.count(entry) > 1:
            raise SymmetryError(f"the row {' '.join(row)!r} has {entry!r} twice; each entry must go to one place")
    return SignedPermutation(
        tuple(names.index(entry) for entry in bare), tuple(-1 if entry.startswith("-") else 1 for entry in row)
    )


def unmoved(ruler: str, generators: int) -> Entries:
    """Coordinates that no generator changes."""
    return moved(ruler, *[ruler] * generators)


@dataclass(frozen=True)
class Space:
    """The kinds of quantities in space, for generators that act on it by signed permutations R of the axes.

    Attributes:
        generators: R of each generator, on (x, y, z).
    """

    generators: tuple[SignedPermutation, ...]

    def scalar(self, name: str) -> Entries:
        """A quantity that does not move."""
        return unmoved(name, len(self.generators))

    def vector(self, names: str = "x y z") -> Entries:
        """A position, velocity or force: R."""
        return Entries(tuple(names.split()), self.generators)

    def pseudovector(self, names: str = "x y z") -> Entries:
        """An angular velocity or torque: det(R) R."""
        return Entries(tuple(names.split()), tuple(_scaled(R, _determinant(R)) for R in self.generators))

    def quaternion(self, names: str = "w x y z") -> Entries:
        """The orientation of a body that R maps onto itself: Q -> R Q R^T."""
        w, *rest = names.split()
        return self.scalar(w) + self.pseudovector(" ".join(rest))

    def floating_robot(self, joints: Entries) -> Entries:
        """MuJoCo's state of a robot on a free joint, without x and y: height, orientation, joints, velocities."""
        pose = self.scalar("z") + self.quaternion("qw qx qy qz") + joints
        return pose + self.vector("vx vy vz") + self.pseudovector("wx wy wz") + joints.prefixed("v_")

    def velocity_and_force(self, rotational: str, linear: str) -> Entries:
        """MuJoCo's six numbers of a spatial velocity or force, the rotational part first."""
        return self.pseudovector(" ".join(f"{rotational}_{axis}" for axis in "xyz")) + self.vector(
            " ".join(f"{linear}_{axis}" for axis in "xyz")
        )

    def inertia(self) -> Entries:
        """MuJoCo's ten numbers of a body's inertia about a common point: tensor, mass times offset, mass."""
        pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
        tensors = []
        for R in self.generators:
            images = [(R.perm[i], R.perm[j]) for i, j in pairs]
            perm = tuple(pairs.index((min(p), max(p))) for p in images)
            tensors.append(SignedPermutation(perm, tuple(R.sign[i] * R.sign[j] for i, j in pairs)))
        tensor = Entries(tuple("I" + "xyz"[i] + "xyz"[j] for i, j in pairs), tuple(tensors))
        return tensor + self.vector("m_x m_y m_z") + self.scalar("m")


def reflect(axis: str) -> SignedPermutation:
    """The reflection of space that changes the sign of one axis."""
    return SignedPermutation((0, 1, 2), tuple(-1 if a == axis else 1 for a in "xyz"))


IDENTITY = SignedPermutation.identity(3)


def _determinant(R: SignedPermutation) -> int:
    return round(float(np.linalg.det(R.matrix)))


def _scaled(R: SignedPermutation, factor: int) -> SignedPermutation:
    return SignedPermutation(R.perm, tuple(factor * s for s in R.sign))


MIRROR = cyclic_group(2, "mirror")
PHYSICS = "mirror of the model, proved on the simulator"
PAPER = "Finzi, Benton and Wilson 2021, the authors' implementation"


def declare(
    name: str,
    observation: Entries,
    action: Entries,
    *,
    group: Group = MIRROR,
    center: tuple[float, ...] = (),
    breaks: str = "",
    source: str = PHYSICS,
) -> Symmetry:
    """Make a symmetry from named entries of observation and action and their images."""
    return Symmetry.from_generators(
        name,
        group,
        observation.images,
        action.images,
        observation_names=observation.names,
        action_names=action.names,
        center=center,
        breaks=breaks,
        source=source,
    )
