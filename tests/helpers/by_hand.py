"""The symmetries of gymnasium's MuJoCo tasks written out by hand, as the check of those that the library derives."""

from rpp_rl.envs.coordinates import Space, declare, moved, reflect, unmoved
from rpp_rl.named_groups import dihedral_group
from rpp_rl.signed_permutation import SignedPermutation

_JOINTS = "hip_1 ankle_1 hip_2 ankle_2 hip_3 ankle_3 hip_4 ankle_4"
_ACTIONS = "hip_4 ankle_4 hip_1 ankle_1 hip_2 ankle_2 hip_3 ankle_3"
_BODIES = "torso leg_1 aux_1 foot_1 leg_2 aux_2 foot_2 leg_3 aux_3 foot_3 leg_4 aux_4 foot_4"
_ABDOMEN = "abdomen_z abdomen_y abdomen_x"
_RIGHT_LEG = "right_hip_x right_hip_z right_hip_y right_knee"
_LEFT_LEG = "left_hip_x left_hip_z left_hip_y left_knee"
_RIGHT_ARM = "right_shoulder1 right_shoulder2 right_elbow"
_LEFT_ARM = "left_shoulder1 left_shoulder2 left_elbow"
_LIMBS = f"{_RIGHT_LEG} {_LEFT_LEG} {_RIGHT_ARM} {_LEFT_ARM}"
_TRUNK_BODIES = "torso lwaist pelvis"
_LIMB_BODIES = (
    "right_thigh right_shin right_foot left_thigh left_shin left_foot "
    "right_upper_arm right_lower_arm left_upper_arm left_lower_arm"
)
# Pusher's shoulder stands at y = -0.6 (its model file), and so does the mirror plane.
PUSHER_PLANE_Y = -0.6


def _other_side(names):
    sides = {"right": "left", "left": "right"}
    return " ".join(sides[name.split("_", 1)[0]] + "_" + name.split("_", 1)[1] for name in names.split())


def ant():
    """Mirror in the vertical plane through the x axis: left and right legs change places."""
    space = Space((reflect("y"),))
    joints = moved(_JOINTS, "-hip_4 ankle_4 -hip_3 ankle_3 -hip_2 ankle_2 -hip_1 ankle_1")
    bodies = moved(_BODIES, "torso leg_4 aux_4 foot_4 leg_3 aux_3 foot_3 leg_2 aux_2 foot_2 leg_1 aux_1 foot_1")
    contact = bodies.each(space.velocity_and_force("torque", "force")).prefixed("cfrc_ext.")
    observation = space.floating_robot(joints) + contact
    action = moved(_ACTIONS, "-hip_1 ankle_1 -hip_4 ankle_4 -hip_3 ankle_3 -hip_2 ankle_2")
    return declare("sagittal", observation, action)


def ant_dihedral():
    """All symmetries of the square: quarter turns about the vertical, and the mirror of left and right."""
    space = Space((SignedPermutation((1, 0, 2), (-1, 1, 1)), reflect("y")))
    joints = moved(
        _JOINTS,
        "hip_4 ankle_4 hip_1 -ankle_1 hip_2 ankle_2 hip_3 -ankle_3",
        "-hip_4 ankle_4 -hip_3 ankle_3 -hip_2 ankle_2 -hip_1 ankle_1",
    )
    bodies = moved(
        _BODIES,
        "torso leg_4 aux_4 foot_4 leg_1 aux_1 foot_1 leg_2 aux_2 foot_2 leg_3 aux_3 foot_3",
        "torso leg_4 aux_4 foot_4 leg_3 aux_3 foot_3 leg_2 aux_2 foot_2 leg_1 aux_1 foot_1",
    )
    contact = bodies.each(space.velocity_and_force("torque", "force")).prefixed("cfrc_ext.")
    action = moved(
        _ACTIONS,
        "hip_3 -ankle_3 hip_4 ankle_4 hip_1 -ankle_1 hip_2 ankle_2",
        "-hip_1 ankle_1 -hip_4 ankle_4 -hip_3 ankle_3 -hip_2 ankle_2",
    )
    breaks = "the reward, which prefers one direction"
    group = dihedral_group(4, ("turn", "mirror"))
    return declare("dihedral", space.floating_robot(joints) + contact, action, group=group, breaks=breaks)


def humanoid():
    """Mirror in the vertical plane through the x axis: left and right change places.

    Hip axes are mirrored in the model file, so hips and knees keep their signs; the shoulders' axes are not.
    """
    space = Space((reflect("y"),))
    limbs = moved(
        _LIMBS,
        f"{_LEFT_LEG} {_RIGHT_LEG} "
        "-left_shoulder1 -left_shoulder2 left_elbow -right_shoulder1 -right_shoulder2 right_elbow",
    )
    joints = moved(_ABDOMEN, "-abdomen_z abdomen_y -abdomen_x") + limbs
    bodies = moved(f"{_TRUNK_BODIES} {_LIMB_BODIES}", f"{_TRUNK_BODIES} {_other_side(_LIMB_BODIES)}")
    observation = space.floating_robot(joints) + _derived(space, bodies, joints)
    # The motors of the abdomen are in another order than its joints.
    action = moved("abdomen_y abdomen_z abdomen_x", "abdomen_y -abdomen_z -abdomen_x") + limbs
    breaks = (
        "the model file: left and right differ in the armature of a hip and the stiffness of a knee "
        "(HumanoidStandup: also in the range of a hip)"
    )
    return declare("sagittal", observation, action, breaks=breaks)


def _derived(space, bodies, joints):
    """The observed quantities beside the state: inertias, velocities, motor torques, contact forces."""
    return (
        bodies.each(space.inertia()).prefixed("cinert.")
        + bodies.each(space.velocity_and_force("w", "v")).prefixed("cvel.")
        + joints.prefixed("qfrc_actuator.")
        + bodies.each(space.velocity_and_force("torque", "force")).prefixed("cfrc_ext.")
    )


def reacher():
    """Mirror in the vertical plane through the x axis."""
    observation = moved(
        "cos0 cos1  sin0  sin1 target_x  target_y  v0  v1 tip_to_target_x  tip_to_target_y",
        "cos0 cos1 -sin0 -sin1 target_x -target_y -v0 -v1 tip_to_target_x -tip_to_target_y",
    )
    return declare("sagittal", observation, moved(" joint0  joint1", "-joint0 -joint1"))


def reacher_dihedral():
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


def pusher():
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


def inverted_pendulum():
    """Mirror in the plane x = 0: everything changes sign."""
    observation = moved(" x  pole  vx  vpole", "-x -pole -vx -vpole")
    breaks = "the model file: the pole leans by 0.001 in 0.6"
    return declare("sagittal", observation, moved(" cart", "-cart"), breaks=breaks)


def inverted_double_pendulum():
    """Mirror in the plane x = 0: all but the cosines change sign."""
    observation = moved(
        " x  sin_pole  sin_pole2 cos_pole cos_pole2  vx  vpole  vpole2  constraint_x",
        "-x -sin_pole -sin_pole2 cos_pole cos_pole2 -vx -vpole -vpole2 -constraint_x",
    )
    breaks = "the model file: gravity leans by 1e-5 in 9.81"
    return declare("sagittal", observation, moved(" cart", "-cart"), breaks=breaks)


def half_cheetah():
    """The robot seen from its other side: x changes sign, front and back legs change places."""
    observation = moved(
        " z  pitch  bthigh  bshin  bfoot  fthigh  fshin  ffoot",
        " z -pitch -fthigh -fshin -ffoot -bthigh -bshin -bfoot",
    ) + moved(
        " vx vz  vpitch  vbthigh  vbshin  vbfoot  vfthigh  vfshin  vffoot",
        "-vx vz -vpitch -vfthigh -vfshin -vffoot -vbthigh -vbshin -vbfoot",
    )
    action = moved(
        " bthigh  bshin  bfoot  fthigh  fshin  ffoot",
        "-fthigh -fshin -ffoot -bthigh -bshin -bfoot",
    )
    breaks = (
        "approximate: front and back legs differ in length, mass, stiffness, range and gear, the head is in front, and "
        "the reward for running forward changes sign"
    )
    return declare("fore_aft", observation, action, breaks=breaks)


def swimmer():
    """Mirror in the vertical plane through the x axis: all angles and the lateral velocity change sign."""
    observation = moved(
        " yaw  motor1  motor2 vx  vy  vyaw  vmotor1  vmotor2",
        "-yaw -motor1 -motor2 vx -vy -vyaw -vmotor1 -vmotor2",
    )
    return declare("sagittal", observation, moved(" motor1  motor2", "-motor1 -motor2"))


def walker2d():
    """The two legs change places."""
    observation = moved(
        "z pitch thigh      leg      foot      thigh_left leg_left foot_left",
        "z pitch thigh_left leg_left foot_left thigh      leg      foot",
    ) + moved(
        "vx vz vpitch vthigh      vleg      vfoot      vthigh_left vleg_left vfoot_left",
        "vx vz vpitch vthigh_left vleg_left vfoot_left vthigh      vleg      vfoot",
    )
    action = moved(
        "thigh      leg      foot      thigh_left leg_left foot_left",
        "thigh_left leg_left foot_left thigh      leg      foot",
    )
    return declare("sagittal", observation, action)


# Task, reflection, and what must come out of it.
BY_HAND = [
    ("Ant-v5", "y", ant),
    ("Ant-v5", ("rot90", "y"), ant_dihedral),
    ("HalfCheetah-v5", "x", half_cheetah),
    ("Humanoid-v5", "y", humanoid),
    ("HumanoidStandup-v5", "y", humanoid),
    ("InvertedDoublePendulum-v5", "x", inverted_double_pendulum),
    ("InvertedPendulum-v5", "x", inverted_pendulum),
    ("Pusher-v5", "y", pusher),
    ("Reacher-v5", "y", reacher),
    ("Reacher-v5", ("rot90", "x"), reacher_dihedral),
    ("Swimmer-v5", "y", swimmer),
    ("Walker2d-v5", "y", walker2d),
]
