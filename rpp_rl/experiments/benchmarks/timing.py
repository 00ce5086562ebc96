"""Measure times: repeated over rounds, and by parts of a gradient step."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rpp_rl.agents import RPPSAC
from rpp_rl.errors import RunError

_OTHER = "everything else"
_MIN_STEPS, _MAX_STEPS = 20, 1000
_BOUNDS = {"seconds": (0.1, 86_400), "threads": (1, 1024), "batch_size": (1, 1 << 16), "width": (1, 4096)}


def check_bounds(**settings: float) -> None:
    """Check ``seconds``, ``threads``, ``batch_size`` and ``width``.

    Raises:
        RunError: if one is out of bounds.
    """
    for name, value in settings.items():
        least, greatest = _BOUNDS[name]
        if not least <= value <= greatest:
            raise RunError(f"--{name.replace('_', '-')} must be from {least} to {greatest}, got {value}")


@dataclass(frozen=True)
class Spread:
    """Repeated measurements of one number.

    Attributes:
        values: one for each round.
    """

    values: tuple[float, ...]

    def to_dict(self) -> dict[str, float]:
        """Median, minimum and maximum."""
        return {"median": statistics.median(self.values), "min": min(self.values), "max": max(self.values)}

    def __str__(self) -> str:
        return spread_text(self.to_dict())


def spread_text(spread: dict[str, float]) -> str:
    """Write a spread as ``median (min to max)``."""
    return f"{spread['median']:.3g} ({spread['min']:.3g} to {spread['max']:.3g})"


def ratio(one: Sequence[float], other: Sequence[float]) -> Spread:
    """The ratios of two measurements, round by round."""
    return Spread(tuple(a / b for a, b in zip(one, other, strict=False)))


def timed(run: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def profile_step(agent: RPPSAC, seconds: float) -> dict[str, float]:
    """Measure where the time of one gradient step goes.

    The time of a part excludes the parts that it calls. Reading the clock some thirty times a step adds a little to
    every part.

    Args:
        agent: an agent that takes the fast step.
        seconds: how long to measure, between 20 and 1000 steps.

    Returns:
        Mean milliseconds of each part, of ``"everything else"`` (losses, logging, checks) and of the ``"whole"`` step.
        Empty if the agent does not take the fast step.
    """
    update = agent._fast_step_for(agent.batch_size)
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
        while steps < _MIN_STEPS or (steps < _MAX_STEPS and time.perf_counter() < deadline):
            whole += timed(lambda: agent.train(1, agent.batch_size))
            steps += 1
    finally:
        watch.release()
    parts = {name: 1e3 * seconds / steps for name, seconds in watch.seconds.items()}
    return {**parts, _OTHER: 1e3 * whole / steps - sum(parts.values()), "whole": 1e3 * whole / steps}


def profile_text(parts: dict[str, float]) -> str:
    """The parts that `profile_step` measured, one line each, the longest first."""
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return "\n".join(f"{name:32} {ms:7.3f} ms {ms / parts['whole']:6.1%}" for name, ms in ordered)


class _Stopwatch:
    """Measure the time in methods of objects, without the time in watched methods that they call."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._replaced: list[tuple[Any, str]] = []
        self._within: list[float] = []

    def watch(self, name: str, owner: Any, method: str) -> None:
        """Start to measure a method; methods of one name are added up."""
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
        """Restore the objects."""
        for owner, method in self._replaced:
            vars(owner).pop(method, None)
