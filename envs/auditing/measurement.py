"""Measure how well a symmetry holds on the simulator, one generator at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from rpp_rl.envs.auditing.inequalities import inequalities
from rpp_rl.envs.auditing.negative_control import Control, negative_control
from rpp_rl.envs.auditing.repair import error_shares
from rpp_rl.envs.auditing.report import (
    EXACT,
    GeneratorAudit,
    SymmetryAudit,
    dynamics_verdict,
    observation_verdict,
    task_verdict,
)
from rpp_rl.envs.auditing.rollouts import Policy, Sample, Transitions, divergence, diverging, samples, transitions
from rpp_rl.envs.simulator import Floats, Simulator
from rpp_rl.envs.state_lifting import Lifting
from rpp_rl.envs.state_map import Move
from rpp_rl.errors import SymmetryError
from rpp_rl.symmetry import Symmetry

Track = Callable[[Sequence[Sample]], Iterable[Sample]]

# Numbers of samples for the expensive parts of an audit.
_CONTROL = 25
_DIVERGENCE = 50
_REPAIR = 100
_RESETS = 200
_SIGNIFICANCE = 0.01
# The least share of states that must not diverge.
_LEAST_SOUND = 0.1


@dataclass(frozen=True)
class Thoroughness:
    """The expensive parts of an audit that are run.

    Attributes:
        control: whether to run the negative control.
        causes: whether to repair inequalities and measure again.
        resets: number of resets whose distribution is compared; 0 for none.
        rollouts: number of states from which 25 mirrored steps are taken; 0 for none.
    """

    control: bool = True
    causes: bool = True
    resets: int = _RESETS
    rollouts: int = _DIVERGENCE


THOROUGH = Thoroughness()
QUICK = Thoroughness(control=False, causes=False, resets=0)
BRIEF = Thoroughness(control=False, causes=False, resets=0, rollouts=0)


def audit_symmetry(
    simulator: Simulator,
    symmetry: Symmetry,
    states: int,
    *,
    seed: int = 0,
    policy: Policy | None = None,
    thoroughness: Thoroughness = THOROUGH,
    track: Track = iter,
) -> SymmetryAudit:
    """Compare a symmetry with a simulator, as `rpp_rl.envs.audit` describes.

    Raises:
        SymmetryError: if the symmetry does not fit the environment, its state cannot be set or moved, or nearly all
            states diverge.
    """
    if states < 1:
        raise SymmetryError(f"an audit needs at least one state, got {states}")
    simulator.env.reset(seed=seed)
    box = simulator.action_space
    low, high = (np.asarray(bound, dtype=np.float64) for bound in (box.low, box.high))
    symmetry.check_sizes(len(simulator.observe()), len(low), simulator.name)
    symmetry.check_action_bounds(low, high, simulator.name)
    drawn = samples(simulator, states, seed, policy)
    if len(drawn) < _LEAST_SOUND * states:
        raise diverging(simulator)
    lifting = Lifting(simulator, seed)
    audits = tuple(
        _audit_generator(lifting, symmetry, generator, drawn, states, thoroughness, track, seed)
        for generator in range(len(symmetry.group.generators))
    )
    return SymmetryAudit(simulator.name, symmetry, states, audits, unmirrored=simulator.placements.other_fields)


def _audit_generator(
    lifting: Lifting,
    symmetry: Symmetry,
    generator: int,
    drawn: Sequence[Sample],
    states: int,
    thoroughness: Thoroughness,
    track: Track,
    seed: int,
) -> GeneratorAudit:
    simulator, move = lifting.simulator, Move.of(symmetry, generator)
    state_map = lifting.lift(move)
    done = transitions(simulator, track(drawn), move, state_map)
    drawn = [drawn[i] for i in done.kept]
    if len(drawn) < _LEAST_SOUND * states:
        raise diverging(simulator)
    errors = done.relative_error(move)
    few = _spread(drawn, _DIVERGENCE)
    rolled = _spread(drawn, thoroughness.rollouts) if thoroughness.rollouts else ()
    unequal = inequalities(simulator, move, state_map, [sample.state for sample in few])
    causes = {}
    if thoroughness.causes and np.quantile(errors, 0.95) > EXACT:
        causes = error_shares(simulator, _spread(drawn, _REPAIR), move, state_map, unequal)
    control = Control((), (), (), ())
    if thoroughness.control:
        control = negative_control(lifting, _spread(drawn, _CONTROL), move, state_map, done)
    observation_names, action_names = symmetry.observation_names, symmetry.action_names
    suspects = _named(control.suspect_observation, observation_names) + _named(control.suspect_action, action_names)
    observation = np.abs(done.moved_before - move.observe(done.before)).max(axis=0)
    relative = _observation_error(done, move)
    broken = _broken_at_reset(simulator, move, observation_names, thoroughness.resets, seed)
    median, p95 = float(np.median(errors)), float(np.quantile(errors, 0.95))
    reward_error = _reward_error(done)
    mismatch = float((done.terminated != done.moved_terminated).mean())
    return GeneratorAudit(
        name=symmetry.group.generator_names[generator],
        diverged=states - len(drawn),
        observation_error=float(observation.max()),
        observation_worst=observation_names[int(observation.argmax())],
        observation_relative=relative,
        dynamics_median=median,
        dynamics_p95=p95,
        contact_free_median=_median(errors[~done.contact]),
        contact_median=_median(errors[done.contact]),
        exact_share=float((errors <= 1e-6).mean()),
        rollout25_median=_median(divergence(simulator, rolled, move, state_map, seed=seed)),
        entry_errors=_entry_errors(done, move, observation_names),
        reward_error=reward_error,
        termination_mismatch=mismatch,
        reset_invariant=not broken,
        reset_broken=broken,
        unequal=unequal,
        causes=causes,
        untested=_named(control.untested_observation, observation_names)
        + _named(control.untested_action, action_names),
        suspects=suspects,
        unreachable=_named(simulator.unreachable, observation_names),
        axes={
            "observation": observation_verdict(relative),
            "dynamics": dynamics_verdict(median, p95, suspects),
            "task": task_verdict(reward_error, mismatch),
        },
    )


def _observation_error(done: Transitions, move: Move) -> float:
    """The largest root mean square error of an entry of the observation, relative to its standard deviation."""
    error = np.sqrt(np.mean((done.moved_before - move.observe(done.before)) ** 2, axis=0))
    deviation = done.before.std(axis=0)
    # A constant entry is compared with its value, and with 1 if that is zero.
    still = np.abs(done.before).max(axis=0)
    scale = np.where(deviation > 1e-9, deviation, np.where(still > 1e-9, still, 1.0))
    return float((error / scale).max())


def _spread(drawn: Sequence[Sample], count: int) -> Sequence[Sample]:
    """About `count` samples at equal distances."""
    return drawn[:: max(1, len(drawn) // count)]


def _named(indices: Sequence[int], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(names[i] for i in indices)


def _median(errors: Floats) -> float | None:
    return float(np.median(errors)) if len(errors) else None


def _reward_error(done: Transitions) -> float:
    difference = float(np.abs(done.moved_reward - done.reward).mean())
    spread = float(done.reward.std())
    # A constant reward has no scale.
    return difference / spread if spread > 1e-12 else difference


def _entry_errors(done: Transitions, move: Move, names: Sequence[str]) -> dict[str, float]:
    error, change = (np.sqrt(np.mean(x**2, axis=0)) for x in (done.error(move), done.after - done.before))
    moving = change > 1e-9
    return {name: float(e / c) for name, e, c, m in zip(names, error, change, moving, strict=True) if m}


def _broken_at_reset(simulator: Simulator, move: Move, names: Sequence[str], resets: int, seed: int) -> tuple[str, ...]:
    """Entries whose distribution at reset differs from its mirror image, at a level of 1 % over all entries."""
    if resets == 0:
        return ()
    drawn = []
    for i in range(2 * resets):
        simulator.env.reset(seed=seed + i)
        drawn.append(simulator.observe())
    observations = np.array(drawn)
    # Rounded, so that a constant and its image, which differ by rounding errors, have the same distribution.
    one, other = np.round(observations[:resets], 9), np.round(move.observe(observations[resets:]), 9)
    p = np.array([stats.ks_2samp(a, b).pvalue for a, b in zip(one.T, other.T, strict=True)])
    return _named(np.flatnonzero(p < _SIGNIFICANCE / len(p)).tolist(), names)
