"""Representations, composed with operators: sums, products, duals, restrictions. `group_action` has their actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpp_rl.errors import RepresentationError
from rpp_rl.groups import Group, read_only
from rpp_rl.representations import checks, rules
from rpp_rl.representations.group_action import GroupAction
from rpp_rl.representations.maps import Map, as_map, map_size
from rpp_rl.representations.rules import Rule
from rpp_rl.signed_permutation import SignedPermutation


class Representation(GroupAction):
    """A homomorphism from a group to invertible matrices, given by the images of the generators.

    A representation is an atom or a direct sum of atoms. Sums keep their atoms and the coordinates of each, so that an
    equivariant basis is computed once for each distinct pair of atoms. An atom that is a tensor product keeps its
    factors. Representations are equal if group and images are equal.

    Args:
        group: the group represented.
        images: one map per discrete generator, each a `SignedPermutation` or an (n, n) matrix.
        name: a name for messages; comparisons ignore it.
        size: n; needed only if there are no images (the trivial group).
        lie_images: one (n, n) matrix per generator of the Lie algebra.

    Raises:
        RepresentationError: if the images differ in size, or do not multiply as the group does.
    """

    def __init__(
        self,
        group: Group,
        images: Sequence[Map | ArrayLike],
        name: str,
        size: int | None = None,
        lie_images: Sequence[ArrayLike] = (),
    ) -> None:
        maps, algebra = tuple(as_map(image) for image in images), tuple(read_only(B) for B in lie_images)
        if len(maps) != len(group.generators):
            raise RepresentationError(
                f"{name} gives {len(maps)} images, but {group.name} has {len(group.generators)} generators"
            )
        if len(algebra) != len(group.lie_generators):
            raise RepresentationError(
                f"{name} gives {len(algebra)} images of Lie generators, but {group.name} has "
                f"{len(group.lie_generators)}; give one matrix for each as lie_images"
            )
        if size is None and not (maps or algebra):
            raise RepresentationError(f"{name} needs a size, because {group.name} has no generators; pass size=")
        self.group, self.name = group, name
        self.size = size if size is not None else map_size(maps[0]) if maps else len(algebra[0])
        for generator, image in zip(group.generator_names, maps, strict=True):
            if map_size(image) != self.size:
                raise RepresentationError(
                    f"{name}: the image of generator {generator!r} acts on {map_size(image)} entries, not {self.size}"
                )
        for i, B in enumerate(algebra):
            if B.shape != (self.size, self.size):
                raise RepresentationError(
                    f"{name}: the image of Lie generator {i} has shape {B.shape}, not ({self.size}, {self.size})"
                )
        # Fill the cached properties, which would otherwise ask the rule that is built from them.
        self.__dict__["images"], self.__dict__["lie_images"] = maps, algebra
        explicit = rules.Explicit(group, maps, algebra, self.size)
        self._rule = explicit
        if group.is_continuous:
            checks.check_continuous(explicit, name)
        else:
            checks.check_homomorphism(group, name, maps, self.elements)

    @classmethod
    def from_rule(cls, group: Group, rule: Rule, name: str, size: int) -> Representation:
        """Make an atom that acts by a user's formula; it is not checked to be a homomorphism."""
        atom = cls.__new__(cls)
        atom.group, atom.name, atom.size, atom._rule = group, name, size, rule
        return atom

    @classmethod
    def _sum(
        cls,
        group: Group,
        atoms: tuple[Representation, ...],
        name: str,
        places: tuple[NDArray[np.int64], ...] | None = None,
    ) -> Representation:
        """Make a direct sum; `places` has the coordinates of each atom, by default one atom after the other."""
        total = cls.__new__(cls)
        total.group, total.name, total._summands = group, name, atoms
        total.size = sum(atom.size for atom in atoms)
        ends = np.cumsum([atom.size for atom in atoms])
        total._places = places or tuple(np.arange(e - a.size, e) for a, e in zip(atoms, ends, strict=True))
        return total

    @classmethod
    def product_of(cls, group: Group, factors: Sequence[Representation], name: str) -> Representation:
        """The tensor product of atoms as one atom; scalar factors change nothing and are left out."""
        flat = [f for atom in factors for f in atom.factors if not f.is_scalar]
        if len(flat) < 2:
            return flat[0] if flat else cls.from_rule(group, rules.Trivial(), "trivial", 1)
        product = cls.__new__(cls)
        product.group, product.name, product._factors = group, name, tuple(flat)
        product.size = int(np.prod([f.size for f in flat]))
        return product

    def __add__(self, other: Representation) -> Representation:
        """Direct sum."""
        self._need_same_group(other)
        places = (*self.places, *(place + self.size for place in other.places))
        return self._sum(self.group, self.atoms + other.atoms, f"{self.name} + {other.name}", places)

    def __rmul__(self, copies: int) -> Representation:
        """Direct sum of `copies` copies."""
        if copies < 1:
            raise RepresentationError(f"the number of copies of {self.name} must be at least 1, got {copies}")
        if copies == 1:
            return self
        places = tuple(place + i * self.size for i in range(copies) for place in self.places)
        return self._sum(self.group, self.atoms * copies, f"{copies} * {bracketed(self)}", places)

    def interleaved(self, copies: int) -> Representation:
        """The direct sum of `copies` copies with interleaved coordinates: (i, copy) in row-major order."""
        places = tuple(place * copies + i for i in range(copies) for place in self.places)
        return self._sum(self.group, self.atoms * copies, f"{copies} * {bracketed(self)}", places)

    def __mul__(self, other: Representation) -> Representation:
        """Tensor product on coordinates (i, j) in row-major order; a product of sums is a sum of products."""
        self._need_same_group(other)
        name = f"{bracketed(self)} * {bracketed(other)}"
        if not (self._summands or other._summands):
            return self.product_of(self.group, (self, other), name)
        products: dict[tuple[int, int], Representation] = {}
        atoms, places = [], []
        for a, i in zip(self.atoms, self.places, strict=True):
            for b, j in zip(other.atoms, other.places, strict=True):
                key = id(a), id(b)
                if key not in products:
                    both = f"{bracketed(a)} * {bracketed(b)}"
                    products[key] = self.product_of(self.group, (a, b), both)
                atoms.append(products[key])
                places.append((i[:, None] * other.size + j).ravel())
        return self._sum(self.group, tuple(atoms), name, tuple(places))

    def __pow__(self, power: int) -> Representation:
        """Tensor power; the zeroth is the trivial representation."""
        if power < 0:
            raise RepresentationError(f"tensor power {power} of {self.name} asked for; it must not be negative")
        if power == 0:
            return self.from_rule(self.group, rules.Trivial(), "trivial", 1)
        result = reduce(Representation.__mul__, [self] * power)
        if power > 1 and not self._summands:
            result.name = f"{bracketed(self)}**{power}"
        return result

    @cached_property
    def T(self) -> Representation:  # noqa: N802 - the dual is written so everywhere in this field
        """The dual: images are inverse transposes. Orthogonal representations are their own."""
        if self.is_orthogonal:
            return self
        if self._summands:
            duals = {id(a): a.T for a in self._summands}
            atoms = tuple(duals[id(a)] for a in self._summands)
            return self._sum(self.group, atoms, f"({self.name}).T", self._places)
        if self._factors:
            factors = [f.T for f in self._factors]
            return self.product_of(self.group, factors, " * ".join(bracketed(f) for f in factors))
        if isinstance(self._rule, rules.Dual):
            return self.from_rule(self.group, self._rule.rule, self.name.removesuffix(".T"), self.size)
        return self.from_rule(self.group, rules.Dual(self._rule), f"{self.name}.T", self.size)

    def __rshift__(self, other: Representation) -> Representation:
        """The representation on linear maps from `self` to `other`, flattened row by row."""
        return other * self.T

    def restrict(self, subgroup: Group) -> Representation:
        """The same matrices for the elements of a subgroup only.

        Args:
            subgroup: a group of matrices of the same size d; its generators must be elements of the group.

        Raises:
            RepresentationError: if a generator of `subgroup` is not found in the group, or in its Lie algebra.
        """
        checks.check_subgroup(self.group, subgroup)
        return self._mapped(subgroup, lambda rule: rule)

    def _mapped(self, group: Group, change: Callable[[Rule], Rule]) -> Representation:
        """Rebuild the sum of products for another group, with each rule changed."""
        if self._summands:
            known = {id(a): a._mapped(group, change) for a in self._summands}
            return self._sum(group, tuple(known[id(a)] for a in self._summands), self.name, self._places)
        if self._factors:
            return self.product_of(group, [f._mapped(group, change) for f in self._factors], self.name)
        return self.from_rule(group, change(self._rule), self.name, self.size)

    def inflate(self, product: Group, start: int = 0) -> Representation:
        """The representation of a direct product in which the other factor acts as the identity.

        Args:
            product: the direct product, for example ``self.group * other`` with `start` 0, or ``other * self.group``
                with `start` ``other.dimension``.
            start: the first coordinate on which this representation's group acts in the product.

        Raises:
            RepresentationError: if `product` mixes these coordinates with others, or acts on them by a matrix that is
                not in the group.
        """
        checks.check_factor(self.group, product, start)
        return self._mapped(product, lambda rule: rules.Block(rule, start, self.group.dimension))

    def unsigned(self) -> Representation:
        """The same permutations without signs, which transform a standard deviation if `self` transforms the mean.

        Raises:
            RepresentationError: if the representation does more than permute coordinates and change signs.
        """
        if not self.is_signed_permutation:
            raise RepresentationError(
                f"{self.name} does not act by signed permutations, so independent standard deviations have no symmetry "
                "under it; choose action coordinates that the group permutes up to sign"
            )
        if self._summands:
            atoms = tuple(atom.unsigned() for atom in self._summands)
            return self._sum(self.group, atoms, f"|{self.name}|", self._places)
        images = [m.unsigned() for m in self.images if isinstance(m, SignedPermutation)]
        return Representation(self.group, images, f"|{self.name}|", self.size, self.lie_images)

    def _need_same_group(self, other: Representation) -> None:
        if self.group != other.group:
            raise RepresentationError(
                f"cannot combine {self.name} of group {self.group.name} with {other.name} of group {other.group.name}; "
                "use representations of one group"
            )


def bracketed(rep: Representation) -> str:
    """The name of a representation, in brackets if it is a sum."""
    return rep.name if len(rep.atoms) == 1 else f"({rep.name})"
