"""Look up the symmetry that is declared for an environment.

Agents ask here, and `rpp_rl.envs` answers, so that neither package imports the other.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from rpp_rl.symmetry import Symmetry

Finder = Callable[[Any], Symmetry | None]
_FINDERS: list[Finder] = []


def add_finder(finder: Finder) -> Finder:
    """Let `declared_symmetry` ask a function; it returns None for an environment that it does not know."""
    _FINDERS.append(finder)
    return finder


def declared_symmetry(env: Any) -> Symmetry | None:
    """The default symmetry that is declared for the id of an environment, carried through its wrappers.

    Args:
        env: an environment of gymnasium.

    Returns:
        The symmetry of its observations and actions; None if none is declared.

    Raises:
        SymmetryError: if a wrapper changes observations or actions in an unknown way.
    """
    # The first question loads the declarations, and with them the simulator.
    importlib.import_module("rpp_rl.envs")
    found = (finder(env) for finder in _FINDERS)
    return next((symmetry for symmetry in found if symmetry is not None), None)
