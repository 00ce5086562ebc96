"""Linear layers of several networks of one form: one flat vector per pathway, merged weights, and their gradients.

A layer y = x (A + B)^T + (a + b) is computed as one dense matrix product. The gradient of the merged matrix is that of
B; its sum over each orbit of entries is that of a coefficient of A. In orthogonal coordinates it is combined within
each orbit, by the transpose of the map that assembles the orbit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from rpp_rl.agents.rpp_sac.fast_update.coordinates import EntryCoordinates, RowCoordinates, has_rows, sparse_entries
from rpp_rl.agents.rpp_sac.fast_update.pathways import EntryPathway, RowPathway, entry_indices, run_length
from rpp_rl.assemblies import OrbitAssembly, OrthogonalAssembly
from rpp_rl.errors import NetworkError
from rpp_rl.layers import EquivariantLinear, RPPLinear
from rpp_rl.orthogonal_layers import OrthogonalLinear

# One layer of a network: modules that share their input and whose outputs are concatenated.
Side = tuple[nn.Module, ...]
Kind = Literal["weight", "bias"]
# Pieces start at multiples of 16 numbers, where vector instructions are fastest.
_ALIGNMENT = 16


class Flat:
    """Tensors of several networks in one vector, so that one operation serves them all.

    The vector holds piece after piece, for example a weight, and in each piece network after network.

    Attributes:
        vector: the vector; the padding between pieces is zero and stays zero.
        count: number of networks.

    Args:
        shapes: shapes of the pieces.
        count: number of networks.
        like: a tensor that gives dtype and device.
    """

    def __init__(self, shapes: Sequence[Sequence[int]], count: int, like: Tensor) -> None:
        self.count = count
        self._shapes = [tuple(shape) for shape in shapes]
        self._starts = [0]
        for shape in self._shapes:
            size = count * math.prod(shape)
            self._starts.append(self._starts[-1] + -(-size // _ALIGNMENT) * _ALIGNMENT)
        self.vector = like.new_zeros(self._starts[-1])

    def start(self, piece: int) -> int:
        """Return where a piece begins; after the last piece, the length of the vector."""
        return self._starts[piece]

    def stacked(self, piece: int) -> Tensor:
        """Return a piece of all networks, shape (count, *shape)."""
        shape = self._shapes[piece]
        begin = self._starts[piece]
        return self.vector[begin : begin + self.count * math.prod(shape)].view(self.count, *shape)

    def like(self, dtype: torch.dtype | None = None) -> Flat:
        """Return zeros of the same form."""
        return Flat(self._shapes, self.count, self.vector.new_zeros((), dtype=dtype or self.vector.dtype))


@dataclass(frozen=True)
class Slot:
    """A parameter and its place in the vector of its pathway.

    Attributes:
        parameter: the parameter of the module.
        value: its view of the vector.
        gradient: its view of the gradient's vector.
        start: where the view begins.
    """

    parameter: nn.Parameter
    value: Tensor
    gradient: Tensor
    start: int


@dataclass(frozen=True)
class Learnt:
    """The parameters of one pathway of all networks.

    Attributes:
        vector: values.
        gradient: gradients.
        slots: parameters.
    """

    vector: Tensor
    gradient: Tensor
    slots: tuple[Slot, ...]


class StackedLayers:
    """The linear layers of networks of one form, whose parameters are moved into flat vectors.

    Args:
        networks: each a sequence of layers, from the input to the output.

    Attributes:
        count: number of networks.
        merged: merged weights and biases; `stacked` returns those of a layer.
        gradient: gradients of the merged weights and biases.
        learnt: parameters by pathway.

    Raises:
        NetworkError: if a layer is not an `nn.Linear` or one of `rpp_rl.networks.LinearLayers` with a bias, a basis is
            not that of signed permutations, or the networks differ.
    """

    def __init__(self, networks: Sequence[Sequence[Side]]) -> None:
        self.count = len(networks)
        self._networks = networks
        kinds = {_kind(module) for network in networks for side in network for module in side}
        if len(kinds) != 1:
            raise NetworkError("the fast update supports only networks of one kind of layer")
        (self.kind,) = kinds
        sizes = [[(sum(_sizes(m)[1] for m in side), _sizes(side[0])[0]) for side in network] for network in networks]
        if any(other != sizes[0] for other in sizes):
            raise NetworkError("the fast update supports only networks of one form")
        self.sizes = sizes[0]
        # Pieces that are assembled entry by entry come first, so that they are contiguous.
        self._pieces: list[tuple[int, Kind]] = [(i, k) for i in range(len(self.sizes)) for k in ("weight", "bias")]
        runs = {piece: self._run(piece) for piece in self._pieces}
        self._pieces.sort(key=lambda piece: runs[piece] > 1)
        self._entry_pieces = sum(runs[piece] == 1 for piece in self._pieces)
        shapes = [self.sizes[i] if k == "weight" else self.sizes[i][:1] for i, k in self._pieces]
        like = next(networks[0][0][0].parameters()).detach()
        self.merged = Flat(shapes, self.count, like)
        self.gradient = self.merged.like()
        self.residual = self.merged if self.kind is nn.Linear else self.merged.like()
        self.learnt: list[Learnt] = []
        self._rows: list[tuple[RowPathway, Tensor]] = []
        self._maps: list[RowCoordinates | EntryCoordinates] = []
        if self.kind is OrthogonalLinear:
            self._lay_coordinates(runs, like)
        elif self.kind is not nn.Linear:
            self._lay_coefficients(runs, like)
        if self.kind in (nn.Linear, RPPLinear):
            self._lay_dense()
        self.assemble()

    def stacked(self, flat: Flat, layer: int, kind: Kind) -> Tensor:
        """Return the weights (networks, n_out, n_in) or biases (networks, n_out) of a layer in a vector."""
        return flat.stacked(self._pieces.index((layer, kind)))

    @property
    def vectors(self) -> list[Tensor]:
        """The vectors that a target network averages: the pathways and the merged weights."""
        vectors = [learnt.vector for learnt in self.learnt]
        return vectors if self.kind is nn.Linear else [*vectors, self.merged.vector]

    @property
    def slots(self) -> Iterator[Slot]:
        """The parameters."""
        return (slot for learnt in self.learnt for slot in learnt.slots)

    def assemble(self) -> None:
        """Merge the pathways."""
        if self.kind is nn.Linear:
            return
        if self.kind is OrthogonalLinear:
            for coordinates in self._maps:
                coordinates.assemble()
            return
        self._entries.assemble(self._merged_entries)
        for row, weight in self._rows:
            row.assemble(weight)
        if self.kind is RPPLinear:
            # Product and sum are separate, as in the layers; a fused operation would differ in the last bit.
            self.merged.vector.add_(self.residual.vector)

    def differentiate(self) -> None:
        """Compute the gradients of the coefficients from those of the merged weights and biases."""
        if self.kind is nn.Linear:
            return
        if self.kind is OrthogonalLinear:
            for coordinates in self._maps:
                coordinates.differentiate()
            return
        self._entries.differentiate()
        for row, _ in self._rows:
            row.differentiate()

    def _modules(self, piece: tuple[int, Kind]) -> list[Side]:
        return [network[piece[0]] for network in self._networks]

    def _run(self, piece: tuple[int, Kind]) -> int:
        side = self._networks[0][piece[0]]
        if self.kind is nn.Linear or piece[1] == "bias" or len(side) > 1:
            return 1
        run = run_length(_assembly(side[0], "weight"))
        if self.kind is OrthogonalLinear and not has_rows(_composed(side[0], "weight"), run):
            return 1
        return run

    def _lay_coefficients(self, runs: dict[tuple[int, Kind], int], like: Tensor) -> None:
        """Move the coefficients of A into a vector, and build the pathways that assemble A."""
        ranks = [(sum(_assembly(m, k).rank for m in self._networks[0][i]),) for i, k in self._pieces]
        beta = Flat(ranks, self.count, like)
        gradient = beta.like()
        slots: list[Slot] = []
        stop = self.merged.start(self._entry_pieces)
        orbit = torch.zeros(stop, dtype=torch.int64, device=like.device)
        coefficient = like.new_zeros(stop)
        for number, piece in enumerate(self._pieces):
            values, gradients = beta.stacked(number), gradient.stacked(number)
            for k, side in enumerate(self._modules(piece)):
                begin = 0
                starts = []
                for module in side:
                    parameter = cast(nn.Parameter, getattr(module, f"{piece[1]}_equiv"))
                    end = begin + parameter.numel()
                    starts.append(beta.start(number) + k * ranks[number][0] + begin)
                    slots.append(_move(parameter, values[k, begin:end], gradients[k, begin:end], starts[-1]))
                    begin = end
                if number < self._entry_pieces:
                    assemblies = [_assembly(module, piece[1]) for module in side]
                    entries, factors = entry_indices(assemblies, starts, like)
                    first = self.merged.start(number) + k * len(entries)
                    orbit[first : first + len(entries)] = entries
                    coefficient[first : first + len(entries)] = factors
            if runs[piece] > 1:
                assembly = _assembly(self._networks[0][piece[0]][0], "weight")
                row = RowPathway(assembly, runs[piece], values, gradients, self.gradient.stacked(number))
                self._rows.append((row, self.merged.stacked(number)))
        until = beta.start(self._entry_pieces)
        self._merged_entries = self.merged.vector[:stop]
        self._entries = EntryPathway(
            *(orbit, coefficient, beta.vector[:until], gradient.vector[:until], self.gradient.vector[:stop])
        )
        self.learnt.append(Learnt(beta.vector, gradient.vector, tuple(slots)))

    def _lay_coordinates(self, runs: dict[tuple[int, Kind], int], like: Tensor) -> None:
        """Move orthogonal coordinates into one vector, and build the maps between it and the merged weights."""
        composed = [[_composed(m, k) for m in self._networks[0][i]] for i, k in self._pieces]
        pieces, entry_pieces = len(composed), self._entry_pieces
        ranks = [(sum(a.coordinates.rank for a in side),) for side in composed]
        residual_ranks = [(sum(a.coordinates.residual_rank for a in side),) for side in composed]
        # First the equivariant coordinates of all pieces, then the residual ones; those of pieces that are assembled
        # entry by entry meet in the middle.
        values = Flat([*ranks[::-1], *residual_ranks], self.count, like)
        gradient, residuals = values.like(), values.start(pieces)
        maps = []
        slots: tuple[list[Slot], list[Slot]] = ([], [])
        for number, piece in enumerate(self._pieces):
            numbers = (pieces - 1 - number, pieces + number)
            starts: tuple[list[int], list[int]] = ([], [])
            for k, side in enumerate(self._modules(piece)):
                for part, (suffix, offset) in enumerate((("equiv", 0), ("basic", residuals))):
                    begin = 0
                    for module in side:
                        parameter = cast(nn.Parameter, getattr(module, f"{piece[1]}_{suffix}"))
                        end = begin + parameter.numel()
                        value, slope = (flat.stacked(numbers[part])[k, begin:end] for flat in (values, gradient))
                        starts[part].append(int(value.storage_offset()))
                        slots[part].append(_move(parameter, value, slope, starts[part][-1] - offset))
                        begin = end
            if number < entry_pieces:
                rows, columns, factors = sparse_entries(composed[number] * self.count, *starts)
                maps.append((rows + self.merged.start(number), columns, factors))
            else:
                one, other = numbers
                coordinates, slopes = ((flat.stacked(one), flat.stacked(other)) for flat in (values, gradient))
                weights = self.merged.stacked(number), self.gradient.stacked(number)
                self._maps.append(RowCoordinates(composed[number][0], runs[piece], coordinates, slopes, weights))
        entries, columns, factors = (torch.cat(parts).to(like.device) for parts in zip(*maps, strict=True))
        stop = self.merged.start(entry_pieces)
        middle = slice(values.start(pieces - entry_pieces), values.start(pieces + entry_pieces))
        vectors = values.vector[middle], gradient.vector[middle], self.merged.vector[:stop], self.gradient.vector[:stop]
        self._maps.append(EntryCoordinates(entries, columns - middle.start, factors, *vectors))
        for part, (begin, end) in enumerate(((0, residuals), (residuals, len(values.vector)))):
            self.learnt.append(Learnt(values.vector[begin:end], gradient.vector[begin:end], tuple(slots[part])))

    def _lay_dense(self) -> None:
        """Move plain parameters or residuals into a vector; their gradient is that of the merged weights."""
        suffix = "" if self.kind is nn.Linear else "_basic"
        slots: list[Slot] = []
        for number, piece in enumerate(self._pieces):
            values, gradients = self.residual.stacked(number), self.gradient.stacked(number)
            for k, side in enumerate(self._modules(piece)):
                begin = 0
                for module in side:
                    parameter = cast(nn.Parameter, getattr(module, piece[1] + suffix))
                    end = begin + len(parameter)
                    start = int(values[k, begin:end].storage_offset())
                    slots.append(_move(parameter, values[k, begin:end], gradients[k, begin:end], start))
                    begin = end
        self.learnt.append(Learnt(self.residual.vector, self.gradient.vector, tuple(slots)))


def _move(parameter: nn.Parameter, value: Tensor, gradient: Tensor, start: int) -> Slot:
    value.copy_(parameter.detach())
    parameter.data = value
    parameter.grad = gradient
    return Slot(parameter, value, gradient, start)


def _kind(module: nn.Module) -> type[nn.Module]:
    if type(module) is nn.Linear and module.bias is not None:
        return nn.Linear
    if isinstance(module, EquivariantLinear) and module.bias_equiv is not None:
        if not all(isinstance(a, OrbitAssembly) for a in (module.assemble_weight, module.assemble_bias)):
            raise NetworkError("the fast update supports only equivariant layers of signed permutations")
        return next(kind for kind in (OrthogonalLinear, RPPLinear, EquivariantLinear) if isinstance(module, kind))
    raise NetworkError(f"the fast update does not support the layer {type(module).__name__}")


def _assembly(module: nn.Module, kind: Kind) -> OrbitAssembly:
    return cast(OrbitAssembly, getattr(module, f"assemble_{kind}"))


def _composed(module: nn.Module, kind: Kind) -> OrthogonalAssembly:
    return cast(OrthogonalAssembly, getattr(module, f"compose_{kind}"))


def _sizes(module: nn.Module) -> tuple[int, int]:
    return cast(int, module.in_features), cast(int, module.out_features)
