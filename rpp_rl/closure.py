"""All elements of a finite matrix group, found breadth first by multiplying with generators from the left."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rpp_rl.errors import GroupError

Matrix = NDArray[np.float64]
Word = tuple[int, ...]

MAX_ORDER = 10_000
# Generators may come in single precision; elements of a finite group of moderate order lie far apart.
SAME = 1e-5
_TOO_LARGE = 1e6


def close(
    generators: Sequence[Matrix], dimension: int, name: str
) -> tuple[tuple[Word, ...], NDArray[np.int64], Matrix]:
    """The elements of the group that some matrices generate.

    Args:
        generators: matrices of shape (d, d).
        dimension: d.
        name: of the group, for errors.

    Returns:
        The words of all elements as products of generators, the identity first; the index of (generator k) * (element
        i) at [i, k], shape (order, number of generators); and the elements' matrices, shape (order, d, d).

    Raises:
        GroupError: if the products grow without bound, or there are more than `MAX_ORDER` of them.
    """
    elements = [np.eye(dimension)]
    words: list[tuple[int, ...]] = [()]
    rng = np.random.default_rng(0)
    # Elements are looked up by a random projection, so that a group of order n costs n look-ups.
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
                        f"{name} has more than {MAX_ORDER} elements: its generators do not close to a "
                        "finite group of usable size; check that each has a finite order"
                    )
                elements.append(product)
                words.append((k, *words[i]))
                buckets.setdefault(bucket(product), []).append(index)
            row.append(index)
        table.append(row)
    products = np.array(table, dtype=np.int64).reshape(len(words), len(generators))
    return tuple(words), products, np.stack(elements)
