"""Check that matrices represent a group, and that one group is a subgroup of another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from rpp_rl import lie_algebra
from rpp_rl.errors import RepresentationError
from rpp_rl.groups import Group, Matrix
from rpp_rl.representations.maps import Map, as_matrix, compose
from rpp_rl.representations.rules import TOLERANCE, Explicit
from rpp_rl.signed_permutation import SignedPermutation

# Limit of the search for relations among products of the discrete generators of a continuous group.
_MOST_RELATIONS = 64


def check_homomorphism(group: Group, name: str, images: Sequence[Map], elements: Sequence[Map]) -> None:
    """Check that the images of a finite group's generators multiply as the generators do.

    Raises:
        RepresentationError: if they do not; the message names the generator and the entry.
    """
    products = group.left_products
    for i, k in np.ndindex(*products.shape):
        left, right = compose(images[int(k)], elements[int(i)]), elements[int(products[i, k])]
        if left is right or (isinstance(left, SignedPermutation) and left == right):
            continue
        difference = np.abs(as_matrix(left) - as_matrix(right))
        if difference.max(initial=0.0) > TOLERANCE:
            entry = int(difference.max(axis=1).argmax())
            generator, product = group.generator_names[k], group.element_name(int(products[i, k]))
            raise RepresentationError(
                f"{name} is not a representation of {group.name}: generator {generator!r} is wrong at entry {entry}, "
                f"because in the group {generator} {group.element_name(i)} = {product}, but the images differ there"
            )


def check_continuous(rule: Explicit, name: str) -> None:
    """Check that the images keep brackets, conjugations, full circles and short relations of discrete generators.

    Raises:
        RepresentationError: if the images do not keep one of them.
    """
    wrong = f"{name} is not a representation of {rule.group.name}: "
    images, algebra = rule.pairs, rule.group.algebra
    if len(images[0]) != len(algebra):
        raise RepresentationError(
            wrong + "the images of the Lie generators do not have the same brackets and conjugates as the generators"
        )
    for i, (A, B) in enumerate(zip(rule.group.lie_generators, rule.lie_images, strict=True)):
        circle = lie_algebra.exponential(2 * np.pi * A)
        if _is_identity(circle) and not _is_identity(lie_algebra.exponential(2 * np.pi * B)):
            raise RepresentationError(
                wrong + f"exp(2 pi A) is the identity for Lie generator {i}, but not for its image"
            )
    reached: list[tuple[Matrix, Matrix]] = [(np.eye(rule.group.dimension), np.eye(rule.size))]
    for g, image in reached:
        for name_k, g_k, image_k in zip(rule.group.generator_names, rule.group.generators, rule.images, strict=True):
            product, product_image = g_k @ g, as_matrix(image_k) @ image
            same = next((m for h, m in reached if np.abs(h - product).max() < TOLERANCE), None)
            if same is not None and np.abs(same - product_image).max() > TOLERANCE:
                raise RepresentationError(
                    wrong + f"two products of generators are equal, but their images differ (generator {name_k!r})"
                )
            if same is None and len(reached) < _MOST_RELATIONS:
                reached.append((product, product_image))
    _check_components(rule, wrong)


def _check_components(rule: Explicit, wrong: str) -> None:
    """Check each discrete generator that is an exponential: its image must be the exponential of the image."""
    for name, g, image in zip(rule.group.generator_names, rule.group.generators, rule.images, strict=True):
        logs = lie_algebra.logarithms(g, rule.group.algebra)
        if logs is None:
            continue
        product = reduce(np.matmul, [lie_algebra.exponential(rule.drho(A)) for A in logs])
        if np.abs(product - as_matrix(image)).max() > TOLERANCE:
            raise RepresentationError(
                wrong
                + f"generator {name!r} is an exponential of the Lie algebra, but its image is not the exponential "
                "of the images"
            )


def check_subgroup(group: Group, subgroup: Group) -> None:
    """Check that the generators of a subgroup lie in the group, and its Lie generators in the group's Lie algebra.

    Raises:
        RepresentationError: if one does not.
    """
    if subgroup.dimension != group.dimension:
        raise RepresentationError(
            f"{subgroup.name} acts on {subgroup.dimension} coordinates and {group.name} on {group.dimension}; "
            "a subgroup must consist of matrices of the group"
        )
    for name, g in zip(subgroup.generator_names, subgroup.generators, strict=True):
        if g not in group:
            raise RepresentationError(f"generator {name!r} of {subgroup.name} is not an element of {group.name}")
    for i, A in enumerate(subgroup.lie_generators):
        if not group.has_in_algebra(A):
            raise RepresentationError(f"Lie generator {i} of {subgroup.name} is not in the Lie algebra of {group.name}")


def check_factor(group: Group, product: Group, start: int) -> None:
    """Check that a direct product acts on the coordinates from `start` on separately, by elements of the group.

    Raises:
        RepresentationError: if it does not.
    """
    own = np.isin(np.arange(product.dimension), np.arange(start, start + group.dimension))
    fits = own.sum() == group.dimension and all(
        not matrix[own][:, ~own].any() and not matrix[~own][:, own].any() and known(matrix[own][:, own])
        for matrices, known in (
            (product.generators, group.__contains__),
            (product.lie_generators, group.has_in_algebra),
        )
        for matrix in matrices
    )
    if not fits:
        raise RepresentationError(
            f"{product.name} does not act on coordinates {start} to {start + group.dimension - 1} as elements "
            f"of {group.name}; multiply the groups with * and give the first coordinate of the factor"
        )


def _is_identity(matrix: Matrix) -> bool:
    return bool(np.abs(matrix - np.eye(len(matrix))).max(initial=0.0) < TOLERANCE)
