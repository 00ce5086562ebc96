"""Two trajectories of one policy: from a state s, and from its mirror image g s."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields

import numpy as np

from rpp_rl.envs.simulator import Floats, Simulator, State
from rpp_rl.envs.state_lifting import Lifting
from rpp_rl.envs.state_map import Move, StateMap
from rpp_rl.errors import SymmetryError
from rpp_rl.symmetry import Symmetry

Act = Callable[[Floats], Floats]

# |obs(g s) - g obs(s)| that is still rounding; observations may be single precision.
_HOLDS = 1e-3


@dataclass(frozen=True)
class Moment:
    """How far the second trajectory, s', is from the mirror image of the first, s, after some steps.

    Attributes:
        step: the number of steps.
        position_distance: |qpos' - g qpos|, a Euclidean norm over metres and radians.
        velocity_distance: |qvel' - g qvel|.
        observation_distance: |obs(s') - g obs(s)|.
        action_distance: |pi(obs(s')) - g pi(obs(s))|.
        reward: of the step that led here; NaN at the start.
        moved_reward: the same of the second trajectory.
        terminated: whether either ended here.
    """

    step: int
    position_distance: float
    velocity_distance: float
    observation_distance: float
    action_distance: float
    reward: float
    moved_reward: float
    terminated: bool

    @property
    def distance(self) -> float:
        """|s' - g s|, s = (qpos, qvel)."""
        return float(np.hypot(self.position_distance, self.velocity_distance))


@dataclass(frozen=True)
class Pair:
    """Two simulators of one task, and an element g of its symmetry.

    Attributes:
        one: runs from s.
        other: runs from g s.
        move: g on observations and actions.
        state_map: g on states.
    """

    one: Simulator
    other: Simulator
    move: Move
    state_map: StateMap

    @classmethod
    def of(cls, one: Simulator, other: Simulator, symmetry: Symmetry, element: int) -> Pair:
        """From an element's index in `Group.words`.

        Raises:
            SymmetryError: if the symmetry does not fit the task, or no map of states moves observations as it says.
        """
        observation_size, action_size = len(one.observe()), len(one.action_space.low)
        symmetry.check_sizes(observation_size, action_size, one.name)
        move, lifting = Move.of_element(symmetry, element), Lifting(one)
        state_map = lifting.lift(move)
        errors = lifting.observation_errors(state_map, move)
        worst = int(errors.argmax())
        if errors[worst] > _HOLDS:
            raise SymmetryError(
                f"states of {one.name} cannot be mirrored as symmetry {symmetry.name!r} says: entry "
                f"{symmetry.observation_names[worst]!r} of the mirrored state's observation is {errors[worst]:.2g} "
                "from what it should be; rpp-rl audit tells more, --symmetry chooses another"
            )
        return cls(one, other, move, state_map)

    def run(self, act: Act, start: State, steps: int) -> Iterator[Moment]:
        """Let a policy run from s and from g s; at each moment the simulators hold both states.

        Args:
            act: from observations to actions.
            start: s.
            steps: after which it ends, unless either terminates before.
        """
        self.one.set(start)
        self.other.set(self.state_map(start))
        seen, moved_seen = self.one.observe(), self.other.observe()
        reward = moved_reward = float("nan")
        ended = False
        for step in range(steps + 1):
            action, moved_action = (np.asarray(act(x), dtype=np.float64) for x in (seen, moved_seen))
            yield self._moment(step, (seen, moved_seen), (action, moved_action), (reward, moved_reward), ended)
            if ended or step == steps:
                return
            done, moved_done = self.one.step(action), self.other.step(moved_action)
            seen, moved_seen = done.observation, moved_done.observation
            reward, moved_reward = done.reward, moved_done.reward
            ended = done.terminated or moved_done.terminated

    def _moment(
        self,
        step: int,
        seen: tuple[Floats, Floats],
        actions: tuple[Floats, Floats],
        rewards: tuple[float, float],
        ended: bool,
    ) -> Moment:
        image, there = self.state_map(self.one.state()), self.other.state()
        return Moment(
            step,
            float(np.linalg.norm(there.qpos - image.qpos)),
            float(np.linalg.norm(there.qvel - image.qvel)),
            float(np.linalg.norm(seen[1] - self.move.observe(seen[0]))),
            float(np.linalg.norm(actions[1] - self.move.act(actions[0]))),
            *rewards,
            ended,
        )


def csv_text(moments: list[Moment]) -> str:
    """A table with a row for each moment, and the distance of states first."""
    lines = [",".join(["step", "distance", *(f.name for f in fields(Moment)[1:])])]
    for m in moments:
        step, *numbers, terminated = astuple(m)
        cells = ["" if np.isnan(x) else f"{x:.9g}" for x in (m.distance, *numbers)]
        lines.append(",".join([str(step), *cells, str(terminated)]))
    return "\n".join(lines) + "\n"
