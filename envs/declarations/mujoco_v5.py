"""The symmetries of gymnasium's eleven MuJoCo v5 tasks; the first of each task is its default.

Symmetries that hold, exactly or nearly, are derived from the tasks' models. Those of the paper are kept as published.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from rpp_rl.envs.declarations import rpp2021
from rpp_rl.envs.derivation import Derived
from rpp_rl.symmetry import Symmetry

_HUMANOID = "the model file: left and right differ in the armature of a hip and the stiffness of a knee"
_SQUARE = ("rot90", "y")

_BY_TASK: dict[str, list[Derived | tuple[str, Callable[[], Symmetry]]]] = {
    "Ant-v5": [
        Derived("sagittal", "y"),
        Derived("dihedral", _SQUARE, "the reward, which prefers one direction"),
        ("rpp2021", rpp2021.ant),
    ],
    "HalfCheetah-v5": [
        ("rpp2021", rpp2021.half_cheetah),
        Derived(
            "fore_aft",
            "x",
            "approximate: front and back legs differ in length, mass, stiffness, range and gear, the head is in front, "
            "and the reward for running forward changes sign",
        ),
    ],
    "Hopper-v5": [("rpp2021", rpp2021.hopper)],
    "Humanoid-v5": [Derived("sagittal", "y", _HUMANOID), ("rpp2021", rpp2021.humanoid)],
    "HumanoidStandup-v5": [Derived("sagittal", "y", f"{_HUMANOID}, and in the range of a hip")],
    "InvertedDoublePendulum-v5": [Derived("sagittal", "x", "the model file: gravity leans by 1e-5 in 9.81")],
    "InvertedPendulum-v5": [Derived("sagittal", "x", "the model file: the pole leans by 0.001 in 0.6")],
    "Pusher-v5": [
        Derived(
            "sagittal",
            "y",
            "the ranges of shoulder_pan and upper_arm_roll are not symmetric about zero, and object and goal start on "
            "one side of the plane",
        )
    ],
    "Reacher-v5": [
        Derived("sagittal", "y"),
        Derived("dihedral", ("rot90", "x"), "the reset distribution: episodes start with the arm along the x axis"),
    ],
    "Swimmer-v5": [Derived("sagittal", "y"), ("rpp2021", rpp2021.swimmer)],
    "Walker2d-v5": [Derived("sagittal", "y"), ("rpp2021", rpp2021.walker2d)],
}

DECLARATIONS: Mapping[str, Mapping[str, Callable[[], Symmetry] | Derived]] = MappingProxyType(
    {
        env_id: {d.name if isinstance(d, Derived) else d[0]: d if isinstance(d, Derived) else d[1] for d in declared}
        for env_id, declared in _BY_TASK.items()
    }
)
