"""The inverted pendula on a cart."""

from rpp_rl.envs.entries import declare, moved
from rpp_rl.symmetry import Symmetry


def inverted_pendulum() -> Symmetry:
    """Mirror in the plane x = 0: everything changes sign."""
    observation = moved(" x  pole  vx  vpole", "-x -pole -vx -vpole")
    breaks = "the model file: the pole leans by 0.001 in 0.6"
    return declare("sagittal", observation, moved(" cart", "-cart"), breaks=breaks)


def inverted_double_pendulum() -> Symmetry:
    """Mirror in the plane x = 0: all but the cosines change sign."""
    observation = moved(
        " x  sin_pole  sin_pole2 cos_pole cos_pole2  vx  vpole  vpole2  constraint_x",
        "-x -sin_pole -sin_pole2 cos_pole cos_pole2 -vx -vpole -vpole2 -constraint_x",
    )
    breaks = "the model file: gravity leans by 1e-5 in 9.81"
    return declare("sagittal", observation, moved(" cart", "-cart"), breaks=breaks)
