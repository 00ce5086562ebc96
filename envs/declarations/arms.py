"""The arms: Reacher and Pusher."""

from rpp_rl.envs.entries import Space, declare, moved, reflect, unmoved
from rpp_rl.groups import dihedral_group
from rpp_rl.symmetry import Symmetry

# Pusher's shoulder stands at y = -0.6 (its model file), and so does the mirror plane.
PUSHER_PLANE_Y = -0.6


def reacher() -> Symmetry:
    """Mirror in the vertical plane through the x axis."""
    observation = moved(
        "cos0 cos1  sin0  sin1 target_x  target_y  v0  v1 tip_to_target_x  tip_to_target_y",
        "cos0 cos1 -sin0 -sin1 target_x -target_y -v0 -v1 tip_to_target_x -tip_to_target_y",
    )
    return declare("sagittal", observation, moved(" joint0  joint1", "-joint0 -joint1"))


def reacher_dihedral() -> Symmetry:
    """All symmetries of the square table: quarter turns of arm and target, and the mirror x -> -x."""
    observation = moved(
        " cos0 cos1  sin0  sin1  target_x target_y  v0  v1  tip_to_target_x tip_to_target_y",
        "-sin0 cos1  cos0  sin1 -target_y target_x  v0  v1 -tip_to_target_y tip_to_target_x",
        "-cos0 cos1  sin0 -sin1 -target_x target_y -v0 -v1 -tip_to_target_x tip_to_target_y",
    )
    action = moved(
        " joint0  joint1",
        " joint0  joint1",
        "-joint0 -joint1",
    )
    breaks = "the reset distribution: episodes start with the arm along the x axis"
    group = dihedral_group(4, ("turn", "mirror"))
    return declare("dihedral", observation, action, group=group, breaks=breaks)


def pusher() -> Symmetry:
    """Mirror in the vertical plane through the shoulder, y -> -1.2 - y."""
    joints = moved(
        " shoulder_pan shoulder_lift  upper_arm_roll elbow_flex  forearm_roll wrist_flex  wrist_roll",
        "-shoulder_pan shoulder_lift -upper_arm_roll elbow_flex -forearm_roll wrist_flex -wrist_roll",
    )
    places = unmoved("tip object goal", 1).each(Space((reflect("y"),)).vector())
    observation = joints + joints.prefixed("v_") + places
    center = tuple(PUSHER_PLANE_Y if name.endswith(".y") else 0.0 for name in observation.names)
    breaks = (
        "the ranges of shoulder_pan and upper_arm_roll are not symmetric about zero, and object and goal start on one "
        "side of the plane"
    )
    return declare("sagittal", observation, joints, center=center, breaks=breaks)
