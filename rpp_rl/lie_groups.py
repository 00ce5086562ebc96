"""Continuous matrix groups by name, and a user's own from generators of its Lie algebra."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from rpp_rl import sampling
from rpp_rl.errors import GroupError
from rpp_rl.groups import Group, Matrix

AXES = ("x", "y", "z")
LorentzKind = Literal["proper orthochronous", "proper", "full"]


def special_orthogonal_group(n: int) -> Group:
    """SO(n): the rotations of R^n."""
    _need("SO(n)", n, 1)
    return Group(f"SO({n})", (), n, (), _plane_rotations(n), partial(sampling.orthogonal, special=True))


def orthogonal_group(n: int) -> Group:
    """O(n): rotations of R^n and the reflection x_0 -> -x_0."""
    _need("O(n)", n, 1)
    reflection = np.diag([-1.0, *np.ones(n - 1)])
    return Group(f"O({n})", (reflection,), n, ("reflection",), _plane_rotations(n), sampling.orthogonal)


def rotations_about_axis(axis: str = "z") -> Group:
    """SO(2), acting on R^3 by the rotations about a coordinate axis."""
    turn = _turn_about(axis)
    return Group(f"SO(2) about {axis}", (), 3, (), (turn,), partial(sampling.about_axis, turn=turn))


def rotations_and_reflections_about_axis(axis: str = "z") -> Group:
    """O(2), acting on R^3 by the rotations about a coordinate axis and a reflection in a plane that contains it."""
    turn = _turn_about(axis)
    reflection = np.eye(3)
    first = int(np.flatnonzero(turn.any(axis=1))[0])
    reflection[first, first] = -1.0
    sampler = partial(sampling.about_axis, turn=turn, reflection=tuple(np.diag(reflection)))
    return Group(f"O(2) about {axis}", (reflection,), 3, ("reflection",), (turn,), sampler)


def special_linear_group(n: int) -> Group:
    """SL(n): the matrices of determinant 1. Not compact, and not orthogonal: V and its dual differ for n > 2."""
    _need("SL(n)", n, 2)
    shears = [_unit(n, i, j) for i, j in itertools.permutations(range(n), 2)]
    stretches = [_unit(n, i, i) - _unit(n, i + 1, i + 1) for i in range(n - 1)]
    return Group(f"SL({n})", (), n, (), tuple(stretches + shears))


def lorentz_group(time: int = 1, space: int = 3, kind: LorentzKind = "proper orthochronous") -> Group:
    """SO+(p, q), SO(p, q) or O(p, q): the matrices g with g^T eta g = eta, eta = diag(1, ..., 1, -1, ..., -1).

    Args:
        time: p, the coordinates of one sign; they come first.
        space: q, the coordinates of the other.
        kind: ``"proper orthochronous"`` is the connected component of the identity; ``"proper"`` adds the reflection
            of one coordinate of each sign at once (for p = 1, q = 3 that is the component of -1);
            ``"full"`` adds each of the two reflections.
    """
    _need("a Lorentz group's p", time, 1)
    _need("a Lorentz group's q", space, 1)
    n = time + space
    eta = np.array([1.0] * time + [-1.0] * space)
    # A E with antisymmetric A satisfies (A E)^T E + E (A E) = 0.
    algebra = tuple(A * eta for A in _plane_rotations(n))
    reverse_time, reverse_space = np.eye(n), np.eye(n)
    reverse_time[0, 0] = reverse_space[time, time] = -1.0
    choices: dict[str, tuple[str, tuple[Matrix, ...], tuple[str, ...]]] = {
        "proper orthochronous": ("SO+", (), ()),
        "proper": ("SO", (reverse_time @ reverse_space,), ("reversal",)),
        "full": ("O", (reverse_time, reverse_space), ("time_reversal", "space_reflection")),
    }
    if kind not in choices:
        raise GroupError(f"a Lorentz group is {', '.join(map(repr, choices))}, not {kind!r}")
    letters, discrete, names = choices[kind]
    return Group(f"{letters}({time},{space})", discrete, n, names, algebra)


def symplectic_group(n: int) -> Group:
    """Sp(n): the matrices g of size 2 n with g^T J g = J, where J = [[0, 1], [-1, 0]] in blocks of size n."""
    _need("Sp(n)", n, 1)
    size = 2 * n
    J = np.block([[np.zeros((n, n)), np.eye(n)], [-np.eye(n), np.zeros((n, n))]])
    # J S with symmetric S satisfies (J S)^T J + J (J S) = 0.
    pairs = itertools.combinations_with_replacement(range(size), 2)
    symmetric = [_unit(size, i, j) + _unit(size, j, i) * (i != j) for i, j in pairs]
    return Group(f"Sp({n})", (), size, (), tuple(J @ S for S in symmetric))


def unitary_group(n: int = 1) -> Group:
    """U(n), acting on R^(2 n) = C^n, coordinates (real parts, imaginary parts); U(1) is the circle."""
    _need("U(n)", n, 1)
    real = [_unit(n, i, j) - _unit(n, j, i) for i, j in itertools.combinations(range(n), 2)]
    imaginary = [
        _unit(n, i, j) + _unit(n, j, i) * (i != j) for i, j in itertools.combinations_with_replacement(range(n), 2)
    ]
    zero = np.zeros((n, n))
    algebra = [_realified(A, zero) for A in real] + [_realified(zero, B) for B in imaginary]
    return Group(f"U({n})", (), 2 * n, (), tuple(algebra), sampling.unitary)


def lie_group(
    name: str,
    lie_generators: Sequence[ArrayLike],
    generators: Sequence[ArrayLike] = (),
    generator_names: Sequence[str] = (),
) -> Group:
    """The group of a user's own: exponentials of matrices, and discrete generators beside them.

    Args:
        name: for people.
        lie_generators: matrices A of shape (d, d), whose exponentials exp(t A) are in the group for every t.
        generators: matrices of further elements.
        generator_names: one word for each of these.

    Raises:
        GroupError: if there is no `lie_generators`, or a matrix is not as `Group` needs it.
    """
    if not lie_generators:
        raise GroupError(f"group {name} needs a generator of its Lie algebra; use matrix_group for a finite group")
    algebra = tuple(np.atleast_2d(np.asarray(A, dtype=np.float64)) for A in lie_generators)
    discrete = tuple(np.atleast_2d(np.asarray(g, dtype=np.float64)) for g in generators)
    return Group(name, discrete, len(algebra[0]), tuple(generator_names), algebra)


def _unit(n: int, i: int, j: int) -> Matrix:
    """The matrix with a one at (i, j)."""
    matrix = np.zeros((n, n))
    matrix[i, j] = 1.0
    return matrix


def _plane_rotations(n: int) -> tuple[Matrix, ...]:
    return tuple(_unit(n, j, i) - _unit(n, i, j) for i, j in itertools.combinations(range(n), 2))


def _turn_about(axis: str) -> Matrix:
    if axis not in AXES:
        raise GroupError(f"an axis of R^3 is {', '.join(map(repr, AXES))}, not {axis!r}")
    i, j = ((AXES.index(axis) + k) % 3 for k in (1, 2))
    return _unit(3, j, i) - _unit(3, i, j)


def _realified(A: Matrix, B: Matrix) -> Matrix:
    """A + i B as a real matrix on (real parts, imaginary parts)."""
    return np.block([[A, -B], [B, A]])


def _need(what: str, n: int, least: int) -> None:
    if n < least:
        raise GroupError(f"{what} needs a size of at least {least}, got {n}")
