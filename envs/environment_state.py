"""Save the whole state of an environment, and restore it in another one made in the same way.

For MuJoCo this is the simulator's integration state and all results of the last step (positions of bodies, contact
forces), which rewards and observations read before the next step computes them again.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from rpp_rl.errors import PlainDataError
from rpp_rl.plain_data import object_state, restore_object
from rpp_rl.symmetry import Symmetry

_SPACES = ("observation_space", "action_space")
# Arguments of wrappers are not saved: the other environment is made with the same arguments.
_SKIPPED = ("env", "_saved_kwargs", *(f"_{name}" for name in _SPACES), *_SPACES, "model", "data", "mujoco_renderer")
_STATELESS = (EnvSpec, gym.Space, Symmetry, mujoco.MjModel, mujoco.MjData)
_INTEGRATION = int(mujoco.mjtState.mjSTATE_INTEGRATION)


def environment_state(env: gym.Env[Any, Any]) -> dict[str, Any]:
    """The state of an environment and of all wrappers around it as plain data.

    Returns:
        ``layers`` from the outermost wrapper inwards, ``simulator`` (None without MuJoCo), the generator of the action
        space, and under ``unsaved`` a sentence for each attribute that could not be saved.
    """
    layers, unsaved = [], []
    for layer in _layers(env):
        state, missing = object_state(layer, _SKIPPED, _STATELESS)
        layers.append(state)
        unsaved += missing
    inner: Any = env.unwrapped
    has_simulator = isinstance(getattr(inner, "data", None), mujoco.MjData)
    return {
        "layers": layers,
        "simulator": _simulator_state(inner.model, inner.data) if has_simulator else None,
        "action_space": getattr(env.action_space, "_np_random", None),
        "unsaved": unsaved,
    }


def restore_environment(env: gym.Env[Any, Any], state: dict[str, Any]) -> None:
    """Restore a state in an environment made in the same way.

    Raises:
        PlainDataError: if the environment was made in another way.
    """
    layers = list(_layers(env))
    if len(layers) != len(state["layers"]):
        raise PlainDataError(
            f"the saved environment has {len(state['layers'])} layers of wrappers, this one {len(layers)}; "
            "make it in the same way"
        )
    # Some environments refuse attributes before the first reset.
    env.reset()
    for layer, saved in zip(layers, state["layers"], strict=True):
        restore_object(layer, saved, _SKIPPED)
    inner: Any = env.unwrapped
    if state["simulator"] is not None:
        _restore_simulator(inner.model, inner.data, state["simulator"])
    if state["action_space"] is not None:
        env.action_space._np_random = state["action_space"]


def _layers(env: gym.Env[Any, Any]) -> list[Any]:
    layers: list[Any] = [env]
    while isinstance(layers[-1], gym.Wrapper):
        layers.append(layers[-1].env)
    return layers


def _simulator_state(model: Any, data: Any) -> dict[str, Any]:
    integration = np.zeros(mujoco.mj_stateSize(model, _INTEGRATION))
    mujoco.mj_getState(model, data, integration, _INTEGRATION)
    return {"integration": integration, "computed": {k: v.copy() for k, v in _computed(data).items()}}


def _restore_simulator(model: Any, data: Any, state: dict[str, Any]) -> None:
    if len(state["integration"]) != mujoco.mj_stateSize(model, _INTEGRATION):
        raise PlainDataError("the saved state belongs to another MuJoCo model; make the environment in the same way")
    mujoco.mj_setState(model, data, state["integration"], _INTEGRATION)
    # Contacts and constraints are computed from the state, all other results are restored.
    mujoco.mj_forward(model, data)
    computed = _computed(data)
    for name, value in state["computed"].items():
        if name in computed and computed[name].shape == value.shape:
            computed[name][...] = value
    mujoco.mj_setState(model, data, state["integration"], _INTEGRATION)


def _computed(data: Any) -> dict[str, NDArray[Any]]:
    """The arrays of a simulator whose sizes depend on the model only, as views."""
    found = {}
    for name in dir(data):
        # The sizes of these depend on the contacts.
        if name.startswith(("_", "efc_", "iefc_", "tendon_efc", "island", "dof_island", "map_", "contact")):
            continue
        value = getattr(data, name, None)
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.flags.writeable and value.size:
            found[name] = value
    return found
