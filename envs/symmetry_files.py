"""Read symmetries from YAML files.

An example of a file:

name: mirror
observation: [height, roll, left_hip, right_hip]
action: [left_hip, right_hip]
swap: [[left_hip, right_hip]]
flip: [roll]
action_swap: [[left_hip, right_hip]]
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import yaml

from rpp_rl.envs.reflections import ARGUMENTS, reflection, reflection_by_joints
from rpp_rl.errors import SymmetryError, UnknownNameError
from rpp_rl.strict_yaml import load_yaml
from rpp_rl.symmetry import Symmetry

SUFFIXES = (".yaml", ".yml")
_KEYS = (*ARGUMENTS, "unknown")


def read_symmetry(path: str | Path, env: gym.Env[Any, Any] | None = None) -> Symmetry:
    """Read a reflection from a YAML file whose keys are the arguments of `rpp_rl.envs.reflection`.

    The default of ``name`` is the name of the file. If ``observation`` and ``action`` are left out, the joints of a
    MuJoCo environment give the names. `rpp-rl new-symmetry` lists entries that it could not derive under ``unknown``.

    Args:
        path: the file.
        env: the environment whose joints give names.

    Raises:
        SymmetryError: if the file cannot be read, is not such a mapping, or does not declare a reflection.
        UnknownNameError: if a key or an entry is unknown.
    """
    path = Path(path)
    try:
        data = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise SymmetryError(f"the symmetry file {path} cannot be read: {reason}") from error
    except yaml.YAMLError as error:
        raise SymmetryError(f"the symmetry file {path} is not valid YAML: {' '.join(str(error).split())}") from error
    named = isinstance(data, Mapping) and {"observation", "action"} <= data.keys()
    if not isinstance(data, Mapping) or (env is None and not named):
        raise SymmetryError(
            f"the symmetry file {path} must be a mapping with observation and action (the names or the number of their "
            "entries), and swap, flip, action_swap, action_flip as needed"
        )
    try:
        checked = {"name": path.stem, "source": f"declared in {path.name}", **_checked(data, path)}
        if checked.pop("unknown", None):
            raise SymmetryError(
                f"it is still unknown how {', '.join(map(str, data['unknown']))} moves; put each into swap or flip, or "
                "nowhere if it does not move, and delete the key unknown"
            )
        return reflection(**checked) if named or env is None else reflection_by_joints(env, **checked)
    except UnknownNameError as error:
        raise UnknownNameError(f"{error.kind} in {path}", error.name, error.known) from error
    except SymmetryError as error:
        raise SymmetryError(f"{path}: {error}") from error


def _checked(data: Mapping[Any, Any], path: Path) -> dict[str, Any]:
    for key, value in data.items():
        if key not in _KEYS:
            raise UnknownNameError(f"key in {path}", str(key), _KEYS)
        if key == "unknown" and not isinstance(value, list):
            raise SymmetryError(f"unknown must be a list, got {value!r}")
    return {str(key): value for key, value in data.items()}
