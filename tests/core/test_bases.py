import itertools
import time

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.algebra import continuous_groups, golden, groups, parse, representations
from hypothesis import given, settings
from hypothesis import strategies as st

from rpp_rl import (
    Group,
    Representation,
    SignedPermutation,
    cyclic_group,
    determinant_representation,
    dihedral_group,
    equivariant_basis,
    lie_group,
    lorentz_group,
    orthogonal_group,
    special_linear_group,
    special_orthogonal_group,
    symmetric_group,
    tensor_representation,
    trivial_group,
    trivial_representation,
    uniform_rep,
)
from rpp_rl.bases import BlockBasis, OrbitBasis, null_space_basis, orbit_basis
from rpp_rl.errors import RepresentationError
from rpp_rl.null_space import canonical, null_space
from rpp_rl.representations import defining_representation, hidden_representation

RANKS = golden("ranks.json")
GROUPS = {
    name: Group(name, tuple(map(np.array, entry["discrete"])), entry["d"], (), tuple(map(np.array, entry["lie"])))
    for name, entry in RANKS["generators"].items()
}


def assert_is_basis(basis, rep_in, rep_out, tolerance=1e-10):
    Q = basis.dense()
    np.testing.assert_allclose(Q.T @ Q, np.eye(basis.rank), atol=1e-10)
    beta = np.random.default_rng(0).standard_normal(basis.rank)
    W = basis.weight(beta)
    np.testing.assert_allclose(W.ravel(), Q @ beta, atol=1e-12)
    np.testing.assert_allclose(basis.coordinates(W), beta, atol=1e-12)
    group = rep_in.group
    for g in group.sample(np.random.default_rng(1), 8) if group.is_continuous else group.element_matrices:
        left, right = W @ rep_in.rho(g), rep_out.rho(g) @ W
        np.testing.assert_allclose(left, right, atol=tolerance * max(1.0, np.abs(left).max()))


@pytest.mark.parametrize(
    "row",
    RANKS["rows"],
    ids=lambda r: f"{r['group']}: {r['rep_in']} -> {r['rep_out']}",
)
def test_ranks_match_the_golden_file(row):
    group = GROUPS[row["group"]]
    rep_in, rep_out = parse(row["rep_in"], group), parse(row["rep_out"], group)
    assert (rep_in.size, rep_out.size) == (row["dim_in"], row["dim_out"])
    basis = equivariant_basis(rep_in, rep_out)
    assert basis.rank == row["rank"]
    # The generators in the file have single precision.
    assert_is_basis(basis, rep_in, rep_out, tolerance=1e-5)


def test_dimensions_match_the_paper():
    group = cyclic_group(2)
    superscripts = str.maketrans("⁰¹²³⁴⁵", "012345")
    checked = 0
    for entry in golden("paper_dims.json")["environments"].values():
        state = _canonical(entry["state_rep"], group)
        action = _canonical(entry["action_rep"], group)
        for hidden_entry in entry["hidden"].values():
            hidden = _canonical(hidden_entry["rep"].translate(superscripts), group)
            maps = {
                "in->gated(hidden1)": (state, hidden),
                "hidden1->gated(hidden2)": (hidden, hidden),
                "hidden2->action_mean": (hidden, action),
                "hidden2->action_std": (hidden, action.unsigned()),
                "critic (s+a)->gated(hidden1)": (state + action, hidden),
                "critic hidden2->scalar": (hidden, trivial_representation(group)),
            }
            for name, layer in hidden_entry["layers"].items():
                rep_in, rep_out = maps[name]
                assert equivariant_basis(rep_in, rep_out).rank == layer["weight_equiv_dim"]
                assert equivariant_basis(trivial_representation(group), rep_out).rank == layer["bias_equiv_dim"]
                checked += 1
    assert checked == 24


def _canonical(text, group):
    """Read ``126V0+55V+5V2`` and ``(V0+P+P)``."""
    for power, name in (("⁰", "V0"), ("V0", "Scalar"), ("V5", "V**5"), ("V4", "V**4"), ("V3", "V**3"), ("V2", "V**2")):
        text = text.replace(power if power != "⁰" else "V⁰", name)
    terms = [t.strip("()") for t in text.split("+")]
    spelled = []
    for term in terms:
        digits = term[: len(term) - len(term.lstrip("0123456789"))]
        spelled.append(f"{digits}*{term[len(digits) :]}" if digits else term)
    return parse("+".join(spelled), group)


@settings(max_examples=60)
@given(st.data(), groups)
def test_a_basis_is_orthonormal_equivariant_and_complete(data, group):
    rep_in, rep_out = data.draw(representations(group)), data.draw(representations(group))
    basis = equivariant_basis(rep_in, rep_out)
    assert_is_basis(basis, rep_in, rep_out)
    # Schur: the dimension of Hom_G is the mean of chi_in * chi_out over the group.
    characters = [np.trace(rep_in.matrix(i)) * np.trace(rep_out.matrix(i)) for i in range(group.order)]
    assert basis.rank == round(float(np.mean(characters)))


@settings(max_examples=40)
@given(st.data(), st.sampled_from([cyclic_group(2), cyclic_group(4), dihedral_group(4)]))
def test_closed_form_and_null_space_span_the_same(data, group):
    rep_in, rep_out = data.draw(representations(group)), data.draw(representations(group))
    closed, solved = orbit_basis(rep_in, rep_out), null_space_basis(rep_in, rep_out)
    assert isinstance(equivariant_basis(rep_in, rep_out), OrbitBasis)
    assert isinstance(solved, BlockBasis)
    Q, N = closed.dense(), solved.dense()
    np.testing.assert_allclose(Q @ Q.T, N @ N.T, atol=1e-10)


def test_a_true_null_space_agrees_with_the_closed_form():
    # Turned by 30 degrees, D4's plane is not a signed permutation, but its maps are the same up to that turn.
    group = dihedral_group(4)
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    turn = np.array([[c, -s], [s, c]])
    plain = defining_representation(group)
    turned = Representation(group, [turn @ g @ turn.T for g in group.generators], "turned")
    assert not turned.is_signed_permutation
    for power in (1, 2, 3):
        solved = equivariant_basis(turned, turned**power)
        assert_is_basis(solved, turned, turned**power)
        assert solved.rank == equivariant_basis(plain, plain**power).rank


def test_every_matrix_is_equivariant_under_the_trivial_group():
    group = trivial_group()
    rep_in, rep_out = Representation(group, (), "in", 7), Representation(group, (), "out", 5)
    assert equivariant_basis(rep_in, rep_out).rank == 35
    np.testing.assert_allclose(np.abs(equivariant_basis(rep_in, rep_out).dense()), np.eye(35))


def test_a_humanoid_layer_is_built_in_well_under_a_second():
    group = cyclic_group(2)
    rng = np.random.default_rng(0)
    perm, sign = np.arange(348), rng.choice([1, -1], 348)
    perm[:100] = np.arange(100).reshape(-1, 2)[:, ::-1].ravel()
    sign[1:100:2] = sign[:100:2]
    observation = Representation(group, [SignedPermutation(tuple(perm), tuple(sign))], "humanoid")
    start = time.perf_counter()
    basis = orbit_basis(observation, hidden_representation(group, 256))
    print(f"348 -> 256 basis of rank {basis.rank}: {time.perf_counter() - start:.3f} s")
    assert basis.rank == 348 * 256 // 2


def rank_by_brute_force(rep_in, rep_out, count=6):
    """The null space of rho_out(g) W - W rho_in(g) for a few random elements, which generate almost any group."""
    group = rep_in.group
    elements = [*group.sample(np.random.default_rng(5), count), *group.generators]
    one_in, one_out = np.eye(rep_in.size), np.eye(rep_out.size)
    blocks = [np.kron(rep_out.rho(g), one_in) - np.kron(one_out, rep_in.rho(g).T) for g in elements]
    singular = np.linalg.svd(np.concatenate(blocks), compute_uv=False)
    return rep_in.size * rep_out.size - int(np.sum(singular > 1e-6))


@settings(max_examples=60, deadline=None)
@given(st.data(), continuous_groups)
def test_bases_of_continuous_groups_are_equivariant_and_complete(data, group):
    rep_in, rep_out = data.draw(representations(group)), data.draw(representations(group))
    basis = equivariant_basis(rep_in, rep_out)
    assert_is_basis(basis, rep_in, rep_out, tolerance=1e-8)
    if rep_in.size * rep_out.size <= 400:
        assert basis.rank == rank_by_brute_force(rep_in, rep_out)


@pytest.mark.parametrize("improper", [False, True], ids=["SO(3)", "O(3)"])
@pytest.mark.parametrize(("p", "q"), [(0, 2), (1, 1), (1, 2), (2, 2), (1, 4), (3, 3), (2, 5)])
def test_ranks_match_weyls_integral(p, q, improper):
    # dim Hom(T(p), T(q)) is the mean of trace^(p + q), over angles of density (1 - cos t) / pi.
    group = orthogonal_group(3) if improper else special_orthogonal_group(3)
    angles = (np.arange(400) + 0.5) / 400 * np.pi
    trace = 1 + 2 * np.cos(angles)
    expected = np.mean((1 - np.cos(angles)) * trace ** (p + q))
    if improper and (p + q) % 2:
        expected = 0
    basis = equivariant_basis(tensor_representation(group, p), tensor_representation(group, q))
    assert basis.rank == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("group", "rank"),
    [
        # 4096 unknowns each. Invariants of six vectors: 15 pairings, and for SO those with a determinant, 25 in all
        # (Catalan(3)^2, from SU(2) x SU(2)).
        (orthogonal_group(4), 15),
        (special_orthogonal_group(4), 25),
        (lorentz_group(kind="full"), 15),
        (lorentz_group(kind="proper"), 25),
        (lorentz_group(), 25),
    ],
    ids=lambda g: getattr(g, "name", g),
)
def test_maps_of_rank_three_tensors_in_four_dimensions_are_found(group, rank):
    T3 = tensor_representation(group, 3)
    basis = equivariant_basis(T3, T3)
    assert basis.rank == rank
    (t,) = basis.types
    assert np.isfinite(t.basis).all()
    for g in group.sample(np.random.default_rng(0), 3):
        W, A = basis.weight(np.ones(rank)), T3.rho(g)
        np.testing.assert_allclose(W @ A, A @ W, atol=1e-9 * np.abs(A).max() ** 2)


def test_sums_are_solved_block_by_block():
    group = special_orthogonal_group(3)
    V, one = defining_representation(group), trivial_representation(group)
    basis = equivariant_basis(2 * V + one, V * V + 3 * one)
    assert {t.entries.shape for t in basis.types} == {(2, 27), (1, 9), (3, 1)}


def test_hidden_layers_of_384_channels_take_seconds():
    for group in (orthogonal_group(3), special_orthogonal_group(3), lorentz_group(), special_linear_group(3)):
        hidden = uniform_rep(384, group)
        start = time.perf_counter()
        basis = equivariant_basis(hidden, hidden)
        seconds = time.perf_counter() - start
        print(f"{group.name}: basis of rank {basis.rank} in {seconds:.2f} s")
        assert seconds < 10


def test_permutation_tensors_count_the_partitions_of_a_set():
    # Maps V^2 -> V^2 of S(n), n >= 4, are the 15 partitions of four indices (Maron et al. 2019).
    for n in (4, 5, 12):
        V = defining_representation(symmetric_group(n))
        assert equivariant_basis(V**2, V**2).rank == 15


@pytest.mark.parametrize("tilt", [3e-5, 3e-4])
def test_an_unclear_gap_is_an_error(tilt):
    # Two axes of rotation that almost agree: one circle, or all of SO(3)?
    A, B, _ = special_orthogonal_group(3).lie_generators
    group = lie_group("tilted", [A, A + tilt * B])
    V = defining_representation(group)
    with pytest.raises(
        RepresentationError, match="neither zero nor clearly nonzero; give the generators to more digits"
    ):
        equivariant_basis(V, V)
    c, s = np.cos(2 * np.pi / 3), np.sin(2 * np.pi / 3) + tilt
    V = defining_representation(Group("C3, almost", (np.array([[c, -s], [s, c]]),), 2))
    with pytest.raises(RepresentationError, match=r"maps from T.* to V: .* neither zero nor clearly nonzero"):
        equivariant_basis(tensor_representation(V.group, 2), V)


def test_the_scale_of_generators_does_not_matter():
    for scale in (1e-6, 1.0, 1e6):
        group = lie_group("scaled", [scale * A for A in special_orthogonal_group(3).lie_generators])
        T2 = tensor_representation(group, 2)
        assert equivariant_basis(T2, T2).rank == 3


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_boosts_of_any_scale_differ_from_their_duals(scale):
    group = lie_group("boosts", [scale * A for A in lorentz_group().lie_generators])
    V = defining_representation(group)
    assert len(group.algebra) == 6
    assert not V.is_orthogonal
    assert V.T != V
    assert not group.has_in_algebra(scale * np.eye(4))
    basis = equivariant_basis(V.T, V)
    np.testing.assert_allclose(np.abs(basis.weight(np.ones(1))), np.eye(4) / 2, atol=1e-12)


def test_a_trace_of_rounding_counts_as_zero():
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))
    single = [(turn @ A @ turn.T).astype(np.float32) for A in special_linear_group(3).lie_generators]
    group = lie_group("SL(3) in single precision", single)
    det, V = determinant_representation(group), defining_representation(group)
    assert equivariant_basis(det, trivial_representation(group)).rank == 1
    assert equivariant_basis(det * V, V).rank == 1
    assert equivariant_basis(tensor_representation(group, 3), trivial_representation(group)).rank == 1


def test_a_basis_depends_on_the_space_alone():
    group, other = special_orthogonal_group(3), lie_group("two will do", special_orthogonal_group(3).lie_generators[1:])
    turned = lie_group("turned", [A + B for A, B in itertools.combinations(group.lie_generators, 2)])
    for power in (2, 3):
        expected = equivariant_basis(defining_representation(group), defining_representation(group) ** power).dense()
        for same in (other, turned):
            V = defining_representation(same)
            np.testing.assert_allclose(equivariant_basis(V, V**power).dense(), expected, atol=1e-9)


@pytest.mark.parametrize("rank", [0, 1, 7, 60])
def test_the_canonical_basis_does_not_depend_on_the_initial_one(rank):
    rng = np.random.default_rng(rank)
    N, _ = np.linalg.qr(rng.standard_normal((60, rank)))
    R, _ = np.linalg.qr(rng.standard_normal((rank, rank)))
    Q = canonical(N)
    np.testing.assert_allclose(Q @ Q.T, N @ N.T, atol=1e-10)
    np.testing.assert_allclose(Q.T @ Q, np.eye(rank), atol=1e-10)
    np.testing.assert_allclose(canonical(N @ R), Q, atol=1e-8)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_sequential_null_spaces_equal_the_stacked_one(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 30))
    constraints = []
    for _ in range(rng.integers(0, 4)):
        C = rng.integers(-1, 2, (int(rng.integers(1, 8)), size)) * (rng.random((1, size)) < 0.5)
        constraints.append(C.astype(float))
    N = null_space([sp.csr_matrix(C) for C in constraints], size, "unknowns")
    stack = np.concatenate([np.zeros((1, size)), *constraints])
    _, singular, vectors = np.linalg.svd(stack)
    expected = vectors[np.sum(singular > 1e-9) :]
    np.testing.assert_allclose(N @ N.T, expected.T @ expected, atol=1e-9)
    np.testing.assert_allclose(N.T @ N, np.eye(N.shape[1]), atol=1e-10)


def test_bases_are_cached_by_content():
    first = equivariant_basis(defining_representation(dihedral_group(5)), defining_representation(dihedral_group(5)))
    again = equivariant_basis(defining_representation(dihedral_group(5)), defining_representation(dihedral_group(5)))
    other = equivariant_basis(defining_representation(dihedral_group(3)), defining_representation(dihedral_group(3)))
    assert first is again
    assert first is not other


def test_groups_must_agree():
    with pytest.raises(RepresentationError, match="one group"):
        equivariant_basis(trivial_representation(cyclic_group(2)), trivial_representation(cyclic_group(3)))


def test_a_block_too_large_for_a_null_space_is_refused():
    V = defining_representation(dihedral_group(3))
    with pytest.raises(RepresentationError, match="more than the 4096"):
        equivariant_basis(V**7, V**7)
