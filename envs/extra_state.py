"""What an environment keeps outside of its simulator and observes: commands, last actions, phases of a gait.

An environment makes it part of the state that is mirrored by two methods: ``get_extra_state()`` returns a vector, and
``set_extra_state(x)`` sets it. How the vector moves follows from the entries of the observation that are its
coordinates, so a symmetry with such entries is declared by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rpp_rl.envs.geometry.isometry import Floats
from rpp_rl.errors import SymmetryError

GET, SET = "get_extra_state", "set_extra_state"


@dataclass(frozen=True, eq=False)
class ExtraState:
    """The vector that an environment keeps outside of its simulator.

    Attributes:
        read: returns a copy, shape (size,); empty for an environment without it.
        write: sets it.
    """

    read: Callable[[], Floats]
    write: Callable[[Floats], None]

    @classmethod
    def of(cls, base: Any, name: str) -> ExtraState:
        """The extra state of an unwrapped environment that was reset.

        Args:
            base: the environment.
            name: its name, for messages.

        Raises:
            SymmetryError: if it has only one of the two methods, or the state is not a vector of numbers.
        """
        getter, setter = (getattr(base, method, None) for method in (GET, SET))
        if getter is None and setter is None:
            return cls(lambda: np.zeros(0), lambda _: None)
        if not (callable(getter) and callable(setter)):
            raise SymmetryError(f"{name} must have both methods {GET}() and {SET}(x), or neither")

        def read() -> Floats:
            found = np.asarray(getter())
            if found.ndim != 1 or found.dtype.kind not in "fiub":
                raise SymmetryError(
                    f"{GET}() of {name} must return a vector of numbers, got an array of shape {found.shape} and type "
                    f"{found.dtype}"
                )
            return found.astype(np.float64)

        read()
        return cls(read, lambda x: setter(x.copy()))
