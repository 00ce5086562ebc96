"""The bilinear layer and the gated nonlinearity of EMLP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rpp_rl.errors import NetworkError
from rpp_rl.invariants import digest
from rpp_rl.representations import Representation, gated

Kind = tuple[bytes, ...]


@dataclass(frozen=True, eq=False)
class Summands:
    """The summands of one kind in a representation.

    Attributes:
        atom: one of them.
        places: the coordinates of each, shape (count, size).
    """

    atom: Representation
    places: NDArray[np.int64]


@dataclass(frozen=True)
class Term:
    """All products in which summands of one kind act as maps from a second kind to a third.

    Attributes:
        read: index of the first kind among the kinds of the inputs.
        source: index of the second kind among the kinds of the inputs.
        out: index of the third kind among the kinds of the outputs.
        factor_sizes: sizes of the factors of a summand of the first kind.
        axes: the order of these factors in which those of the third kind come first, then those of the dual of the
            second.
        sizes: (d_out, d_in), the shape of one map.
        shape: (inputs, maps, outputs), the number of summands of the kinds; the shape of the weights.
    """

    read: int
    source: int
    out: int
    factor_sizes: tuple[int, ...]
    axes: tuple[int, ...]
    sizes: tuple[int, int]
    shape: tuple[int, int, int]

    @property
    def numel(self) -> int:
        """Number of weights."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def apply_first(self) -> bool:
        """Whether applying the maps to all inputs is cheaper than mixing the inputs by the weights first."""
        inputs, maps, outputs = self.shape
        d_out, d_in = self.sizes
        mixing = inputs * maps * outputs
        return d_out * (maps * inputs * d_in + mixing) <= d_in * (mixing + d_out * maps * outputs)

    def maps(self, read: Tensor) -> Tensor:
        """The summands of the first kind as maps, shape (batch, d_out, d_in, maps)."""
        d_out, d_in = self.sizes
        if self.axes != tuple(range(len(self.axes))):
            axes = (0, *(a + 1 for a in self.axes), len(self.axes) + 1)
            read = read.reshape(-1, *self.factor_sizes, self.shape[1]).permute(axes)
        return read.reshape(-1, d_out, d_in, self.shape[1])

    def applied(self, read: Tensor, source: Tensor) -> Tensor:
        """All products x_k x_a of maps and inputs, shape (batch, d_out, maps * inputs)."""
        inputs, count, _ = self.shape
        d_out, d_in = self.sizes
        products = self.maps(read).transpose(2, 3).reshape(-1, d_out * count, d_in) @ source
        return products.reshape(-1, d_out, count * inputs)

    def applied_to_mixed(self, read: Tensor, mixed: Tensor) -> Tensor:
        """Sums over k of x_k applied to mixed inputs, which are of shape (batch, d_in, maps * outputs)."""
        _, count, outputs = self.shape
        d_out, d_in = self.sizes
        return self.maps(read).reshape(-1, d_out, d_in * count) @ mixed.reshape(-1, d_in * count, outputs)


class Bilinear(nn.Module):
    """x -> B(x, x), with B equivariant and inputs of shape (..., n_in).

    Attributes:
        weight: w of all terms, shape (number of weights,), drawn from N(0, 1).

    Args:
        rep_in: representation on inputs.
        rep_out: representation on outputs.
        chosen: for each kind the numbers of the summands that act as maps. By default the first d summands act, where
            d is the size of one: more would cost much and add little.

    Raises:
        NetworkError: if `chosen` has a number that is out of range.
    """

    weight: nn.Parameter
    input_index: Tensor
    output_index: Tensor

    def __init__(
        self,
        rep_in: Representation,
        rep_out: Representation,
        chosen: Mapping[Representation, Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        self.rep_in, self.rep_out = rep_in, rep_out
        self.in_features, self.out_features = rep_in.size, rep_out.size
        inputs, outputs = summands_by_kind(rep_in), summands_by_kind(rep_out)
        numbers = [_chosen(s, chosen) for s in inputs.values()]
        terms = _terms(inputs, outputs, [len(n) for n in numbers])
        self._input_shapes = [(s.atom.size, len(s.places)) for s in inputs.values()]
        self._output_shapes = [(s.atom.size, len(s.places)) for s in outputs.values()]
        self.register_buffer("input_index", torch.from_numpy(_component_first(inputs)), persistent=False)
        output_index = np.argsort(_component_first(outputs))
        self.register_buffer("output_index", torch.from_numpy(output_index), persistent=False)
        for i, chosen_here in enumerate(numbers):
            self.register_buffer(f"chosen_{i}", torch.tensor(chosen_here, dtype=torch.int64), persistent=False)
        # One matrix product mixes all terms that share outputs; another, all terms that share inputs.
        first = [t for t in terms if t.apply_first]
        self._by_out = {t.out: [u for u in first if u.out == t.out] for t in first}
        after = [t for t in terms if not t.apply_first]
        self._by_source = {t.source: [u for u in after if u.source == t.source] for t in after}
        self._read = sorted({t.read for t in terms})
        self._sizes = [sum(t.numel for t in ts) for ts in (*self._by_out.values(), *self._by_source.values())]
        self.weight = nn.Parameter(torch.empty(sum(self._sizes)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights from N(0, 1)."""
        nn.init.normal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of shape (..., n_out)."""
        flat = x.reshape(-1, self.in_features).index_select(1, self.input_index)
        pieces = torch.split(flat, [d * count for d, count in self._input_shapes], dim=1)
        vectors = [p.view(-1, *shape) for p, shape in zip(pieces, self._input_shapes, strict=True)]
        read = {i: vectors[i].index_select(2, self.get_buffer(f"chosen_{i}")) for i in self._read}
        weights = iter(torch.split(self.weight, self._sizes))
        found: list[list[Tensor]] = [[] for _ in self._output_shapes]
        for out, terms in self._by_out.items():
            products = torch.cat([t.applied(read[t.read], vectors[t.source]) for t in terms], dim=2)
            found[out].append(products @ next(weights).view(products.shape[2], -1))
        for source, terms in self._by_source.items():
            mixed = vectors[source] @ next(weights).view(vectors[source].shape[2], -1)
            widths = [t.numel // t.shape[0] for t in terms]
            for t, part in zip(terms, torch.split(mixed, widths, dim=2), strict=True):
                found[t.out].append(t.applied_to_mixed(read[t.read], part))
        parts = [
            sum(ys[1:], ys[0]).reshape(-1, d * count) if ys else flat.new_zeros(len(flat), d * count)
            for ys, (d, count) in zip(found, self._output_shapes, strict=True)
        ]
        return torch.cat(parts, dim=1).index_select(1, self.output_index).view(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"{self.rep_in.name} -> {self.rep_out.name}, {self.weight.numel()} weights"


def kind(factors: Sequence[Representation]) -> Kind:
    """A key that is equal for tensor products of the same factors in any order; equal signs cancel in pairs."""
    digests = sorted(digest(f) for f in factors if f.size > 1)
    signs = [digest(f) for f in factors if f.size == 1 and not f.is_scalar and f.is_orthogonal]
    others = sorted(digest(f) for f in factors if f.size == 1 and not f.is_orthogonal)
    return (*digests, *sorted(s for s in set(signs) if signs.count(s) % 2), *others)


def summands_by_kind(rep: Representation) -> dict[Kind, Summands]:
    """The summands of a representation by kind; tensors are permuted to the factor order of the first of their kind."""
    found: dict[Kind, tuple[Representation, list[NDArray[np.int64]]]] = {}
    kinds: dict[int, Kind] = {}
    for atom, place in zip(rep.atoms, rep.places, strict=True):
        if id(atom) not in kinds:
            kinds[id(atom)] = kind(atom.factors)
        first, places = found.setdefault(kinds[id(atom)], (atom, []))
        entries = np.arange(atom.size).reshape([f.size for f in atom.factors])
        places.append(place[entries.transpose(axes_of(atom, first.factors)).ravel()])
    return {k: Summands(atom, np.array(places)) for k, (atom, places) in found.items()}


def axes_of(atom: Representation, factors: Sequence[Representation]) -> tuple[int, ...]:
    """The order of the axes of `atom` that makes it a tensor with the given factors, which are of the same kind."""
    axes, free = [], [i for i, f in enumerate(atom.factors) if f.size > 1]
    for factor in factors:
        if factor.size > 1:
            axis = next(i for i in free if atom.factors[i] == factor)
            free.remove(axis)
            axes.append(axis)
    return tuple(axes + [i for i in range(len(atom.factors)) if i not in axes])


def _terms(inputs: dict[Kind, Summands], outputs: dict[Kind, Summands], chosen: Sequence[int]) -> list[Term]:
    """All ways in which one kind of input acts as maps from a kind of input to a kind of output."""
    kinds = list(inputs)
    terms = []
    for out, target in enumerate(outputs.values()):
        for source, given in enumerate(inputs.values()):
            factors = target.atom.factors + given.atom.T.factors
            hom = kind(factors)
            if hom not in inputs or inputs[hom].atom.is_scalar:
                continue
            read = inputs[hom].atom
            shape = len(given.places), chosen[kinds.index(hom)], len(target.places)
            sizes = target.atom.size, given.atom.size
            factor_sizes = tuple(f.size for f in read.factors)
            terms.append(Term(kinds.index(hom), source, out, factor_sizes, axes_of(read, factors), sizes, shape))
    return [t for t in terms if t.numel]


def _component_first(summands: dict[Kind, Summands]) -> NDArray[np.int64]:
    """The coordinates ordered by kind, and within a kind by component."""
    return np.concatenate([s.places.T.ravel() for s in summands.values()])


def _chosen(summands: Summands, chosen: Mapping[Representation, Sequence[int]] | None) -> list[int]:
    count = len(summands.places)
    if chosen is None:
        return list(range(min(count, summands.atom.size)))
    numbers = list(chosen.get(summands.atom, ()))
    if any(not 0 <= n < count for n in numbers):
        raise NetworkError(f"cannot choose {numbers}: there are {count} summands {summands.atom.name}, numbered from 0")
    return numbers


class GatedNonlinearity(nn.Module):
    """x -> sigmoid(gate(x)) * x, or with a residual x -> sigmoid(gate(x)) * x + w * swish(x).

    Inputs carry `gated(rep)`, outputs `rep`. Each summand that is not a permutation representation is scaled by the
    sigmoid of its scalar gate, which is invariant. Every other entry is its own gate, which gives swish (Finzi,
    Welling and Wilson 2021, section 5). The residual applies swish to every entry and so breaks the symmetry (Finzi,
    Benton and Wilson 2021, section 4).

    Attributes:
        weight_basic: w, shape (rep.size,), or None.

    Args:
        rep: representation on outputs.
        rpp: whether the layer has a residual.
        residual_init_scale: initial value of every entry of w.
    """

    gate: Tensor
    weight_basic: nn.Parameter | None

    def __init__(self, rep: Representation, rpp: bool = False, residual_init_scale: float = 1e-3) -> None:
        super().__init__()
        self.rep_in, self.rep_out = gated(rep), rep
        self.residual_init_scale = residual_init_scale
        self.register_buffer("gate", torch.from_numpy(_gate_positions(rep)), persistent=False)
        if rpp:
            self.weight_basic = nn.Parameter(torch.full((rep.size,), float(residual_init_scale)))
        else:
            self.register_parameter("weight_basic", None)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of shape (..., rep.size) for inputs of shape (..., gated(rep).size)."""
        values = x[..., : self.rep_out.size]
        y = torch.sigmoid(x.index_select(-1, self.gate)) * values
        return y if self.weight_basic is None else y + self.weight_basic * functional.silu(values)

    def pathways(self) -> dict[str, tuple[nn.Parameter | None, ...]]:
        """The layer's own parameters by pathway."""
        return {"basic": (self.weight_basic,)}

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"{self.rep_out.size} channels, {self.rep_in.size - self.rep_out.size} gates"


def _gate_positions(rep: Representation) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The position in `gated(rep)` of the gate of each entry of `rep`."""
    positions, following = np.arange(rep.size), rep.size
    for atom, place in zip(rep.atoms, rep.places, strict=True):
        if not atom.is_permutation:
            positions[place] = following
            following += 1
    return positions
