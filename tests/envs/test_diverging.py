"""Audits of models whose simulation diverges from some states, or from all."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.small_models import TOO_STIFF, Slides, Unstable

from rpp_rl import Representation, SignedPermutation
from rpp_rl.envs import audit, reflection
from rpp_rl.envs.auditing import QUICK
from rpp_rl.envs.auditing.report import Verdict
from rpp_rl.envs.auditing.rollouts import Sample, divergence
from rpp_rl.envs.simulator import Simulator, State
from rpp_rl.envs.state_lifting import Lifting
from rpp_rl.envs.state_map import Move
from rpp_rl.errors import SymmetryError

SIDEWAYS = reflection(
    [*"abc", "va", "vb", "vc", "one"], [*"abc"], flip=[*"abc", "va", "vb", "vc"], action_flip=[*"abc"], name="sideways"
)


def test_states_that_diverge_are_counted_and_left_out():
    done = audit(Unstable(), SIDEWAYS, 600)
    (g,) = done.generators
    assert 5 < g.diverged < 100
    assert done.warnings == [f"generator 'mirror': {g.diverged} of 600 states diverged and were left out"]
    assert done.verdict == Verdict.EXACT
    # The largest error is that of rounding, although numbers of 1e10 were met.
    assert g.dynamics_p95 < 1e-9
    assert g.rollout25_median < 1e-9
    json.dumps(done.to_dict(), allow_nan=False)


def test_a_wrong_map_is_found_among_states_that_diverge():
    image = list(SIDEWAYS.action.images[0].sign)
    image[0] = 1
    wrong = Representation(SIDEWAYS.group, [SignedPermutation((0, 1, 2), tuple(image))], "wrong sign")
    done = audit(Unstable(), replace(SIDEWAYS, action=wrong), 300)
    assert done.verdict == Verdict.MIS_SPECIFIED
    assert done.generators[0].suspects == ("a",)


def test_a_model_that_always_diverges_is_refused_in_one_sentence():
    env = Slides(a=TOO_STIFF, b=TOO_STIFF, c=TOO_STIFF)
    with pytest.raises(SymmetryError, match="the simulation of Slides diverges from nearly all states"):
        audit(env, SIDEWAYS, 200)


def test_a_map_to_states_that_diverge_is_refused_in_one_sentence():
    # The third mass rests in most states, and diverges where the map gives it the place of the first.
    exchange = reflection([*"abc", "va", "vb", "vc", "one"], [*"abc"], swap=[("a", "c"), ("va", "vc")])
    with pytest.raises(SymmetryError, match="the simulation of Unstable diverges from nearly all states"):
        audit(Unstable(c='stiffness="6e8"'), exchange, 100)


def test_a_reset_by_the_simulator_itself_counts_as_divergence():
    simulator = Simulator(Slides(c=TOO_STIFF))
    for start, diverges in ((0.0, False), (3e5, True), (np.nan, True)):
        simulator.set(State(np.array([0.0, 0.0, start]), np.zeros(3), np.zeros(3), np.zeros(3)))
        assert simulator.step(np.zeros(3)).has_diverged == diverges
        assert np.isfinite(simulator.data.qpos).all()


def test_rollouts_from_states_that_diverge_later_are_left_out():
    simulator = Simulator(Unstable())
    move = Move.of(SIDEWAYS, 0)
    states = [State(np.array([0.1, 0.0, c]), np.zeros(3), np.zeros(3), np.zeros(3)) for c in (0.0, 1e-9, 0.0)]
    errors = divergence(
        simulator, [Sample(s, np.zeros(3), "held") for s in states], move, Lifting(simulator).lift(move)
    )
    assert errors.shape == (2,)
    assert (errors < 1e-9).all()


def test_stable_models_lose_no_state():
    assert audit("Walker2d-v5", states=60, thoroughness=QUICK).generators[0].diverged == 0
    assert audit(Slides(), SIDEWAYS, 100).warnings == []
