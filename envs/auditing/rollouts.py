"""Draw states and actions for an audit, and step them and their mirror images on the simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rpp_rl.envs.simulator import Floats, Simulator, State
from rpp_rl.envs.state_map import Move, StateMap
from rpp_rl.errors import SymmetryError

Policy = Callable[[Floats], Floats]

# A rollout is reset after this number of steps, so that early and late states of episodes occur.
_EPISODE = 60
# Steps for which a rollout of kind "held" keeps its action.
_HELD = 10


@dataclass(frozen=True)
class Sample:
    """A state on a rollout, and the action taken there.

    Attributes:
        state: the full state.
        action: the action.
        kind: the kind of rollout: ``"uniform"``, ``"small"``, ``"held"`` or ``"policy"``.
    """

    state: State
    action: Floats
    kind: str


def samples(simulator: Simulator, count: int, seed: int = 0, policy: Policy | None = None) -> list[Sample]:
    """Draw states along rollouts, about the same number for each kind of action.

    Rollouts that diverge count, but their states are left out: also the states before the first number that is not
    finite are arbitrary and large. The result is then shorter than `count`.
    """
    rng = np.random.default_rng(seed)
    low, high = simulator.action_space.low.astype(float), simulator.action_space.high.astype(float)
    kinds = ("uniform", "small", "held") + (("policy",) if policy else ())
    drawn: list[Sample] = []
    episodes = done = 0
    while done < count:
        kind = kinds[episodes % len(kinds)]
        simulator.env.reset(seed=int(rng.integers(2**31)))
        action = rng.uniform(low, high)
        rollout: list[Sample] = []
        diverged = False
        for step in range(min(_EPISODE, count - done)):
            if kind == "policy" and policy is not None:
                action = policy(simulator.observe())
            elif kind != "held" or step % _HELD == 0:
                action = rng.uniform(low, high)
                if kind == "small":
                    action = (low + high) / 2 + 0.1 * (action - (low + high) / 2)
            rollout.append(Sample(simulator.state(), action, kind))
            outcome = simulator.step(action)
            diverged = outcome.has_diverged
            if diverged or outcome.terminated:
                break
        done, episodes = done + len(rollout), episodes + 1
        drawn += [] if diverged else rollout
    return drawn


@dataclass(frozen=True)
class Transitions:
    """The n steps from states s with actions a, and from g s with g a; steps that diverged are left out.

    Attributes:
        kept: indices of the samples that are not left out, shape (n,).
        before: obs(s), shape (n, entries).
        after: the observations one step later, shape (n, entries).
        moved_before: obs(g s), shape (n, entries).
        moved_after: the observations one step later, shape (n, entries).
        reward: rewards of the steps, shape (n,).
        moved_reward: rewards of the mirrored steps, shape (n,).
        terminated: whether the step ended the task, shape (n,).
        moved_terminated: whether the mirrored step ended it, shape (n,).
        contact: whether there was a contact before or after the step, shape (n,).
    """

    kept: NDArray[np.int64]
    before: Floats
    after: Floats
    moved_before: Floats
    moved_after: Floats
    reward: Floats
    moved_reward: Floats
    terminated: NDArray[np.bool_]
    moved_terminated: NDArray[np.bool_]
    contact: NDArray[np.bool_]

    def error(self, move: Move) -> Floats:
        """obs(g s') - g obs(s') after the step, shape (n, entries)."""
        return self.moved_after - move.observe(self.after)

    def relative_error(self, move: Move) -> Floats:
        """`relative_error` of the step, shape (n,)."""
        return relative_error(self.error(move), self.after - self.before)


def transitions(simulator: Simulator, drawn: Iterable[Sample], move: Move, state_map: StateMap) -> Transitions:
    """Step every sample and its mirror image.

    Raises:
        SymmetryError: if all of them diverge.
    """
    rows = []
    for i, sample in enumerate(drawn):
        simulator.set(sample.state)
        before, contact = simulator.observe(), simulator.in_contact()
        step = simulator.step(sample.action)
        contact = contact or simulator.in_contact()
        simulator.set(state_map(sample.state))
        moved_before = simulator.observe()
        moved = simulator.step(move.act(sample.action))
        if step.has_diverged or moved.has_diverged:
            continue
        rows.append(
            (
                *(i, before, step.observation, moved_before, moved.observation),
                *(step.reward, moved.reward, step.terminated, moved.terminated, contact),
            )
        )
    if not rows:
        raise diverging(simulator)
    done = Transitions(*(np.array(column) for column in zip(*rows, strict=True)))
    # Where neither can be shown, the map counts as right.
    entries = list(simulator.unreachable)
    for observed, moved_observed in ((done.before, done.moved_before), (done.after, done.moved_after)):
        moved_observed[:, entries] = move.observe(observed)[:, entries]
    return done


def divergence(
    simulator: Simulator,
    drawn: Iterable[Sample],
    move: Move,
    state_map: StateMap,
    steps: int = 25,
    seed: int = 0,
) -> Floats:
    """The error of observations after several mirrored steps, relative to the change in this time.

    The result has one number per sample; samples that diverge in this time are left out.
    """
    rng = np.random.default_rng(seed)
    low, high = simulator.action_space.low, simulator.action_space.high
    first, last, moved_last = [], [], []
    for sample in drawn:
        actions = rng.uniform(low, high, (steps, len(low)))
        ends, diverged = [], False
        for start, played in ((sample.state, actions), (state_map(sample.state), move.act(actions))):
            simulator.set(start)
            ends.append(simulator.observe())
            for action in played:
                end = simulator.step(action)
                diverged = diverged or end.has_diverged
            ends.append(end.observation)
        if diverged:
            continue
        first.append(ends[0])
        last.append(ends[1])
        moved_last.append(ends[3])
    if not first:
        return np.zeros(0)
    before, after = np.array(first), np.array(last)
    error = np.array(moved_last) - move.observe(after)
    error[:, list(simulator.unreachable)] = 0.0
    return relative_error(error, after - before)


def diverging(simulator: Simulator) -> SymmetryError:
    """The error for a simulation of which nearly all states diverge."""
    return SymmetryError(
        f"the simulation of {simulator.name} diverges from nearly all states, so nothing can be compared; make the "
        "model's timestep smaller or its gains and stiffnesses lower"
    )


def relative_error(error: Floats, change: Floats) -> Floats:
    """|error| / max(|change|, typical |change|) for each row, with every entry in units of its typical change.

    The typical change of an entry is its root mean square over the rows. It is the scale for a state at rest, whose own
    change is nearly zero. Entries that never change are left out. The result has shape (n,).
    """
    scale = np.sqrt(np.mean(change**2, axis=0))
    moving = scale > 1e-9
    if not moving.any():
        return np.asarray(np.linalg.norm(error, axis=1))
    size = np.linalg.norm(change[:, moving] / scale[moving], axis=1)
    distance = np.linalg.norm(error[:, moving] / scale[moving], axis=1)
    return np.asarray(distance / np.maximum(size, np.sqrt(moving.sum())))
