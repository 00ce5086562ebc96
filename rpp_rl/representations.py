"""Representations of finite groups, composed with operators.

>>> group = cyclic_group(2)
>>> one, sign, regular = (f(group) for f in (trivial_representation, sign_representation, regular_representation))
>>> observation = 2 * one + 3 * sign
>>> hidden = 128 * regular
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial, reduce
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from rpp_rl.errors import RepresentationError
from rpp_rl.groups import Group, Matrix, read_only
from rpp_rl.signed_permutation import SignedPermutation

Map = SignedPermutation | Matrix
Array = TypeVar("Array", NDArray[np.float64], torch.Tensor)

# Generators may come in single precision, and errors add up along a word.
_TOLERANCE = 1e-5


class Representation:
    """A homomorphism from a group to invertible matrices, given by the images of the generators.

    It is either an atom or a direct sum of atoms; sums keep their atoms and the coordinates of each, so that an
    equivariant basis is solved once for each distinct pair of them. Equality is by content: same group, same images.

    Args:
        group: the group represented.
        images: one map per generator, each a `SignedPermutation` or an (n, n) matrix.
        name: for people; part of no comparison.
        size: n; needed only where there are no images to read it from (the trivial group).

    Raises:
        RepresentationError: if the images are not of one size, or do not multiply as the group does.
    """

    def __init__(self, group: Group, images: Sequence[Map | ArrayLike], name: str, size: int | None = None) -> None:
        maps = tuple(_as_map(image) for image in images)
        if len(maps) != len(group.generators):
            raise RepresentationError(
                f"{name} gives {len(maps)} images, but {group.name} has {len(group.generators)} generators"
            )
        if size is None and not maps:
            raise RepresentationError(f"{name} needs a size, for {group.name} has no generator to read it from")
        self.group = group
        self.name = name
        self.size = map_size(maps[0]) if size is None else size
        for generator, image in zip(group.generator_names, maps, strict=True):
            if map_size(image) != self.size:
                raise RepresentationError(
                    f"{name}: the image of generator {generator!r} acts on {map_size(image)} entries, not {self.size}"
                )
        self._images = maps
        self._summands: tuple[Representation, ...] = ()
        self._places: tuple[NDArray[np.int64], ...] = ()
        self._check_homomorphism()

    @classmethod
    def _sum(
        cls,
        group: Group,
        atoms: tuple[Representation, ...],
        name: str,
        places: tuple[NDArray[np.int64], ...] | None = None,
    ) -> Representation:
        """A direct sum; `places` has the coordinates of each atom, one atom after the other unless given."""
        total = cls.__new__(cls)
        total.group, total.name, total._summands = group, name, atoms
        total.size = sum(atom.size for atom in atoms)
        ends = np.cumsum([atom.size for atom in atoms])
        total._places = places or tuple(np.arange(e - a.size, e) for a, e in zip(atoms, ends, strict=True))
        return total

    @property
    def atoms(self) -> tuple[Representation, ...]:
        """The summands, in order; the representation itself if it is no sum."""
        return self._summands or (self,)

    @property
    def places(self) -> tuple[NDArray[np.int64], ...]:
        """The coordinates of each of the `atoms`."""
        return self._places if self._summands else (np.arange(self.size),)

    @cached_property
    def images(self) -> tuple[Map, ...]:
        """The image of each generator."""
        if not self._summands:
            return self._images
        generators = range(len(self.group.generators))
        return tuple(_placed([atom.images[k] for atom in self._summands], self._places) for k in generators)

    @cached_property
    def elements(self) -> tuple[Map, ...]:
        """The image of each group element, in the order of `Group.words`."""
        identity: Map = SignedPermutation.identity(self.size) if self.is_signed_permutation else np.eye(self.size)
        by_word: dict[tuple[int, ...], Map] = {(): identity}
        for word in self.group.words[1:]:
            by_word[word] = _compose(self.images[word[0]], by_word[word[1:]])
        return tuple(by_word.values())

    def matrix(self, element: int) -> Matrix:
        """The matrix of a group element, by its index in `Group.words`; shape (n, n)."""
        return as_matrix(self.elements[element])

    def act(self, element: int, x: Array) -> Array:
        """Apply a group element to the last axis of `x` (numpy or torch)."""
        return apply_map(self.elements[element], x)

    def act_on(self, element: int) -> Callable[[Array], Array]:
        """`act` of one group element, as a function of x."""
        return partial(self.act, element)

    @property
    def _atom_images(self) -> Iterator[Map]:
        return (image for atom in set(self.atoms) for image in atom._images)

    @cached_property
    def is_signed_permutation(self) -> bool:
        """Whether every element only permutes coordinates and changes signs."""
        return all(isinstance(m, SignedPermutation) for m in self._atom_images)

    @cached_property
    def is_permutation(self) -> bool:
        """Whether every element only permutes coordinates, so that pointwise functions are equivariant."""
        return all(isinstance(m, SignedPermutation) and m.is_unsigned for m in self._atom_images)

    @cached_property
    def is_orthogonal(self) -> bool:
        """Whether every image is an orthogonal matrix (to 1e-5)."""
        return all(
            isinstance(m, SignedPermutation) or np.abs(m @ m.T - np.eye(len(m))).max() < _TOLERANCE
            for m in self._atom_images
        )

    def _check_homomorphism(self) -> None:
        elements, products = self.elements, self.group.left_products
        for i, k in np.ndindex(*products.shape):
            left, right = _compose(self.images[k], elements[i]), elements[products[i, k]]
            if left is right or (isinstance(left, SignedPermutation) and left == right):
                continue
            difference = np.abs(as_matrix(left) - as_matrix(right))
            if difference.max(initial=0.0) > _TOLERANCE:
                entry = int(difference.max(axis=1).argmax())
                raise RepresentationError(self._relation(i, k, int(products[i, k]), entry))

    def _relation(self, i: int, k: int, product: int, entry: int) -> str:
        group = self.group
        left = f"{group.generator_names[k]} {group.element_name(i)}"
        right = group.element_name(product)
        return (
            f"{self.name} is no representation of {group.name}: generator {group.generator_names[k]!r} is wrong at "
            f"entry {entry}, because in the group {left} = {right}, but the images differ there"
        )

    @cached_property
    def _key(self) -> tuple[object, ...]:
        images = tuple((m.perm, m.sign) if isinstance(m, SignedPermutation) else m.tobytes() for m in self.images)
        return (self.group, self.size, images)

    @cached_property
    def _hash(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Representation) and self._hash == other._hash and self._key == other._key
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Representation({self.name}, size {self.size}, of {self.group.name})"

    def __add__(self, other: Representation) -> Representation:
        """Direct sum."""
        self._need_same_group(other)
        places = (*self.places, *(place + self.size for place in other.places))
        return self._sum(self.group, self.atoms + other.atoms, f"{self.name} + {other.name}", places)

    def __rmul__(self, copies: int) -> Representation:
        """Direct sum of `copies` copies."""
        if copies < 1:
            raise RepresentationError(f"{copies} copies of {self.name} asked for; at least one is needed")
        if copies == 1:
            return self
        places = tuple(place + i * self.size for i in range(copies) for place in self.places)
        return self._sum(self.group, self.atoms * copies, f"{copies} * {_bracket(self)}", places)

    def interleaved(self, copies: int) -> Representation:
        """The direct sum of `copies` copies, with coordinates (i, copy) in row-major order: like ones side by side."""
        places = tuple(place * copies + i for i in range(copies) for place in self.places)
        return self._sum(self.group, self.atoms * copies, f"{copies} * {_bracket(self)}", places)

    def __mul__(self, other: Representation) -> Representation:
        """Tensor product, on coordinates (i, j) in row-major order."""
        self._need_same_group(other)
        images = [_kron(a, b) for a, b in zip(self.images, other.images, strict=True)]
        return Representation(self.group, images, f"{_bracket(self)} * {_bracket(other)}", self.size * other.size)

    def __pow__(self, power: int) -> Representation:
        """Tensor power; the zeroth is the trivial representation."""
        if power < 0:
            raise RepresentationError(f"tensor power {power} of {self.name} asked for; it must not be negative")
        return reduce(Representation.__mul__, [self] * power) if power else trivial_representation(self.group)

    @property
    def T(self) -> Representation:  # noqa: N802 - the dual is written so everywhere in this field
        """The dual: images are inverse transposes. Orthogonal representations are their own."""
        if self.is_signed_permutation:
            return self
        if self._summands:
            return self._sum(self.group, tuple(a.T for a in self._summands), f"({self.name}).T", self._places)
        return Representation(self.group, [np.linalg.inv(as_matrix(m)).T for m in self.images], f"{self.name}.T")

    def __rshift__(self, other: Representation) -> Representation:
        """The representation on linear maps from `self` to `other`, flattened row by row."""
        return other * self.T

    def unsigned(self) -> Representation:
        """The same permutations without signs: how a standard deviation moves where a mean moves by `self`.

        Raises:
            RepresentationError: if the representation mixes coordinates by more than signs and permutations.
        """
        if not self.is_signed_permutation:
            raise RepresentationError(
                f"{self.name} is no signed permutation, so independent standard deviations have no symmetry under it; "
                "choose action coordinates that the group permutes up to sign"
            )
        if self._summands:
            atoms = tuple(atom.unsigned() for atom in self._summands)
            return self._sum(self.group, atoms, f"|{self.name}|", self._places)
        images = [m.unsigned() for m in self._images if isinstance(m, SignedPermutation)]
        return Representation(self.group, images, f"|{self.name}|", self.size)

    def _need_same_group(self, other: Representation) -> None:
        if self.group != other.group:
            raise RepresentationError(
                f"{self.name} represents {self.group.name} and {other.name} represents {other.group.name}; "
                "only representations of one group can be combined"
            )


def trivial_representation(group: Group) -> Representation:
    """The scalar: every element acts as 1."""
    return Representation(group, [SignedPermutation((0,), (1,))] * len(group.generators), "trivial", 1)


def sign_representation(group: Group) -> Representation:
    """The pseudoscalar: every element acts as the sign of its defining matrix's determinant."""
    signs = [SignedPermutation((0,), (1 if np.linalg.det(g) > 0 else -1,)) for g in group.generators]
    return Representation(group, signs, "sign", 1)


def defining_representation(group: Group) -> Representation:
    """The vector: every element acts as its defining matrix."""
    return Representation(group, group.generators, "V", group.dimension)


def regular_representation(group: Group) -> Representation:
    """The group acting on functions on itself by left translation: g e_h = e_(g h), of size |G|."""
    images = []
    for products in group.left_products.T:
        images.append(SignedPermutation(tuple(np.argsort(products).tolist()), (1,) * group.order))
    return Representation(group, images, "regular", group.order)


def hidden_representation(group: Group, width: int) -> Representation:
    """As many copies of the regular representation as `width` channels hold, interleaved.

    Interleaving puts the channels of one group element side by side, so that an equivariant weight consists of a few
    blocks that repeat: it is assembled by copying rows instead of entries.

    Raises:
        RepresentationError: if the group's order does not divide `width`; says the next width that it divides.
    """
    if width < 1 or width % group.order:
        following = max(1, -(-width // group.order)) * group.order
        raise RepresentationError(
            f"a hidden layer of width {width} cannot hold copies of the regular representation of {group.name}, "
            f"whose order is {group.order}; the next width that works is {following}"
        )
    return regular_representation(group).interleaved(width // group.order)


def map_size(image: Map) -> int:
    """Number of coordinates that a map acts on."""
    return image.size if isinstance(image, SignedPermutation) else len(image)


def as_matrix(image: Map) -> Matrix:
    """The matrix of a map."""
    return image.matrix if isinstance(image, SignedPermutation) else image


def apply_map(image: Map, x: Array) -> Array:
    """Apply a map to the last axis of a numpy array or a torch tensor, in the dtype of `x`."""
    if isinstance(x, torch.Tensor):
        if isinstance(image, SignedPermutation):
            perm = torch.from_numpy(image.perm_array.copy()).to(x.device)
            return x[..., perm] * torch.from_numpy(image.sign_array.copy()).to(x)
        return x @ torch.from_numpy(image.copy()).to(x).T
    if isinstance(image, SignedPermutation):
        return (x[..., image.perm_array] * image.sign_array).astype(x.dtype)
    return (x @ image.T).astype(x.dtype)


def _as_map(image: Map | ArrayLike) -> Map:
    if isinstance(image, SignedPermutation):
        return image
    matrix = read_only(image)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise RepresentationError(f"the image of a generator must be a square matrix, got shape {matrix.shape}")
    return SignedPermutation.from_matrix(matrix) or matrix


def _compose(first: Map, second: Map) -> Map:
    if isinstance(first, SignedPermutation) and isinstance(second, SignedPermutation):
        return first @ second
    product: Matrix = as_matrix(first) @ as_matrix(second)
    return product


def _kron(a: Map, b: Map) -> Map:
    if isinstance(a, SignedPermutation) and isinstance(b, SignedPermutation):
        return a.kron(b)
    product: Matrix = np.kron(as_matrix(a), as_matrix(b)).astype(np.float64)
    return product


def _placed(maps: Sequence[Map], places: Sequence[NDArray[np.int64]]) -> Map:
    """The map that acts as each of `maps` on the coordinates at its place."""
    size = sum(map(map_size, maps))
    signed = [m for m in maps if isinstance(m, SignedPermutation)]
    if len(signed) == len(maps):
        perm, sign = np.zeros(size, np.int64), np.zeros(size, np.int64)
        for block, place in zip(signed, places, strict=True):
            perm[place], sign[place] = place[block.perm_array], block.sign_array
        return SignedPermutation(tuple(perm.tolist()), tuple(sign.tolist()))
    total = np.zeros((size, size))
    for m, place in zip(maps, places, strict=True):
        total[np.ix_(place, place)] = as_matrix(m)
    return total


def _bracket(rep: Representation) -> str:
    return rep.name if len(rep.atoms) == 1 else f"({rep.name})"
