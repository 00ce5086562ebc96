"""Check a symmetry on an environment whose simulator is unknown: what spaces, a settable state and steps can show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import permutations, product
from typing import Any

import gymnasium as gym
import numpy as np

from rpp_rl.envs.auditing.rollouts import relative_error
from rpp_rl.envs.observation_method import observation_method
from rpp_rl.envs.simulator import Floats
from rpp_rl.envs.state_map import Move
from rpp_rl.errors import SymmetryError
from rpp_rl.symmetry import Symmetry

# For states with more entries the signed permutations are too many to try.
_MOST_ENTRIES = 4
_SPREAD = 5.0
# Errors up to this, relative to the change, are rounding of single precision.
_ROUNDING = 1e-3


WITHOUT_SIMULATOR = (
    "without MuJoCo: a check that fails refutes the symmetry; checks that hold do not prove it, above all where no "
    "mirrored step could be checked"
)


@dataclass(frozen=True)
class Check:
    """One check of a symmetry.

    Attributes:
        name: what is checked.
        holds: the result; None if it could not be checked.
        detail: what was found, or why it could not be checked.
    """

    name: str
    holds: bool | None
    detail: str

    def __str__(self) -> str:
        result = {True: "holds", False: "FAILS", None: "not checked"}[self.holds]
        return f"{self.name}: {result}, {self.detail}"


@dataclass(frozen=True)
class PlainAudit:
    """The audit of one symmetry without MuJoCo.

    Attributes:
        environment: environment id.
        symmetry: the audited symmetry.
        checks: all checks, also those that could not be made.
    """

    environment: str
    symmetry: Symmetry
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        """``"contradicted"`` if a check fails, ``"not contradicted"`` otherwise."""
        return "contradicted" if self.is_wrong else "not contradicted"

    @property
    def is_wrong(self) -> bool:
        """Whether a check fails."""
        return any(check.holds is False for check in self.checks)

    @property
    def warnings(self) -> list[str]:
        """Nothing: what fails is in the line."""
        return []

    @property
    def line(self) -> str:
        """The verdict in one line."""
        made = [check for check in self.checks if check.holds is not None]
        failed = [str(check) for check in made if not check.holds]
        skipped = [check.name for check in self.checks if check.holds is None]
        found = f"symmetry {self.symmetry.name}: {self.verdict} ({len(made)} checks without MuJoCo"
        found += f"; not checked: {', '.join(skipped)})" if skipped else ")"
        return ": ".join([found, *failed[:1]])

    @property
    def sentences(self) -> list[str]:
        """One sentence per check."""
        return [str(check) for check in self.checks]

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON data."""
        return {
            "name": self.symmetry.name,
            "group": self.symmetry.group.name,
            "verdict": self.verdict,
            "checks": [vars(check) for check in self.checks],
        }


def plain_audit(env: gym.Env[Any, Any], symmetry: Symmetry, name: str, states: int = 100, seed: int = 0) -> PlainAudit:
    """Check what can be checked without a known simulator.

    The checks are: the maps are a group action; action and observation bounds are mapped onto themselves; and one step
    from a mirrored state with the mirrored action is the mirror image of the step. For the last one, the environment
    needs an attribute ``state``, as gymnasium's classic tasks have, and its steps must not be random. The map of states
    is the signed permutation under which the observation moves as declared.

    Args:
        env: an environment, which is reset and stepped.
        symmetry: a symmetry that fits its spaces.
        name: name of the environment.
        states: number of states from which a step is taken.
        seed: seed of states and actions.

    Raises:
        SymmetryError: if the symmetry has other sizes than the spaces.
    """
    observation, action = env.observation_space, env.action_space
    if not isinstance(observation, gym.spaces.Box) or not isinstance(action, gym.spaces.Box):
        raise SymmetryError(f"a symmetry acts on boxes, but {name} has {observation} and {action}")
    symmetry.check_sizes(int(np.prod(observation.shape)), int(np.prod(action.shape)), name)
    checks = (
        _group_action(symmetry),
        _action_bounds(symmetry, action, name),
        _observation_bounds(symmetry, observation),
        _steps(env, symmetry, name, states, seed),
    )
    return PlainAudit(name, symmetry, checks)


def _group_action(symmetry: Symmetry) -> Check:
    """rho(k) rho(i) = rho(k i) for every generator k and element i, on observations and actions."""
    group, worst = symmetry.group, 0.0
    for k in range(len(group.generators)):
        one = Move.of(symmetry, k)
        for i in range(group.order):
            two, both = (Move.of_element(symmetry, e) for e in (i, int(group.left_products[i, k])))
            gaps = (one.observation @ two.observation - both.observation, one.action @ two.action - both.action)
            worst = max(worst, *(float(np.abs(gap).max(initial=0.0)) for gap in gaps))
            worst = max(worst, float(np.abs(one.observe(two.offset) - both.offset).max(initial=0.0)))
    return Check("group action", worst < 1e-6, f"all products of {group.name} within {worst:.1g}")


def _action_bounds(symmetry: Symmetry, space: gym.spaces.Box, name: str) -> Check:
    try:
        symmetry.check_action_bounds(*_ends(space), name)
    except SymmetryError as error:
        return Check("action bounds", False, str(error))
    return Check("action bounds", True, "each generator maps them onto themselves")


def _observation_bounds(symmetry: Symmetry, space: gym.spaces.Box) -> Check:
    what, (low, high) = "observation bounds", _ends(space)
    if not np.isfinite([low, high]).any():
        return Check(what, None, "all of them are infinite")
    for k, generator in enumerate(symmetry.group.generator_names):
        move = Move.of(symmetry, k)
        for i, row in enumerate(move.observation):
            used = np.flatnonzero(row)
            images = np.array([row[used] * low[used], row[used] * high[used]])
            moved = images.min(axis=0).sum() + move.offset[i], images.max(axis=0).sum() + move.offset[i]
            if not np.allclose(moved, (low[i], high[i]), rtol=1e-4, atol=1e-6):
                entry = f"generator {generator!r} maps entry {symmetry.observation_names[i]!r}"
                found = f"{entry} from [{low[i]:g}, {high[i]:g}] to [{moved[0]:g}, {moved[1]:g}]"
                return Check(what, False, found)
    return Check(what, True, "each generator maps them onto themselves")


def _ends(space: gym.spaces.Box) -> tuple[Floats, Floats]:
    return np.asarray(space.low, dtype=np.float64).ravel(), np.asarray(space.high, dtype=np.float64).ravel()


@dataclass(frozen=True, eq=False)
class _Settable:
    """An environment with an attribute ``state`` that determines observation and step."""

    base: Any
    like: Any
    method: Any

    def observe(self, state: Floats) -> Floats:
        self.set(state)
        return np.array(state if self.method is None else self.method(), dtype=np.float64)

    def set(self, state: Floats) -> None:
        self.base.state = (
            state.astype(self.like.dtype) if isinstance(self.like, np.ndarray) else type(self.like)(state.tolist())
        )

    def step(self, state: Floats, action: Floats) -> tuple[Floats, float]:
        self.set(state)
        self.base.np_random = np.random.default_rng(0)
        observation, reward, *_ = self.base.step(action.astype(self.base.action_space.dtype))
        return np.array(observation, dtype=np.float64), float(reward)


def _settable(base: Any, name: str, seed: int) -> _Settable:
    """The environment as one whose state can be set.

    Raises:
        SymmetryError: if it has no numbers as its state, or the observation is not a function of the state.
    """
    observation, _ = base.reset(seed=seed)
    like = getattr(base, "state", None)
    try:
        state = np.array(like, dtype=np.float64)
    except (TypeError, ValueError):
        state = np.zeros(0)
    if not isinstance(like, np.ndarray | tuple | list) or state.ndim != 1 or not state.size:
        raise SymmetryError(f"{name} has no attribute 'state' with one row of numbers that could be set")
    if state.shape == np.shape(observation) and np.allclose(state, observation, rtol=1e-6, atol=1e-7):
        return _Settable(base, like, None)
    other = _Settable(base, like, None)
    return _Settable(base, like, observation_method(base, name, lambda: other.set(state + 0.3)))


def _steps(env: gym.Env[Any, Any], symmetry: Symmetry, name: str, states: int, seed: int) -> Check:
    """Compare one step from states on random rollouts with one step from their mirror images."""
    what = "one mirrored step"
    if env.unwrapped.observation_space != env.observation_space or env.unwrapped.action_space != env.action_space:
        return Check(what, None, "a wrapper changes observations or actions")
    try:
        settable = _settable(env.unwrapped, name, seed)
        visited, actions = _visited(settable, states, seed)
        worst_error, worst_reward = 0.0, 0.0
        for k, generator in enumerate(symmetry.group.generator_names):
            move = Move.of(symmetry, k)
            lifted = _lifted(settable, move, visited, generator, name)
            error, reward = _step_error(settable, move, lifted, visited, actions)
            worst_error, worst_reward = max(worst_error, error), max(worst_reward, reward)
    except SymmetryError as error:
        return Check(what, None, str(error))
    # States and observations may have single precision.
    detail = f"95 % of errors within {worst_error:.1g}, error of the reward {worst_reward:.1g}, {len(visited)} states"
    return Check(what, max(worst_error, worst_reward) <= _ROUNDING, detail)


def _visited(settable: _Settable, count: int, seed: int) -> tuple[Floats, Floats]:
    base, rng = settable.base, np.random.default_rng(seed)
    low, high = np.maximum(base.action_space.low, -_SPREAD), np.minimum(base.action_space.high, _SPREAD)
    rows: list[tuple[Floats, Floats]] = []
    while len(rows) < count:
        base.reset(seed=int(rng.integers(2**31)))
        for _ in range(20):
            rows.append((np.array(base.state, dtype=np.float64), rng.uniform(low, high)))
            if base.step(rows[-1][1].astype(base.action_space.dtype))[2] or len(rows) == count:
                break
    visited, actions = (np.array(column) for column in zip(*rows, strict=True))
    ends = [settable.step(visited[0], actions[0])[0] for _ in range(2)]
    settable.base.np_random = np.random.default_rng(1)
    settable.set(visited[0])
    ends.append(np.array(base.step(actions[0].astype(base.action_space.dtype))[0], dtype=np.float64))
    if not (np.array_equal(ends[0], ends[1]) and np.array_equal(ends[0], ends[2])):
        raise SymmetryError(f"a step of {settable.base.__class__.__name__} from the same state is not always the same")
    return visited, actions


def _lifted(settable: _Settable, move: Move, visited: Floats, generator: str, name: str) -> Any:
    """The map of states under which the observation moves as declared."""
    some = visited[:12]
    observed = np.array([settable.observe(s) for s in some])
    for candidate in _state_maps(settable, move, visited.shape[1]):
        moved = np.array([settable.observe(candidate(s)) for s in some])
        if np.allclose(moved, move.observe(observed), rtol=1e-5, atol=1e-5):
            return candidate
    raise SymmetryError(
        f"no exchange and no signs of the numbers in the state of {name} move the observation as {generator!r} declares"
    )


def _state_maps(settable: _Settable, move: Move, size: int) -> Iterator[Any]:
    if settable.method is None:
        yield move.observe
    elif size <= _MOST_ENTRIES:
        # An angle may also move by half a turn.
        offsets = product((0.0, np.pi), repeat=size) if size <= 2 else [(0.0,) * size]
        for offset, perm, sign in product(offsets, permutations(range(size)), product((1.0, -1.0), repeat=size)):
            yield partial(_signed, np.array(sign), list(perm), np.array(offset))


def _signed(sign: Floats, perm: list[int], offset: Floats, state: Floats) -> Floats:
    return np.asarray(sign * state[perm] + offset)


def _step_error(settable: _Settable, move: Move, lifted: Any, visited: Floats, actions: Floats) -> tuple[float, float]:
    """The error of a step relative to its change, and of the reward relative to its deviation.

    The first is the 95th percentile over the states, the second the mean.
    """
    before = np.array([settable.observe(s) for s in visited])
    pairs = list(zip(visited, actions, strict=True))
    after, rewards = _columns(settable.step(s, a) for s, a in pairs)
    moved, moved_rewards = _columns(settable.step(lifted(s), move.act(a)) for s, a in pairs)
    errors = relative_error(moved - move.observe(after), after - before)
    spread = float(rewards.std())
    reward = float(np.abs(moved_rewards - rewards).mean())
    return float(np.quantile(errors, 0.95)), reward / (spread if spread > 1e-12 else 1.0)


def _columns(steps: Iterable[tuple[Floats, float]]) -> tuple[Floats, Floats]:
    observations, rewards = zip(*steps, strict=True)
    return np.array(observations), np.array(rewards)
