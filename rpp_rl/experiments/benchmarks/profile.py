"""Where the milliseconds of one gradient step go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rpp_rl.agents import RPPSAC

_REST = "everything else"
_LEAST, _MOST = 20, 1000


def profile(agent: RPPSAC, seconds: float) -> dict[str, float]:
    """Milliseconds of each part of a call of `train` with one gradient step, and their sum under ``"whole"``.

    They are means over the calls that some seconds have room for, at least `_LEAST` and at most `_MOST`.

    A part is the time between its calls' beginning and end, parts within it left out; what belongs to none (losses,
    logging, checks) is ``"everything else"``. Reading the clock some thirty times a step adds a little to all.
    """
    update = agent.fast_step_for(agent.batch_size)
    if update is None:
        return {}
    agent.train(1, agent.batch_size)
    stacks = {"actor": update.actor.stack, "critics": update.critics.stack}
    watched: list[tuple[str, Any, str]] = [
        ("minibatch drawn", agent._learner, "_draw"),
        ("actor: forward", update.actor, "forward"),
        ("actor: backward", update.actor, "backward"),
        ("targets: forward", update.targets, "forward"),
        ("critics: forward, twice", update.critics, "forward"),
        ("critics: backward", update.critics, "backward"),
        ("critics: back to the action", update.critics, "backward_to_input"),
        ("actions and log-probabilities", update.pi, "draw"),
        ("their gradient", update.pi, "backward"),
        ("temperature", update.temperature, "learn"),
        *(("pathways merged", stack.layers, "assemble") for stack in stacks.values()),
        *(("pathways' gradients", stack.layers, "differentiate") for stack in stacks.values()),
        *(("Adam", stepper, "step") for stepper in update.steppers),
        ("Polyak averaging", update, "move_targets"),
    ]
    watch = _Stopwatch()
    try:
        for name, owner, method in watched:
            watch.watch(name, owner, method)
        whole, steps, deadline = 0.0, 0, time.perf_counter() + seconds
        while steps < _LEAST or (steps < _MOST and time.perf_counter() < deadline):
            start = time.perf_counter()
            agent.train(1, agent.batch_size)
            whole += time.perf_counter() - start
            steps += 1
    finally:
        watch.release()
    parts = {name: 1e3 * seconds / steps for name, seconds in watch.seconds.items()}
    return {**parts, _REST: 1e3 * whole / steps - sum(parts.values()), "whole": 1e3 * whole / steps}


class _Stopwatch:
    """Times methods of objects, each without the watched ones that it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._replaced: list[tuple[Any, str]] = []
        self._within: list[float] = []

    def watch(self, name: str, owner: Any, method: str) -> None:
        """Time a method from now on; calls of one name are added up."""
        original: Callable[..., Any] = getattr(owner, method)
        self.seconds.setdefault(name, 0.0)

        def watched(*args: Any, **kwargs: Any) -> Any:
            self._within.append(0.0)
            start = time.perf_counter()
            result = original(*args, **kwargs)
            passed = time.perf_counter() - start
            self.seconds[name] += passed - self._within.pop()
            if self._within:
                self._within[-1] += passed
            return result

        setattr(owner, method, watched)
        self._replaced.append((owner, method))

    def release(self) -> None:
        """Leave the objects as they were."""
        for owner, method in self._replaced:
            vars(owner).pop(method, None)
