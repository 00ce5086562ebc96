"""Film a policy from a state and from its mirror image, side by side, and measure how far the two trajectories part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np

from rpp_rl.envs.geometry.world_image import world_image
from rpp_rl.envs.simulator import Floats, Simulator, State
from rpp_rl.envs.state_lifting import Lifting
from rpp_rl.envs.state_map import Move, StateMap
from rpp_rl.envs.wrapper import make_plain, resolve
from rpp_rl.errors import RunError, SymmetryError, listed
from rpp_rl.experiments.evaluation import LoadedAgent
from rpp_rl.experiments.finding import record_of
from rpp_rl.experiments.videos.cameras import Camera, flipped, flips, moves_camera, view_of
from rpp_rl.experiments.videos.films import Film, Frame, side_by_side
from rpp_rl.symmetry import Symmetry

Act = Callable[[Floats], Floats]
Flip = Literal["auto", "horizontal", "none"]

# Height and width of one of the two pictures.
_SIZE = (400, 480)
# |obs(g s) - g obs(s)| up to this is rounding; observations may be single precision.
_HOLDS = 1e-3


class MirrorVideo:
    """A policy from a state s and from its mirror image g s, in two simulators; a context manager.

    Args:
        loaded: the agent, with its environment and seed.
        symmetry: name of a declared symmetry, or a YAML file. Default: the agent's, its run's, or the environment's.
        element: number of the group element g. Default: the first generator.
        flip: ``"auto"`` films the second picture with the mirrored camera and turns it over as the mirror does.
            ``"horizontal"`` and ``"none"`` use one camera for both.

    Attributes:
        symmetry: the symmetry.
        element: the number of g in its group.
        titles: the lines above the two pictures.

    Raises:
        RPPError: if the environment does not have such a symmetry, or its states cannot be set or mirrored.
    """

    def __init__(
        self, loaded: LoadedAgent, symmetry: str | None = None, element: int | None = None, flip: Flip = "auto"
    ) -> None:
        self._loaded, self._flip = loaded, flip
        with ExitStack() as stack:
            stack.callback(loaded.env.close)
            envs = [make_plain(loaded.env_id, **loaded.env_kwargs) for _ in range(2)]
            for env in envs:
                stack.callback(env.close)
            one, other = (Simulator(env) for env in envs)
            self.symmetry = _choose_symmetry(loaded, envs[0], symmetry)
            self.element = _choose_element(self.symmetry, element)
            # Last, since a `Simulator` steps its environment to find out how it is observed.
            for env in envs:
                env.reset(seed=loaded.seed)
            self._start = one.state()
            self._pair = Pair.of(one, other, self.symmetry, self.element)
            self._image = world_image(one, self._pair.state_map)
            self._fps = float(envs[0].metadata.get("render_fps") or 30)
            self._stack = stack.pop_all()
        name = self.symmetry.group.element_name(self.element)
        self.titles = ("from s", f"from {name} s{self._how_turned()}")

    def __enter__(self) -> MirrorVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def film(self, path: Path, steps: int) -> tuple[list[Moment], bytes]:
        """Film both trajectories.

        Args:
            path: the film, ending in .mp4 or .gif.
            steps: the number of steps; fewer if a trajectory ends before.

        Returns:
            The moments of the film, and a small GIF of it.
        """
        moments: list[Moment] = []
        with Film(path, self._fps) as film:
            for moment, frame in self._frames(steps):
                film.add(frame)
                moments.append(moment)
            return moments, film.preview()

    def _frames(self, steps: int) -> Iterator[tuple[Moment, Frame]]:
        pair, isometry = self._pair, self._image.isometry
        view = view_of(pair.one, self._image)
        mirrored = self._flip == "auto"
        turned = flips(view, isometry) if mirrored else (self._flip == "horizontal", False)
        cameras = Camera(pair.one, view, _SIZE), Camera(pair.other, view.moved(isometry) if mirrored else view, _SIZE)
        try:
            for moment in pair.run(self._loaded.act, self._start, steps):
                left, right = (camera.picture() for camera in cameras)
                line = f"step {moment.step},  |s' - g s| = {moment.distance:.1e}"
                yield moment, side_by_side((left, flipped(right, *turned)), self.titles, line)
        finally:
            for camera in cameras:
                camera.close()

    def _how_turned(self) -> str:
        if self._flip == "horizontal":
            return ", flipped left and right"
        return ", mirrored back" if self._flip == "auto" and moves_camera(self._image.isometry) else ""


def _choose_symmetry(loaded: LoadedAgent, env: Any, name: str | None) -> Symmetry:
    """The named symmetry; else the agent's, the one in its run's configuration, or the environment's default."""
    if name is not None:
        return resolve(name, env)
    own: Symmetry | None = getattr(loaded.agent.policy, "symmetry", None)
    if own is not None and own.group.order > 1:
        return own
    recorded = record_of(loaded.path).get("symmetry")
    return resolve(recorded if isinstance(recorded, dict) else None, env)


def _choose_element(symmetry: Symmetry, number: int | None) -> int:
    group = symmetry.group
    if group.order == 1:
        raise RunError(f"symmetry {symmetry.name!r} has only the identity, hence no mirror image; give --symmetry")
    if number is None:
        return group.words.index((0,))
    if not 0 <= number < group.order:
        known = listed([f"{i} ({group.element_name(i)})" for i in range(group.order)], most=16)
        raise RunError(f"--element must be one of {known}, got {number}")
    return number


@dataclass(frozen=True)
class Moment:
    """How far the second trajectory, s', is from the mirror image of the first, s, after some steps.

    Attributes:
        step: the number of steps so far.
        position_distance: |qpos' - g qpos|, a Euclidean norm over metres and radians.
        velocity_distance: |qvel' - g qvel|.
        observation_distance: |obs(s') - g obs(s)|.
        action_distance: |pi(obs(s')) - g pi(obs(s))|.
        reward: the reward of the last step; NaN at the start.
        moved_reward: the same for the second trajectory.
        terminated: whether one of the two ended here.
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
        one: the simulator that runs from s.
        other: the simulator that runs from g s.
        move: g on observations and actions.
        state_map: g on states.
    """

    one: Simulator
    other: Simulator
    move: Move
    state_map: StateMap

    @classmethod
    def of(cls, one: Simulator, other: Simulator, symmetry: Symmetry, element: int) -> Pair:
        """Build a pair for an element, given by its index in `Group.words`.

        Raises:
            SymmetryError: if the symmetry does not fit the task, or no map of states moves observations likewise.
        """
        observation_size, action_size = len(one.observe()), len(one.action_space.low)
        symmetry.check_sizes(observation_size, action_size, one.name)
        move, lifting = Move.of_element(symmetry, element), Lifting(one)
        state_map = lifting.lift(move)
        errors = lifting.observation_errors(state_map, move)
        worst = int(errors.argmax())
        if errors[worst] > _HOLDS:
            raise SymmetryError(
                f"cannot mirror states of {one.name} by symmetry {symmetry.name!r}: entry "
                f"{symmetry.observation_names[worst]!r} of the mirrored state's observation is wrong by "
                f"{errors[worst]:.2g}; see rpp-rl audit, or choose another with --symmetry"
            )
        return cls(one, other, move, state_map)

    def run(self, act: Act, start: State, steps: int) -> Iterator[Moment]:
        """Run a policy from s and from g s. At each moment the simulators hold both states.

        Args:
            act: the policy, from observations to actions.
            start: s.
            steps: the number of steps; fewer if a trajectory terminates before.
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
    """Write moments as CSV, one row each, the distance of states first."""
    lines = [",".join(["step", "distance", *(f.name for f in fields(Moment)[1:])])]
    for m in moments:
        step, *numbers, terminated = astuple(m)
        cells = ["" if np.isnan(x) else f"{x:.9g}" for x in (m.distance, *numbers)]
        lines.append(",".join([str(step), *cells, str(terminated)]))
    return "\n".join(lines) + "\n"
