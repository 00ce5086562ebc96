"""The representations that every group has."""

from __future__ import annotations

import numpy as np

from rpp_rl.errors import RepresentationError
from rpp_rl.groups import Group
from rpp_rl.representations import rules
from rpp_rl.representations.representation import Representation
from rpp_rl.signed_permutation import SignedPermutation


def trivial_representation(group: Group) -> Representation:
    """The scalar: every element acts as 1."""
    return Representation.from_rule(group, rules.Trivial(), "trivial", 1)


def sign_representation(group: Group) -> Representation:
    """The pseudoscalar: every element acts as the sign of its defining matrix's determinant."""
    return Representation.from_rule(group, rules.Sign(), "sign", 1)


def determinant_representation(group: Group, power: int = 1) -> Representation:
    """The density: every element acts as a power of its defining matrix's determinant; (1, 1) matrices."""
    name = "det" if power == 1 else f"det**{power}"
    return Representation.from_rule(group, rules.Determinant(power), name, 1)


def defining_representation(group: Group) -> Representation:
    """The vector: every element acts as its defining matrix."""
    return Representation.from_rule(group, rules.Defining(), "V", group.dimension)


def regular_representation(group: Group) -> Representation:
    """The group acting on functions on itself by left translation: g e_h = e_(g h), of size |G|.

    Raises:
        GroupError: if the group is not finite.
    """
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
