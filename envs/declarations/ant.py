"""Ant: a quadruped on the square. Legs 1 to 4 stand at (+,+), (-,+), (-,-) and (+,-) of the (x, y) plane."""

from rpp_rl.envs.entries import IDENTITY, PAPER, Space, declare, moved, reflect, unmoved
from rpp_rl.groups import cyclic_group, dihedral_group
from rpp_rl.signed_permutation import SignedPermutation
from rpp_rl.symmetry import Symmetry

_JOINTS = "hip_1 ankle_1 hip_2 ankle_2 hip_3 ankle_3 hip_4 ankle_4"
_ACTIONS = "hip_4 ankle_4 hip_1 ankle_1 hip_2 ankle_2 hip_3 ankle_3"
_BODIES = "torso leg_1 aux_1 foot_1 leg_2 aux_2 foot_2 leg_3 aux_3 foot_3 leg_4 aux_4 foot_4"


def sagittal() -> Symmetry:
    """Mirror in the vertical plane through the x axis: left and right legs change places."""
    space = Space((reflect("y"),))
    joints = moved(_JOINTS, "-hip_4 ankle_4 -hip_3 ankle_3 -hip_2 ankle_2 -hip_1 ankle_1")
    bodies = moved(_BODIES, "torso leg_4 aux_4 foot_4 leg_3 aux_3 foot_3 leg_2 aux_2 foot_2 leg_1 aux_1 foot_1")
    contact = bodies.each(space.velocity_and_force("torque", "force")).prefixed("cfrc_ext.")
    observation = space.floating_robot(joints) + contact
    action = moved(_ACTIONS, "-hip_1 ankle_1 -hip_4 ankle_4 -hip_3 ankle_3 -hip_2 ankle_2")
    return declare("sagittal", observation, action)


def dihedral() -> Symmetry:
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


def rpp2021() -> Symmetry:
    """As published: C4 hands each leg's joints to the next, without signs, and leaves the torso as it is.

    The paper's actor did not see contact forces; here they stay where they are.
    """
    joints = moved(_JOINTS, "hip_2 ankle_2 hip_3 ankle_3 hip_4 ankle_4 hip_1 ankle_1")
    contact = unmoved(_BODIES, 1).each(Space((IDENTITY,)).velocity_and_force("torque", "force")).prefixed("cfrc_ext.")
    torso, velocity = unmoved("z qw qx qy qz", 1), unmoved("vx vy vz wx wy wz", 1)
    observation = torso + joints + velocity + joints.prefixed("v_") + contact
    action = moved(_ACTIONS, "hip_1 ankle_1 hip_2 ankle_2 hip_3 ankle_3 hip_4 ankle_4")
    breaks = "wrong: ankles should change signs, and torso, velocity and contact forces should turn with the legs"
    return declare("rpp2021", observation, action, group=cyclic_group(4, "turn"), breaks=breaks, source=PAPER)
