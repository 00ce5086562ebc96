"""Humanoid and HumanoidStandup: one robot, two tasks."""

from rpp_rl.envs.entries import IDENTITY, PAPER, Entries, Space, declare, moved, reflect, unmoved
from rpp_rl.signed_permutation import SignedPermutation
from rpp_rl.symmetry import Symmetry

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


def _other_side(names: str) -> str:
    sides = {"right": "left", "left": "right"}
    return " ".join(sides[name.split("_", 1)[0]] + "_" + name.split("_", 1)[1] for name in names.split())


def sagittal() -> Symmetry:
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


def rpp2021() -> Symmetry:
    """As published: a mirror in the plane x = y.

    The paper's actor saw the first 45 entries; here the others stay where they are.
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
    """What the observation holds beside the state: inertias, velocities, motor torques, contact forces."""
    return (
        bodies.each(space.inertia()).prefixed("cinert.")
        + bodies.each(space.velocity_and_force("w", "v")).prefixed("cvel.")
        + joints.prefixed("qfrc_actuator.")
        + bodies.each(space.velocity_and_force("torque", "force")).prefixed("cfrc_ext.")
    )
