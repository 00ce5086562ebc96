"""HalfCheetah, Hopper, Walker2d and Swimmer: robots that move in a plane."""

from rpp_rl.envs.entries import PAPER, PHYSICS, declare, moved
from rpp_rl.symmetry import Symmetry


def half_cheetah_rpp2021() -> Symmetry:
    """Every angle changes sign, and so does the forward velocity; no leg changes place."""
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


def half_cheetah_fore_aft() -> Symmetry:
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
    return declare("fore_aft", observation, action, breaks=breaks, source="mirror of the model in the plane x = 0")


def hopper_rpp2021() -> Symmetry:
    """Every angle changes sign, and so does the forward velocity."""
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


def _walker2d(name: str, source: str) -> Symmetry:
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
    return declare(name, observation, action, source=source)


def walker2d() -> Symmetry:
    """The two legs change places: a mirror in the plane of motion."""
    return _walker2d("sagittal", PHYSICS)


def walker2d_rpp2021() -> Symmetry:
    """The same map; the one of the paper's declarations that holds on the simulator."""
    return _walker2d("rpp2021", PAPER)


def swimmer() -> Symmetry:
    """Mirror in the vertical plane through the x axis: all angles and the lateral velocity change sign."""
    observation = moved(
        " yaw  motor1  motor2 vx  vy  vyaw  vmotor1  vmotor2",
        "-yaw -motor1 -motor2 vx -vy -vyaw -vmotor1 -vmotor2",
    )
    return declare("sagittal", observation, moved(" motor1  motor2", "-motor1 -motor2"))


def swimmer_rpp2021() -> Symmetry:
    """As published: the lateral velocity keeps its sign."""
    observation = moved(
        " yaw  motor1  motor2 vx vy  vyaw  vmotor1  vmotor2",
        "-yaw -motor1 -motor2 vx vy -vyaw -vmotor1 -vmotor2",
    )
    action = moved(" motor1  motor2", "-motor1 -motor2")
    breaks = "wrong: the lateral velocity should change sign"
    return declare("rpp2021", observation, action, breaks=breaks, source=PAPER)
