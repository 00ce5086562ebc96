"""The action of a group on a direct sum of atoms; an atom is a tensor product of factors, each with a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial, reduce
from typing import Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpp_rl.groups import Group, Matrix, read_only
from rpp_rl.representations.maps import Array, Map, apply_map, as_map, as_matrix, compose, kron, placed
from rpp_rl.representations.rules import TOLERANCE, Rule
from rpp_rl.signed_permutation import SignedPermutation


class GroupAction:
    """The actions of a group's generators and elements on coordinates; `Representation` composes them.

    Attributes:
        group: the group that acts.
        name: a name for messages; comparisons ignore it.
        size: number of coordinates.
    """

    group: Group
    name: str
    size: int
    _rule: Rule
    _factors: tuple[Self, ...] = ()
    _summands: tuple[Self, ...] = ()
    _places: tuple[NDArray[np.int64], ...] = ()

    @property
    def atoms(self) -> tuple[Self, ...]:
        """The summands in order; the representation itself if it is not a sum."""
        return self._summands or (self,)

    @property
    def places(self) -> tuple[NDArray[np.int64], ...]:
        """The coordinates of each of the `atoms`."""
        return self._places if self._summands else (np.arange(self.size),)

    @property
    def factors(self) -> tuple[Self, ...]:
        """The factors of an atom that is a tensor product, the slowest first; otherwise the atom itself."""
        return self._factors or (self,)

    @cached_property
    def images(self) -> tuple[Map, ...]:
        """The image of each discrete generator."""
        generators = range(len(self.group.generators))
        if self._summands:
            return tuple(placed([atom.images[k] for atom in self._summands], self._places) for k in generators)
        if self._factors:
            return tuple(as_map(reduce(kron, [f.images[k] for f in self._factors])) for k in generators)
        return tuple(as_map(self._rule.rho(g)) for g in self.group.generators)

    @cached_property
    def lie_images(self) -> tuple[Matrix, ...]:
        """The image of each generator of the Lie algebra."""
        if self._summands or self._factors:
            return tuple(read_only(self._derived([a.lie_images[k] for a in self._parts])) for k in self._lie_range)
        return tuple(read_only(self._rule.drho(A)) for A in self.group.lie_generators)

    @property
    def _lie_range(self) -> range:
        return range(len(self.group.lie_generators))

    @property
    def _parts(self) -> tuple[Self, ...]:
        return self._summands or self._factors

    def _derived(self, matrices: Sequence[Matrix]) -> Matrix:
        """The image of an element of the Lie algebra, computed from those under the summands or factors."""
        if self._summands:
            return as_matrix(placed(matrices, self._places))
        total, before = np.zeros((self.size, self.size)), 1
        for M in matrices:
            after = self.size // (before * len(M))
            total += np.kron(np.kron(np.eye(before), M), np.eye(after))
            before *= len(M)
        return total

    def rho(self, g: ArrayLike) -> Matrix:
        """The image of a group element; (n, n) for its (d, d) matrix g.

        Raises:
            GroupError: if the representation is given by matrices and g is not an element of the group.
        """
        matrix = np.asarray(g, dtype=np.float64)
        if self._summands:
            return as_matrix(placed([atom.rho(matrix) for atom in self._summands], self._places))
        if self._factors:
            return as_matrix(reduce(kron, [as_map(f.rho(matrix)) for f in self._factors]))
        return self._rule.rho(matrix)

    def drho(self, A: ArrayLike) -> Matrix:
        """The derivative of rho(exp(t A)) at t = 0; (n, n) for a (d, d) matrix A of the Lie algebra.

        Raises:
            RepresentationError: if the representation is given by matrices and A is not in the Lie algebra.
        """
        matrix = np.asarray(A, dtype=np.float64)
        if self._parts:
            return self._derived([part.drho(matrix) for part in self._parts])
        return self._rule.drho(matrix)

    @cached_property
    def elements(self) -> tuple[Map, ...]:
        """The image of each element of a finite group, in the order of `Group.words`."""
        identity: Map = SignedPermutation.identity(self.size) if self.is_signed_permutation else np.eye(self.size)
        by_word: dict[tuple[int, ...], Map] = {(): identity}
        for word in self.group.words[1:]:
            by_word[word] = compose(self.images[word[0]], by_word[word[1:]])
        return tuple(by_word.values())

    def matrix(self, element: int) -> Matrix:
        """The matrix of an element of a finite group, by its index in `Group.words`; shape (n, n)."""
        return as_matrix(self.elements[element])

    def act(self, element: int, x: Array) -> Array:
        """Apply an element of a finite group to the last axis of `x` (numpy or torch)."""
        return apply_map(self.elements[element], x)

    def act_on(self, element: int) -> Callable[[Array], Array]:
        """The function x -> `act(element, x)`."""
        return partial(self.act, element)

    @cached_property
    def is_signed_permutation(self) -> bool:
        """Whether every element only permutes coordinates and changes signs."""
        if self._parts and all(part.is_signed_permutation for part in _without_repetition(self._parts)):
            return True
        # A product of other matrices can still be a signed permutation; a sum cannot.
        return not self._summands and (
            all(isinstance(m, SignedPermutation) for m in self.images) and not any(B.any() for B in self.lie_images)
        )

    @cached_property
    def is_permutation(self) -> bool:
        """Whether every element only permutes coordinates, so that pointwise functions are equivariant."""
        return self.is_signed_permutation and all(
            isinstance(m, SignedPermutation) and m.is_unsigned
            for atom in _without_repetition(self.atoms)
            for m in atom.images
        )

    @cached_property
    def is_scalar(self) -> bool:
        """Whether the size is 1 and every element acts as 1."""
        return self.size == 1 and self.is_permutation

    @cached_property
    def is_orthogonal(self) -> bool:
        """Whether every image is an orthogonal matrix, and every Lie generator's antisymmetric (to 1e-5)."""
        if self._parts and all(part.is_orthogonal for part in _without_repetition(self._parts)):
            return True
        return not self._summands and (
            all(
                isinstance(m, SignedPermutation) or np.abs(m @ m.T - np.eye(len(m))).max() < TOLERANCE
                for m in self.images
            )
            and all(
                np.abs(B + B.T).max(initial=0.0) < TOLERANCE * np.abs(A).max()
                for A, B in zip(self.group.lie_generators, self.lie_images, strict=True)
            )
        )

    @cached_property
    def content(self) -> tuple[int, tuple[object, ...], tuple[bytes, ...]]:
        """Size and images as plain values, by which representations of one group are compared."""
        images = tuple((m.perm, m.sign) if isinstance(m, SignedPermutation) else m.tobytes() for m in self.images)
        return self.size, images, tuple(B.tobytes() for B in self.lie_images)

    @cached_property
    def _hash(self) -> int:
        return hash((self.group, self.content))

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, GroupAction)
            and self._hash == other._hash
            and self.group == other.group
            and self.content == other.content
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Representation({self.name}, size {self.size}, of {self.group.name})"


Kind = TypeVar("Kind", bound=GroupAction)


def _without_repetition(parts: Sequence[Kind]) -> Iterator[Kind]:
    """Each object once. Equal objects may remain: comparing contents would cost more than it saves."""
    return iter({id(part): part for part in parts}.values())
