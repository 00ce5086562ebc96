"""Symmetries that other installed packages declare, through the entry-point group ``rpp_rl.symmetries``.

In the other package's pyproject.toml:

    [project.entry-points."rpp_rl.symmetries"]
    my_robots = "my_robots.symmetries:register"

where ``register()`` calls `rpp_rl.register_symmetry`.
"""

from __future__ import annotations

import warnings
from importlib.metadata import entry_points

GROUP = "rpp_rl.symmetries"


def load_plugins() -> None:
    """Call every function of the group; one that fails is told of and does no harm to the others."""
    for entry_point in entry_points(group=GROUP):
        try:
            entry_point.load()()
        except Exception as error:
            warnings.warn(
                f"the symmetries of {entry_point.value} could not be registered: {error!r}; "
                "mend or uninstall that package",
                stacklevel=2,
            )
