"""The declared symmetries of gymnasium's eleven MuJoCo v5 tasks; the first of each task is its default."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from rpp_rl.envs.declarations import ant, arms, humanoid, pendula, planar
from rpp_rl.symmetry import Symmetry

DECLARATIONS: Mapping[str, Mapping[str, Callable[[], Symmetry]]] = MappingProxyType(
    {
        "Ant-v5": {"sagittal": ant.sagittal, "dihedral": ant.dihedral, "rpp2021": ant.rpp2021},
        "HalfCheetah-v5": {"rpp2021": planar.half_cheetah_rpp2021, "fore_aft": planar.half_cheetah_fore_aft},
        "Hopper-v5": {"rpp2021": planar.hopper_rpp2021},
        "Humanoid-v5": {"sagittal": humanoid.sagittal, "rpp2021": humanoid.rpp2021},
        "HumanoidStandup-v5": {"sagittal": humanoid.sagittal},
        "InvertedDoublePendulum-v5": {"sagittal": pendula.inverted_double_pendulum},
        "InvertedPendulum-v5": {"sagittal": pendula.inverted_pendulum},
        "Pusher-v5": {"sagittal": arms.pusher},
        "Reacher-v5": {"sagittal": arms.reacher, "dihedral": arms.reacher_dihedral},
        "Swimmer-v5": {"sagittal": planar.swimmer, "rpp2021": planar.swimmer_rpp2021},
        "Walker2d-v5": {"sagittal": planar.walker2d, "rpp2021": planar.walker2d_rpp2021},
    }
)
