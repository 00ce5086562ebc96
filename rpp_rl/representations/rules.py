"""Rules of representations: rho(g) for a group element g, drho(A) for an element A of the Lie algebra.

Rules are immutable. The defining, sign and determinant representations have a formula. A representation given by
matrices has the images of the generators, and writes g or A as a product or combination of generators.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from rpp_rl import lie_algebra
from rpp_rl.errors import RepresentationError
from rpp_rl.groups import Group, Matrix
from rpp_rl.representations.maps import Map, as_matrix

# Generators may have single precision, and errors add up along a word.
TOLERANCE = 1e-5


class Rule(Protocol):
    """A homomorphism of a matrix group and its derivative at the identity."""

    def rho(self, g: Matrix) -> Matrix:
        """The matrix of a group element."""

    def drho(self, A: Matrix) -> Matrix:
        """The derivative of rho(exp(t A)) at t = 0."""


@dataclass(frozen=True)
class Trivial:
    """Every element acts as the identity on `size` coordinates."""

    size: int = 1

    def rho(self, g: Matrix) -> Matrix:
        """The identity."""
        return np.eye(self.size)

    def drho(self, A: Matrix) -> Matrix:
        """Zero."""
        return np.zeros((self.size, self.size))


@dataclass(frozen=True)
class Defining:
    """Every element acts as its own matrix."""

    def rho(self, g: Matrix) -> Matrix:
        """The element itself."""
        return g

    def drho(self, A: Matrix) -> Matrix:
        """The element of the algebra itself."""
        return A


@dataclass(frozen=True)
class Sign:
    """Every element acts as the sign of its determinant."""

    def rho(self, g: Matrix) -> Matrix:
        """The sign, shape (1, 1)."""
        return np.array([[np.sign(np.linalg.det(g))]])

    def drho(self, A: Matrix) -> Matrix:
        """Zero: a sign is constant near the identity."""
        return np.zeros((1, 1))


@dataclass(frozen=True)
class Determinant:
    """Every element acts as a power of its determinant."""

    power: int = 1

    def rho(self, g: Matrix) -> Matrix:
        """The power of the determinant, shape (1, 1)."""
        return np.array([[np.linalg.det(g) ** self.power]])

    def drho(self, A: Matrix) -> Matrix:
        """The power times the trace."""
        return np.array([[self.power * np.trace(A)]])


@dataclass(frozen=True)
class Dual:
    """The inverse transposes of another rule."""

    rule: Rule

    def rho(self, g: Matrix) -> Matrix:
        """The inverse transpose."""
        inverse: Matrix = np.linalg.inv(self.rule.rho(g)).T.astype(np.float64)
        return inverse

    def drho(self, A: Matrix) -> Matrix:
        """The negative transpose."""
        return -self.rule.drho(A).T


@dataclass(frozen=True)
class Block:
    """Apply a rule to one diagonal block of every element.

    Attributes:
        rule: the rule for the block.
        start: the first coordinate of the block.
        size: the size of the block.
    """

    rule: Rule
    start: int
    size: int

    def _block(self, matrix: Matrix) -> Matrix:
        own = slice(self.start, self.start + self.size)
        return matrix[own, own]

    def rho(self, g: Matrix) -> Matrix:
        """The image of the block."""
        return self.rule.rho(self._block(g))

    def drho(self, A: Matrix) -> Matrix:
        """The image of the block."""
        return self.rule.drho(self._block(A))


@dataclass(frozen=True, eq=False)
class Explicit:
    """The images of the generators, given as matrices.

    Attributes:
        group: the group represented.
        images: one map per discrete generator.
        lie_images: one matrix per generator of the Lie algebra.
        size: number of coordinates.
    """

    group: Group
    images: tuple[Map, ...]
    lie_images: tuple[Matrix, ...]
    size: int

    @cached_property
    def pairs(self) -> tuple[tuple[Matrix, ...], tuple[Matrix, ...]]:
        """A basis of the Lie algebra and its images; the basis is too short if the images are wrong."""
        d = self.group.dimension
        generators = [
            lie_algebra.diagonal_blocks(A, B) for A, B in zip(self.group.lie_generators, self.lie_images, strict=True)
        ]
        conjugators = [
            lie_algebra.diagonal_blocks(g, as_matrix(m))
            for g, m in zip(self.group.generators, self.images, strict=True)
        ]
        basis = lie_algebra.closure(generators, conjugators, len(self.group.algebra)) if generators else ()
        return tuple(M[:d, :d] for M in basis), tuple(M[d:, d:] for M in basis)

    def _word(self, word: tuple[int, ...]) -> Matrix:
        element = np.eye(self.size)
        for k in reversed(word):
            element = as_matrix(self.images[k]) @ element
        return element

    def rho(self, g: Matrix) -> Matrix:
        """The image of an element, which is written as a word in the generators times exponentials."""
        word, exponents = self.group.exponents(g)
        element = self._word(word)
        for A in exponents:
            element = element @ lie_algebra.exponential(self.drho(A))
        return element

    def drho(self, A: Matrix) -> Matrix:
        """The image of an element of the Lie algebra, which is written as a combination of the basis."""
        basis, images = self.pairs
        coefficients = lie_algebra.coordinates(basis, np.asarray(A, dtype=np.float64))
        if coefficients is None:
            raise RepresentationError(f"the matrix is not an element of the Lie algebra of {self.group.name}")
        return lie_algebra.combination(coefficients, images, self.size)
