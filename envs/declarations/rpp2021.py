"""The symmetries of the paper as published: right for Walker2d, approximate or wrong for the other tasks."""

from rpp_rl.envs.coordinates import IDENTITY, PAPER, Entries, Space, declare, moved, unmoved
from rpp_rl.named_groups import cyclic_group
from rpp_rl.signed_permutation import SignedPermutation
from rpp_rl.symmetry import Symmetry

_ANT_BODIES = "torso leg_1 aux_1 foot_1 leg_2 aux_2 foot_2 leg_3 aux_3 foot_3 leg_4 aux_4 foot_4"
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


def ant() -> Symmetry:
    """The symmetry as published: C4 maps each leg's joints to the next leg, without signs, and does not move the torso.

    The paper's actor did not observe contact forces; here they do not move.
    """
    joints = moved(
        "hip_1 ankle_1 hip_2 ankle_2 hip_3 ankle_3 hip_4 ankle_4",
        "hip_2 ankle_2 hip_3 ankle_3 hip_4 ankle_4 hip_1 ankle_1",
    )
    contact = (
        unmoved(_ANT_BODIES, 1).each(Space((IDENTITY,)).velocity_and_force("torque", "force")).prefixed("cfrc_ext.")
    )
    torso, velocity = unmoved("z qw qx qy qz", 1), unmoved("vx vy vz wx wy wz", 1)
    observation = torso + joints + velocity + joints.prefixed("v_") + contact
    action = moved(
        "hip_4 ankle_4 hip_1 ankle_1 hip_2 ankle_2 hip_3 ankle_3",
        "hip_1 ankle_1 hip_2 ankle_2 hip_3 ankle_3 hip_4 ankle_4",
    )
    breaks = "wrong: ankles should change signs, and torso, velocity and contact forces should turn with the legs"
    return declare("rpp2021", observation, action, group=cyclic_group(4, "turn"), breaks=breaks, source=PAPER)


def half_cheetah() -> Symmetry:
    """Every angle and the forward velocity change sign; no leg changes place."""
    observation = moved(
        " z  pitch  bthigh  bshin  bfoot  fthigh  fshin  ffoot",
        " z -pitch -bthigh -bshin -bfoot -fthigh -fshin -ffoot",
    ) + moved(
        " vx vz  vpitch  vbthigh  vbshin  vbfoot  vfthigh  vfshin  vffoot",
        "-vx vz -vpitch -vbthigh -vbshin -vbfoot -vfthigh -vfshin -vffoot",
    )
    action = moved(
        " bthigh  bshin  bfoot  fthigh  fshin  ffoot",
        "-bthigh -bshin -bfoot -fthigh -fshin -ffoot",
    )
    breaks = (
        "approximate: joint ranges are not symmetric about zero, legs stay where a reflection would exchange them, and "
        "the reward for running forward changes sign"
    )
    return declare("rpp2021", observation, action, breaks=breaks, source=PAPER)


def hopper() -> Symmetry:
    """Every angle and the forward velocity change sign."""
    observation = moved(
        " z  pitch  thigh  leg  foot  vx vz  vpitch  vthigh  vleg  vfoot",
        " z -pitch -thigh -leg -foot -vx vz -vpitch -vthigh -vleg -vfoot",
    )
    action = moved(" thigh  leg  foot", "-thigh -leg -foot")
    breaks = (
        "approximate: knee and hip bend one way only, the foot points forward, and the reward for hopping forward "
        "changes sign"
    )
    return declare("rpp2021", observation, action, breaks=breaks, source=PAPER)


def humanoid() -> Symmetry:
    """The symmetry as published: a mirror in the plane x = y.

    The paper's actor observed the first 45 entries; here the others do not move.
    """
    space = Space((SignedPermutation((1, 0, 2), (1, 1, 1)),))
    limbs = moved(
        _LIMBS,
        "-left_hip_x left_hip_z left_hip_y left_knee -right_hip_x right_hip_z right_hip_y right_knee "
        "-left_shoulder1 left_shoulder2 left_elbow -right_shoulder1 right_shoulder2 right_elbow",
    )
    joints = moved(_ABDOMEN, "abdomen_z abdomen_y -abdomen_x") + limbs
    bodies, motors = unmoved(f"{_TRUNK_BODIES} {_LIMB_BODIES}", 1), unmoved(f"{_ABDOMEN} {_LIMBS}", 1)
    observation = space.floating_robot(joints) + _derived(Space((IDENTITY,)), bodies, motors)
    action = moved("abdomen_y abdomen_z abdomen_x", "abdomen_y abdomen_z -abdomen_x") + limbs
    breaks = "wrong: the plane is x = y, and abdomen_z, hip_x and the shoulders have wrong signs"
    return declare("rpp2021", observation, action, breaks=breaks, source=PAPER)


def _derived(space: Space, bodies: Entries, joints: Entries) -> Entries:
    """The observed quantities beside the state: inertias, velocities, motor torques, contact forces."""
    return (
        bodies.each(space.inertia()).prefixed("cinert.")
        + bodies.each(space.velocity_and_force("w", "v")).prefixed("cvel.")
        + joints.prefixed("qfrc_actuator.")
        + bodies.each(space.velocity_and_force("torque", "force")).prefixed("cfrc_ext.")
    )


def swimmer() -> Symmetry:
    """The symmetry as published: the lateral velocity keeps its sign."""
    observation = moved(
        " yaw  motor1  motor2 vx vy  vyaw  vmotor1  vmotor2",
        "-yaw -motor1 -motor2 vx vy -vyaw -vmotor1 -vmotor2",
    )
    action = moved(" motor1  motor2", "-motor1 -motor2")
    breaks = "wrong: the lateral velocity should change sign"
    return declare("rpp2021", observation, action, breaks=breaks, source=PAPER)


def walker2d() -> Symmetry:
    """The two legs change places. Only this symmetry of the paper holds on the simulator."""
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
    return declare("rpp2021", observation, action, source=PAPER)
