"""Normalize observations without breaking a symmetry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from rpp_rl.agents.common.environment_symmetry import as_symmetry, symmetry_of
from rpp_rl.agents.common.saving.documents import read_document, write_document
from rpp_rl.errors import RunError, SymmetryError
from rpp_rl.files import Archive
from rpp_rl.representations import as_matrix
from rpp_rl.symmetry import Symmetry

_NORMALIZER = "normalizer"
_SETTINGS = {
    **dict.fromkeys(("training", "norm_obs", "norm_reward"), (bool,)),
    **dict.fromkeys(("clip_obs", "clip_reward", "gamma", "epsilon"), (int, float)),
}


class OrbitMeanStd(RunningMeanStd):
    """Running mean and variance of a stream of observations and of all its images under a group.

    The mean is a fixed point of the group, and entries that a generator mixes or exchanges have one variance. So
    x -> (x - mean) / std commutes with the group for any stream.

    Args:
        symmetry: its group acts on the observations.
        epsilon: weight of the initial moments, as for `RunningMeanStd`.
    """

    def __init__(self, symmetry: Symmetry, epsilon: float = 1e-4) -> None:
        super().__init__(epsilon, (symmetry.observation.size,))
        self.symmetry = symmetry
        self._blocks = _blocks(symmetry)
        # The group may act about another point than zero.
        self.mean = self._images(np.zeros((1, symmetry.observation.size))).mean(axis=0)

    def update(self, arr: NDArray[Any]) -> None:
        """Update with observations of shape (n, entries), which count as n, however large the group is."""
        images = self._images(np.asarray(arr, dtype=np.float64))
        variance = images.var(axis=0)
        pooled = np.bincount(self._blocks, variance) / np.bincount(self._blocks)
        self.update_from_moments(images.mean(axis=0), pooled[self._blocks], arr.shape[0])

    def copy(self) -> OrbitMeanStd:
        """Return an independent copy."""
        new = OrbitMeanStd(self.symmetry)
        new.mean, new.var, new.count = self.mean.copy(), self.var.copy(), float(self.count)
        return new

    def _images(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        elements = range(self.symmetry.group.order)
        return np.concatenate([self.symmetry.transform_observation(element, x) for element in elements])

    def update_from_moments(
        self, batch_mean: NDArray[np.float64], batch_var: NDArray[np.float64], batch_count: float
    ) -> None:
        """Update as `RunningMeanStd` does, with the change of the mean pooled over entries that a generator mixes."""
        delta = np.square(batch_mean - self.mean)
        pooled = (np.bincount(self._blocks, delta) / np.bincount(self._blocks))[self._blocks]
        total = self.count + batch_count
        squares = self.var * self.count + batch_var * batch_count + pooled * self.count * batch_count / total
        self.mean = self.mean + (batch_mean - self.mean) * batch_count / total
        self.var, self.count = squares / total, total


class SymmetricVecNormalize(VecNormalize):
    """stable-baselines3's `VecNormalize` with statistics that keep a symmetry: normalize(g x) = rho(g) normalize(x).

    `symmetry` is that of the normalized observations: unlike the environment's, it fixes the origin. Clipping keeps a
    symmetry of signed permutations exactly, and any other as long as nothing is clipped.

    Args:
        venv: the environments.
        symmetry: the symmetry; None takes that of the environments.
        **kwargs: as for `VecNormalize`.

    Raises:
        SymmetryError: if there is no symmetry, the environments have different ones, or it does not fit observations.
    """

    def __init__(self, venv: VecEnv, symmetry: Symmetry | Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        declared = as_symmetry(symmetry) or _carried(venv)
        space = venv.observation_space
        if not isinstance(space, spaces.Box) or space.shape != (declared.observation.size,):
            raise SymmetryError(
                f"symmetry {declared.name!r} acts on {declared.observation.size} entries, but the observation space "
                f"is {space}"
            )
        super().__init__(venv, **kwargs)
        self.declared = self.symmetry = declared
        if self.norm_obs:
            self.obs_rms = OrbitMeanStd(declared)  # type: ignore[assignment]
            self.symmetry = replace(declared, center=())

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return attributes as `VecEnv.get_attr` does; the symmetry is that of the normalized observations."""
        if attr_name == "symmetry":
            return [self.symmetry for _ in self._get_indices(indices)]
        return self.venv.get_attr(attr_name, indices)

    def save(self, save_path: Any) -> None:
        """Save statistics and settings, atomically.

        Raises:
            OSError: if the file cannot be written.
        """
        settings = {name: getattr(self, name) for name in _SETTINGS}
        value = {
            "settings": {**settings, "gamma": float(self.gamma)},
            "symmetry": self.declared.to_dict(),
            "observations": _moments(self.obs_rms) if self.norm_obs else None,
            "returns": _moments(self.ret_rms),
        }
        write_document(save_path, _NORMALIZER, value)

    @staticmethod
    def saved_settings(path: Any) -> dict[str, Any]:
        """Read the settings in a file that `save` wrote.

        Raises:
            RunError: if the file is damaged.
        """
        return dict(_read(path)["settings"])

    @classmethod
    def load(cls, load_path: Any, venv: VecEnv) -> SymmetricVecNormalize:
        """Load statistics that `save` wrote and wrap environments with them; no code in the file is run.

        Raises:
            FileNotFoundError: if the file is missing.
            RunError: if it is damaged.
            SymmetryError: if its symmetry does not fit the environments.
        """
        value = _read(load_path)
        settings = dict(value["settings"])
        training = settings.pop("training")
        loaded = cls(venv, Symmetry.from_dict(value["symmetry"]), **settings)
        for rms, moments in ((loaded.ret_rms, value["returns"]), (loaded.obs_rms, value["observations"])):
            if moments is not None:
                _restore_moments(rms, moments)
        loaded.training = training
        return loaded


def _read(path: Any) -> dict[str, Any]:
    """Read a file that `save` wrote, and check the types of its settings."""
    with Path(path).open("rb") as file:
        value = read_document(Archive(file, str(path)), _NORMALIZER)
    try:
        settings = {name: value["settings"][name] for name in _SETTINGS}
        parts = {name: value[name] for name in ("symmetry", "observations", "returns")}
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} does not hold statistics of observations: it lacks {error}") from error
    if not all(type(settings[name]) in kinds for name, kinds in _SETTINGS.items()):
        raise RunError(f"{path} does not hold statistics of observations: its settings are {settings}")
    return {"settings": settings, **parts}


def _moments(rms: Any) -> dict[str, Any]:
    return {"mean": np.asarray(rms.mean), "var": np.asarray(rms.var), "count": float(rms.count)}


def _restore_moments(rms: Any, moments: Mapping[str, Any]) -> None:
    if not isinstance(moments, Mapping) or not {"mean", "var", "count"} <= moments.keys():
        raise RunError("the saved statistics lack mean, var or count")
    for name in ("mean", "var"):
        value = np.asarray(moments[name], dtype=np.float64)
        if value.shape != np.shape(rms.mean) or not np.isfinite(value).all() or (name == "var" and (value < 0).any()):
            raise RunError(f"the saved statistics have a {name} of shape {value.shape} that does not fit")
        setattr(rms, name, value)
    rms.count = float(moments["count"])


def _carried(venv: VecEnv) -> Symmetry:
    found = symmetry_of(venv)
    if found is None:
        raise SymmetryError(
            "SymmetricVecNormalize needs a symmetry: make the environments with rpp_rl.make(...), or pass symmetry=..."
        )
    return found


def _blocks(symmetry: Symmetry) -> NDArray[np.int64]:
    """For each entry, number the block of entries that the generators mix it with."""
    size = symmetry.observation.size
    block = np.arange(size)
    edges = [np.argwhere(as_matrix(image)) for image in symmetry.observation.images]
    for i, j in np.concatenate(edges).tolist() if edges else []:
        block[block == block[i]] = block[j]
    return np.unique(block, return_inverse=True)[1]
