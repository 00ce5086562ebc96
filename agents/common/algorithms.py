"""The registry of algorithms: their names, and the uses that they make of a symmetry."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any

from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from rpp_rl.errors import RunError, UnknownNameError

# The uses that an algorithm makes of a symmetry: the prefix of the pair's name, and the policy.
USES: Mapping[str, tuple[str, str]] = {
    "rpp": ("rpp_", "RPPPolicy"),
    "equivariant": ("equivariant_", "EquivariantPolicy"),
    "plain": ("mlp_", "PlainPolicy"),
    "augment": ("augment_", "PlainPolicy"),
    "none": ("", "MlpPolicy"),
}


@dataclass(frozen=True)
class AlgorithmUse:
    """An algorithm and the use that it makes of a symmetry.

    Attributes:
        name: of the pair, for example ``"rpp_sac"``.
        algorithm: for example ``"sac"``.
        use: ``"rpp"``, ``"equivariant"``, ``"plain"`` (our class with plain networks), ``"augment"`` (the same,
            with mirrored minibatches), or ``"none"`` (the class of stable-baselines3).
        cls: the class of the agent.
        ours: the class of this library for the algorithm; the same as `cls` unless `use` is ``"none"``.
        baseline: the class of stable-baselines3.
        hyperparams: the file of hyperparameters, YAML in the form of RL Zoo.
        together: trains several seeds in one process; None where nothing does.
    """

    name: str
    algorithm: str
    use: str
    cls: type[OffPolicyAlgorithm]
    ours: type[OffPolicyAlgorithm]
    baseline: type[OffPolicyAlgorithm]
    hyperparams: Traversable
    together: type[Any] | None = None

    @property
    def uses_symmetry(self) -> bool:
        """Whether the networks are built from the symmetry, or their minibatches are moved by it."""
        return self.use in ("rpp", "equivariant", "augment")

    @property
    def needs_symmetry(self) -> bool:
        """Whether an agent cannot be built without a symmetry."""
        return self.uses_symmetry

    @property
    def imposes_symmetry(self) -> bool:
        """Whether the agent cannot learn where the symmetry fails."""
        return self.use in ("equivariant", "augment")

    @property
    def policy(self) -> str:
        """The policy's name."""
        return USES[self.use][1]

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Arguments of the agent, beside its policy, that the name stands for."""
        return {"augment": True} if self.use == "augment" else {}


_REGISTERED: dict[str, AlgorithmUse] = {}


def register_algorithm(
    name: str,
    cls: type[OffPolicyAlgorithm],
    baseline: type[OffPolicyAlgorithm],
    hyperparams: Traversable,
    together: type[Any] | None = None,
) -> None:
    """Register an algorithm under the names ``rpp_<name>``, ``equivariant_<name>``, ``mlp_<name>`` and ``<name>``.

    A class that has the argument ``augment`` is also registered as ``augment_<name>``. Afterwards it trains from the
    command line and is found in saved agents. A third party calls this where its module is imported:

        class MySAC(RPPSAC): ...

        register_algorithm("my_sac", MySAC, baseline=SAC, hyperparams=Path(__file__).with_name("hyperparams.yml"))

    Args:
        name: of the algorithm.
        cls: a class of agents that takes the policies ``"RPPPolicy"``, ``"EquivariantPolicy"`` and ``"PlainPolicy"``.
        baseline: the class of stable-baselines3 that it extends; registered as ``<name>``.
        hyperparams: a YAML file in the form of RL Zoo: arguments under ``default`` and under ids of environments.
        together: a class that trains agents of several seeds in one process, as `ManySeeds` does.

    Raises:
        RunError: if a name is taken.
    """
    made = [
        AlgorithmUse(
            prefix + name, name, use, baseline if use == "none" else cls, cls, baseline, hyperparams,
            None if use == "none" else together,
        )
        for use, (prefix, _) in USES.items()
        if use != "augment" or "augment" in inspect.signature(cls.__init__).parameters
    ]  # fmt: skip
    for one in made:
        if one.name in _REGISTERED:
            raise RunError(f"an algorithm named {one.name!r} is registered already; choose another name")
    _REGISTERED.update({one.name: one for one in made})


def algorithm(name: str) -> AlgorithmUse:
    """Look an algorithm up.

    Raises:
        UnknownNameError: if there is none of that name.
    """
    if name not in _REGISTERED:
        raise UnknownNameError("algorithm", name, _REGISTERED)
    return _REGISTERED[name]


def algorithm_names() -> tuple[str, ...]:
    """The names of all algorithms in the order of registration; the first is the default."""
    return tuple(_REGISTERED)
