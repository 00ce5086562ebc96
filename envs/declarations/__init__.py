"""The symmetries that the library declares."""

from rpp_rl.envs.declarations.mujoco_v5 import DECLARATIONS

__all__ = ["DECLARATIONS"]
