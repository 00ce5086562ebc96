"""Several agents that differ in their seeds, trained together: one stack of networks, one gradient step for all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import MaybeCallback, TrainFreq, TrainFrequencyUnit

from rpp_rl.agents.common.arguments import owned
from rpp_rl.agents.common.environment_failures import environment_failure
from rpp_rl.agents.rpp_sac.fast_update import FastUpdate, Learner, StackedActor, Temperature
from rpp_rl.agents.rpp_sac.fast_update.support import PRECISIONS, Fingerprint
from rpp_rl.agents.rpp_sac.rpp_sac import RPPSAC
from rpp_rl.errors import NetworkError, RPPError

# What all agents of a stack share, since it is a number of the step that they take together.
_SHARED = (
    *("batch_size", "gamma", "tau", "gradient_steps", "train_freq", "learning_starts", "target_update_interval"),
    *("target_entropy", "precision", "n_envs", "n_steps", "augment"),
)
# When schedules are compared: parts of a run that are left.
_MOMENTS = tuple(k / 16 for k in range(16, -1, -1))
_ONE_STEP = TrainFreq(1, TrainFrequencyUnit.STEP)


@dataclass
class _Seat:
    """An agent in training, with random generators of its own in the place of the global ones."""

    agent: RPPSAC
    torch_rng: torch.Generator
    numpy_rng: np.random.RandomState
    callback: BaseCallback = field(init=False)
    total: int = field(init=False)
    error: RPPError | None = None


def _end(seat: _Seat) -> None:
    """Tell the callbacks of an agent that its training is over; what one of them raises stops only this agent."""
    # A checkpoint of the end comes after the gradient steps, which have drawn too.
    seat.agent._own_generators = seat.numpy_rng, seat.torch_rng.get_state()
    try:
        seat.callback.on_training_end()
    except RPPError as error:
        seat.error = error


@dataclass(frozen=True)
class _Together:
    """The work of some agents that is done at once.

    Attributes:
        update: their gradient step.
        learner: takes the step.
        actor: draws their actions.
        built_for: the fingerprints of the agents.
    """

    update: FastUpdate
    learner: Learner
    actor: StackedActor
    built_for: tuple[Fingerprint, ...]

    @classmethod
    def of(cls, seats: Sequence[_Seat]) -> _Together:
        """Bring the networks of these agents together."""
        agents = [seat.agent for seat in seats]
        first = agents[0]
        # Target weights were averaged as merged ones; merged again they would differ in their last bits.
        targets = [owned(agent._merged_targets()) for agent in agents]
        parts = [agent._temperature_parts() for agent in agents]
        optimizers = [optimizer for _, optimizer in parts if optimizer is not None]
        update = FastUpdate(
            [agent.policy for agent in agents],
            Temperature([value for value, _ in parts], optimizers, float(first.target_entropy)),
            *(first.batch_size, PRECISIONS[first.precision]),
            [seat.torch_rng for seat in seats],
        )
        for k, merged in enumerate(targets):
            update.restore_targets(k, merged)
        buffers: list[Any] = [agent.replay_buffer for agent in agents]
        normalizers = [agent._vec_normalize_env for agent in agents]
        moves = [agent._augmentation for agent in agents if agent._augmentation is not None]
        learner = Learner(update, buffers, normalizers, [seat.numpy_rng for seat in seats], moves)
        built_for = tuple(Fingerprint(*agent._fast_step_parts(agent.batch_size)) for agent in agents)
        return cls(update, learner, StackedActor(update, first.n_envs), built_for)

    def is_of(self, seats: Sequence[_Seat]) -> bool:
        """Whether it was built for these agents, and they have not changed since."""
        return len(seats) == len(self.built_for) and all(
            built_for.matches(*seat.agent._fast_step_parts(seat.agent.batch_size))
            for built_for, seat in zip(self.built_for, seats, strict=True)
        )


class ManySeeds:
    """Agents of one form, trained step by step together.

    Every agent keeps its environments, replay buffer, logger and callbacks, and ends as an ordinary agent, as if it had
    learnt alone: it draws the same numbers as `RPPSAC.learn` does after the same seed, and its networks, optimisers and
    temperature take the same steps up to rounding. What is shared is the work: actions and gradient steps of all agents
    are computed by one sequence of batched operations.

    Args:
        build: makes the agent of a seed; must set the global generators as `RPPSAC(seed=...)` does.
        seeds: one for each agent.

    Raises:
        NetworkError: if agents differ in more than their seeds, or the fast update does not know their networks.
    """

    def __init__(self, build: Callable[[int], RPPSAC], seeds: Sequence[int]) -> None:
        if not seeds:
            raise NetworkError("there must be at least one seed")
        self._seats = [_seat(build(seed)) for seed in seeds]
        self.agents = [seat.agent for seat in self._seats]
        first = self.agents[0]
        self._need_alike()
        # SAC's annotation is that of its argument, not of what it makes of it.
        train_freq: Any = first.train_freq
        if train_freq.unit is not TrainFrequencyUnit.STEP:
            raise NetworkError("agents that are trained together learn every so many steps, not every episode")
        if first.action_noise is not None or not all(agent.fast_update for agent in self.agents):
            raise NetworkError("agents that are trained together have no action_noise, and fast_update=True")
        self._together = _Together.of(self._seats)
        self._stack(self._seats)

    def learn(
        self,
        total_timesteps: int,
        callbacks: Sequence[MaybeCallback] | None = None,
        log_interval: int = 4,
        reset_num_timesteps: bool = True,
        progress: Callable[[int], object] | None = None,
    ) -> list[RPPError | None]:
        """Train every agent for `total_timesteps` steps.

        Args:
            total_timesteps: of each agent.
            callbacks: one, or a list, for each agent.
            log_interval: episodes between logs, as for `RPPSAC.learn`.
            reset_num_timesteps: as for `RPPSAC.learn`.
            progress: told the number of environment steps of one agent after each round.

        Returns:
            For each agent what stopped it, for example an environment's NaN; None where nothing did. The others go on.
        """
        for seat, callback in zip(self._seats, callbacks or [None] * len(self._seats), strict=True):
            seat.total, seat.callback = seat.agent._setup_learn(total_timesteps, callback, reset_num_timesteps)
            seat.callback.on_training_start(locals(), globals())
        self._need_alike()
        self._stack(self._seats)
        active = [seat for seat in self._seats if seat.agent.num_timesteps < seat.total]
        for seat in self._seats:
            if seat not in active:
                _end(seat)
        while active:
            for _ in range(active[0].agent.train_freq.frequency):  # type: ignore[union-attr]
                self._act(active)
                going_on = [seat for seat in active if self._step_environment(seat, log_interval)]
                if len(going_on) < len(active):
                    active = going_on
                    if not active:
                        break
                    self._stack(active)
            if not active:
                break
            if progress is not None:
                progress(active[0].agent.num_timesteps)
            self._take_steps(active)
            done = [seat for seat in active if seat.agent.num_timesteps >= seat.total]
            for seat in done:
                _end(seat)
            if done:
                active = [seat for seat in active if seat not in done]
                if active:
                    self._stack(active)
        for agent in self.agents:
            agent._stacked = agent._own_generators = None
        return [seat.error for seat in self._seats]

    def _need_alike(self) -> None:
        """Check that the agents share what is a number, or a matrix, of the step that they take together.

        Raises:
            NetworkError: if they do not.
        """
        shared = {name: [getattr(agent, name, None) for agent in self.agents] for name in _SHARED}
        shared["learning_rate"] = [[agent.lr_schedule(left) for left in _MOMENTS] for agent in self.agents]
        shared["symmetry"] = [_described(agent) for agent in self.agents]
        shared["n_critics"] = [agent.critic.n_critics for agent in self.agents]
        for name, found in shared.items():
            if any(value != found[0] for value in found):
                said = "" if name == "symmetry" else f", got {found}"
                raise NetworkError(f"agents that are trained together need the same {name}{said}")

    def take_gradient_steps(self, count: int) -> None:
        """Gradient steps of all agents, without steps of the environments."""
        self._take(self._seats, count)

    def _stack(self, seats: list[_Seat]) -> None:
        """Bring the networks of these agents together; those of the others stay as they are, in memory of their own."""
        if not self._together.is_of(seats):
            self._together = _Together.of(seats)
        for k, seat in enumerate(seats):
            seat.agent._stacked = self._together.update, k, self._together.built_for[k]

    def _act(self, active: list[_Seat]) -> None:
        """Draw the next actions of all agents."""
        first = active[0].agent
        for seat in active:
            seat.agent._own_generators = seat.numpy_rng, seat.torch_rng.get_state()
        if first.num_timesteps >= first.learning_starts:
            if not self._together.update.has_parameters:
                self._stack(active)
            self._together.update.refresh()
            actions = self._together.actor.act([np.asarray(seat.agent._last_obs) for seat in active])
            for seat, action in zip(active, actions, strict=True):
                seat.agent._acted_ahead = action

    def _step_environment(self, seat: _Seat, log_interval: int) -> bool:
        """One step of an agent's environments; False if that stops it."""
        agent = seat.agent
        buffer: Any = agent.replay_buffer
        try:
            rollout = agent.collect_rollouts(
                agent.env,  # type: ignore[arg-type]
                callback=seat.callback,
                train_freq=_ONE_STEP,
                replay_buffer=buffer,
                action_noise=None,
                learning_starts=agent.learning_starts,
                log_interval=log_interval,
            )
        except RPPError as error:
            seat.error = error
            return False
        except Exception as error:
            failure = environment_failure(error)
            if failure is None:
                raise
            seat.error = failure
            return False
        if not rollout.continue_training:
            _end(seat)
        return rollout.continue_training

    def _take_steps(self, active: list[_Seat]) -> None:
        first = active[0].agent
        if first.num_timesteps <= max(0, first.learning_starts):
            return
        collected = first.train_freq.frequency * first.n_envs  # type: ignore[union-attr]
        count = first.gradient_steps if first.gradient_steps >= 0 else collected
        if count:
            self._take(active, count)

    def _take(self, active: list[_Seat], count: int) -> None:
        self._stack(active)
        first = active[0].agent
        for seat in active:
            seat.agent._follow_learning_rate_schedule()
        losses = self._together.learner.take_steps(count, first.gamma, first.tau, first.target_update_interval)
        for k, seat in enumerate(active):
            seat.agent._note_steps(count, [loss.of(k) for loss in losses])


def _described(agent: RPPSAC) -> dict[str, Any] | None:
    """The symmetry of an agent's networks; None for plain ones."""
    symmetry = getattr(agent.policy, "symmetry", None)
    return None if symmetry is None else symmetry.to_dict()


def _seat(agent: RPPSAC) -> _Seat:
    """An agent just built, and generators that go on from where building it has left the global ones."""
    # A space draws from a generator of its own, and environments of one class may share one space.
    agent.action_space = copy.deepcopy(agent.action_space)
    torch_rng, numpy_rng = torch.Generator(agent.device), np.random.RandomState()
    on_gpu = agent.device.type == "cuda"
    torch_rng.set_state(torch.cuda.get_rng_state(agent.device) if on_gpu else torch.get_rng_state())
    numpy_rng.set_state(np.random.get_state())
    return _Seat(agent, torch_rng, numpy_rng)
