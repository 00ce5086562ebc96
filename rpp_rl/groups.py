"""Matrix groups, finite or continuous, given by generators.

The matrices of its generators define a group. The elements of a finite group are listed once, breadth first, by
multiplication with generators from the left. A continuous group has generators of its Lie algebra beside discrete
generators. They add linear constraints to an equivariant basis (`rpp_rl.bases`); there is no list of elements.
`rpp_rl.named_groups` has the usual groups by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpp_rl import lie_algebra
from rpp_rl.errors import GroupError

Matrix = NDArray[np.float64]
Word = tuple[int, ...]

MAX_ORDER = 10_000
# Generators may have single precision; different elements of a finite group of moderate order lie far apart.
SAME = 1e-5
_TOO_LARGE = 1e6
_COMPACT_STEPS, _OTHER_STEPS = 24, 2
# Limits of the search for the components of a continuous group among products of its discrete generators.
_LONGEST_WORD, _MOST_COMPONENTS = 12, 256


def read_only(matrix: ArrayLike) -> Matrix:
    """Make a read-only float64 copy; entries within 1e-12 of an integer are rounded to it."""
    array = np.array(matrix, dtype=np.float64)
    with np.errstate(invalid="ignore"):  # of infinities, which the caller refuses
        near = np.abs(array - np.rint(array)) < 1e-12
    array[near] = np.rint(array[near]) + 0.0
    array.setflags(write=False)
    return array


Sampler = Callable[["Group", np.random.Generator], Matrix]


@dataclass(frozen=True, eq=False)
class Group:
    """The group that invertible matrices g_k and the exponentials of matrices A_k generate.

    Without A_k it is finite, or at least discrete. Two groups are equal if their generators are equal; names do not
    matter.

    Attributes:
        name: a name for messages, for example ``"C2"``.
        generators: one (d, d) matrix per discrete generator; none for a connected or the trivial group.
        dimension: d, the size of the defining representation.
        generator_names: one word per discrete generator; ``g0, g1, ...`` by default.
        lie_generators: one (d, d) matrix per generator of the Lie algebra; none for a discrete group.
        sampler: draws one element for `sample`; by default it follows from the generators. Comparisons ignore it.

    Raises:
        GroupError: if a generator is not square, finite and invertible, if a generator of the Lie algebra is zero,
            or if sizes differ. The list of elements raises it too, if there are more than 10 000.
    """

    name: str
    generators: tuple[Matrix, ...]
    dimension: int
    generator_names: tuple[str, ...] = field(default=())
    lie_generators: tuple[Matrix, ...] = field(default=())
    sampler: Sampler | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        generators = tuple(read_only(g) for g in self.generators)
        names = tuple(self.generator_names) or tuple(f"g{i}" for i in range(len(generators)))
        object.__setattr__(self, "generators", generators)
        object.__setattr__(self, "generator_names", names)
        object.__setattr__(self, "lie_generators", tuple(read_only(A) for A in self.lie_generators))
        if len(names) != len(generators):
            raise GroupError(f"group {self.name} has {len(generators)} generators but {len(names)} names for them")
        for name, g in zip(names, generators, strict=True):
            self._check_shape(f"generator {name!r}", g)
            if not np.isfinite(g).all() or abs(np.linalg.det(g)) < 1e-6:
                raise GroupError(f"generator {name!r} of {self.name} is not an invertible matrix of finite numbers")
            if 0 < np.abs(g - np.eye(self.dimension)).max() < SAME:
                raise GroupError(
                    f"generator {name!r} of {self.name} differs from the identity by less than {SAME:g}, which is not "
                    "distinguishable from rounding; give the identity itself, or another matrix"
                )
        for i, A in enumerate(self.lie_generators):
            self._check_shape(f"Lie generator {i}", A)
            if not np.isfinite(A).all() or not A.any():
                raise GroupError(f"Lie generator {i} of {self.name} must be a matrix of finite numbers, not zero")

    def _check_shape(self, what: str, matrix: Matrix) -> None:
        if matrix.shape != (self.dimension, self.dimension):
            raise GroupError(
                f"{what} of {self.name} has shape {matrix.shape}; "
                f"every generator must be a {self.dimension} x {self.dimension} matrix"
            )

    @cached_property
    def _key(self) -> tuple[int, tuple[bytes, ...], tuple[bytes, ...]]:
        return (
            self.dimension,
            tuple(g.tobytes() for g in self.generators),
            tuple(A.tobytes() for A in self.lie_generators),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Group) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        lie = f" and {len(self.lie_generators)} of its Lie algebra" if self.lie_generators else ""
        return f"Group({self.name}, {len(self.generators)} generators{lie} of size {self.dimension})"

    @property
    def is_continuous(self) -> bool:
        """Whether the group has a Lie algebra, and therefore no list of elements."""
        return bool(self.lie_generators)

    @cached_property
    def is_orthogonal(self) -> bool:
        """Whether every element is an orthogonal matrix (to 1e-5), so that the group's closure is compact."""
        return all(np.abs(g @ g.T - np.eye(self.dimension)).max() < SAME for g in self.generators) and all(
            np.abs(A + A.T).max() < SAME * np.abs(A).max() for A in self.lie_generators
        )

    @cached_property
    def algebra(self) -> tuple[Matrix, ...]:
        """A basis of the whole Lie algebra: the closure of its generators under brackets and conjugation."""
        return lie_algebra.closure(self.lie_generators, self.generators) if self.lie_generators else ()

    @cached_property
    def _closure(self) -> tuple[tuple[tuple[int, ...], ...], NDArray[np.int64], Matrix]:
        """Words of all elements, the table of left products with generators, and the elements' matrices."""
        if self.is_continuous:
            raise GroupError(
                f"{self.name} is continuous and has no list of elements; draw elements with sample(rng, count)"
            )
        return _all_elements(self.generators, self.dimension, self.name)

    @property
    def order(self) -> int:
        """Number of elements."""
        return len(self._closure[0])

    @property
    def words(self) -> tuple[tuple[int, ...], ...]:
        """Each element as a product of generators, by index; the identity, the empty word, comes first."""
        return self._closure[0]

    @property
    def left_products(self) -> NDArray[np.int64]:
        """Index of (generator k) * (element i) at [i, k]; shape (order, number of generators)."""
        return self._closure[1]

    @property
    def element_matrices(self) -> Matrix:
        """The matrix of each element, in the order of `words`; shape (order, d, d)."""
        return self._closure[2]

    def element_name(self, index: int) -> str:
        """The word of an element in the generators' names, for example ``"r r s"``."""
        return " ".join(self.generator_names[k] for k in self.words[index]) or "identity"

    def index(self, g: ArrayLike) -> int:
        """The index in `words` of the element with the matrix g, shape (d, d).

        Raises:
            GroupError: if no element of the (finite) group has this matrix.
        """
        differences = np.abs(self.element_matrices - np.asarray(g, dtype=np.float64)).max(axis=(1, 2))
        nearest = int(differences.argmin())
        distance = float(differences[nearest])
        if not distance < SAME:
            raise GroupError(
                f"the matrix is not an element of {self.name}: the nearest element differs by {distance:.1e}"
            )
        return nearest

    def sample(self, rng: np.random.Generator, count: int) -> Matrix:
        """Draw elements as matrices of the defining representation, shape (count, d, d).

        - Finite groups: uniform over the elements.
        - SO(n), O(n), U(n) and their products: exactly Haar.
        - Other orthogonal groups: the end of a random walk of 24 steps exp(sum of a_k A_k), a_k normal, and random
          generators. This is Haar up to the mixing of the walk.
        - Non-compact groups, which have no uniform distribution: two steps of the walk with a_k of standard deviation
          1/2, so that elements stay within a few units of the identity.

        Args:
            rng: the only source of randomness.
            count: number of independent elements.
        """
        draw = self.sampler or (_random_walk if self.is_continuous else _uniform_element)
        return np.array([draw(self, rng) for _ in range(count)]).reshape(count, self.dimension, self.dimension)

    def exponents(self, g: ArrayLike) -> tuple[tuple[int, ...], tuple[Matrix, ...]]:
        """A discrete word h and elements A_1, ... of the Lie algebra with g = h exp(A_1) exp(A_2) ...

        Raises:
            GroupError: if no such product with a short h is found; g may still be an element.
        """
        matrix = np.asarray(g, dtype=np.float64)
        if not self.is_continuous:
            return self.words[self.index(matrix)], ()
        for word, inverse in self._components:
            logs = lie_algebra.logarithms(inverse @ matrix, self.algebra)
            if logs is not None:
                return word, logs
        raise GroupError(
            f"the matrix is not an element of {self.name}, or its logarithm does not lie in the Lie algebra"
        )

    def has_in_algebra(self, A: ArrayLike) -> bool:
        """Whether A, shape (d, d), lies in the Lie algebra (to 1e-5, relative)."""
        return lie_algebra.coordinates(self.algebra, np.asarray(A, dtype=np.float64)) is not None

    @cached_property
    def _components(self) -> tuple[tuple[tuple[int, ...], Matrix], ...]:
        """The components of a continuous group: for each a word of generators that reaches it, and its inverse."""
        found: list[tuple[tuple[int, ...], Matrix]] = [((), np.eye(self.dimension))]
        for length in range(1, _LONGEST_WORD + 1):
            for word, inverse in [f for f in found if len(f[0]) == length - 1]:
                for k, g in enumerate(self.generators):
                    candidate = inverse @ np.linalg.inv(g)
                    if all(np.abs(candidate - other).max() > SAME for _, other in found):
                        found.append(((k, *word), candidate))
            if len(found) > _MOST_COMPONENTS:
                break
        return tuple(found)

    def __contains__(self, g: ArrayLike) -> bool:
        """Whether g, shape (d, d), is an element; see `exponents` for continuous groups.

        Raises:
            GroupError: if a discrete group has more than 10 000 elements.
        """
        if not self.is_continuous:
            # A group that is too large to list raises here, before its error could be taken for "not an element".
            self.words  # noqa: B018
        try:
            self.exponents(g)
        except GroupError:
            return False
        return True

    def __mul__(self, other: Group) -> Group:
        """The direct product, which acts on the direct sum of the two defining spaces."""
        n, m = self.dimension, other.dimension
        left = [lie_algebra.diagonal_blocks(g, np.eye(m)) for g in self.generators]
        right = [lie_algebra.diagonal_blocks(np.eye(n), g) for g in other.generators]
        names = self.generator_names + other.generator_names
        if len(set(names)) < len(names):
            names = ()
        lie = [lie_algebra.diagonal_blocks(A, np.zeros((m, m))) for A in self.lie_generators]
        lie += [lie_algebra.diagonal_blocks(np.zeros((n, n)), A) for A in other.lie_generators]
        sampler = partial(_independent_pair, left=self, right=other) if self.sampler or other.sampler else None
        return Group(f"{self.name} x {other.name}", tuple(left + right), n + m, names, tuple(lie), sampler)


def _all_elements(
    generators: Sequence[Matrix], dimension: int, name: str
) -> tuple[tuple[Word, ...], NDArray[np.int64], Matrix]:
    """List the elements of the group that matrices generate.

    Args:
        generators: matrices of shape (d, d).
        dimension: d.
        name: name of the group, for messages.

    Returns:
        The words of all elements as products of generators, the identity first; the index of (generator k) * (element
        i) at [i, k], shape (order, number of generators); and the elements' matrices, shape (order, d, d).

    Raises:
        GroupError: if the products grow without bound, or there are more than `MAX_ORDER` of them.
    """
    elements = [np.eye(dimension)]
    words: list[tuple[int, ...]] = [()]
    rng = np.random.default_rng(0)
    # Elements are looked up by a random projection, so that a product is compared with few of them.
    direction = rng.standard_normal((dimension, dimension))
    buckets: dict[int, list[int]] = {}

    def bucket(matrix: Matrix) -> int:
        return int(np.floor(np.vdot(direction, matrix) / 1e-2))

    def find(matrix: Matrix) -> int | None:
        near = itertools.chain.from_iterable(buckets.get(bucket(matrix) + k, ()) for k in (-1, 0, 1))
        return next((i for i in near if np.abs(elements[i] - matrix).max() < SAME), None)

    buckets[bucket(elements[0])] = [0]
    table: list[list[int]] = []
    for i in itertools.count():
        if i == len(elements):
            break
        row = []
        for k, g in enumerate(generators):
            product = g @ elements[i]
            if not np.abs(product).max() < _TOO_LARGE:
                raise GroupError(f"{name} is infinite: products of its generators grow without bound")
            index = find(product)
            if index is None:
                index = len(elements)
                if index == MAX_ORDER:
                    raise GroupError(
                        f"{name} has more than {MAX_ORDER} elements: its generators do not generate a finite group of "
                        "usable size; check that each has a finite order"
                    )
                elements.append(product)
                words.append((k, *words[i]))
                buckets.setdefault(bucket(product), []).append(index)
            row.append(index)
        table.append(row)
    products = np.array(table, dtype=np.int64).reshape(len(words), len(generators))
    return tuple(words), products, np.stack(elements)


def _uniform_element(group: Group, rng: np.random.Generator) -> Matrix:
    """Draw uniformly from the elements of a finite group."""
    element: Matrix = group.element_matrices[rng.integers(group.order)]
    return element


def _random_walk(group: Group, rng: np.random.Generator) -> Matrix:
    """Draw the end of a random walk: Haar for an orthogonal group once mixed, near the identity for others."""
    element = np.eye(group.dimension)
    steps, scale = (_COMPACT_STEPS, 2.0) if group.is_orthogonal else (_OTHER_STEPS, 0.5)
    for _ in range(steps):
        coefficients = scale * rng.standard_normal(len(group.algebra))
        A = lie_algebra.combination(coefficients, group.algebra, group.dimension)
        element = lie_algebra.exponential(A) @ element
        for g in group.generators:
            element = (g if rng.integers(2) else np.eye(group.dimension)) @ element
    return element


def _independent_pair(_: Group, rng: np.random.Generator, *, left: Group, right: Group) -> Matrix:
    """Draw an element of a direct product: one element of each factor, independently."""
    return lie_algebra.diagonal_blocks(left.sample(rng, 1)[0], right.sample(rng, 1)[0])
