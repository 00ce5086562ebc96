"""Standard representations of any group, and hidden representations that are sums of tensors."""

from __future__ import annotations

from functools import reduce
from math import comb
from operator import add

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
    """Interleaved copies of the regular representation that fill `width` channels.

    Interleaving puts the channels of one group element side by side. An equivariant weight then consists of a few
    repeated blocks, and is assembled by copying rows instead of entries.

    Raises:
        RepresentationError: if the group's order does not divide `width`; the message says the next width that works.
    """
    if width < 1 or width % group.order:
        following = max(1, -(-width // group.order)) * group.order
        raise RepresentationError(
            f"a hidden layer of width {width} cannot hold copies of the regular representation of {group.name}, "
            f"whose order is {group.order}; the next width that works is {following}"
        )
    return regular_representation(group).interleaved(width // group.order)


def tensor_representation(group: Group, p: int, q: int = 0) -> Representation:
    """T(p, q), the tensor product of p vectors V and q covectors V.T, of size d^(p + q).

    For orthogonal groups V.T is V, and T(p, q) is T(p + q).

    Raises:
        RepresentationError: if p or q is negative.
    """
    if p < 0 or q < 0:
        raise RepresentationError(f"the ranks of a tensor T(p, q) must be at least 0, got T({p}, {q})")
    V = defining_representation(group)
    if V.is_orthogonal:
        p, q = p + q, 0
    name = {(0, 0): "T(0)", (1, 0): "V", (0, 1): "V.T"}.get((p, q), f"T({p}, {q})" if q else f"T({p})")
    return Representation.product_of(group, (V,) * p + (V.T,) * q, name)


def uniform_rep(channels: int, group: Group) -> Representation:
    """A hidden representation of `channels` channels: tensors of all ranks up to a largest, about equally many of each.

    Channels are allocated in rounds. A round gives d^(r - k) tensors to every rank k = 0 .. r, where r is the largest
    rank for which (r + 1) d^r channels are left. If V is not its own dual, the tensors of one rank are distributed
    over T(p, q), p + q = rank, with binomial weights (Finzi, Welling and Wilson 2021, section 5).

    Raises:
        RepresentationError: if `channels` is not positive.
    """
    if channels < 1:
        raise RepresentationError(f"a hidden representation needs at least one channel, got {channels}")
    d, left = group.dimension, channels
    counts: list[int] = []
    while left:
        top = _largest_rank(left, d)
        counts += [0] * (top + 1 - len(counts))
        for k in range(top + 1):
            counts[k] += d ** (top - k)
        left -= (top + 1) * d**top
    orthogonal = defining_representation(group).is_orthogonal
    terms = []
    for rank, count in enumerate(counts):
        split = {rank: count} if orthogonal else _binomial_split(count, rank)
        terms += [number * tensor_representation(group, p, rank - p) for p, number in split.items()]
    return reduce(add, terms)


def gated(rep: Representation) -> Representation:
    """`rep` followed by one scalar gate for each summand that is not a permutation representation.

    The nonlinearity scales such a summand by the sigmoid of its gate. Scalars and permutation representations, on which
    every pointwise function is equivariant, are their own gates (Finzi, Benton and Wilson 2021, section 4).
    """
    gates = sum(not atom.is_permutation for atom in rep.atoms)
    return rep + gates * trivial_representation(rep.group) if gates else rep


def _largest_rank(channels: int, d: int) -> int:
    """The largest r with (r + 1) d^r <= channels; at most 1 for d = 1, where a tensor is a scalar up to a sign."""
    rank = 0
    while (rank + 2) * d ** (rank + 1) <= channels and (d > 1 or rank == 0):
        rank += 1
    return rank


def _binomial_split(count: int, rank: int) -> dict[int, int]:
    """Split `count` tensors into numbers of T(p, rank - p), by p, as near as possible to binomial weights."""
    shares = {p: count * comb(rank, p) / 2**rank for p in range(rank, -1, -1)}
    numbers = {p: int(share) for p, share in shares.items()}
    # The largest remainders come first; ties go to more vectors, because dictionaries keep their order.
    for p in sorted(shares, key=lambda p: numbers[p] - shares[p])[: count - sum(numbers.values())]:
        numbers[p] += 1
    return {p: n for p, n in numbers.items() if n}
