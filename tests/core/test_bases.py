import time

import numpy as np
import pytest
from helpers.algebra import golden, groups, parse, representations
from hypothesis import given, settings
from hypothesis import strategies as st

from rpp_rl import (
    Group,
    Representation,
    SignedPermutation,
    cyclic_group,
    dihedral_group,
    equivariant_basis,
    trivial_group,
    trivial_representation,
)
from rpp_rl.bases import BlockBasis, OrbitBasis, null_space_basis, orbit_basis
from rpp_rl.errors import RepresentationError
from rpp_rl.representations import defining_representation, hidden_representation

RANKS = golden("ranks.json")
FINITE = {
    name: Group(name, tuple(np.array(g) for g in entry["discrete"]), entry["d"])
    for name, entry in RANKS["generators"].items()
    if not entry["lie"]
}


def assert_is_basis(basis, rep_in, rep_out, tolerance=1e-10):
    Q = basis.dense()
    np.testing.assert_allclose(Q.T @ Q, np.eye(basis.rank), atol=1e-10)
    beta = np.random.default_rng(0).standard_normal(basis.rank)
    W = basis.weight(beta)
    np.testing.assert_allclose(W.ravel(), Q @ beta, atol=1e-12)
    np.testing.assert_allclose(basis.coordinates(W), beta, atol=1e-12)
    for element in range(rep_in.group.order):
        np.testing.assert_allclose(W @ rep_in.matrix(element), rep_out.matrix(element) @ W, atol=tolerance)


@pytest.mark.parametrize(
    "row",
    [r for r in RANKS["rows"] if r["group"] in FINITE],
    ids=lambda r: f"{r['group']}: {r['rep_in']} -> {r['rep_out']}",
)
def test_golden_rank(row):
    group = FINITE[row["group"]]
    rep_in, rep_out = parse(row["rep_in"], group), parse(row["rep_out"], group)
    assert (rep_in.size, rep_out.size) == (row["dim_in"], row["dim_out"])
    basis = equivariant_basis(rep_in, rep_out)
    assert basis.rank == row["rank"]
    # The file's generators are in single precision, so this is as exact as they are.
    assert_is_basis(basis, rep_in, rep_out, tolerance=1e-5)


def test_golden_dimensions_of_the_paper():
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
    # Turned by 30 degrees, D4's plane is no signed permutation, but its maps are the same up to that turn.
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


def test_trivial_group_has_every_matrix():
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


def test_bases_are_remembered_by_content():
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
